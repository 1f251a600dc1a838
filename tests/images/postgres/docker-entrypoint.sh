#!/usr/bin/env bash
# What the entry point of docker.io/library/postgres does for its caller: makes an empty PGDATA from POSTGRES_USER, POSTGRES_PASSWORD,
# POSTGRES_DB (each also as NAME_FILE), POSTGRES_INITDB_ARGS and POSTGRES_HOST_AUTH_METHOD, runs /docker-entrypoint-initdb.d, and then
# becomes the server. As root it first becomes `postgres`; as a user without a name it lends one to PostgreSQL.
set -euo pipefail

setting() { # setting NAME DEFAULT: from NAME or from the file that NAME_FILE names, never from both
  local name=$1 file=${1}_FILE
  if [[ -n ${!name:-} && -n ${!file:-} ]]; then
    echo "error: both $name and $file are set" >&2
    exit 1
  fi
  [[ -z ${!file:-} ]] || printf -v "$name" %s "$(<"${!file}")"
  [[ -n ${!name:-} ]] || printf -v "$name" %s "$2"
  export "${name?}"
  unset "$file"
}

lend_a_name() { # initdb and the server refuse a user id that has no name
  getent passwd "$(id -u)" >/dev/null && return
  local lent
  lent=$(mktemp -d)
  printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" >"$lent/passwd"
  printf 'postgres:x:%s:\n' "$(id -g)" >"$lent/group"
  export NSS_WRAPPER_PASSWD=$lent/passwd NSS_WRAPPER_GROUP=$lent/group
  LD_PRELOAD=$(echo /usr/lib/*/libnss_wrapper.so)
  export LD_PRELOAD
}

initialise() {
  setting POSTGRES_PASSWORD ''
  setting POSTGRES_USER postgres
  setting POSTGRES_DB "$POSTGRES_USER"
  setting POSTGRES_INITDB_ARGS ''
  : "${POSTGRES_HOST_AUTH_METHOD:=scram-sha-256}"
  if [[ -z $POSTGRES_PASSWORD && $POSTGRES_HOST_AUTH_METHOD != trust ]]; then
    echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
    echo '       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser.' >&2
    exit 1
  fi
  local arguments
  eval "arguments=($POSTGRES_INITDB_ARGS)"
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${arguments[@]}"
  printf '\nhost all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/pg_hba.conf"
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
  local psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER") file
  export PGPASSWORD=$POSTGRES_PASSWORD
  if [[ $POSTGRES_DB != postgres ]]; then
    "${psql[@]}" --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    # shellcheck disable=SC1090  # the caller's own scripts
    case $file in
      *.sh) if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
      *.sql) "${psql[@]}" --dbname "$POSTGRES_DB" -f "$file" ;;
      *.sql.gz) gunzip -c "$file" | "${psql[@]}" --dbname "$POSTGRES_DB" ;;
    esac
  done
  unset PGPASSWORD
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -m fast -w stop
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

[[ ${1:-} != -* ]] || set -- postgres "$@"
if [[ ${1:-} == postgres ]]; then
  mkdir -p "$PGDATA"
  chmod 00700 "$PGDATA" 2>/dev/null || true
  if [[ $(id -u) == 0 ]]; then
    chown -R postgres:postgres "$PGDATA" /var/run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups "${BASH_SOURCE[0]}" "$@"
  fi
  lend_a_name
  [[ -s $PGDATA/PG_VERSION ]] || initialise
fi
exec "$@"

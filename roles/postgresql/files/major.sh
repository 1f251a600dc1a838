#!/bin/sh
# Copies a database cluster into one of a newer major version of PostgreSQL: all roles and databases are dumped and restored as they come. The old
# cluster is only read, and stays where it is. The new one gets its name last: whatever ends this before has changed nothing, and it can be run
# again.
#
# Databases are dumped by the old server's own pg_dump: a minor version may keep in its catalogues what a new major version's older build does not
# know and would hand on (17.12 of Debian the column option pg_attver, which 18.4 dumps and then refuses).
#
#   major.sh serve OLD PLACE SUPERUSER                   runs the old server, and dumps what is asked for, until the copy has ended
#   major.sh copy OLD NEW PLACE SUPERUSER PASSWORD       makes NEW from it; PASSWORD is the file with the superuser's password
#   major.sh both OLD NEW PLACE SUPERUSER PASSWORD BIN   both, on a host; BIN is the directory of the old version's programs
#   major.sh find MAJOR RUNTIME                          prints the directory of a server of the version MAJOR, of the distribution or in RUNTIME
#
# PATH finds the programs of the version that is meant. OLD and NEW are data directories on one file system. PLACE is a directory that both
# servers share and that this makes: nobody else may enter it, so no connection in it needs a password.
set -eu
umask 077

give_up() { # give_up WORDS: says what went wrong
  echo "$*" >&2
  exit 1
}

start() { # start DATA NAME OPTIONS: runs a server whose socket is in PLACE/NAME; its process is in $server
  data=$1 name=$2
  shift 2
  mkdir -p "$place/$name"
  echo 'local all all trust' >"$place/$name.hba"
  # what users set is for the server that they use: preloaded libraries, an archive and ports would only be in the way here
  postgres -D "$data" -c "hba_file=$place/$name.hba" -c "unix_socket_directories=$place/$name" -c listen_addresses= -c port=5432 \
    -c archive_mode=off -c shared_preload_libraries= "$@" >"$place/$name.log" 2>&1 </dev/null 9>&- &
  server=$!
}

wait_for() { # wait_for NAME: returns when the server in PLACE/NAME takes connections. One that replays its log takes its time.
  until pg_isready --quiet --host "$place/$1" --port 5432; do
    if [ -e "$place/$1.ended" ]; then give_up "the $1 server does not start: $(tail -n 3 "$place/$1.log" | tr '\n' ' ')"; fi
    sleep 0.3
  done
}

serve() {
  mkdir -p "$place"
  # until then the old cluster is not touched, not even by a start
  until [ -e "$place/go" ] || [ -e "$place/ended" ]; do sleep 0.3; done
  [ -e "$place/ended" ] || start "$old" old
  trap 'stop; : >"$place/old.ended"' EXIT
  trap 'exit 143' TERM INT HUP
  until [ -e "$place/ended" ]; do
    kill -0 "$server" 2>/dev/null || give_up "the old server has ended: $(tail -n 3 "$place/old.log" | tr '\n' ' ')"
    if [ -e "$place/wanted" ]; then
      one=$(cat "$place/wanted")
      rm "$place/wanted"
      # what ends it is said here, and its reader ends with it
      pg_dump --format=custom --compress=0 --no-password --host "$place/old" --port 5432 --username "$superuser" --dbname "$one" >"$place/pipe" ||
        : >"$place/cut"
    fi
    sleep 0.1
  done
}

stop() { # ends $server in order, if it runs
  if [ -n "${server:-}" ]; then
    kill -INT "$server" 2>/dev/null || true
    wait "$server" || true
    server=
  fi
}

lend_a_name() { # initdb refuses a user id that has no name, such as those of OpenShift; the official image brings what lends one
  if getent passwd "$(id -u)" >/dev/null 2>&1; then return; fi
  for library in /usr/lib/*/libnss_wrapper.so /usr/lib/libnss_wrapper.so; do
    if [ -e "$library" ]; then
      echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$place:/bin/false" >"$place/passwd"
      echo "postgres:x:$(id -g):" >"$place/group"
      export NSS_WRAPPER_PASSWD="$place/passwd" NSS_WRAPPER_GROUP="$place/group" LD_PRELOAD="$library"
      return
    fi
  done
}

sql() { # sql NAME DATABASE ARGUMENTS: psql in the server NAME
  host=$place/$1 database=$2
  shift 2
  psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --host "$host" --port 5432 --username "$superuser" --dbname "$database" "$@"
}

databases() { # databases NAME: one in each line
  sql "$1" postgres --command "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template1' ORDER BY 1"
}

counts() { # counts NAME: the rows of every table of every database
  databases "$1" | while IFS= read -r one; do
    printf '%s\n' "-- $one"
    sql "$1" "$one" <<'SQL'
SELECT format('SELECT %L, count(*) FROM %s', c.oid::regclass, c.oid::regclass) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY n.nspname, c.relname \gexec
SQL
  done
}

copy() {
  mkdir -p "$place"
  trap 'finish' EXIT
  trap 'exit 143' TERM INT HUP
  [ -s "$old/PG_VERSION" ] || give_up "$old holds no database cluster"
  if [ -e "$new" ]; then
    # complete, as it has its name: of a run that was killed just after that, or from long ago
    [ "$(cat "$new/$mark" 2>/dev/null)" = "$(state)" ] ||
      give_up "$new is there already, and is no copy of what $old holds now. Move it away, where nothing of it is needed"
    echo "$new is a copy already"
    return
  fi
  # indexes are packed tighter anew, and the log of the restore comes on top
  needed=$(($(du -sk "$old" | cut -f1) * 13 / 10 + 262144)) free=$(df -Pk "${new%/*}" | awk 'NR == 2 {print $4}')
  [ "$free" -gt "$needed" ] || give_up "${new%/*} has $((free / 1024)) MiB free, and the new database cluster needs $((needed / 1024)). Make room"
  : >"$place/go"
  rm -rf "$new.new"
  (
    lend_a_name
    initdb --pgdata "$new.new" --username "$superuser" --pwfile "$password" --encoding UTF8 --locale C.UTF-8 --data-checksums \
      --auth scram-sha-256 --no-sync >"$place/new.log"
  )
  start "$new.new" new -c fsync=off
  (while kill -0 "$server" 2>/dev/null; do sleep 0.3; done; : >"$place/new.ended") 2>/dev/null 9>&- &
  wait_for old
  wait_for new
  # the superuser is there already, and gets the password that it has
  pg_dumpall --globals-only --no-password --host "$place/old" --port 5432 --username "$superuser" >"$place/globals.sql"
  sed "/^CREATE ROLE $superuser;\$/d" "$place/globals.sql" | sql new postgres >/dev/null
  databases old >"$place/databases"
  mkfifo "$place/pipe"
  # who waits for a dump of a server that has ended would wait for ever
  (until [ -e "$place/old.ended" ] || [ -e "$place/ended" ]; do sleep 0.3; done; : <>"$place/pipe") 2>/dev/null 9>&- &
  while IFS= read -r one; do
    create=--create
    if [ "$one" = postgres ]; then create=; fi
    printf '%s\n' "$one" >"$place/wanted.new"
    mv "$place/wanted.new" "$place/wanted"
    # a dump that was cut ends its restore too
    # shellcheck disable=SC2086  # no word for a database that is there
    pg_restore $create --exit-on-error --no-password --host "$place/new" --port 5432 --username "$superuser" --dbname postgres <"$place/pipe"
    [ ! -e "$place/cut" ] || give_up "the database $one could not be dumped whole"
  done <"$place/databases"
  counts old >"$place/rows.old"
  counts new >"$place/rows.new"
  cmp -s "$place/rows.old" "$place/rows.new" ||
    give_up "not all rows have arrived: $(diff "$place/rows.old" "$place/rows.new" | grep '^[<>]' | head -n 6 | tr '\n' ' ')"
  vacuumdb --all --analyze-only --quiet --no-password --host "$place/new" --port 5432 --username "$superuser"
  kill -INT "$server"
  wait "$server" || give_up "the new server did not end in order: $(tail -n 3 "$place/new.log" | tr '\n' ' ')"
  server=
  : >"$place/ended"
  until [ -e "$place/old.ended" ]; do sleep 0.3; done
  state >"$new.new/$mark"
  # until here nothing of it had to be on the disk
  (
    lend_a_name
    initdb --sync-only --pgdata "$new.new" >/dev/null
  )
  mv "$new.new" "$new"
  echo "copied $(grep -cv '^--' "$place/rows.new") tables of $(grep -c . "$place/databases") databases"
}

state() { # what changes with every start of the old server
  cksum <"$old/global/pg_control"
}

finish() { # whatever ends the copy: no server goes on, and what is not complete is gone
  code=$?
  trap - EXIT
  stop
  : >"$place/ended"
  rm -rf "$new.new"
  exit "$code"
}

left() { # left DATA: ends the server that a killed run left in DATA
  pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) || return 0
  if [ "$(readlink "/proc/$pid/cwd")" = "$1" ]; then
    kill -INT "$pid"
    while [ "$(readlink "/proc/$pid/cwd")" = "$1" ]; do sleep 0.3; done
  fi
  # a dead one that nobody has waited for yet is still one for the next server
  while [ "$(sed 's/.*) //; s/ .*//' "/proc/$pid/stat" 2>/dev/null)" = Z ]; do sleep 0.3; done
}

both() {
  # what a killed run has left may go on; the servers do not hold it
  exec 9>"$place.lock"
  flock --nonblock 9 || give_up "another copy to $new is under way. Wait for its end"
  left "$old"
  left "$new.new"
  rm -rf "$place"
  mkdir -p "$place"
  (
    PATH="$programs:$PATH"
    serve
  ) &
  serving=$!
  # not before `||`, where no failure would end it
  (
    copy
  ) &
  code=0
  wait $! || code=$?
  : >"$place/ended"
  wait "$serving" || true
  rm -rf "$place"
  exit "$code"
}

# the file in a copy that says of which state it is
mark=mlops_copied_from
mode=$1
shift
case $mode in
  serve)
    old=$1 place=$2 superuser=$3
    serve
    ;;
  copy)
    old=$1 new=$2 place=$3 superuser=$4 password=$5
    copy
    ;;
  both)
    old=$1 new=$2 place=$3 superuser=$4 password=$5 programs=$6
    both
    ;;
  find)
    major=$1 runtime=$2
    for file in "$runtime"/postgresql-*/lib/python*/site-packages/*/pginstall*/bin/postgres /usr/lib/postgresql/*/bin/postgres \
      /usr/pgsql-*/bin/postgres /usr/bin/postgres; do
      if [ -x "$file" ] && [ "$("$file" --version 2>/dev/null | sed 's/^[^0-9]*\([0-9]*\).*/\1/')" = "$major" ]; then
        echo "${file%/*}"
        exit 0
      fi
    done
    ;;
  *) give_up "no such mode: $mode" ;;
esac

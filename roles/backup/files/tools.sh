#!/bin/sh
# PostgreSQL's own tools for the backup program, which is in another container of this pod: see mlops_backup/pod.py.
# Usage: tools.sh DIRECTORY FILE: the directory that both share, and the file with the administrator's password.
set -u
place=$1
# in the environment, which nobody else in this container can read, and never in a request
PGPASSWORD=$(cat "$2") || exit 1
export PGPASSWORD
umask 077
mkdir -p "$place"

perform() { # perform DIRECTORY: does what the request in it asks for
  cd "$1" || exit 1
  set --
  while IFS= read -r word; do set -- "$@" "$word"; done <arguments
  "$@" >said 2>&1 </dev/null
  echo $? >code.new
  mv code.new code
}

# the program's container writes `done` when it ends, whatever comes of it
while [ ! -e "$place/done" ]; do
  : >"$place/serving"
  if [ -e "$place/alive" ] && [ -n "$(find "$place/alive" -mmin +2)" ]; then
    echo 'the program has ended without a word' >&2
    exit 0
  fi
  for ready in "$place"/*/ready; do
    [ -e "$ready" ] || continue
    rm "$ready"
    (perform "${ready%/ready}") &
  done
  sleep 0.2
done

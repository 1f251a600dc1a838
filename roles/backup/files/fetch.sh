#!/bin/sh
# restore_command of a recovery in a pod: asks the program in the other container for a file of the log, see mlops_backup/pod_recovery.py.
# Usage: fetch.sh DIRECTORY NAME PATH: the directory that both share, the file, and where it goes, below the server's own directory.
set -u
asked=$1/$2
printf '%s\n' "$PWD/$3" >"$asked.ask" && mv "$asked.ask" "$asked.asked" || exit 200
# as long as it takes: when the program ends, this container does
until [ -e "$asked.code" ]; do sleep 0.05; done
code=$(cat "$asked.code")
rm "$asked.code"
if [ -e "$asked.said" ]; then
  cat "$asked.said" >&2
  rm "$asked.said"
fi
exit "$code"

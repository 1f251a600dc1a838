#!/bin/sh
# The steps around mlflow_schema.py in a pod. The last word of each is the pod's termination message.
#   gate      ends with an error unless both schemas are this MLflow's
#   prepare   makes the schemas in empty databases, and says what it found: current, created or behind
#   upgrade   migrates both
set -eu
schema=${0%/*}/mlflow_schema.py
say() { printf '%s' "$1" >"${TERMINATION_LOG:-/dev/termination-log}"; }

check() { # the exit code of mlflow_schema.py; 13: the database does not answer yet
  attempt=0
  while :; do
    status=0
    python "$schema" check || status=$?
    if [ "$status" -ne 13 ] || [ "$attempt" -ge 30 ]; then break; fi
    attempt=$((attempt + 1))
    sleep 2
  done
}

case ${1:-} in
  gate)
    check
    exit "$status"
    ;;
  prepare)
    check
    case $status in
      0) say current ;;
      10) python "$schema" upgrade && say created ;;
      # not while an older server runs: whoever started this stops it first
      11) say behind ;;
      *) exit "$status" ;;
    esac
    ;;
  upgrade)
    python "$schema" upgrade
    say upgraded
    ;;
  *)
    echo "usage: mlflow_schema.sh gate|prepare|upgrade" >&2
    exit 2
    ;;
esac

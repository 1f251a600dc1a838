#!/bin/sh
# What the entry point of docker.io/chrislusf/seaweedfs does for its caller: some commands get defaults, which its own options override.
set -eu

given() { # given OPTION ARGUMENT...: whether OPTION is among the arguments
  wanted=$1
  shift
  for argument in "$@"; do
    case $argument in "$wanted" | "$wanted="*) return 0 ;; esac
  done
  return 1
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
  master) set -- -mdir=/data -volumePreallocate -volumeSizeLimitMB=1024 "$@" ;;
  volume)
    given -max "$@" || set -- -max=0 "$@"
    set -- -dir=/data "$@"
    ;;
  server)
    given -volume.max "$@" || set -- -volume.max=0 "$@"
    set -- -dir=/data -master.volumePreallocate -master.volumeSizeLimitMB=1024 "$@"
    ;;
  s3) set -- "-domainName=${S3_DOMAIN_NAME:-}" "-key.file=${S3_KEY_FILE:-}" "-cert.file=${S3_CERT_FILE:-}" "$@" ;;
esac
exec /usr/bin/weed "$command" "$@"

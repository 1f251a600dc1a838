#!/bin/sh
# Holds this bundle against its checksums, and unpacks the platform's playbooks from it: sh unpack.sh DIRECTORY
# The directory is then what a clone would be. Nothing is fetched, and nothing is written elsewhere.
set -eu
unset CDPATH
bundle=$(cd -- "$(dirname -- "$0")" && pwd -P)
target=${1:-}
[ -n "$target" ] || { echo "usage: $0 DIRECTORY" >&2 && exit 2; }
if [ -d "$target" ] && [ -n "$(ls -A -- "$target")" ]; then
  echo "unpack: $target is not empty" >&2 && exit 2
fi
if command -v sha256sum >/dev/null; then check='sha256sum --check --quiet'; else check='shasum -a 256 --check --quiet'; fi
(cd -- "$bundle" && $check SHA256SUMS) || { echo "unpack: the bundle is damaged; copy what is named above once more" >&2 && exit 1; }
# more than one where playbooks/airgap.yml has left an older one: the list of components names the newest alone
archive=$(sed -n 's|.*"value": "\(collections/mlops-platform-[^"]*\)".*|\1|p' "$bundle/sbom.cdx.json")
mkdir -p -- "$target"
tar -xzf "$bundle/$archive" -C "$target"
mkdir -p -- "$target/collections/ansible_collections/mlops"
ln -s ../../.. "$target/collections/ansible_collections/mlops/platform"
echo "Unpacked. Now, with the inventory that you want:"
echo "  cd '$target' && MLOPS_MIRROR='file://$bundle' make up ARGS='-e mlops_bundle=$bundle'"

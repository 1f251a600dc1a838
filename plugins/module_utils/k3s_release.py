# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a K3s release: which there are, and where they come from."""

from __future__ import annotations

import urllib.parse

# `uname -m` and the names that the release has for it
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
BINARIES = {"amd64": "k3s", "arm64": "k3s-arm64", "arm": "k3s-armhf"}


def names(architecture, images):
    """Return {what: name in the release} of the checksum list, the binary and, with `images` such as tar.gz, the archive of images."""
    found = {"checksums": f"sha256sum-{architecture}.txt", "binary": BINARIES[architecture]}
    if images:
        found["images"] = f"k3s-airgap-images-{architecture}.{images}"
    return found


def address(root, version, name):
    """Return the URL of a file of a release below `root`. GitHub writes the + of a version as %2B."""
    return f"{root.rstrip('/')}/k3s-io/k3s/releases/download/{urllib.parse.quote(version, safe='')}/{name}"

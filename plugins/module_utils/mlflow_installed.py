# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which MLflow the services of an installation are configured with."""

from __future__ import annotations

import glob
import os
import re


def installed(data_dir):
    """Return {environment, version} of the MLflow in `data_dir`, None where there is none. Either is None where nobody knows it."""
    try:
        with open(os.path.join(data_dir, "etc", "mlflow.env"), encoding="utf-8") as stream:
            match = re.search(r'^PATH="?([^:"]+)/bin[:"]', stream.read(), re.M)
    except (OSError, UnicodeDecodeError):
        return None
    if not match or os.path.dirname(match[1]) != os.path.join(data_dir, "runtime"):
        return None
    return {"environment": os.path.basename(match[1]), "version": version(match[1])}


def version(environment, package="mlflow"):
    """Return the version of a package in a virtual environment, None where it has none or is not complete."""
    if not os.path.exists(os.path.join(environment, ".complete")):
        return None
    for path in glob.glob(os.path.join(glob.escape(environment), "lib", "python*", "site-packages", f"{package}-*.dist-info")):
        return os.path.basename(path)[len(package) + 1 : -len(".dist-info")]
    return None

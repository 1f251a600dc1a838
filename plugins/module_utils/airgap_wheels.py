# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which wheels a lock file means for one version of Python and one architecture, and how pip fetches them.

It imports nothing of Ansible's or of this collection: the tests' own index uses it too.
"""

from __future__ import annotations

import email.parser
import re
import zipfile

try:
    from packaging.requirements import Requirement
    from packaging.tags import compatible_tags, cpython_tags
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

    HAS_PACKAGING = True
except ImportError:
    HAS_PACKAGING = False


class Wanted:
    """One package of a lock file: its name, its version, the SHA-256 of its files, and the line that pip reads."""

    def __init__(self, name, version, hashes):
        self.name, self.version, self.hashes = name, version, hashes

    @property
    def line(self):
        """Return the requirement with its hashes and without its condition: pip judges conditions by the Python that runs it."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{value}" for value in sorted(self.hashes))])


def wanted(text, version, machine):
    """Return the packages of the lock file `text` that hold for the Python `version`, such as 3.13, on Linux."""
    facts = {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "os_name": "posix",
        "extra": "",
    }
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        specification = line.split("#", 1)[0].split(" --hash=")[0]
        if specification.strip():
            requirement = Requirement(specification)
            if requirement.marker is None or requirement.marker.evaluate(facts):
                (pinned,) = requirement.specifier
                hashes = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
                found.append(Wanted(canonicalize_name(requirement.name), pinned.version, hashes))
    return found


def platforms(machine, glibc):
    """Return the names of the platforms that a system with the version `glibc`, such as 2.28, can use, newest first."""
    names = [f"manylinux_2_{minor}" for minor in range(int(glibc.partition(".")[2]), 4, -1)]
    return [f"{name}_{machine}" for name in [*names, "manylinux2014", "manylinux2010", "manylinux1", "linux"]]


def tags(version, machine, glibc):
    """Return the tags of all wheels that run there."""
    numbers = tuple(int(part) for part in version.split("."))
    interpreter, names = f"cp{numbers[0]}{numbers[1]}", platforms(machine, glibc)
    return {*cpython_tags(numbers, [interpreter], names), *compatible_tags(numbers, interpreter, names)}


def parts(filename):
    """Return the canonical name, the version as text and the tags of a wheel's file name; None for what is no wheel."""
    try:
        name, version, _build, found = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return None
    return name, str(version), found


def download(python, version, machine, glibc, directory, requirements):
    """Return the command that fetches the wheels of the file `requirements` into `directory`, every one held against the lock's hashes."""
    command = [python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "--python-version", version, "--implementation", "cp"]
    command += [f"--abi={abi}" for abi in (f"cp{version.replace('.', '')}", "abi3", "none")]
    command += [f"--platform={name}" for name in platforms(machine, glibc)]
    return [*command, "--dest", directory, "--requirement", requirements]


def licences(path):
    """Return (SPDX expression, name) of a wheel's licence by its own metadata; what it does not say is empty."""
    with zipfile.ZipFile(path) as wheel:
        name = next((name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")), None)
        fields = email.parser.HeaderParser().parsestr(wheel.read(name).decode("utf-8", "replace")) if name else {}
    expression = fields.get("License-Expression", "")
    classified = [line.split(" :: ")[-1] for line in (fields.get_all("Classifier") or []) if line.startswith("License ::")] if name else []
    # some write the whole text into the field
    plain = (fields.get("License") or "").strip()
    return expression, "" if expression else "; ".join(classified) or (plain if len(plain) < 100 and "\n" not in plain else "")


def page(name, files):
    """Return a project's page of the index: {file name: SHA-256}. pip reads it from a directory as from a server."""
    links = "".join(f'<a href="{file}#sha256={total}">{file}</a><br>\n' for file, total in sorted(files.items()))
    return f"<!DOCTYPE html>\n<html><head><title>Links for {name}</title></head><body>\n{links}</body></html>\n"

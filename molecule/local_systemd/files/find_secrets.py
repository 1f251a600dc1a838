"""Looks for the platform's secrets where they must not be; prints the places, never a secret. Exit code 1 where it found one.

Usage: find_secrets.py [FILE...]
Without a file it looks at what systemd shows, the journal, all command lines, and the files that others can read.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

DATA = Path("/var/lib/mlops")
# shorter ones would be found by chance
SHORTEST = 12


def secrets() -> dict[bytes, str]:
    """Return {secret: where it comes from} of every file below secrets/, of the keys below tls/, and as they stand in a URL."""
    found = {}
    for path in (DATA / "secrets").iterdir():
        # an access key's id is no secret: S3 clients send it in clear with every request
        if path.name.endswith("_access_key"):
            continue
        text = path.read_text(encoding="utf-8")
        # pgpass holds one line per account, the password last
        for word in [line.rsplit(":", 1)[-1].strip() for line in text.splitlines()] if path.name == "pgpass" else [text.strip()]:
            if len(word) >= SHORTEST:
                found[word.encode()] = path.name
    for path in (DATA / "tls").glob("*.key"):
        found[path.read_text(encoding="ascii").splitlines()[1].encode()] = path.name
    return found


def output(*command: str) -> bytes:
    """Return what `command` writes, both streams."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout


def places():
    """Give (name, content) of everything that more than the service user and root can see, and of the journal."""
    units = ["mlops.target", *json.loads(output("systemctl", "list-units", "mlops-*.service", "--all", "--output=json") or b"[]")]
    names = [unit if isinstance(unit, str) else unit["unit"] for unit in units]
    for name in names:
        yield f"systemctl show {name}", output("systemctl", "show", name)
        yield f"systemctl cat {name}", output("systemctl", "cat", name)
        yield f"systemctl status {name}", output("systemctl", "status", "--full", "--lines=1000", name)
    # all of it: Ansible's modules log their arguments there, sudo its command lines
    yield "journalctl", output("journalctl", "--no-pager", "--output=export", "--all")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield str(path), path.read_bytes()
        except OSError:
            continue
    for top in (DATA, Path("/etc/systemd"), Path("/tmp"), Path("/home"), Path("/var/log")):
        for folder, _, files in os.walk(top):
            for name in files:
                path = Path(folder, name)
                # the programs are public, and many
                if "runtime" in path.parts or not stat.S_ISREG(path.lstat().st_mode):
                    continue
                ours = (DATA / "etc", DATA / "secrets", DATA / "tls", DATA / "postgresql", DATA / "seaweedfs")
                if path.lstat().st_mode & 0o077 or not any(parent in path.parents for parent in ours):
                    yield str(path), path.read_bytes()


def main() -> int:
    """Look everywhere and return the exit code."""
    known = secrets()
    if len(known) < 10:
        print(f"only {len(known)} secrets are known: this test would prove nothing")
        return 1
    pattern = re.compile(b"|".join(re.escape(secret) for secret in known))
    looked = hits = 0
    for name, content in [(path, Path(path).read_bytes()) for path in sys.argv[1:]] or places():
        looked += 1
        for secret in set(pattern.findall(content)):
            hits += 1
            print(f"{known[secret]} stands in {name}")
    print(f"{len(known)} secrets looked for in {looked} places, found {hits} times")
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(main())

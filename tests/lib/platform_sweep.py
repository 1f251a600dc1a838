"""Looks for secrets where they must not be: in output, on command lines, in environments, in logs, in files that others can read."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

# a larger log is searched at its end
LIMIT = 64 * 2**20


def needles(secrets):
    """Return {bytes to look for: name} for secrets by name: as they are, and in the encodings in which programs write texts.

    A secret that was given by a test begins with 16 random characters of its own: they are looked for alone, as they survive any quoting.
    """
    found = {}
    for name, value in secrets.items():
        forms = {value, urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value), json.dumps(value)[1:-1], repr(value)[1:-1]}
        forms |= {json.dumps(value, ensure_ascii=False)[1:-1], value[:16] if len(value) > 40 else value}
        encoded = {base64.b64encode(text.encode()) for text in (value, f"admin:{value}", f"mlops:{value}", f"metrics:{value}")}
        # without the padding, behind which a longer text would go on otherwise
        found.update(dict.fromkeys({form.encode() for form in forms} | {one.rstrip(b"=")[:-2] for one in encoded}, name))
    return found


def search(data, wanted):
    """Return the names of the secrets of needles() that bytes `data` hold."""
    return sorted({name for needle, name in wanted.items() if needle in data})


def tail(path):
    """Return the end of a file, b"" where it cannot be read or is no file."""
    with contextlib.suppress(OSError):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                stream.seek(max(0, path.stat().st_size - LIMIT))
                return stream.read()
    return b""


def files(paths, wanted, since=0.0):
    """Search files, and all files below directories, that were written after `since`; return {path: names}."""
    found = {}
    for top in map(Path, paths):
        every = [top] if top.is_file() else (Path(folder, name) for folder, _names, names in os.walk(top) for name in names)
        for path in every:
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime >= since and (names := search(tail(path), wanted)):
                    found[str(path)] = names
    return found


def readable_by_others(top, wanted):
    """Search every file below `top` that a user who owns nothing there can reach and read; return {path: names}."""
    top, found = Path(top), {}
    # grep looks for all of them at once, in a twentieth of the time: the programs are more than a gigabyte. It follows no links
    options = ["--recursive", "--text", "--fixed-strings", "--files-with-matches", "--null", "--no-messages", "--file=-"]
    grep = subprocess.run(
        ["grep", *options, str(top)], input=b"\n".join(wanted), stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"}, check=False
    )
    # 1: nothing was found; 2: a file went away meanwhile
    assert grep.returncode in (0, 1, 2), grep
    for path in (Path(os.fsdecode(name)) for name in grep.stdout.split(b"\0") if name):
        with contextlib.suppress(OSError):
            between = path.relative_to(top).parents
            reachable = all((top / folder).lstat().st_mode & 0o001 for folder in between if folder != Path())
            if reachable and path.lstat().st_mode & 0o004 and (hit := search(tail(path), wanted)):
                found[str(path)] = hit
    return found


class Sampler(threading.Thread):
    """Looks at every process of the machine, again and again: its command line, and its environment unless the services own it.

    `hits` holds (kind, secret's name, command without its arguments); `seen` how many different command lines there were.
    """

    def __init__(self, wanted, service_uid):
        super().__init__(daemon=True)
        self.wanted, self.service_uid = wanted, service_uid
        self.hits, self.commands, self.done = set(), set(), threading.Event()
        # the tests' own process holds what it looks for
        self.own = {os.getpid()}

    def look(self):
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in self.own:
                continue
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if command and command not in self.commands:
                    self.commands.add(command)
                    program = command.split(b"\0")[0].decode(errors="replace")
                    self.hits |= {("command line", name, program) for name in search(command, self.wanted)}
                    if entry.stat().st_uid != self.service_uid:
                        environment = (entry / "environ").read_bytes()
                        self.hits |= {("environment", name, program) for name in search(environment, self.wanted)}

    def run(self):
        while not self.done.is_set():
            self.look()
            time.sleep(0.02)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_unused):
        self.done.set()
        self.join(30)

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the three firewalls have in common: rules by family of addresses, programs, files, and systemd's units."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess

from ansible_collections.mlops.platform.plugins.module_utils.host_paths import hold, replace_file

# of everything that this collection makes in a firewall
MARK = "mlops"
# what was there before the first run, so that it can be brought back
RECORD = "/etc/mlops-host-firewall.json"


class FirewallError(Exception):
    """What stops the module, in words for the user."""


def family(network):
    """Return 4 or 6 for an address or a network. Raises ValueError."""
    return ipaddress.ip_network(network, strict=False).version


def by_family(sources):
    """Return [(4, [...]), (6, [...])] of the families that `sources` has; [(None, [])] for anybody."""
    if not sources:
        return [(None, [])]
    return [(number, found) for number in (4, 6) for found in [[one for one in sources if family(one) == number]] if found]


def problems(rules, trusted, ssh_ports):
    """Return what is wrong with the module's options, as texts."""
    found = []
    for rule in rules:
        for port in rule["ports"]:
            match = re.fullmatch(r"(\d+)(?:-(\d+))?", port)
            if not match or not 1 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
                found.append(f"{rule['name']}: {port!r} is no port between 1 and 65535 and no range such as 2379-2380")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,40}", rule["name"]):
            found.append(f"{rule['name']!r} is no name of up to 40 letters, digits, spaces, and _.-")
    for network in [*trusted, *(source for rule in rules for source in rule["sources"])]:
        try:
            family(network)
        except ValueError:
            found.append(f"{network!r} is no address and no network such as 10.44.0.0/16")
    found += [f"{port} is no port of ssh between 1 and 65535" for port in ssh_ports if not 1 <= port <= 65535]
    if not ssh_ports:
        found.append("no port of ssh is given, and this host would be locked out")
    return found


def run(*argv, ok=(0,)):
    """Run a program; return (code, output). Raises FirewallError for a code that is not among `ok`, with the program's own words."""
    environ = {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"}
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environ)
    except OSError as error:
        raise FirewallError(f"`{' '.join(argv)}` cannot be run: {error.strerror}; install the firewall's package") from error
    if ok and done.returncode not in ok:
        words = (done.stdout + done.stderr).strip() or f"code {done.returncode}"
        raise FirewallError(f"`{' '.join(argv)}` failed: {words}")
    return done.returncode, done.stdout


def read(path):
    """Return the text of a file, None where there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


class Files:
    """Brings files to their content and remembers what that changed. check: only predicts."""

    def __init__(self, check):
        """Begin with nothing changed."""
        self.check = check
        self.changed = []
        self.diff = []
        self.before = {}

    def keep(self, path, content, mode=0o644):
        """Bring a file to `content`; None removes it."""
        before = read(path)
        if before == content:
            if content is not None and hold(path, mode, check=self.check):
                self.changed.append(path)
            return
        self.before[path] = before
        self.changed.append(path)
        self.diff.append({"before_header": path, "after_header": path, "before": before or "", "after": content or ""})
        if self.check:
            return
        if content is None:
            os.unlink(path)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            replace_file(path, content.encode("utf-8"), mode)

    def restore(self):
        """Put back what was there before the first change."""
        for path, content in self.before.items():
            if content is None:
                if os.path.exists(path):
                    os.unlink(path)
            else:
                replace_file(path, content.encode("utf-8"), 0o644)


def remember(files, was_on):
    """Write down whether the firewall was on before the first run."""
    if not os.path.exists(RECORD):
        files.keep(RECORD, json.dumps({"was_on": was_on}) + "\n")


def was_on():
    """Return whether the firewall was on before the first run; where that is not known, it is taken for on, and left on."""
    try:
        return bool(json.loads(read(RECORD) or "{}").get("was_on", True))
    except ValueError:
        return True


def unit_states(*names):
    """Return {unit: (ActiveState, UnitFileState)} of systemd's units; those that are not there are inactive and ''."""
    _code, output = run("systemctl", "show", "--property=Id,ActiveState,UnitFileState", *names)
    found = {}
    for block in output.strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[values.get("Id", "")] = (values.get("ActiveState", ""), values.get("UnitFileState", ""))
    return {name: found.get(name, ("inactive", "")) for name in names}


def start(unit):
    """Start a unit and enable it for the next boot. Raises FirewallError with the journal's words."""
    run("systemctl", "unmask", unit)
    run("systemctl", "enable", unit)
    if run("systemctl", "start", unit, ok=())[0] != 0:
        _code, journal = run("journalctl", "--no-pager", "--lines=10", "--output=cat", f"--unit={unit}", ok=())
        raise FirewallError(f"{unit} does not start. Its journal: {journal.strip()}")

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The processes: what the service manager says of each service, with which files it was started, and whose the ports are."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import time
import xmlrpc.client

from ansible_collections.mlops.platform.plugins.module_utils import host_ports
from ansible_collections.mlops.platform.plugins.module_utils.doctor import UP, Check, NotChecked, error, warning
from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import output, read, words

# so many ends in so many seconds are a loop, and so many seconds of life end it
ENDS, WITHIN, SETTLED = 3, 300, 45
EXITED = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ \w+ exited: (\S+) ", re.M)


class _Socket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("supervisor", timeout=5)
        self.path = path

    def connect(self):
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.path)


class _Transport(xmlrpc.client.Transport):
    """What xmlrpc.client sends through."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def make_connection(self, host):
        """Return the connection."""
        return _Socket(self.path)


def ends(text, now):
    """Return {service: how often it ended lately} of the supervisor's own log."""
    found = {}
    for moment, name in EXITED.findall(text or ""):
        if now - time.mktime(time.strptime(moment, "%Y-%m-%d %H:%M:%S")) < WITHIN:
            found[name] = found.get(name, 0) + 1
    return found


def supervised(data_dir, names):
    """Return {manager: {alive, said}, states: {name: {state, seconds, ends, said}}} of the supervisor."""
    try:
        server = xmlrpc.client.ServerProxy("http://supervisor", transport=_Transport(os.path.join(data_dir, "run", "supervisor.sock")))
        listed = {one["name"]: one for one in server.supervisor.getAllProcessInfo()}
    except (OSError, xmlrpc.client.Error, http.client.HTTPException) as problem:
        return {"manager": {"alive": False, "said": words(problem)}, "states": {}}
    ended = ends(read(os.path.join(data_dir, "log", "supervisord.log"), 65536), time.time())
    states = {}
    for name in [*names, "guardian"]:
        one = listed.get(name)
        if one:
            running = one["statename"] == "RUNNING"
            said = one.get("spawnerr") or one.get("description") or ""
            states[name] = {
                "state": one["statename"],
                "seconds": one["now"] - one["start"] if running else 0,
                "ends": ended.get(name, 0),
                "said": said,
            }
    return {"manager": {"alive": True, "said": ""}, "states": states}


def under_systemd(names):
    """Return the same of systemd, in the supervisor's words."""
    units = [f"mlops-{name}.service" for name in names]
    code, text, said = output(
        ["systemctl", "show", "--property=Id,LoadState,ActiveState,SubState,Result,NRestarts,ActiveEnterTimestampMonotonic", *units]
    )
    if code != 0:
        return {"manager": {"alive": False, "said": said}, "states": {}}
    now, states = time.monotonic(), {}
    for block in text.strip().split("\n\n"):
        one = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if one.get("LoadState") == "loaded":
            running = one["ActiveState"] == "active"
            state = "RUNNING" if running else "BACKOFF" if one["SubState"] in ("auto-restart", "start", "start-pre") else "STOPPED"
            seconds = now - int(one.get("ActiveEnterTimestampMonotonic") or 0) / 1e6 if running else 0
            name = one["Id"][len("mlops-") : -len(".service")]
            states[name] = {
                "state": state,
                "seconds": seconds,
                "ends": int(one.get("NRestarts") or 0),
                "said": f"{one['SubState']}, {one.get('Result')}",
            }
    return {"manager": {"alive": True, "said": ""}, "states": states}


def changed_since(data_dir, name):
    """Return the files of a service that are not those that it was started with; [] where it has no stamp."""
    found = []
    for line in (read(os.path.join(data_dir, "run", f"{name}.started")) or "").splitlines():
        wanted, _space, path = line.partition("  ")
        try:
            with open(path, "rb") as stream:
                same = hashlib.sha256(stream.read()).hexdigest() == wanted.lstrip("\\")
        except OSError:
            same = False
        if not same:
            found.append(path)
    return found


def last_words(plan, name):
    """Return the last lines of a service's log."""
    if plan["service_manager"] == "systemd":
        text = output(["journalctl", "--unit", f"mlops-{name}", "--lines", "5", "--no-pager", "--output", "cat"])[1]
    else:
        text = read(os.path.join(plan["data_dir"], "log", f"{name}.log"), 2000) or ""
    return " / ".join(line.strip() for line in text.strip().splitlines()[-3:])[-600:]


def ports_of(plan):
    """Return every port that the services listen on: {port, address, variable, service, listens}."""
    more = [
        {"port": port, "address": "127.0.0.1", "variable": "mlflow_port", "service": f"mlflow-{port}", "listens": True}
        for port in plan["mlflow"]["ports"]
    ]
    return plan["ports"] + more


def look(plan):
    """Return the facts of this layer."""
    names = plan["services"]
    facts = under_systemd(names) if plan["service_manager"] == "systemd" else supervised(plan["data_dir"], names)
    facts["changed"] = {name: changed_since(plan["data_dir"], name) for name in names}
    facts["holders"] = host_ports.holders([(one["address"], one["port"]) for one in ports_of(plan)])
    facts["words"] = {name: last_words(plan, name) for name in names if facts["states"].get(name, {}).get("state") != "RUNNING"}
    facts["words"].update(
        {name: last_words(plan, name) for name, one in facts["states"].items() if one["ends"] >= ENDS and name not in facts["words"]}
    )
    return facts


def start_command(plan, name, verb="start"):
    """Return the command that starts a service."""
    if plan["service_manager"] == "systemd":
        return f"systemctl {verb} mlops-{name}"
    return f"{plan['environments']['tools']}/bin/supervisorctl -c {plan['data_dir']}/etc/supervisord.conf {verb} {name}"


def manager(plan, facts):
    """Without it nothing is restarted."""
    if plan["service_manager"] == "systemd":
        if not facts["manager"]["alive"]:
            yield error("systemd-unreachable", "systemd does not answer", "systemctl status", said=facts["manager"]["said"])
        return
    if not facts["manager"]["alive"]:
        yield error(
            "supervisor-stopped",
            "the supervisor does not answer: nothing starts or restarts the services",
            UP,
            said=facts["manager"]["said"],
        )
        return
    guardian = facts["states"].get("guardian", {"state": "unknown to the supervisor"})["state"]
    if guardian not in ("RUNNING", "STARTING"):
        yield error(
            "guardian-stopped",
            f"the guardian is {guardian}: a supervisor that is killed would not come back",
            start_command(plan, "guardian") if "unknown" not in guardian else UP,
        )


def states(plan, facts):
    """Each service runs, and goes on running."""
    if not facts["manager"]["alive"]:
        raise NotChecked("the service manager does not answer")
    for name in plan["services"]:
        found = facts["states"].get(name)
        log = f"journalctl -u mlops-{name}" if plan["service_manager"] == "systemd" else f"{plan['data_dir']}/log/{name}.log"
        if found is None:
            yield error("service-missing", f"the service {name} is not known to the service manager", UP, subject=name)
        elif found["state"] in ("BACKOFF", "FATAL") or (
            found["ends"] >= ENDS and found["seconds"] < SETTLED and found["state"] != "STOPPED"
        ):
            yield error(
                "service-failing",
                f"the service {name} ends again and again ({found['state']}, {found['ends']} ends lately)",
                f"read {log}, mend what it says, then {UP}",
                said=facts["words"].get(name) or found["said"],
                subject=name,
            )
        elif found["state"] not in ("RUNNING", "STARTING"):
            yield error(
                "service-stopped",
                f"the service {name} is {found['state'].lower()}",
                f"{start_command(plan, name)}; or {UP}",
                said=found["said"],
                subject=name,
            )


def stale(plan, facts):
    """A service runs with the files of now."""
    for name in plan["services"]:
        if facts["changed"].get(name) and facts["states"].get(name, {}).get("state") == "RUNNING":
            yield warning(
                "service-stale",
                f"the service {name} runs with other files than those of now: {', '.join(facts['changed'][name])} changed since its start",
                UP,
                subject=name,
            )


def ports(plan, facts):
    """Each port is held by this installation."""
    inside = os.path.realpath(plan["data_dir"]).rstrip("/") + "/"
    for one in ports_of(plan):
        holder = facts["holders"].get((one["address"], one["port"]))
        state = facts["states"].get(one["service"], {}).get("state")
        if holder and holder["cwd"] and not (holder["cwd"] + "/").startswith(inside):
            yield error(
                "port-foreign",
                f"port {one['port']} on {one['address']} ({one['variable']}) is held by {holder['name']}, process {holder['pid']} of user"
                f" {holder['user']}",
                f"end that process (kill {holder['pid']}), or set {one['variable']} to a free port and run {UP}",
                subject=one["service"],
            )
        elif not holder and state == "RUNNING" and one["listens"]:
            yield error(
                "port-closed",
                f"the service {one['service']} runs, and nobody listens on port {one['port']} ({one['variable']})",
                f"{start_command(plan, one['service'], 'restart')}; its log says why",
                said=last_words(plan, one["service"]),
                subject=one["service"],
            )


CHECKS = [
    Check("service-manager", "services", manager),
    Check("services", "services", states),
    Check("files-of-start", "services", stale),
    Check("ports", "services", ports),
]

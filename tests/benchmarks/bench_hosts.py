"""Measures playbooks/cluster.yml on fresh hosts with systemd, one server and agents: the first run, and runs that change nothing.

    python tests/benchmarks/bench_hosts.py [--hosts 1 2 4] [--rounds 3]

Needs root and the program that makes hosts (MLOPS_TEST_HOSTS). Each number of hosts begins with new ones, which are removed. Counted are
- tasks, from Ansible's own statistics: those that ran for a host, includes among them, and `skipped` those whose condition was false;
- calls: processes of ssh, sftp and scp that Ansible started for a host, through wrappers that write a line and become the program. Each is
  one session on a connection that stays open, and at least one round trip; what a module asks while it runs is none.
The peers are plays of `ansible.builtin.ping`, which does nothing, over the same hosts: one task, and as many tasks as a run that changes
nothing has calls to the host with the most. They take turns with that run, so that other load on the machine meets all of them. The first
run has that on the first number of hosts as its base. Prints one JSON line each.
"""

from __future__ import annotations

import argparse
import collections
import json
import signal
import statistics
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
from lib.platform_run import ROOT, Playbook  # noqa: E402
from lib.systemd_hosts import Hosts  # noqa: E402

VERSION = "v1.34.1+k3s1"
# other scenarios have prefixes of their own
PREFIX = "bench"


def say(**values):
    print(json.dumps(values), flush=True)


def spread(values):
    """Return the least and the greatest of `values`, one number where they are the same."""
    least, greatest = min(values), max(values)
    return least if least == greatest else [least, greatest]


def run(hosts, scratch, playbook):
    """Run a playbook on all hosts. Return (seconds, {host: statistics}, {host: calls by program}, events). Raises AssertionError."""
    hosts.forget()
    playing = Playbook(scratch, playbook, ["-i", hosts.inventory, "--forks", "10"], hosts.environment)
    done = playing.wait()
    assert done.code == 0, f"ansible-playbook {playbook} ended with {done.code}:\n{done.output[-6000:]}"
    events = playing.events()
    stats = next(event["hosts"] for event in reversed(events) if event["event"] == "stats")
    return done.seconds, {name: stats[name] for name in hosts.names}, hosts.calls(), events


def by_role(events, seconds):
    """Return the seconds of a run by the role of its tasks, from when each of them began; the rest is Ansible's start and the last task."""
    starts = [event for event in events if event["event"] == "start"]
    found = collections.Counter()
    for one, following in zip(starts, starts[1:]):
        role, colon, _task = one["task"].partition(" : ")
        found[role.rpartition(".")[2] if colon else "other"] += following["at"] - one["at"]
    found["rest"] = seconds - sum(found.values())
    return {role: round(value, 1) for role, value in found.items()}


def pings(scratch, count):
    """Write a play of `count` pings on all hosts and return its path."""
    tasks = "".join(f"    - {{name: Ping {number}, ansible.builtin.ping: }}\n" for number in range(count))
    path = Path(scratch, f"pings-{count}.yml")
    path.write_text(f"- name: Pings\n  hosts: k3s\n  gather_facts: false\n  tasks:\n{tasks}", encoding="utf-8")
    return path


def total(calls):
    """Return {host: number of calls}."""
    return {name: sum(found.values()) for name, found in calls.items()}


def measure(count, rounds, scratch):
    """Measure with `count` hosts; return (seconds of the first run, median seconds of one that changes nothing)."""
    with Hosts(count, PREFIX, scratch, VERSION) as hosts:
        first, stats, calls, events = run(hosts, scratch, ROOT / "playbooks" / "cluster.yml")
        assert hosts.ready() == count, f"{hosts.ready()} of {count} nodes are Ready"
        tasks, made = spread([one["ok"] for one in stats.values()]), spread(total(calls).values())
        say(what="first run", hosts=count, seconds=round(first, 1), by_role=by_role(events, first), tasks=tasks, calls=made)
        seconds = collections.defaultdict(list)
        peers = {"one ping": pings(scratch, 1)}
        for number in range(rounds):
            took, stats, calls, events = run(hosts, scratch, ROOT / "playbooks" / "cluster.yml")
            changed = {name: one["changed"] for name, one in stats.items() if one["changed"]}
            assert not changed, f"a run that was to change nothing changed {changed}"
            seconds["no change"].append(took)
            per_host = total(calls)
            peers["as many pings"] = pings(scratch, max(per_host.values()))
            for name, playbook in peers.items():
                took, _stats, made, _events = run(hosts, scratch, playbook)
                seconds[name].append(took)
                if number == 0:
                    say(what=name, hosts=count, calls=spread(total(made).values()))
        server, *agents = hosts.names
        counted = {}
        for role, members in (("server", [server]), ("agent", agents)):
            if members:
                counted[role] = {
                    "tasks": spread([stats[name]["ok"] for name in members]),
                    "skipped": spread([stats[name]["skipped"] for name in members]),
                    "calls": spread([per_host[name] for name in members]),
                }
        programs, roles = dict(sum(calls.values(), collections.Counter())), by_role(events, seconds["no change"][-1])
        say(what="run that changes nothing, per host", hosts=count, **counted, programs=programs, by_role=roles)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        rounded = {name: [round(value, 1) for value in values] for name, values in seconds.items()}
        say(what="seconds", hosts=count, **rounded)
        ratios = {f"no change / {name}": round(medians["no change"] / medians[name], 2) for name in peers}
        say(what="ratios", hosts=count, **ratios)
        return first, medians["no change"]


def stop(number, _frame):
    """Turn a signal into the exception that removes the hosts on its way."""
    raise SystemExit(128 + number)


def main():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 4], help="numbers of hosts, the first is the base of the ratios")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for count in arguments.hosts:
            found[count] = measure(count, arguments.rounds, Path(scratch))
    base = found[arguments.hosts[0]]
    for count, (first, same) in found.items():
        say(
            what=f"of {arguments.hosts[0]} host(s)",
            hosts=count,
            first_run=round(first / base[0], 2),
            no_change=round(same / base[1], 2),
            first_run_seconds_per_host=round(first / count, 1),
        )


if __name__ == "__main__":
    main()

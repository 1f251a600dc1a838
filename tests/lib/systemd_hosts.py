"""Disposable hosts with systemd to be a K3s cluster: made with a mirror of K3s's release for them, and the calls to them counted."""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tiers"))
import hosts  # noqa: E402

PORT = 8483
# what Ansible starts to reach a host: its variable for the program's path
PROGRAMS = {"ssh": "ANSIBLE_SSH_EXECUTABLE", "sftp": "ANSIBLE_SFTP_EXECUTABLE", "scp": "ANSIBLE_SCP_EXECUTABLE"}
# A shell costs a few milliseconds, where a program in Python would take as long as what it counts. One write for each line: several hosts
# are called at the same time. The host comes before the command, which may be long.
WRAPPER = """#!/bin/sh
line=$(printf '%s ' {name} "$@" | tr '\\n' ' ' | cut -c 1-1500)
printf '%s\\n' "$line" >>{log}
exec {program} "$@"
"""


class Hosts:
    """`count` hosts named PREFIX1.. for one `with` block: the first is the server, the others are agents. `scratch` keeps their files."""

    def __init__(self, count, prefix, scratch, version):
        """Note what is wanted; `version` is K3s's. Raises RuntimeError where no hosts can be made here."""
        if hosts.obstacle():
            raise RuntimeError(hosts.obstacle())
        self.count, self.prefix, self.version = count, prefix, version
        self.scratch = Path(scratch)
        self.names = [f"{prefix}{number}" for number in range(1, count + 1)]
        self.inventory = self.scratch / f"{prefix}-{count}.yml"
        self.log = self.scratch / "calls"
        self.server = None

    def __enter__(self):
        """Make the hosts, serve the release, write the inventory."""
        try:
            made = self.program("up", str(self.count), "--name", self.prefix).splitlines()[-1]
            given = yaml.safe_load(Path(made).read_text(encoding="utf-8"))["all"]
            self.addresses = {given["hosts"][name]["ansible_host"]: name for name in self.names}
            gateway = next(iter(self.addresses)).rpartition(".")[0] + ".1"
            self.serve(gateway)
            self.write(given, gateway)
            self.wrap()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_unused):
        """Stop serving, and remove the hosts with their disks."""
        if self.server:
            self.server.terminate()
            self.server.wait()
        self.program("down", "--name", self.prefix)

    def program(self, *arguments):
        """Run the program that makes hosts; return what it prints. Raises CalledProcessError."""
        return subprocess.run([hosts.PROGRAM, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout

    def serve(self, address):
        """Serve a mirror of the release on `address`, until the block ends. Raises CalledProcessError, TimeoutError."""
        releases = self.scratch / "releases"
        program = hosts.PROGRAM.with_name("mirror")
        subprocess.run([program, "make", releases, self.version], stdout=subprocess.DEVNULL, check=True)
        self.mirror = f"http://{address}:{PORT}"
        command = [sys.executable, "-m", "http.server", "--bind", address, "--directory", str(releases), str(PORT)]
        self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _attempt in range(50):
            with contextlib.suppress(OSError):
                socket.create_connection((address, PORT), 5).close()
                return
            time.sleep(0.1)
        raise TimeoutError(f"{self.mirror} does not answer")

    def write(self, given, gateway):
        """Write the inventory: the user and key of `given`, which the program has made, and the groups of a cluster."""
        variables = {key: value for key, value in given["vars"].items() if key != "ansible_become"}
        variables.update(
            mlops_mirror=self.mirror, k3s_version=self.version, k3s_airgap_images="tar.gz", k3s_kubeconfig=str(self.scratch / "kubeconfig")
        )
        members = {name: {"ansible_host": address} for address, name in self.addresses.items()}
        server, *agents = self.names
        groups = {"k3s_servers": {"hosts": {server: members[server]}}, "k3s_agents": {"hosts": {name: members[name] for name in agents}}}
        self.inventory.write_text(yaml.safe_dump({"all": {"children": {"k3s": {"children": groups, "vars": variables}}}}), encoding="utf-8")

    def wrap(self):
        """Make the programs that count; `environment` is for ansible-playbook."""
        self.environment = {}
        self.log.write_text("", encoding="utf-8")
        for name, variable in PROGRAMS.items():
            wrapper = self.scratch / name
            wrapper.write_text(WRAPPER.format(name=name, log=self.log, program=shutil.which(name)), encoding="utf-8")
            wrapper.chmod(0o755)
            self.environment[variable] = str(wrapper)

    def forget(self):
        """Begin to count anew."""
        os.truncate(self.log, 0)

    def calls(self):
        """Return {host: {program: how often it was started for it}} since forget(). Raises LookupError for a call to none of them."""
        found = {name: collections.Counter() for name in self.names}
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            target = next((self.addresses[word.strip("[]")] for word in words if word.strip("[]") in self.addresses), None)
            if target is None:
                raise LookupError(f"a call to none of {', '.join(self.addresses)}: {line[:300]}")
            found[target][words[0]] += 1
        return found

    def ready(self):
        """Return how many nodes of the cluster are Ready, as its server says. Raises CalledProcessError."""
        text = self.program("ssh", self.names[0], "sudo", "/usr/local/bin/k3s", "kubectl", "get", "nodes", "--no-headers")
        return sum(line.split()[1] == "Ready" for line in text.splitlines())

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The programs k3d and docker: what they are asked, and what a cluster of theirs has that its configuration does not say."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import subprocess

# what may hold passwords is named in a message, and not shown
HIDDEN = ("registries", "env", "token")


class Failed(Exception):
    """A program that is missing, or that ended with an error."""


def run(*command):
    """Run a program; return what it wrote to its output. Raises Failed with its last words."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise Failed(f"{' '.join(command[:3])} ended with {done.returncode}: {' / '.join(said[-5:])}")
    return done.stdout.decode("utf-8", "replace")


def clusters(program):
    """Return {name: cluster} as `k3d cluster list -o json` tells them. Raises Failed."""
    text = run(program, "cluster", "list", "-o", "json")
    try:
        return {one["name"]: one for one in json.loads(text) or []}
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"{program} cluster list has no list of clusters: {text[:200]}") from error


def nodes(cluster, role):
    """Return the nodes of a cluster that have a role, such as server."""
    return [node for node in cluster.get("nodes") or [] if node.get("role") == role]


def created(cluster):
    """Return what tells this cluster from an earlier one of the same name."""
    return sorted(f"{node.get('name')} {node.get('created')}" for node in nodes(cluster, "server"))


def stopped(cluster):
    """Return whether a node of the cluster does not run."""
    return any(cluster.get(f"{kind}Running", 0) < cluster.get(f"{kind}Count", 0) for kind in ("servers", "agents"))


def host_ports(cluster):
    """Return the ports of this machine that a cluster's containers hold."""
    mappings = [mapping for node in cluster.get("nodes") or [] for mapping in (node.get("portMappings") or {}).values()]
    return {int(one["HostPort"]) for mapping in mappings for one in mapping or [] if str(one.get("HostPort", "")).isdigit()}


def plain_image(image):
    """Return an image's name without what Docker leaves out."""
    return re.sub(r"^(docker\.io/)?(library/)?", "", image)


def seen(cluster, config):
    """Return [(key, what there is, what is wanted)] of what can be seen from outside, for a cluster whose configuration nobody noted."""
    found = [(kind, cluster.get(f"{kind}Count"), config.get(kind, least)) for kind, least in (("servers", 1), ("agents", 0))]
    images = {plain_image(node.get("image", "")) for node in nodes(cluster, "server")}
    if config.get("image") and images != {plain_image(config["image"])}:
        found.append(("image", ", ".join(sorted(images)), config["image"]))
    missing = wanted_ports(config) - host_ports(cluster)
    if missing:
        found.append(("ports", "without " + ", ".join(map(str, sorted(missing))), "with them"))
    return [one for one in found if one[1] != one[2]]


def wanted_ports(config):
    """Return the ports of this machine that a configuration asks for."""
    texts = [one["port"].split("/")[0].split(":") for one in config.get("ports") or []]
    found = {int(parts[-2]) for parts in texts if len(parts) > 1 and parts[-2].isdigit()}
    api = (config.get("kubeAPI") or {}).get("hostPort", "")
    registry = ((config.get("registries") or {}).get("create") or {}).get("hostPort", "")
    return found | {int(port) for port in (api, registry) if str(port).isdigit()}


def differences(before, after, path=""):
    """Return [(key, what there was, what is wanted)] of two configurations."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key in sorted({*before, *after}):
            found += differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        return found
    return [] if before == after else [(path, before, after)]


def in_words(found):
    """Return differences as lines; what may hold a password is only named."""
    return [key if key.split(".")[0] in HIDDEN else f"{key}: {json.dumps(before)} -> {json.dumps(after)}" for key, before, after in found]


def taken(port, address):
    """Return whether something listens on a port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError:
            # below 1024 only root may; then who listens answers
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
                client.settimeout(2)
                return client.connect_ex(("127.0.0.1" if address == "0.0.0.0" else address, port)) == 0  # noqa: S104
        except OSError:
            return True
    return False


def docker_remedy():
    """Return how Docker is started on this kind of machine."""
    if platform.system() == "Darwin":
        return "start Docker Desktop (open -a Docker), or colima start"
    if "microsoft" in platform.release().lower():
        return "start Docker Desktop on Windows with its integration for this distribution, or the daemon here (service docker start)"
    return "start the daemon (systemctl start docker)"


def docker_problems(program):
    """Return what is wrong with Docker as [{what, remedy}]."""
    if not shutil.which(program):
        return [
            {
                "what": f"the program {program} is not there, and k3d runs its nodes as Docker's containers",
                "remedy": "install Docker Engine (Linux, WSL 2) or Docker Desktop (macOS, Windows), and run this again",
            }
        ]
    try:
        run(program, "info", "--format", "{{.ServerVersion}}")
    except Failed as error:
        remedy = docker_remedy()
        if "permission denied" in str(error).lower():
            remedy = f"let this user reach it: sudo usermod -aG docker {os.environ.get('USER', 'USER')}, and log in anew"
        return [{"what": f"Docker's daemon does not answer: {error}", "remedy": remedy}]
    return []

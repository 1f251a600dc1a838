# A STAND-IN for the programs k3d 5 and docker, for tests: their interface as k3d documents it, and no containers.
"""What it is asked is logged, and clusters are kept, in the directory STANDIN_STATE.

Called as k3d: version, cluster list -o json, cluster create --config FILE, cluster delete NAME, cluster start NAME, kubeconfig get NAME,
image import --cluster NAME IMAGE... Called as docker: info, image inspect. Files in that directory make it fail: docker-down,
docker-denied, create-fails, create-killed.
"""

import json
import os
import re
import signal
import sys
from pathlib import Path

STATE = Path(os.environ["STANDIN_STATE"])
# the properties of k3d.io/v1alpha5 that the role and its users write
KNOWN = {
    *("apiVersion", "kind", "metadata", "servers", "agents", "kubeAPI", "image", "network", "subnet", "token", "volumes", "manifests"),
    *("ports", "options", "env", "registries", "hostAliases"),
}
TYPES = {"servers": int, "agents": int, "ports": list, "kubeAPI": dict, "options": dict, "registries": dict, "image": str}


def fail(text):
    print(f"FATA[0000] {text}", file=sys.stderr)
    sys.exit(1)


def load():
    file = STATE / "clusters.json"
    return json.loads(file.read_text()) if file.exists() else {}


def save(clusters):
    (STATE / "clusters.json").write_text(json.dumps(clusters))


def node(name, role, config, number, ports):
    return {
        "name": name,
        "role": role,
        # Docker's own form of the name
        "image": config["image"].replace("docker.io/", ""),
        "created": f"2026-01-01T00:00:{number:02}Z",
        "portMappings": ports,
        "State": {"Running": True, "Status": "running"},
    }


def checked(path):
    """Return a configuration as k3d's schema accepts it."""
    if not path.endswith((".yaml", ".yml")):
        fail(f"config file {path} is no .yaml")
    config = json.loads(Path(path).read_text())
    if (config.get("apiVersion"), config.get("kind")) != ("k3d.io/v1alpha5", "Simple"):
        fail("unknown apiVersion or kind")
    if set(config) - KNOWN:
        fail(f"Additional property {sorted(set(config) - KNOWN)[0]} is not allowed")
    for key, kind in TYPES.items():
        if key in config and not isinstance(config[key], kind):
            fail(f"{key}: Invalid type")
    for one in config.get("ports", []):
        if set(one) - {"port", "nodeFilters"} or not re.fullmatch(r"([\d.]+:)?\d+:\d+(/tcp|/udp)?", one["port"]):
            fail(f"ports: {one}")
    if not isinstance(config.get("kubeAPI", {}).get("hostPort", ""), str):
        fail("kubeAPI.hostPort: Invalid type. Expected: string")
    return config


def create(path):
    config, clusters = checked(path), load()
    name = config["metadata"]["name"]
    if name in clusters:
        fail(f"Failed to create cluster '{name}' because a cluster with that name already exists")
    if (STATE / "create-fails").exists():
        fail("Failed to create cluster: port is already allocated. Cluster creation FAILED, all changes have been rolled back!")
    number = len(list(STATE.glob("made-*"))) + 1
    (STATE / f"made-{number}").touch()
    ports = {}
    for one in config.get("ports", []):
        address, outside, inside = one["port"].split("/")[0].split(":")
        ports[f"{inside}/tcp"] = [{"HostIp": address, "HostPort": outside}]
    api = config.get("kubeAPI", {})
    ports["6443/tcp"] = [{"HostIp": api.get("hostIP", "0.0.0.0"), "HostPort": api.get("hostPort", "0")}]
    found = [node(f"k3d-{name}-server-{n}", "server", config, number, {}) for n in range(config.get("servers", 1))]
    found += [node(f"k3d-{name}-agent-{n}", "agent", config, number, {}) for n in range(config.get("agents", 0))]
    found.append(node(f"k3d-{name}-serverlb", "loadbalancer", config, number, ports))
    counts = {
        f"{kind}s{what}": config.get(f"{kind}s", least) for kind, least in (("server", 1), ("agent", 0)) for what in ("Count", "Running")
    }
    clusters[name] = {"name": name, "nodes": found, "hasLoadbalancer": True, **counts}
    save(clusters)
    if (STATE / "create-killed").exists():
        # all of it, as a power cut would
        os.kill(os.getppid(), signal.SIGKILL)
        sys.exit(1)


def k3d(arguments):
    clusters = load()
    if (STATE / "docker-down").exists():
        fail("failed to connect to the docker daemon")
    if arguments[:2] == ["cluster", "list"]:
        print(json.dumps(list(clusters.values())))
    elif arguments[:3] == ["cluster", "create", "--config"]:
        create(arguments[3])
    elif arguments[:2] == ["cluster", "delete"]:
        clusters.pop(arguments[2], None)
        save(clusters)
    elif arguments[:2] == ["cluster", "start"]:
        one = clusters[arguments[2]]
        one.update(serversRunning=one["serversCount"], agentsRunning=one["agentsCount"])
        save(clusters)
    elif arguments[:2] == ["kubeconfig", "get"]:
        made = clusters[arguments[2]]["nodes"][0]["created"]
        print(f"apiVersion: v1\nkind: Config\ncurrent-context: k3d-{arguments[2]}\n# authority of {made}")
    elif arguments[:3] == ["image", "import", "--cluster"]:
        if arguments[3] not in clusters:
            fail(f"No nodes found for cluster {arguments[3]}")
    else:
        fail(f"unknown command {arguments}")


def docker(arguments):
    if (STATE / "docker-down").exists():
        fail("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
    if (STATE / "docker-denied").exists():
        fail("permission denied while trying to connect to the Docker daemon socket")
    if arguments[0] == "info":
        print("28.0.0")
    elif arguments[:2] == ["image", "inspect"]:
        file = STATE / f"image-{arguments[-1].replace('/', '_')}"
        print(file.read_text()) if file.exists() else fail(f"No such image: {arguments[-1]}")


def main():
    name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    with (STATE / "log").open("a") as log:
        log.write(json.dumps([name, *arguments]) + "\n")
    (docker if name == "docker" else k3d)(arguments)


if __name__ == "__main__":
    main()

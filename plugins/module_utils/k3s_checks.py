# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with the wishes for a K3s cluster and with the hosts for it; each check returns problems with their remedies."""

from __future__ import annotations

import re

from ansible_collections.mlops.platform.plugins.module_utils import k3s_versions

LABEL = re.compile(
    r"(?:(?P<prefix>[a-z0-9]([a-z0-9.-]*[a-z0-9])?)/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?=([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?"
)
TAINT = re.compile(
    r"(?:[a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?(=[A-Za-z0-9_.-]*)?:(NoSchedule|PreferNoSchedule|NoExecute)"
)
# of Kubernetes' own prefixes, those that a kubelet may set of itself
OWN_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
# what other variables say, or what must not be on a command line's level
OWNED = (
    "token",
    "token-file",
    "server",
    "cluster-init",
    "data-dir",
    "https-listen-port",
    "agent-token",
    "cluster-reset",
    "cluster-reset-restore-path",
)
NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
FIXED = {
    "cluster-cidr": ("pods", "k3s_pod_network"),
    "service-cidr": ("services", "k3s_service_network"),
    "cluster-domain": ("domain", "k3s_cluster_domain"),
}


def settings(wanted):
    """Return what is wrong with the settings alone."""
    problems = []
    if k3s_versions.parse(wanted["version"]) is None:
        problems.append(f"k3s_version {wanted['version']!r} is no version of K3s: write it as its release does, such as v1.33.5+k3s1")
    if wanted["token"] and not re.fullmatch(r"[A-Za-z0-9._~+/=:-]{16,512}", wanted["token"]):
        problems.append("k3s_token has fewer than 16 characters, or ones that a token cannot have: use letters, digits and ._~+/=:-")
    if wanted["endpoint"] and not re.fullmatch(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9a-fA-F:]+\](:\d{1,5})?|[0-9a-fA-F:]+", wanted["endpoint"]):
        problems.append(
            f"k3s_api_endpoint {wanted['endpoint']!r} is no address: write a name or an address, with :PORT where it is not 6443"
        )
    owned = sorted(set(wanted["extra"]) & set(OWNED))
    if owned:
        problems.append(
            f"k3s_extra_config has {', '.join(owned)}, which this role sets itself: take it out, and use the role's own variables"
        )
    s3 = wanted["s3"]
    if s3:
        missing = [key for key in ("bucket", "access_key", "secret_key") if not s3.get(key)]
        if missing:
            problems.append(
                f"k3s_snapshot_s3 has no {', '.join(missing)}: snapshots could not be stored; set them, or leave k3s_snapshot_s3 empty"
            )
        if wanted["datastore"]:
            problems.append("k3s_snapshot_s3 is set, and with k3s_datastore_endpoint there is no etcd to take snapshots of: leave it empty")
    if len(str(wanted["schedule"]).split()) != 5 and not re.fullmatch(r"@(hourly|daily|weekly|monthly|every .+)", str(wanted["schedule"])):
        problems.append(f"k3s_snapshot_schedule {wanted['schedule']!r} is no schedule: write it as cron does, such as 0 */12 * * *")
    return problems


def inventory(hosts, servers, wanted):
    """Return what is wrong with the groups and the names."""
    problems = []
    if not servers:
        problems.append("the group k3s_servers is empty: a cluster needs 1, 3 or 5 servers")
    elif len(servers) % 2 == 0 and not wanted["datastore"]:
        problems.append(
            f"k3s_servers has {len(servers)} hosts: with an even number etcd loses its quorum as soon as with one server less. Use 1, 3"
            " or 5, make"
            " one an agent, or set k3s_datastore_endpoint"
        )
    both = sorted(name for name, host in hosts.items() if host["both"])
    if both:
        problems.append(
            f"{', '.join(both)} stands in k3s_servers and in k3s_agents: a server runs pods, too, so leave it in k3s_servers alone"
        )
    for what, key in (("the node name", "node_name"), ("the address", "address")):
        owners = {}
        for name, host in hosts.items():
            if host["info"]:
                owners.setdefault(host[key], []).append(name)
        for value, names in owners.items():
            if len(names) > 1:
                variable = "hostnames, or k3s_node_name" if key == "node_name" else "k3s_node_address"
                problems.append(f"{' and '.join(names)} have {what} {value}: give each its own, by their {variable}")
    return problems


def cluster(hosts, servers, holders, healthy, wanted):
    """Return what is wrong between the hosts: whose cluster it is, and who may begin one."""
    problems = []
    owners = {}
    for name in holders:
        if hosts[name]["info"]["ca_hash"]:
            owners.setdefault(hosts[name]["info"]["ca_hash"], []).append(name)
    if len(owners) > 1:
        problems.append(
            f"these servers belong to different clusters: {' / '.join(', '.join(names) for names in owners.values())}. Decide which one"
            " is to live,"
            " and reset the other hosts with playbooks/cluster_reset.yml and --limit"
        )
    running = [name for name in servers if hosts[name]["in_run"]]
    if not holders and not wanted["datastore"] and servers:
        unseen = [name for name in servers if not hosts[name]["info"]]
        if unseen:
            problems.append(
                f"no server that was reached holds a cluster, and {', '.join(unseen)} could not be reached: a second cluster might be"
                " begun."
                " Bring it back, or take it out of k3s_servers when it is gone"
            )
        elif servers[0] not in [name for name, host in hosts.items() if host["in_run"]]:
            problems.append(
                f"there is no cluster yet, and this run leaves out {servers[0]}, which begins it: run without --limit, or with it"
            )
    joining = [name for name in running if hosts[name]["info"] and not hosts[name]["info"]["data"]]
    if holders and not healthy and joining and not wanted["datastore"] and servers.index(joining[0]) < servers.index(holders[0]):
        problems.append(
            f"{joining[0]} is to join the cluster of {', '.join(holders)}, which does not answer: start it there (`systemctl start"
            " k3s`), or run"
            f" with --limit {holders[0]} first"
        )
    if k3s_versions.parse(wanted["version"]):
        behind = [
            name
            for name in holders
            if not hosts[name]["in_run"]
            and k3s_versions.parse(hosts[name]["info"]["version"] or "") not in (None, k3s_versions.parse(wanted["version"]))
        ]
        ahead = [
            name
            for name, host in hosts.items()
            if host["in_run"] and host["role"] == "agent" and (host["info"] or {}).get("version") != wanted["version"]
        ]
        if behind and ahead:
            problems.append(
                f"{', '.join(ahead)} would get K3s {wanted['version']}, and the servers {', '.join(behind)}, which this run leaves out,"
                " have another"
                " one: upgrade the servers first"
            )
    return problems


def host(one, wanted):
    """Return what is wrong with one host that was looked at."""
    info, problems = one["info"], list(one["info"]["obstacles"])
    if info.get("restoring") and not wanted.get("restoring"):
        problems.append(
            "the cluster was being taken back to a snapshot, and that has not ended: run playbooks/cluster_restore.yml again, with the same"
            " snapshot"
        )
    if info["version"] and info["data"] and k3s_versions.parse(wanted["version"]):
        step = k3s_versions.step_problem(info["version"], wanted["version"])
        if step:
            problems.append(f"k3s_version {wanted['version']} {step}")
    if not NODE_NAME.fullmatch(one["node_name"]):
        problems.append(f"{one['node_name']!r} cannot be the name of a node: set k3s_node_name to lower-case letters, digits, - and .")
    if one["role"] == "agent" and info["data"] == "server":
        problems.append(
            "it is in k3s_agents and holds a server's data: put it back into k3s_servers, or reset it first (playbooks/cluster_reset.yml)"
        )
    if one["role"] == "server" and (info["data"] == "agent" or info["active"] == "agent"):
        problems.append(
            "it is in k3s_servers and is an agent: put it back into k3s_agents, or reset it first (playbooks/cluster_reset.yml)"
        )
    if abs(info["clock_offset"]) > wanted["clock_limit"]:
        problems.append(
            f"its clock is {info['clock_offset']:+.0f} s off the controller's, and certificates and etcd need the same time: see that time"
            f" synchronisation runs on both (`timedatectl`), or raise k3s_max_clock_offset ({wanted['clock_limit']})"
        )
    for label in one["labels"]:
        match = LABEL.fullmatch(str(label))
        prefix = (match.group("prefix") or "") if match else ""
        if not match:
            problems.append(f"k3s_node_labels has {label!r}, which is no label: write KEY=VALUE")
        elif re.search(r"(^|\.)(kubernetes|k8s)\.io$", prefix) and not prefix.endswith(OWN_PREFIXES):
            problems.append(f"k3s_node_labels has {label}, and a node may not give itself labels of {prefix}: use another prefix")
    problems += [
        f"k3s_node_taints has {taint!r}, which is no taint: write KEY=VALUE:NoSchedule, :PreferNoSchedule or :NoExecute"
        for taint in one["taints"]
        if not TAINT.fullmatch(str(taint))
    ]
    if info["data"] == "server":
        problems += unchangeable(info["config"], wanted)
    return problems


def unchangeable(there, wanted):
    """Return what is to change, and cannot in a cluster that exists. there: K3s's configuration on the host."""
    problems = [
        f"{variable} is {wanted[key]}, and the cluster was made with {there[name]}, which cannot be changed: set {variable} to that"
        for name, (key, variable) in FIXED.items()
        if there.get(name) and there[name].replace(" ", "") != str(wanted[key]).replace(" ", "")
    ]
    if there.get("secrets-encryption") == "true" and not wanted["encryption"]:
        problems.append(
            "k3s_secrets_encryption is off, and the cluster's Secrets are encrypted: leave it on, or run `k3s secrets-encrypt disable` and"
            " `reencrypt` on a server first"
        )
    if wanted["datastore"] and (there.get("cluster-init") or there.get("server")):
        problems.append(
            "k3s_datastore_endpoint is set, and this server is a member of an etcd cluster, whose data would be left behind: leave it empty"
        )
    return problems

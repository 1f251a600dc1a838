# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must be true of a machine before it is prepared for a cluster; each check returns problems as {what, remedy}."""

from __future__ import annotations

import ipaddress

from ansible_collections.mlops.platform.plugins.module_utils import host_node


def problem(what, remedy):
    """Return one problem."""
    return {"what": what, "remedy": remedy}


def system(host, any_distribution, wireguard):
    """Check distribution, kernel, systemd and rights."""
    found = []
    os_, kernel = host["distribution"], host_node.kernel_version(host["kernel"])
    known = "RHEL and its clones 8 to 10, Debian 12 and 13, Ubuntu 22.04 and 24.04, openSUSE Leap and SLES from 15.5"
    if not os_["supported"] and not (any_distribution and os_["family"]):
        found.append(
            problem(f"{os_['name']} is not supported", f"use one of {known}; or set host_any_distribution where it is like one of them")
        )
    if kernel < host_node.OLDEST_KERNEL:
        found.append(problem(f"the kernel {host['kernel']} is older than 4.18", "update the operating system"))
    if wireguard and kernel < (5, 6) and not host["modules"].get("wireguard"):
        found.append(
            problem(f"the kernel {host['kernel']} has no WireGuard", "use a kernel from 5.6, or another k3s_flannel_backend, such as vxlan")
        )
    if not host["systemd"]:
        found.append(problem("systemd did not boot this host", "use a machine that systemd boots; K3s is run as its unit"))
    if not host["root"]:
        found.append(problem("the tasks do not run as root", "set ansible_become for this host, or the user's sudo rights"))
    return found


def network(host, address, networks):
    """Check the host's address and that the cluster's networks are not its own. networks: {what it is: network}."""
    found = []
    own = [entry["address"] for entry in host["addresses"]]
    if address and address not in own:
        found.append(
            problem(
                f"host_address {address} is not among the addresses of this host, {', '.join(own) or 'which has none'}",
                "set host_address in the inventory to the one that the other nodes reach it by",
            )
        )
    if not own:
        found.append(problem("this host has no address besides loopback's", "configure its network"))
    wanted = {}
    for what, text in networks.items():
        try:
            wanted[what] = ipaddress.ip_network(text, strict=True)
        except ValueError:
            found.append(problem(f"{text!r}, the network of {what}, is none", "give one such as 10.44.0.0/16"))
    pairs = list(wanted.items())
    for number, (what, one) in enumerate(pairs):
        for other, two in pairs[number + 1 :]:
            if one.version == two.version and one.overlaps(two):
                found.append(problem(f"the networks of {what}, {one}, and of {other}, {two}, overlap", "give each a network of its own"))
    there = {(f"{entry['address']}/{entry['prefix']}", entry["device"]) for entry in host["addresses"]}
    there |= {(entry["to"], entry["device"]) for entry in host["routes"]}
    told = set()
    for text, device in sorted(there):
        try:
            local = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        if host_node.CLUSTER_DEVICES.match(device) or local.prefixlen == 0:
            continue
        for what, one in wanted.items():
            if one.version == local.version and one.overlaps(local) and (what, local) not in told:
                told.add((what, local))
                found.append(
                    problem(
                        f"the network of {what}, {one}, overlaps with {local}, which this host reaches by {device}",
                        "choose another network for the cluster (k3s_pod_network, k3s_service_network, host_trusted_networks)",
                    )
                )
    return found


def firewall(host, mode, backend):
    """Check that one firewall at most runs, and that it is the one that is asked for."""
    if mode != "configure":
        return []
    active = [name for name in ("firewalld", "ufw") if host["firewall"][name]["active"] and (name != "ufw" or host["firewall"]["ufw_on"])]
    if len(active) > 1:
        return [
            problem(
                "firewalld and ufw are both active on this host",
                "switch one of them off: systemctl disable --now firewalld, or ufw disable",
            )
        ]
    if backend != "auto" and active and active[0] != backend:
        return [
            problem(
                f"host_firewall_backend is {backend}, and {active[0]} is active on this host",
                f"set it to auto or {active[0]}, or switch {active[0]} off first: two firewalls would both have to let in",
            )
        ]
    return []


def choose_firewall(host, backend):
    """Return the firewall that is used on this host: the one asked for, the one that is active, or the distribution's own."""
    state = host["firewall"]
    if backend != "auto":
        return backend
    if state["firewalld"]["active"]:
        return "firewalld"
    if state["ufw"]["active"] and state["ufw_on"]:
        return "ufw"
    if state["nftables"]["active"] or state["nftables"]["enabled"]:
        return "nftables"
    if state["firewalld"]["enabled"]:
        return "firewalld"
    if host["distribution"]["id"] == "ubuntu":
        return "ufw"
    return "nftables" if host["distribution"]["family"] == "Debian" else "firewalld"

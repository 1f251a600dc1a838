# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules for the networks of a cluster: which may not overlap, and what must lie in which."""

from __future__ import annotations

import ipaddress

# K3s gives each node so much of the pod network
NODE_PREFIX = {4: 24, 6: 64}


def parse(text):
    """Return the networks of a text such as `10.44.0.0/16` or, for both families, `10.44.0.0/16,fd00::/56`. Raises ValueError."""
    return [ipaddress.ip_network(part.strip()) for part in str(text).split(",")]


def overlapping(one, other):
    """Return whether two networks share an address."""
    return one.version == other.version and one.overlaps(other)


def named(variable, value, problems):
    """Return the networks of a variable, or none and a problem more."""
    try:
        found = parse(value)
    except ValueError as error:
        problems.append(f"{variable} {value!r} is no network: {error}. Write it as 10.44.0.0/16, its first address and its length")
        return []
    if len({one.version for one in found}) < len(found):
        problems.append(f"{variable} {value} has two networks of one family; it takes one of IPv4, one of IPv6, or one of each")
    return found


def check(pods, services, dns, hosts):
    """Return what is wrong with the networks of pods and services and the address of the DNS.

    hosts: {name: list of addresses with their lengths}, such as 192.0.2.11/24.
    """
    problems = []
    pod_networks = named("k3s_pod_network", pods, problems)
    service_networks = named("k3s_service_network", services, problems)
    for one in pod_networks:
        if one.prefixlen > NODE_PREFIX[one.version] or 2 ** (NODE_PREFIX[one.version] - one.prefixlen) < len(hosts):
            problems.append(
                f"k3s_pod_network {one} is too small for {len(hosts)} node(s), each of which takes a /{NODE_PREFIX[one.version]} of it;"
                f" use a shorter length, such as /{min(16, one.prefixlen) if one.version == 4 else 56}"
            )
        for other in service_networks:
            if overlapping(one, other):
                problems.append(f"k3s_pod_network {one} and k3s_service_network {other} overlap; give each a range of its own")
    for one in service_networks:
        if one.version == 4 and one.prefixlen < 12:
            problems.append(f"k3s_service_network {one} is larger than the API server takes; use a length of 12 or more")
    problems += check_dns(dns, service_networks)
    for variable, networks in (("k3s_pod_network", pod_networks), ("k3s_service_network", service_networks)):
        for one in networks:
            met = {}
            for name, addresses in hosts.items():
                for address in addresses:
                    if overlapping(one, ipaddress.ip_interface(address).network):
                        met.setdefault(address, []).append(name)
            if met:
                what = ", ".join(f"{address} of {' and '.join(names)}" for address, names in met.items())
                problems.append(f"{variable} {one} overlaps with the network of the nodes ({what}); use a range that no machine is in")
    return problems


def check_dns(dns, service_networks):
    """Return what is wrong with the address of the cluster's DNS."""
    problems = []
    for text in str(dns).split(","):
        try:
            address = ipaddress.ip_address(text.strip())
        except ValueError:
            problems.append(f"k3s_cluster_dns {text!r} is no address; use one of k3s_service_network, such as its tenth")
            continue
        home = next((one for one in service_networks if address in one), None)
        if service_networks and home is None:
            tenth = service_networks[0].network_address + 10
            problems.append(f"k3s_cluster_dns {address} is not in k3s_service_network; use an address of it, such as {tenth}")
        elif home is not None and address == home.network_address + 1:
            problems.append(f"k3s_cluster_dns {address} is the address of the API's own service; use {home.network_address + 10}")
        elif home is not None and address in (home.network_address, home.broadcast_address):
            problems.append(f"k3s_cluster_dns {address} is the first or last address of {home}; use {home.network_address + 10}")
    return problems

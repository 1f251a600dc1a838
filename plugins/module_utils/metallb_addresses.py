# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Addresses that MetalLB gives to Services: their form, and what they must keep clear of."""

from __future__ import annotations

import ipaddress

# around a node whose network nobody told: what most of them have
USUAL = {4: 24, 6: 64}


class Span:
    """Addresses in a row: `first` to `last` of one family, written as `text`."""

    def __init__(self, text):
        """Read `text`: FIRST-LAST or a network. Raises ValueError that says what is wrong with it."""
        self.text = text
        first, dash, last = (part.strip() for part in text.partition("-"))
        if dash:
            self.first, self.last = ipaddress.ip_address(first), ipaddress.ip_address(last)
            if self.first.version != self.last.version:
                raise ValueError(f"{text} begins and ends in different families")
            if self.first > self.last:
                raise ValueError(f"{text} ends before it begins")
        elif "/" in text:
            # as MetalLB reads it: an address within the network stands for the network
            network = ipaddress.ip_network(first, strict=False)
            self.first, self.last = network[0], network[-1]
        else:
            raise ValueError(f"{text} is one address: write {text}/{32 if ipaddress.ip_address(first).version == 4 else 128}")

    def overlaps(self, other):
        """Return whether an address is in both."""
        return self.first.version == other.first.version and self.first <= other.last and other.first <= self.last

    def within(self, network):
        """Return whether all of it is in an ipaddress network."""
        return self.first.version == network.version and self.first in network and self.last in network


def span(text):
    """Return (Span, "") for a text, or (None, what is wrong with it)."""
    try:
        return Span(str(text)), ""
    except ValueError as error:
        return None, str(error)


def networks(values):
    """Return (networks, each once; texts that are none). An address with a prefix stands for its network."""
    found, wrong = [], []
    for value in values:
        try:
            found.append(ipaddress.ip_network(str(value), strict=False))
        except ValueError:
            wrong.append(str(value))
    return list(dict.fromkeys(found)), wrong


def around(addresses):
    """Return the networks that nodes with these addresses usually are in."""
    found = []
    for value in addresses:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:  # a name
            continue
        found.append(ipaddress.ip_network(f"{address}/{USUAL[address.version]}", strict=False))
    return list(dict.fromkeys(found))


def problems(pools, taken=None, kept_free=None, node_networks=(), outside=False):
    """Return [(what, remedy)] of what is wrong with the addresses of `pools`, each with name, addresses and protocol.

    `taken` has what each address is by address, `kept_free` what each network is by network. A name in `taken` is passed over.
    """
    found, spans = [], []
    for pool in pools:
        for text in pool["addresses"]:
            one, wrong = span(text)
            if one is None:
                found.append(
                    (f"pool {pool['name']}: {wrong}", "give ranges such as 192.0.2.10-192.0.2.20, or networks such as 192.0.2.16/28")
                )
            else:
                spans.append((pool, one))
    taken, kept_free = taken or {}, kept_free or {}
    for number, (pool, one) in enumerate(spans):
        where = f"pool {pool['name']}: {one.text}"
        for other, another in spans[:number]:
            if one.overlaps(another):
                found.append((f"{where} overlaps {another.text} of the pool {other['name']}", "give each address to one pool, once"))
        for text, what in kept_free.items():
            network = span(text)[0]
            if network and one.overlaps(network):
                found.append((f"{where} overlaps {what} {text}", "give addresses that nothing else uses"))
        for text, what in taken.items():
            address = span(f"{text}-{text}")[0]
            if address and one.overlaps(address):
                found.append((f"{where} holds {text}, {what}", "leave that address out"))
    return found + _outside(spans, taken, node_networks, outside)


def _outside(spans, taken, node_networks, outside):
    """Return the problems of pools that no router sends to a node: in layer 2 a node answers for them in its own network alone."""
    given, wrong = networks(node_networks)
    found = [(f"metallb_node_networks: {text} is no network", "give networks such as 192.0.2.0/24") for text in wrong]
    nearby = given or around([address for address, what in taken.items() if what.startswith("an address of the node")])
    if outside or not nearby:
        return found
    for pool, one in spans:
        if pool["protocol"] == "layer2" and not any(one.within(network) for network in nearby):
            found.append(
                (
                    f"pool {pool['name']}: {one.text} is in no network of the nodes"
                    f" ({', '.join(map(str, nearby))}{'' if given else ', taken from their addresses'})",
                    "give addresses of a network that the nodes are in; or set metallb_node_networks, or metallb_pool_outside where a"
                    " router sends them to the nodes",
                )
            )
    return found

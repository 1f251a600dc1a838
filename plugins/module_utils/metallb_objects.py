# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""MetalLB's settings as objects: the custom resources of today, and the ConfigMap of the releases up to 0.12."""

from __future__ import annotations

import base64

MANAGED = "app.kubernetes.io/managed-by"
OURS = {MANAGED: "mlops.platform", "app.kubernetes.io/part-of": "mlops", "app.kubernetes.io/name": "metallb"}
# what was converted belongs to whoever wrote the ConfigMap: no run of ours removes it
CONVERTED = {"app.kubernetes.io/name": "metallb", "mlops.platform/converted-from": "configmap"}
GROUP = "metallb.io"
VERSIONS = {
    "IPAddressPool": "v1beta1",
    "L2Advertisement": "v1beta1",
    "BGPAdvertisement": "v1beta1",
    "BFDProfile": "v1beta1",
    "BGPPeer": "v1beta2",
}
PASSWORD = "bgp-password-{}"  # noqa: S105 - a Secret's name
SECRET_TYPE = "kubernetes.io/basic-auth"  # noqa: S105
# keys of the ConfigMap by field of the custom resources
PEER_KEYS = {
    "myASN": "my-asn",
    "peerASN": "peer-asn",
    "peerAddress": "peer-address",
    "peerPort": "peer-port",
    "sourceAddress": "source-address",
    "holdTime": "hold-time",
    "keepaliveTime": "keepalive-time",
    "routerID": "router-id",
    "bfdProfile": "bfd-profile",
    "ebgpMultiHop": "ebgp-multihop",
    "password": "password",
}
ADVERTISEMENT_KEYS = {
    "aggregationLength": "aggregation-length",
    "aggregationLengthV6": "aggregation-length-v6",
    "localPref": "localpref",
    "communities": "communities",
}
PROFILE_KEYS = {
    "receiveInterval": "receive-interval",
    "transmitInterval": "transmit-interval",
    "detectMultiplier": "detect-multiplier",
    "echoInterval": "echo-interval",
    "echoMode": "echo-mode",
    "passiveMode": "passive-mode",
    "minimumTtl": "minimum-ttl",
}


def metadata(name, namespace, labels):
    """Return the metadata of an object."""
    return {"name": name, "namespace": namespace, "labels": dict(labels)}


def resource(kind, name, namespace, spec, labels):
    """Return a custom resource of MetalLB's."""
    return {"apiVersion": f"{GROUP}/{VERSIONS[kind]}", "kind": kind, "metadata": metadata(name, namespace, labels), "spec": spec}


def resources(settings, namespace, labels):
    """Return (custom resources, Secrets) of Settings."""
    found, secrets = [], []
    for profile in settings.profiles:
        found.append(resource("BFDProfile", profile["name"], namespace, _without(profile, "name"), labels))
    for peer in settings.peers:
        spec = _without(peer, "name", "password")
        if peer.get("password"):
            name = PASSWORD.format(peer["name"])
            spec["passwordSecret"] = {"name": name, "namespace": namespace}
            secrets.append(_password(name, namespace, str(peer["password"]), labels))
        found.append(resource("BGPPeer", peer["name"], namespace, spec, labels))
    for pool in settings.pools:
        spec = {"addresses": pool["addresses"], "autoAssign": pool["auto_assign"], "avoidBuggyIPs": pool["avoid_buggy_ips"], **pool["spec"]}
        found.append(resource("IPAddressPool", pool["name"], namespace, spec, labels))
    for pool in settings.pools:
        kind = "L2Advertisement" if pool["protocol"] == "layer2" else "BGPAdvertisement"
        for number, one in enumerate(pool["advertisements"]):
            name = pool["name"] if number == 0 else f"{pool['name']}-{number + 1}"
            found.append(resource(kind, name, namespace, {"ipAddressPools": [pool["name"]], **one}, labels))
    return found, secrets


def _password(name, namespace, value, labels):
    data = {"password": base64.b64encode(value.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "type": SECRET_TYPE, "metadata": metadata(name, namespace, labels), "data": data}


def _without(given, *keys):
    return {key: value for key, value in given.items() if key not in keys}


def config_map(settings, namespace, labels):
    """Return (ConfigMap, problems) of Settings for MetalLB up to 0.12, which has routers' passwords there in clear, and no other way."""
    import yaml

    problems, config = [], {}
    if settings.peers:
        config["peers"] = [_old_peer(peer, problems) for peer in settings.peers]
    if settings.pools:
        config["address-pools"] = [_old_pool(pool, problems) for pool in settings.pools]
    if settings.profiles:
        config["bfd-profiles"] = [
            {"name": one["name"], **_renamed(one, PROFILE_KEYS, f"metallb_bfd_profiles: {one['name']}", problems)}
            for one in settings.profiles
        ]
    text = yaml.safe_dump(config, sort_keys=False, width=1000) if config else ""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("config", namespace, labels), "data": {"config": text}}, problems


def _old_pool(pool, problems):
    where = f"pool {pool['name']}"
    if pool["spec"]:
        problems.append(
            (f"{where}: MetalLB up to 0.12 knows no {', '.join(sorted(pool['spec']))}", "leave spec out, or take a newer metallb_version")
        )
    found = {"name": pool["name"], "protocol": pool["protocol"], "addresses": pool["addresses"]}
    found |= {} if pool["auto_assign"] else {"auto-assign": False}
    found |= {"avoid-buggy-ips": True} if pool["avoid_buggy_ips"] else {}
    advertisements = [one for one in pool["advertisements"] if one]
    if pool["protocol"] == "bgp" and advertisements:
        found["bgp-advertisements"] = [_renamed(one, ADVERTISEMENT_KEYS, where, problems) for one in pool["advertisements"]]
    elif advertisements:
        problems.append(
            (
                f"{where}: MetalLB up to 0.12 announces in layer 2 at every interface",
                "leave metallb_interfaces and advertisements out, or take a newer metallb_version",
            )
        )
    return found


def _old_peer(peer, problems):
    found = _renamed(_without(peer, "nodeSelectors"), PEER_KEYS, f"metallb_peers: {peer['name']}", problems)
    if peer.get("nodeSelectors"):
        found["node-selectors"] = [
            {"match-labels": one.get("matchLabels") or {}, "match-expressions": one.get("matchExpressions") or []}
            for one in peer["nodeSelectors"]
        ]
    return found


def _renamed(given, keys, where, problems):
    unknown = sorted(set(given) - set(keys) - {"name"})
    if unknown:
        problems.append((f"{where}: MetalLB up to 0.12 knows no {', '.join(unknown)}", "leave it out, or take a newer metallb_version"))
    return {keys[key]: value for key, value in given.items() if key in keys}

"""cluster_metallb_info against a stand-in for an API server: what it refuses, what it plans, and what it converts."""

from __future__ import annotations

import json

import pytest
from lib.metallb_cluster import HOME, MetalLbCluster
from lib.modules import run_in_process

OURS = {"app.kubernetes.io/managed-by": "mlops.platform"}
POOL = ["192.0.2.240-192.0.2.250"]
PEER = {"name": "router", "myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"}
RESOURCES = {"v1beta1": ("IPAddressPool", "L2Advertisement", "BGPAdvertisement", "BFDProfile"), "v1beta2": ("BGPPeer",)}


@pytest.fixture
def server():
    found = MetalLbCluster()
    yield found
    found.close()


def serve(server):
    """Have the server serve MetalLB's custom resources."""
    for version, kinds in RESOURCES.items():
        server.kinds[f"metallb.io/{version}"] = {kind: (kind.lower() + "s", True) for kind in kinds}
    server.put("v1", "Namespace", HOME, None)


def installed(server, version, labels=None):
    """Have MetalLB there, by others."""
    server.put("v1", "Namespace", HOME, None, labels)
    for kind, name in (("Deployment", "controller"), ("DaemonSet", "speaker")):
        pods = {"spec": {"containers": [{"name": name, "image": f"quay.io/metallb/{name}:v{version}"}]}}
        server.put("apps/v1", kind, name, labels=labels, spec={"template": pods})


def old_config(server, text, labels=None):
    server.put("v1", "ConfigMap", "config", labels=labels, data={"config": text})


def run(server, **given):
    return run_in_process("cluster_metallb_info", {**server.params, "version": "0.16.1", **given})


def told(server, **given):
    """Return what is wrong, as one text."""
    found = run(server, **given)
    assert not found["changed"] and all(one["remedy"] for one in found["problems"])
    return "; ".join(one["what"] for one in found["problems"])


def test_nothing_wanted_and_nothing_there(server):
    found = run(server)
    assert (found["needed"], found["bare"], found["problems"], found["objects"]) == (False, True, [], [])


def test_a_pool_becomes_two_objects(server):
    found = run(server, pool=POOL, interfaces=["eth1"])
    assert found["needed"] and found["problems"] == []
    assert [(one["kind"], one["metadata"]["name"], one["spec"]) for one in found["objects"]] == [
        ("IPAddressPool", "default", {"addresses": POOL, "autoAssign": True, "avoidBuggyIPs": False}),
        ("L2Advertisement", "default", {"ipAddressPools": ["default"], "interfaces": ["eth1"]}),
    ]


WRONG = [
    ({"pool": "192.0.2.240-192.0.2.250"}, "metallb_pool is a text"),
    ({"pool": ["192.0.2.240"]}, "192.0.2.240 is one address: write 192.0.2.240/32"),
    ({"pool": ["somewhere"]}, "'somewhere' does not appear to be"),
    ({"pool": ["192.0.2.9-192.0.2.1"]}, "ends before it begins"),
    ({"pool": ["192.0.2.1-2001:db8::1"]}, "different families"),
    ({"pool": ["192.0.2.10-192.0.2.11"]}, "holds 192.0.2.11, an address of the node vm1"),
    ({"pool": ["10.44.2.0/28"], "outside": True}, "the pods' network of the node vm2 10.44.2.0/24"),
    ({"pool": ["10.45.0.0/28"], "outside": True}, "the cluster's own address of the Service default/kubernetes"),
    ({"pool": ["198.51.100.0/28"]}, "is in no network of the nodes (192.0.2.0/24, taken from their addresses)"),
    ({"pool": POOL, "node_networks": ["192.0.2.0/28"]}, "is in no network of the nodes (192.0.2.0/28)"),
    ({"pool": POOL, "node_networks": ["near"]}, "metallb_node_networks: near is no network"),
    ({"pool": POOL, "taken": {"192.0.2.245": "a printer"}}, "holds 192.0.2.245, a printer"),
    ({"pool": POOL, "kept_free": {"192.0.2.248/29": "the Services' network"}}, "overlaps the Services' network 192.0.2.248/29"),
    ({"pool": [*POOL, "192.0.2.250/32"]}, "192.0.2.250/32 overlaps 192.0.2.240-192.0.2.250 of the pool default"),
    ({"pool": POOL, "pools": [{"name": "default", "addresses": ["192.0.2.100/32"]}]}, "the name default is there twice"),
    ({"pools": [{"name": "No Name", "addresses": POOL}]}, "metallb_pools[0] has the name 'No Name'"),
    ({"pools": ["a"]}, "metallb_pools[0] is 'a'"),
    ({"pools": [{"name": "a"}]}, "has no list of addresses"),
    ({"pools": [{"name": "a", "addresses": POOL, "weight": 1}]}, "metallb_pools[0] (a) has weight"),
    ({"pools": [{"name": "a", "addresses": POOL, "protocol": "rip"}]}, "has the protocol rip"),
    ({"pools": [{"name": "a", "addresses": POOL, "protocol": "bgp"}]}, "metallb_peers is empty"),
    ({"pool": POOL, "peers": [{"name": "router", "myASN": 1}]}, "router lacks peerASN, peerAddress"),
    ({"pool": POOL, "bfd_profiles": [{"name": "fast"}]}, "metallb_mode is native"),
    ({"pool": POOL, "version": "newest"}, "metallb_version is newest"),
    ({"pool": POOL, "version": "0.12.1"}, "runs on clusters up to 1.24"),
    ({"pool": POOL, "namespace": "elsewhere"}, "metallb_namespace is elsewhere"),
    ({"pool": POOL, "manage": False}, "the cluster has no MetalLB"),
]


@pytest.mark.parametrize("given, words", WRONG, ids=[str(given) for given, _words in WRONG])
def test_what_is_wrong_is_told(server, given, words):
    assert words in told(server, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"pool": ["198.51.100.0/28"], "outside": True},
        {"pool": ["198.51.100.0/28"], "node_networks": ["198.51.100.0/24"]},
        {"pool": ["2001:db8::10-2001:db8::20"], "outside": True},
        {"pools": [{"name": "far", "addresses": ["198.51.100.0/28"], "protocol": "bgp"}], "peers": [PEER]},
        {"pool": POOL, "peers": [{"name": "near", "myASN": 1, "dynamicASN": "external", "interface": "eth1"}]},
        {"pool": POOL, "bfd_profiles": [{"name": "fast"}], "mode": "frr"},
        {"pool": POOL, "taken": {"a-name.example.org": "an address of the node vm9"}},
    ],
    ids=str,
)
def test_what_is_right_is_accepted(server, given):
    assert told(server, **given) == ""


def test_all_of_it_is_told_at_once_also_where_the_server_does_not_answer(server):
    pools = [{"name": "a", "addresses": ["192.0.2.11/32"]}, {"name": "b", "addresses": ["192.0.2.11/32"]}]
    assert len(run(server, pools=pools, version="x")["problems"]) == 4
    found = run(server, host="http://127.0.0.1:9", pool="a text")["problems"]
    assert len(found) == 2 and "127.0.0.1:9" in found[1]["what"]


def test_a_pool_of_others_is_neither_overlapped_nor_removed(server):
    serve(server)
    server.put("metallb.io/v1beta1", "IPAddressPool", "theirs", spec={"addresses": ["192.0.2.245/32"]})
    assert "192.0.2.240-192.0.2.250 overlaps 192.0.2.245/32 of the pool theirs" in told(server, pool=POOL)
    assert run(server, pool=["192.0.2.100/32"])["removed"] == []


def test_what_is_wanted_no_more_is_removed_and_services_that_lose_by_it_are_named(server):
    serve(server)
    server.put("metallb.io/v1beta1", "IPAddressPool", "gone", labels=OURS, spec={"addresses": ["192.0.2.100/30"]})
    server.put("metallb.io/v1beta1", "L2Advertisement", "gone", labels=OURS, spec={})
    server.put("metallb.io/v1beta2", "BGPPeer", "gone", labels=OURS, spec={})
    server.put("v1", "Secret", "bgp-password-gone", labels=OURS, data={})
    server.put("v1", "Secret", "mlops-registry", labels=OURS, data={})
    server.put("v1", "Service", "web", "team", spec={}, status={"loadBalancer": {"ingress": [{"ip": "192.0.2.101"}]}})
    found = run(server, pool=POOL)
    assert [(one["kind"], one["metadata"]["name"]) for one in found["removed"]] == [
        ("L2Advertisement", "gone"),
        ("IPAddressPool", "gone"),
        ("BGPPeer", "gone"),
        ("Secret", "bgp-password-gone"),
    ]
    assert len(found["losses"]) == 1 and "192.0.2.101, the address of the Service team/web" in found["losses"][0]


def test_there_is_no_way_back(server):
    installed(server, "0.17.0")
    assert "metallb_version is 0.16.1, and 0.17.0 is installed" in told(server, pool=POOL)
    assert run(server, pool=POOL)["installed"] == "0.17.0"


def test_what_another_hand_has_made_is_handed_over(server):
    installed(server, "0.14.9")
    assert [one["kind"] for one in run(server, pool=POOL)["replaced"]] == ["Deployment", "DaemonSet"]
    installed(server, "0.16.1", OURS)
    assert run(server, pool=POOL)["replaced"] == []


def test_another_way_of_installation_is_not_touched(server):
    server.put("apps/v1", "Deployment", "metallb-controller", "balancer", {"app.kubernetes.io/name": "metallb"}, spec={})
    assert "the Deployment metallb-controller in the namespace balancer" in told(server, pool=POOL)
    serve(server)
    assert told(server, pool=POOL, manage=False) == ""


def test_the_configmap_of_others_is_read_whatever_it_holds(server):
    installed(server, "0.12.1")
    old_config(
        server, "address-pools:\n- {name: a, protocol: ospf, addresses: [x]}\n- {name: b, weight: 3, protocol: bgp, addresses: [y]}\n"
    )
    found = told(server, pool=POOL)
    assert "address-pools[0] lacks" in found and "address-pools[1] has weight" in found and "'y' does not appear" in found
    for text, words in (("[", "is no YAML"), ("- a", "holds no settings"), ("loaded: 1", "it has loaded")):
        old_config(server, text)
        assert words in told(server, pool=POOL)


def test_the_configmap_of_others_is_converted_as_a_whole(server):
    installed(server, "0.12.1")
    profile = {"name": "fast", "receive-interval": 100, "minimum-ttl": 250}
    selectors = [{"match-labels": {"a": "b"}, "match-expressions": [{"key": "c", "operator": "In", "values": ["d"]}]}]
    peer = {"peer-address": "192.0.2.1", "peer-asn": 2, "my-asn": 1, "bfd-profile": "fast", "node-selectors": selectors, "password": "hush"}
    config = {
        "peers": [peer],
        "bfd-profiles": [profile],
        "address-pools": [{"name": "a", "protocol": "layer2", "addresses": ["192.0.2.7/32"]}],
    }
    old_config(server, json.dumps(config))
    found = run(server, mode="frr")
    assert found["needed"] and found["problems"] == []
    specs = {one["kind"]: one["spec"] for one in found["objects"]}
    assert specs["BFDProfile"] == {"receiveInterval": 100, "minimumTtl": 250}
    assert specs["BGPPeer"] == {
        "myASN": 1,
        "peerASN": 2,
        "peerAddress": "192.0.2.1",
        "bfdProfile": "fast",
        "passwordSecret": {"name": "bgp-password-peer-192-0-2-1", "namespace": HOME},
        "nodeSelectors": [{"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["d"]}]}],
    }
    assert [one["kind"] for one in found["hidden"]] == ["Secret"] and "hush" not in json.dumps(found["converted"])
    assert not any(OURS.items() <= one["metadata"]["labels"].items() for one in found["objects"])
    assert ("ConfigMap", "config") in {(one["kind"], one["metadata"]["name"]) for one in found["left"]}


def test_what_the_variables_name_wins_over_the_configmap(server):
    installed(server, "0.12.1")
    old_config(server, json.dumps({"address-pools": [{"name": "default", "protocol": "layer2", "addresses": ["192.0.2.7/32"]}]}))
    found = run(server, pool=POOL)
    assert found["converted"] == [] and [one["spec"]["addresses"] for one in found["objects"] if one["kind"] == "IPAddressPool"] == [POOL]


def test_a_configmap_of_others_is_not_overwritten():
    server = MetalLbCluster("1.24")
    installed(server, "0.12.1")
    old_config(server, json.dumps({"address-pools": [{"name": "theirs", "protocol": "layer2", "addresses": ["192.0.2.7/32"]}]}))
    assert "is of others, and has theirs" in told(server, pool=POOL, version="0.12.1")
    more = [{"name": "theirs", "addresses": ["192.0.2.7/32"]}]
    found = run(server, pool=POOL, pools=more, version="0.12.1")
    assert found["problems"] == [] and [one["kind"] for one in found["objects"]] == ["ConfigMap"]
    # with a password it is not to be shown
    found = run(server, pools=more, peers=[{**PEER, "password": "hush"}], version="0.12.1")
    assert (found["objects"], [one["kind"] for one in found["hidden"]]) == ([], ["ConfigMap"])
    assert "knows no vrf" in told(server, pools=more, peers=[{**PEER, "vrf": "red"}], version="0.12.1")
    assert "does not have" in told(server, pools=more, mode="frr", version="0.12.1")
    assert "at every interface" in told(server, pools=more, interfaces=["eth1"], version="0.12.1")
    server.close()


def test_removal_is_refused_where_others_need_it(server):
    assert run(server, state="absent")["needed"] is False
    installed(server, "0.16.1")
    assert "was installed in another way" in told(server, state="absent")
    installed(server, "0.16.1", OURS)
    serve(server)
    server.put("metallb.io/v1beta1", "IPAddressPool", "theirs", spec={"addresses": ["192.0.2.245/32"]})
    assert "IPAddressPool theirs" in told(server, state="absent")
    server.objects.pop(("IPAddressPool", HOME, "theirs"))
    assert told(server, state="absent") == "" and run(server, state="absent")["needed"]

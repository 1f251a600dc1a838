"""What the preflight of a K3s cluster refuses: versions, networks, groups and names."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import k3s_checks, k3s_networks, k3s_plan, k3s_versions
from lib.k3s_hosts import bare, host, only, problems

# --- versions ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ("v1.33.5+k3s1", "v1.33.5+k3s1"),
        ("v1.33.5+k3s1", "v1.33.5+k3s2"),
        ("v1.33.5+k3s2", "v1.33.10+k3s1"),
        ("v1.33.5+k3s1", "v1.34.1+k3s1"),
        ("v1.34.0-rc2+k3s1", "v1.34.0+k3s1"),
        ("v1.99.0+k3s1", "v2.0.0+k3s1"),
        ("something else", "v1.33.5+k3s1"),
    ],
)
def test_a_step_that_is_allowed(there, wanted):
    assert k3s_versions.step_problem(there, wanted) == ""


@pytest.mark.parametrize(
    ("there", "wanted", "says"),
    [
        ("v1.34.1+k3s1", "v1.33.5+k3s1", "is a downgrade from v1.34.1+k3s1"),
        ("v1.34.1+k3s2", "v1.34.1+k3s1", "is a downgrade"),
        ("v1.34.1+k3s1", "v1.34.1-rc1+k3s1", "is a downgrade"),
        ("v1.33.5+k3s1", "v1.35.0+k3s1", "to a v1.34 release first"),
        ("v1.9.0+k3s1", "v1.33.0+k3s1", "skips a minor version"),
    ],
)
def test_a_step_that_is_refused(there, wanted, says):
    assert says in k3s_versions.step_problem(there, wanted)


@pytest.mark.parametrize("text", ["1.33.5+k3s1", "v1.33.5", "v1.33.5+k3s", "v1.33+k3s1", "latest", "v1.33.5+k3s1 "])
def test_a_text_that_is_no_version(text):
    only([one for one in problems(bare(), version=text) if "k3s_version" in one], text, "v1.33.5+k3s1")


def test_versions_sort_as_numbers():
    order = ["v1.9.0+k3s1", "v1.33.5-rc1+k3s1", "v1.33.5+k3s1", "v1.33.5+k3s2", "v1.33.10+k3s1", "v2.0.0+k3s1"]
    assert sorted(sorted(order), key=k3s_versions.parse) == order


# --- networks ---------------------------------------------------------------------------------------------------------------------------


HOSTS = {"vm1": ["192.0.2.11/24"], "vm2": ["192.0.2.12/24", "fd00:1::12/64"]}


@pytest.mark.parametrize(
    ("pods", "services", "dns"),
    [
        ("10.44.0.0/16", "10.45.0.0/16", "10.45.0.10"),
        ("10.44.0.0/16,fd00:44::/56", "10.45.0.0/16,fd00:45::/112", "10.45.0.10,fd00:45::a"),
        ("fd00:44::/56", "fd00:45::/112", "fd00:45::a"),
        ("10.44.0.0/23", "10.44.2.0/24", "10.44.2.254"),
    ],
)
def test_networks_that_are_right(pods, services, dns):
    assert k3s_networks.check(pods, services, dns, HOSTS) == []


@pytest.mark.parametrize(
    ("pods", "services", "dns", "says"),
    [
        ("10.44.0.0/16", "10.44.128.0/17", "10.44.128.10", "10.44.0.0/16 and k3s_service_network 10.44.128.0/17 overlap"),
        ("10.44.0.1/16", "10.45.0.0/16", "10.45.0.10", "has host bits set"),
        ("pods", "10.45.0.0/16", "10.45.0.10", "'pods' is no network"),
        ("10.44.0.0/24", "10.45.0.0/16", "10.45.0.10", "too small for 2 node(s)"),
        ("10.44.0.0/16", "10.0.0.0/8", "10.0.0.10", "larger than the API server takes"),
        ("10.44.0.0/16", "10.45.0.0/16", "10.43.0.10", "use an address of it, such as 10.45.0.10"),
        ("10.44.0.0/16", "10.45.0.0/16", "10.45.0.1", "the API's own service"),
        ("10.44.0.0/16", "10.45.0.0/16", "10.45.255.255", "first or last address"),
        ("10.44.0.0/16", "10.45.0.0/16", "dns", "'dns' is no address"),
        ("192.0.0.0/16", "10.45.0.0/16", "10.45.0.10", "192.0.2.11/24 of vm1"),
        ("10.44.0.0/16", "192.0.2.0/24", "192.0.2.10", "k3s_service_network 192.0.2.0/24 overlaps with the network of the nodes"),
        ("10.44.0.0/16,fd00:1::/48", "10.45.0.0/16", "10.45.0.10", "fd00:1::12/64 of vm2"),
        ("10.44.0.0/16,10.46.0.0/16", "10.45.0.0/16", "10.45.0.10", "two networks of one family"),
    ],
)
def test_networks_that_are_refused(pods, services, dns, says):
    found = k3s_networks.check(pods, services, dns, HOSTS)
    assert [text for text in found if says in text], found


# --- groups and names -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 5])
def test_an_odd_number_of_servers_is_right(count):
    assert problems(bare(count)) == []


@pytest.mark.parametrize("count", [2, 4])
def test_an_even_number_is_refused_but_with_a_datastore(count):
    only(problems(bare(count)), "1, 3 or 5", "k3s_datastore_endpoint")
    assert problems(bare(count), datastore=True) == []


def test_no_server_is_refused():
    only(problems({"vm1": host(1, "agent")}), "k3s_servers is empty")


def test_names_and_addresses_are_each_ones_own():
    hosts = bare()
    hosts["vm2"]["node_name"] = "vm1"
    hosts["vm4"]["address"] = "192.0.2.13"
    found = problems(hosts)
    assert len(found) == 2
    assert "vm1 and vm2 have the node name vm1" in found[0]
    assert "vm3 and vm4 have the address 192.0.2.13" in found[1]


def test_all_problems_are_told_at_once():
    hosts = bare(2)
    hosts["vm1"]["labels"] = ["a b", "node-role.kubernetes.io/worker=true", "example.org/tier=fast"]
    hosts["vm2"]["taints"] = ["dedicated=ml", "dedicated=ml:NoSchedule"]
    hosts["vm3"]["info"]["clock_offset"] = -95.0
    hosts["vm3"]["info"]["obstacles"] = ["systemd does not run"]
    found = problems(
        hosts, version="1.33", services="10.44.0.0/17", dns="10.44.0.10", token="short", extra={"token": "x"}, schedule="daily"
    )
    for says in (
        "k3s_version",
        "overlap",
        "k3s_token",
        "k3s_extra_config has token",
        "k3s_snapshot_schedule",
        "k3s_servers has 2",
        "vm1: k3s_node_labels has 'a b'",
        "may not give itself labels of node-role.kubernetes.io",
        "vm2: k3s_node_taints has 'dedicated=ml'",
        "vm3: its clock is -95 s off",
        "vm3: systemd",
    ):
        assert [one for one in found if says in one], (says, found)
    assert len(found) == 11


def test_a_snapshot_target_must_be_whole():
    only(problems(bare(), s3={"bucket": "etcd"}), "no access_key, secret_key")
    assert problems(bare(), s3={"bucket": "etcd", "access_key": "a", "secret_key": "b"}) == []


@pytest.mark.parametrize("endpoint", ["api.example.org", "192.0.2.100", "192.0.2.100:8443", "[2001:db8::1]:6443", "2001:db8::1"])
def test_an_endpoint_that_is_right(endpoint):
    assert problems(bare(), endpoint=endpoint) == []


def test_an_endpoint_is_no_url():
    only(problems(bare(), endpoint="https://api.example.org"), "k3s_api_endpoint")


def test_the_port_of_an_endpoint():
    assert [k3s_plan.at_port(one) for one in ("a", "a:1", "2001:db8::1", "[2001:db8::1]:1", "[2001:db8::1]")] == [
        "a:6443",
        "a:1",
        "[2001:db8::1]:6443",
        "[2001:db8::1]:1",
        "[2001:db8::1]:6443",
    ]


def test_owned_keys_are_those_of_the_role():
    assert {"token-file", "server", "cluster-init", "data-dir"} <= set(k3s_checks.OWNED)

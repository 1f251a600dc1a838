"""What roles/host makes of machines that no test machine here can be: recorded files of distributions, and rules over many hosts."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mlops.platform.plugins.filter.host_cluster_problems import host_cluster_problems, skew
from ansible_collections.mlops.platform.plugins.filter.host_members import host_members
from ansible_collections.mlops.platform.plugins.module_utils import host_node, host_node_checks
from lib.generated import load
from lib.render import Roles

# /etc/os-release, its lines that matter
RELEASES = {
    "rocky9": 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPRETTY_NAME="Rocky Linux 9.4"',
    "alma8": 'ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\nPRETTY_NAME="AlmaLinux 8.10 (Cerulean Leopard)"',
    "rhel10": 'ID="rhel"\nID_LIKE="centos fedora"\nVERSION_ID="10.0"\nPRETTY_NAME="Red Hat Enterprise Linux 10.0 (Coughlan)"',
    "ubuntu": 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian',
    "debian": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian',
    "leap": 'VERSION="15.6"\nID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\nPRETTY_NAME="openSUSE Leap 15.6"',
    "sles": 'NAME="SLES"\nID="sles"\nID_LIKE="suse"\nVERSION_ID="15.6"\nPRETTY_NAME="SUSE Linux Enterprise Server 15 SP6"',
    "fedora": 'ID=fedora\nVERSION_ID=42\nPRETTY_NAME="Fedora Linux 42 (Server Edition)"',
    "centos7": 'ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\nPRETTY_NAME="CentOS Linux 7 (Core)"',
    "alpine": 'ID=alpine\nVERSION_ID=3.20.1\nPRETTY_NAME="Alpine Linux v3.20"',
}
FAMILIES = {
    "rocky9": ("RedHat", True),
    "alma8": ("RedHat", True),
    "rhel10": ("RedHat", True),
    "ubuntu": ("Debian", True),
    "debian": ("Debian", True),
    "leap": ("Suse", True),
    "sles": ("Suse", True),
    "fedora": ("RedHat", False),
    "centos7": ("RedHat", False),
    "alpine": ("", False),
}
OFF = {"active": False, "enabled": False, "there": False}
ON = {"active": True, "enabled": True, "there": True}


def host(release="debian", **more):
    """What host_look says of a good host."""
    found = {
        "distribution": host_node.distribution(RELEASES[release]),
        "kernel": "5.14.0-427.el9.x86_64",
        "systemd": True,
        "root": True,
        "container": "",
        "hostname": "vm1",
        "machine_id": "0123456789abcdef",
        "address": "192.0.2.11",
        "addresses": [{"address": "192.0.2.11", "prefix": 24, "device": "eth0"}],
        "routes": [{"to": "192.0.2.0/24", "device": "eth0"}],
        "modules": {"wireguard": False},
        "firewall": {"firewalld": OFF, "ufw": OFF, "nftables": OFF, "ufw_on": False, "backend": "nftables"},
        "selinux": {"present": False, "mode": "disabled", "config": ""},
        "clock": {"service": "chronyd", "synchronised": True, "time": 1000.0},
        "iscsi": {"service": OFF, "socket": OFF, "possible": True},
        "missing_packages": [],
        "missing_selinux_packages": [],
        "node_runs": False,
    }
    return {**found, **more}


def words(problems):
    return " | ".join(problem["what"] for problem in problems)


# --- distributions -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(RELEASES))
def test_distributions(name):
    found = host_node.distribution(RELEASES[name])
    assert (found["family"], found["supported"]) == FAMILIES[name]
    problems = host_node_checks.system(host(name), False, False)
    assert bool(problems) != FAMILIES[name][1]
    if problems:
        assert found["name"] in words(problems)
    # what is like a supported one is taken on the user's word, and nothing else is
    assert bool(host_node_checks.system(host(name), True, False)) == (name == "alpine")


@pytest.mark.parametrize(
    "name, wanted", [("rocky9", "firewalld"), ("leap", "firewalld"), ("ubuntu", "ufw"), ("debian", "nftables"), ("sles", "firewalld")]
)
def test_the_firewall_of_a_host_without_one(name, wanted):
    assert host_node_checks.choose_firewall(host(name), "auto") == wanted


@pytest.mark.parametrize("name", ["rocky9", "ubuntu", "debian", "leap"])
def test_the_firewall_that_is_active_is_taken(name):
    state = host(name)["firewall"]
    assert host_node_checks.choose_firewall(host(name, firewall={**state, "firewalld": ON}), "auto") == "firewalld"
    assert host_node_checks.choose_firewall(host(name, firewall={**state, "ufw": ON, "ufw_on": True}), "auto") == "ufw"
    assert host_node_checks.choose_firewall(host(name, firewall={**state, "nftables": ON}), "auto") == "nftables"
    assert host_node_checks.choose_firewall(host(name, firewall={**state, "firewalld": ON}), "ufw") == "ufw"


def test_two_firewalls_are_refused():
    state = {**host()["firewall"], "firewalld": ON, "ufw": ON, "ufw_on": True}
    assert "both active" in words(host_node_checks.firewall(host(firewall=state), "configure", "auto"))
    assert host_node_checks.firewall(host(firewall=state), "leave", "auto") == []
    # Ubuntu's unit is active where ufw is off
    assert host_node_checks.firewall(host(firewall={**state, "ufw_on": False}), "configure", "auto") == []
    assert "firewalld is active" in words(host_node_checks.firewall(host(firewall={**state, "ufw_on": False}), "configure", "nftables"))


PACKAGES = {
    "rocky9": ["iscsi-initiator-utils", "nfs-utils", "vim"],
    "ubuntu": ["open-iscsi", "nfs-common", "vim"],
    "leap": ["open-iscsi", "nfs-client", "vim"],
}


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_packages_of_a_family(name):
    family = FAMILIES[name][0]
    assert Roles("host", host_extra_packages=["vim"]).value("host_packages")[family] == PACKAGES[name]
    assert Roles("host", host_storage_clients="false").value("host_packages")[family] == []


# --- SELinux -----------------------------------------------------------------------------------------------------------------------------


def selinux(release, state, **more):
    return Roles("host", host_found={"host": host(release, selinux=state)}, **more)


@pytest.mark.parametrize(
    "mode, config, wish, differs",
    [
        ("enforcing", "enforcing", "enforcing", False),
        ("permissive", "enforcing", "enforcing", True),
        ("enforcing", "permissive", "enforcing", True),
        ("enforcing", "enforcing", "permissive", True),
        ("permissive", "permissive", "permissive", False),
        ("permissive", "permissive", "leave", False),
        ("disabled", "disabled", "enforcing", False),
    ],
)
def test_when_selinux_is_changed(mode, config, wish, differs):
    state = {"present": mode != "disabled", "mode": mode, "config": config}
    assert selinux("rocky9", state, host_selinux=wish).value("host_selinux_differs") is differs


@pytest.mark.parametrize("release, wanted", [("alma8", 8), ("rocky9", 9), ("rhel10", 9)])
def test_the_policy_comes_from_the_mirror(release, wanted):
    roles = selinux(release, {"present": True, "mode": "enforcing", "config": "enforcing"}, mlops_mirror="http://mirror.example.com/root")
    assert roles.value("host_selinux_policy") == f"k3s-selinux-1.6-1.el{wanted}"
    tasks = roles.template(roles.tasks("host", "selinux.yml")[0]["block"])
    assert tasks[0]["ansible.builtin.rpm_key"]["key"] == "http://mirror.example.com/root/rpm.rancher.io/public.key"
    assert len(tasks[0]["ansible.builtin.rpm_key"]["fingerprint"].replace(" ", "")) == 40
    repository = tasks[1]["ansible.builtin.yum_repository"]
    assert repository["baseurl"] == f"http://mirror.example.com/root/rpm.rancher.io/k3s/stable/common/centos/{wanted}/noarch"
    assert repository["gpgcheck"] is True
    assert selinux(release, {}).value("host_selinux_repository") == "https://rpm.rancher.io"


def test_selinux_is_never_switched_off():
    for task in Roles("host").tasks("host", "selinux.yml"):
        assert "disabled" not in json.dumps(task, default=str)
    assert load("roles/host/meta/argument_specs.yml")["argument_specs"]["main"]["options"]["host_selinux"]["choices"] == [
        "enforcing",
        "permissive",
        "leave",
    ]


@pytest.mark.parametrize(
    "result, ended",
    [
        ({"failed": False}, True),
        ({"failed": True, "msg": "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 314 (apt-get)"}, False),
        ({"failed": True, "msg": "Failed to lock apt for exclusive operation: Failed to lock directory /var/lib/apt/lists/"}, False),
        ({"failed": True, "msg": "lockfile is held by another process"}, False),
        ({"failed": True, "msg": "System management is locked by the application with pid 1021 (zypper)."}, False),
        ({"failed": True, "msg": "No package matching 'util-block' is available"}, True),
        ({"failed": True}, True),
    ],
)
def test_another_installation_is_waited_for_and_nothing_else(result, ended):
    roles = Roles("host")
    (task,) = roles.tasks("common", "packages.yml")
    assert roles.value(task["until"], **{task["register"]: result}) is ended
    (caller,) = roles.tasks("host", "install.yml")
    retries = roles.template(task["retries"], packages_timeout=roles.template(caller["vars"]["packages_timeout"]))
    assert retries * task["delay"] == roles.value("host_packages_timeout")


# --- what is refused ---------------------------------------------------------------------------------------------------------------------


def test_every_problem_of_a_host_is_told():
    bad = host("centos7", kernel="3.10.0-1160.el7.x86_64", systemd=False, root=False)
    told = words(host_node_checks.system(bad, False, True))
    for part in ("CentOS Linux 7", "3.10.0", "WireGuard", "systemd", "root"):
        assert part in told
    assert host_node_checks.system(host(kernel="4.18.0-553.el8_10.x86_64"), False, False) == []
    assert host_node_checks.system(host(kernel="4.18.0-553.el8_10.x86_64", modules={"wireguard": True}), False, True) == []


def network(networks, address="", **more):
    return words(host_node_checks.network(host(**more), address, networks))


def test_networks_that_overlap():
    good = {"pods": "10.44.0.0/16", "services": "10.45.0.0/16"}
    assert network(good) == ""
    assert "overlap" in network({"pods": "10.44.0.0/15", "services": "10.45.0.0/16"})
    assert "192.0.2.0/24, which this host reaches by eth0" in network({**good, "pods": "192.0.0.0/16"})
    assert "10.45.0.0/24, which this host reaches by tun0" in network(good, routes=[{"to": "10.45.0.0/24", "device": "tun0"}])
    # those are Kubernetes' own, on a host that is a node already
    devices = [{"to": "10.44.0.0/24", "device": "cni0"}, {"to": "10.44.1.0/24", "device": "flannel.1"}]
    assert network(good, routes=devices) == ""
    assert "'10.44.0.1/16'" in network({"pods": "10.44.0.1/16"})
    assert "'pods'" in network({"pods": "pods"})


def test_an_address_that_the_host_does_not_have():
    assert "192.0.2.99 is not among the addresses of this host, 192.0.2.11" in network({}, address="192.0.2.99")
    assert network({}, address="192.0.2.11") == ""


CLOCK = {"least": -0.2, "most": 0.3}


def cluster(**hosts):
    found = {
        name: {"hostname": name, "address": f"192.0.2.{number}", "clock": CLOCK} for number, name in enumerate(("vm1", "vm2", "vm3"), 11)
    }
    for name, more in hosts.items():
        found[name] = {**found[name], **more}
    return found


def test_hosts_that_share_a_name_or_an_address():
    assert [host_cluster_problems(cluster(), name, 5) for name in ("vm1", "vm2", "vm3")] == [[], [], []]
    found = cluster(vm2={"hostname": "vm1", "address": "192.0.2.13"})
    assert words(host_cluster_problems(found, "vm1", 5)) == "the name vm1 is also that of vm2"
    assert words(host_cluster_problems(found, "vm2", 5)) == "the name vm1 is also that of vm1 | the address 192.0.2.13 is also that of vm3"


def test_clocks_that_are_apart():
    found = cluster(vm2={"clock": {"least": 9.5, "most": 11.0}})
    (problem,) = host_cluster_problems(found, "vm2", 5)
    assert "9.5 s ahead of the controller's" in problem["what"] and "9.2 s ahead of vm1's" in problem["what"]
    assert "9.2 s behind vm2's" in words(host_cluster_problems(found, "vm1", 5))
    assert host_cluster_problems(found, "vm1", 10) == []
    # a call that took long says little, and is held against nobody
    assert host_cluster_problems(cluster(vm2={"clock": {"least": -1.0, "most": 30.0}}), "vm2", 5) == []
    assert skew({"least": -9.0, "most": -8.0}, CLOCK) == pytest.approx(-7.8)


@pytest.mark.parametrize("text", [5, "5", "5.0"])
def test_the_limit_may_be_a_text(text):
    assert host_cluster_problems(cluster(vm2={"clock": {"least": 5.5, "most": 6}}), "vm2", text)


def told(**overrides):
    """What the rules of the role say of variables."""
    given = {
        "groups": {},
        "hostvars": {"vm1": {"host_found": {"host": host(), "clock": CLOCK, "problems": []}}},
        "inventory_hostname": "vm1",
    }
    given |= {"host_found": {"host": host(), "clock": CLOCK, "problems": []}, "ansible_play_hosts_all": ["vm1"], **overrides}
    return words(Roles("host", **given).value("host_problems"))


def test_variables_that_are_wrong_are_all_told():
    assert told() == ""
    said = told(
        host_components=["metallb", "ingres"], host_name="vm_1", host_proxy="proxy:3128", host_no_proxy=["a b"], host_max_clock_skew=0
    )
    for part in ("has ingres,", "host_name vm_1", "host_proxy is no URL", "host_no_proxy", "host_max_clock_skew is 0"):
        assert part in said
    assert "host_flannel_backend is udp" in told(host_flannel_backend="udp")


# --- names -------------------------------------------------------------------------------------------------------------------------------


def test_the_name_that_a_host_gets():
    looked = {"host_found": {"host": {"address": "192.0.2.1", "hostname": "debian"}}}
    hostvars = {"VM1": looked, "192.0.2.1": looked, "localhost": looked, "vm4": {**looked, "host_name": "db"}, "vm_5": looked}
    found = host_members(hostvars, list(hostvars))
    assert [found[name]["hostname"] for name in hostvars] == ["vm1", "debian", "debian", "db", "debian"]


# --- reading -----------------------------------------------------------------------------------------------------------------------------

ADDRESS = """[{"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]},
 {"ifname": "eth0", "addr_info": [{"local": "192.0.2.11", "prefixlen": 24, "scope": "global"},
  {"local": "fe80::1", "prefixlen": 64, "scope": "link"}]},
 {"ifname": "eth1", "addr_info": [{"local": "198.51.100.7", "prefixlen": 24, "scope": "global"}]}]"""
ROUTE = (
    """[{"dst": "default", "gateway": "198.51.100.1", "dev": "eth1"}, {"dst": "192.0.2.0/24", "dev": "eth0", "prefsrc": "192.0.2.11"}]"""
)


def test_the_address_towards_the_outside():
    addresses = host_node.addresses(ADDRESS)
    way = {"-4": '[{"dst": "192.0.2.1", "gateway": "198.51.100.1", "dev": "eth1", "prefsrc": "198.51.100.7"}]', "-6": ""}
    assert [entry["address"] for entry in addresses] == ["192.0.2.11", "198.51.100.7"]
    assert host_node.own_address(addresses, lambda *argv: way[argv[2]]) == "198.51.100.7"
    assert host_node.own_address([], lambda *argv: way["-6"] or '[{"prefsrc": "2001:db8::7"}]') == "2001:db8::7"


def test_without_a_default_route_it_is_the_first_address_of_the_older_family():
    addresses = host_node.addresses(ADDRESS)
    six = {"address": "2001:db8::7", "prefix": 64, "device": "eth0"}
    assert host_node.own_address([six, *addresses], lambda *_argv: "") == "192.0.2.11"
    assert host_node.own_address([six], lambda *_argv: "") == "2001:db8::7"
    assert host_node.own_address([], lambda *_argv: "") == ""


def test_addresses_that_nobody_outside_reaches_are_left_out():
    devices = ("lo", "cni0", "flannel.1", "veth12ab", "docker0", "br-0123456789ab", "podman1", "virbr0", "eth0", "br-lan", "bond0.12")
    addresses = [{"address": "192.0.2.11", "prefix": 24, "device": device} for device in devices]
    assert host_node.outer_addresses(addresses) == ["192.0.2.11/24"] * 3


def test_routes_but_the_default_one():
    assert host_node.routes(ROUTE) == [{"to": "192.0.2.0/24", "device": "eth0"}]


def test_ports_that_are_listened_on():
    lines = [
        "  sl  local_address rem_address   st",
        "   0: 0100007F:280A 00000000:0000 0A 00000000",
        "   1: 0B02000A:0016 0102000A:D2F0 01 00000000",
    ]
    text = "\n".join(lines)
    assert host_node.listening(text) == {10250}


def test_ports_of_sshd():
    assert host_node.ssh_ports_configured("port 22\nport 2222\naddressfamily any\n") == [22, 2222]


def test_swaps():
    assert host_node.swaps("Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 8388604 0 100\n") == ["/dev/zram0"]


@pytest.mark.parametrize("proxy", ["", "http://proxy.example.com:3128", "https://user:pass%20word@proxy.example.com"])
def test_proxies_that_are_right(proxy):
    assert told(host_proxy=proxy, host_no_proxy=["registry.example.com", "10.0.0.0/8"]) == ""


@pytest.mark.parametrize("proxy", ["http://a'b:3128", 'http://a"b:3128', "http://a b:3128", "http://a\nX=1", "socks5://proxy"])
def test_proxies_that_would_break_a_file_of_variables(proxy):
    assert "host_proxy is no URL" in told(host_proxy=proxy)
    assert "host_no_proxy has an entry" in told(host_no_proxy=["a'b"])

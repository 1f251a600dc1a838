"""The modules of roles/host that need no machine of their own: names, kernel files, and the check of ports."""

from __future__ import annotations

import os
import socket
import time

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import host_kernel, host_reach
from lib.modules import run_in_process, run_module
from lib.render import Roles

HOSTS = {"192.0.2.12": ["vm2"], "192.0.2.9": ["vm1", "vm1.example.com"]}
BEFORE = "127.0.0.1 localhost\n# mine\n192.0.2.200 other\n"
BLOCK = "# BEGIN mlops.platform: the nodes\n192.0.2.9 vm1 vm1.example.com\n192.0.2.12 vm2\n# END mlops.platform: the nodes\n"


def test_names_are_a_block_and_leave_the_rest(tmp_path):
    path = tmp_path / "hosts"
    path.write_text(BEFORE)
    path.chmod(0o644)
    predicted = run_in_process("host_names", {"hosts": HOSTS, "path": str(path)}, check=True, diff=True)
    assert predicted["changed"] and path.read_text() == BEFORE
    assert predicted["diff"][0]["after"] == BEFORE + BLOCK
    assert run_in_process("host_names", {"hosts": HOSTS, "path": str(path)})["changed"]
    assert path.read_text() == BEFORE + BLOCK and path.stat().st_mode & 0o777 == 0o644
    assert not run_in_process("host_names", {"hosts": HOSTS, "path": str(path)})["changed"]
    # a node that goes, and then all of them
    run_in_process("host_names", {"hosts": {"192.0.2.9": ["vm1"]}, "path": str(path)})
    assert "vm2" not in path.read_text()
    assert run_in_process("host_names", {"hosts": {}, "path": str(path)})["changed"]
    assert path.read_text() == BEFORE


def test_names_that_are_none_are_refused(tmp_path):
    result = run_in_process("host_names", {"hosts": {"vm1": ["vm1"]}, "path": str(tmp_path / "hosts")})
    assert result["failed"] and "vm1" in result["msg"] and list(tmp_path.iterdir()) == []


def test_swap_in_fstab_becomes_a_comment():
    text = "UUID=1 / ext4 defaults 0 1\n/swapfile none swap sw 0 0\n# /dev/sdb none swap sw 0 0\n/dev/swap /data ext4 defaults 0 2\n"
    wanted = text.replace("/swapfile", "# off for Kubernetes, by mlops.platform: /swapfile")
    assert host_kernel.without_swap(text) == wanted
    assert host_kernel.without_swap(wanted) == wanted
    assert host_kernel.with_swap(wanted) == text


def test_sysctls_are_read_and_compared(tmp_path):
    place = tmp_path / "proc/sys/net/ipv4"
    place.mkdir(parents=True)
    (place / "ip_local_port_range").write_text("32768\t60999\n")
    assert host_kernel.current("net.ipv4.ip_local_port_range", str(tmp_path)) == "32768 60999"
    assert host_kernel.current("net.ipv4.none", str(tmp_path)) is None
    assert host_kernel.good("32768 60999", "32768  60999", False)
    assert host_kernel.good("2048", "1024", True) and not host_kernel.good("2048", "1024", False)
    assert not host_kernel.good("512", "1024", True) and not host_kernel.good(None, "1", False)


def test_a_sysctl_that_cannot_be_set_says_what_to_do(tmp_path):
    (tmp_path / "proc/sys/net").mkdir(parents=True)
    with pytest.raises(host_kernel.KernelError, match="net.bridge.none cannot be set to 1: No such file.*module"):
        host_kernel.write("net.bridge.none", "1", False, str(tmp_path))
    # a container says so, and goes on; what is its machine's is not even tried
    assert "cannot set it" in host_kernel.write("net.bridge.none", "1", True, str(tmp_path))
    assert "machine" in host_kernel.write("vm.overcommit_memory", "1", True, str(tmp_path))


def test_modules_that_are_built_in_are_there(tmp_path):
    place = tmp_path / "lib/modules" / os.uname().release
    place.mkdir(parents=True)
    (place / "modules.builtin").write_text("kernel/net/bridge/br_netfilter.ko\nkernel/crypto/sha256-generic.ko\n")
    assert host_kernel.is_loaded("br_netfilter", str(tmp_path)) and host_kernel.is_loaded("sha256_generic", str(tmp_path))
    assert not host_kernel.is_loaded("vxlan", str(tmp_path))


@pytest.mark.parametrize("backend, wanted", [("vxlan", ["vxlan"]), ("wireguard-native", ["wireguard"]), ("host-gw", [])])
def test_modules_and_sysctls_that_are_asked_for(backend, wanted):
    roles = Roles("host", host_flannel_backend=backend, host_sysctls={"vm.panic_on_oom": "1", "net.core.somaxconn": 4096})
    assert roles.value("host_modules")[3:] == wanted
    values = roles.value("host_sysctls_exact")
    assert (values["net.ipv4.ip_forward"], values["vm.panic_on_oom"], values["net.core.somaxconn"]) == ("1", "1", 4096)
    assert "net.ipv6.conf.all.forwarding" not in values
    roles = Roles("host", host_trusted_networks=["10.44.0.0/16", "fd00:44::/56"])
    assert roles.value("host_sysctls_exact")["net.ipv6.conf.all.forwarding"] == "1"


# --- proxy -------------------------------------------------------------------------------------------------------------------------------


def proxy(**overrides):
    members = {"vm1": {"address": "192.0.2.11", "hostname": "vm1", "looked": True}}
    return Roles("host", host_members=members, host_names_of_group=["vm1"], **overrides)


def test_a_proxy_with_a_password_is_in_no_environment_and_in_no_unit():
    roles = proxy(host_proxy="http://user:pa55word@proxy.example.com:3128")
    assert roles.value("host_proxy_environment") == {}
    options = roles.template(roles.tasks("host", "proxy.yml")[0]["mlops.platform.host_files"])
    assert set(options) == {"secret_files", "absent"}
    (secret,) = options["secret_files"]
    assert "HTTPS_PROXY=http://user:pa55word@proxy.example.com:3128\n" in secret["content"]
    # K3s's unit and its download name the file, and where it changes K3s is restarted
    k3s = Roles("k3s")
    assert k3s.value("k3s_proxy_file") == secret["path"]
    assert secret["path"] in k3s.value("k3s_files")
    (install,) = [task["mlops.platform.k3s_release"] for task in k3s.tasks("k3s", "release.yml") if "mlops.platform.k3s_release" in task]
    assert k3s.template(install["environment_files"]) == [secret["path"]]


def test_what_the_proxy_is_not_for():
    roles = proxy(host_proxy="http://proxy.example.com:3128", host_no_proxy=["registry.example.com"])
    without = roles.value("host_proxy_environment")["no_proxy"].split(",")
    assert {"127.0.0.0/8", ".svc", "10.44.0.0/16", "10.45.0.0/16", "192.0.2.11", "vm1", "registry.example.com"} <= set(without)


def test_a_proxy_that_goes_takes_its_file_with_it():
    roles = proxy()
    options = roles.template(roles.tasks("host", "proxy.yml")[0]["mlops.platform.host_files"])
    assert options == {"secret_files": [], "absent": ["/etc/default/mlops-proxy"]}


# --- the check of ports ------------------------------------------------------------------------------------------------------------------


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def ports(*numbers, **more):
    return [{"name": "kubelet", "protocol": protocol, "ports": [str(number)], **more} for number, protocol in numbers]


def reach(state, **options):
    result = run_module("host_reach", {"state": state, "address": "127.0.0.1", "word": "test-word", "timeout": 1, **options})
    assert not result.get("failed"), result
    return result


def target(listening):
    return [{"name": "vm2", "address": "127.0.0.1", "listening": listening}]


def wait_until_free(port):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
                return True
            except OSError:
                time.sleep(0.1)
    return False


def test_a_listener_is_reached_and_ends_when_it_is_told():
    tcp, udp = free_port(), free_port()
    listening = reach("listen", ports=ports((tcp, "tcp"), (udp, "udp")), lifetime=30)["listening"]
    assert sorted((one["protocol"], one["port"], one["held"]) for one in listening) == [("tcp", tcp, False), ("udp", udp, False)]
    # twice: it goes on after an answer
    for _number in range(2):
        found = reach("connect", targets=target(listening))
        assert (found["blocked"], found["reached"]) == ([], 2)
    # another word does not end it
    run_module("host_reach", {"state": "end", "address": "127.0.0.1", "word": "other", "listening": listening})
    assert reach("connect", targets=target(listening))["reached"] == 2
    reach("end", listening=listening)
    assert wait_until_free(tcp) and wait_until_free(udp)
    blocked = reach("connect", targets=target(listening))["blocked"]
    assert {(one["to"], one["port"]) for one in blocked} == {("vm2", tcp), ("vm2", udp)}
    assert all("refused" in one["why"] for one in blocked)


def test_a_listener_ends_by_itself():
    port = free_port()
    reach("listen", ports=ports((port, "tcp")), lifetime=1)
    assert wait_until_free(port)


def test_a_port_that_a_program_holds_is_left_to_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        listening = reach("listen", ports=ports((port, "tcp")), lifetime=1)["listening"]
        assert [one["held"] for one in listening] == [True]
        assert reach("connect", targets=target(listening))["reached"] == 1


def test_who_is_not_let_in_does_not_try():
    listening = [{"name": "etcd", "protocol": "tcp", "port": 1, "held": False, "sources": ["192.0.2.11"]}]
    found = reach("connect", targets=target(listening))
    assert (found["reached"], found["blocked"]) == (0, [])
    # the same port, for everybody: now it does, and nothing is there
    assert reach("connect", targets=target([{**listening[0], "sources": []}]))["blocked"]


def test_check_mode_listens_nowhere():
    port = free_port()
    arguments = {"state": "listen", "address": "127.0.0.1", "word": "word", "ports": ports((port, "tcp"))}
    assert run_module("host_reach", arguments, check=True)["listening"] == []
    assert wait_until_free(port)


def test_of_a_range_the_ends_are_taken():
    assert host_reach.expand(["2379-2380", "6443", "30000-32767"]) == [2379, 2380, 6443, 30000, 32767]


def test_an_address_of_another_host_is_told():
    result = run_module("host_reach", {"state": "listen", "address": "192.0.2.1", "word": "word", "ports": ports((free_port(), "tcp"))})
    assert result["failed"] and "set host_address" in result["msg"]


def reaching(**overrides):
    blocked = {"to": "vm2", "address": "192.0.2.12", "name": "flannel-vxlan", "protocol": "udp", "port": 8472, "why": "no answer"}
    members = {name: {"address": f"192.0.2.{number}", "hostname": name, "looked": True} for number, name in ((11, "vm1"), (12, "vm2"))}
    given = {"inventory_hostname": "vm1", "host_reach_found": {"blocked": [blocked]}, "ansible_play_hosts": ["vm1", "vm2"]}
    given |= {"host_members": members, "host_reach_word": "word", "host_reach_listen": {"listening": []}, "ansible_check_mode": False}
    given["hostvars"] = {
        name: {"host_reach_listen": {"listening": [{"port": 10250}]}, "host_found": {"host": {"node_runs": True}}, "host_firewall_done": {}}
        for name in members
    }
    return Roles("host", **{**given, **overrides})


def test_what_is_blocked_is_named_by_pair_and_port():
    roles = reaching()
    task = roles.tasks("host", "reach.yml")[-1]
    lines = roles.template(task["vars"]["host_reach_lines"])
    assert lines == ["vm1 -> vm2 (192.0.2.12): udp 8472 (flannel-vxlan): no answer"]
    message = roles.template(task["ansible.builtin.fail"]["msg"], host_reach_lines=lines)
    assert message[0].startswith("1 port(s) cannot be reached from vm1. Open them in what lies between the hosts") and message[1:] == lines
    assert (
        "host_firewall is leave" in reaching(host_firewall="leave").template(task["ansible.builtin.fail"]["msg"], host_reach_lines=lines)[0]
    )


def test_the_others_are_connected_to():
    roles = reaching()
    task = roles.tasks("host", "reach.yml")[1]
    targets = roles.template(task["vars"]["host_reach_targets"])
    assert roles.template(task["mlops.platform.host_reach"]["targets"], host_reach_targets=targets) == [
        {"name": "vm2", "address": "192.0.2.12", "listening": [{"port": 10250}]}
    ]


def test_when_the_ports_are_checked():
    def wanted(changed=False, runs=True, **overrides):
        hostvars = {
            name: {**values, "host_firewall_done": {"changed": changed}} for name, values in reaching().variables["hostvars"].items()
        }
        hostvars["vm2"]["host_found"] = {"host": {"node_runs": runs}}
        return reaching(hostvars=hostvars, **overrides).value("host_reach_wanted")

    assert [wanted(), wanted(changed=True), wanted(runs=False), wanted(host_check_ports="always")] == [False, True, True, True]
    assert not wanted(changed=True, host_check_ports="never") and not wanted(changed=True, ansible_check_mode=True)
    # one host has nobody to reach
    assert not wanted(changed=True, ansible_play_hosts=["vm1"])

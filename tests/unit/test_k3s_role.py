"""What the role k3s writes on a host: configuration, token and unit, for servers and agents."""

from __future__ import annotations

import json

import pytest
import yaml
from lib.render import ODD, ROOT, Roles

GROUPS = {"k3s_servers": ["vm1", "vm2", "vm3"], "k3s_agents": ["vm4"]}
NODE = {"selinux": False, "architecture": "x86_64", "intact": True, "version": "v1.33.5+k3s1", "images": {}}
TOKEN = "0123456789abcdef" * 4
HASH = "a" * 64


def planned(**more):
    """A plan as the filter makes it for a new cluster."""
    first = {"node_name": "vm1", "init": True, "join": "", "long_token": False}
    other = {"node_name": "vm2", "init": False, "join": "https://192.0.2.11:6443", "long_token": True}
    return {
        "source": "vm1",
        "exists": False,
        "ca_hash": "",
        "hosts": {"vm1": first, "vm2": other, "vm4": {**other, "node_name": "vm4"}},
        **more,
    }


def role(name="vm1", plan=None, **overrides):
    hostvars = {one: {"ansible_host": f"192.0.2.{10 + n}"} for n, one in enumerate(("vm1", "vm2", "vm3", "vm4"), 1)}
    hostvars["vm1"]["k3s_running"] = {"ca_hash": HASH}
    return Roles(
        "k3s",
        inventory_hostname=name,
        inventory_dir="/srv/inventory",
        # where a play looks for templates of its role
        ansible_search_path=[str(ROOT / "roles" / "k3s")],
        groups=GROUPS,
        hostvars=hostvars,
        ansible_host=hostvars[name]["ansible_host"],
        k3s_state={"node": NODE},
        k3s_planned=plan or planned(),
        k3s_secret={"token": TOKEN},
        **overrides,
    )


def config(name="vm1", **overrides):
    return yaml.safe_load(role(name, **overrides).render("k3s", "config.yaml.j2"))


def test_the_first_server_begins_the_cluster():
    assert config() == {
        "cluster-init": True,
        "token-file": "/etc/rancher/k3s/token",
        "tls-san": ["192.0.2.11"],
        "cluster-cidr": "10.44.0.0/16",
        "service-cidr": "10.45.0.0/16",
        "cluster-dns": "10.45.0.10",
        "cluster-domain": "cluster.local",
        "flannel-backend": "vxlan",
        "disable": ["servicelb", "traefik"],
        "secrets-encryption": True,
        "write-kubeconfig-mode": "0600",
        "etcd-snapshot-schedule-cron": "0 */12 * * *",
        "etcd-snapshot-retention": 5,
    }


def test_another_server_joins_with_the_same_settings():
    first, second = config("vm1"), config("vm2")
    assert second.pop("server") == "https://192.0.2.11:6443"
    assert first.pop("cluster-init")
    assert {**second, "tls-san": []} == {**first, "tls-san": []}


def test_an_agent_is_told_no_setting_of_servers():
    found = config("vm4", k3s_node_labels=["tier=fast"], k3s_node_taints=["gpu=true:NoSchedule"], k3s_kubelet_args=["max-pods=50"])
    assert found == {
        "server": "https://192.0.2.11:6443",
        "token-file": "/etc/rancher/k3s/token",
        "node-label": ["tier=fast"],
        "node-taint": ["gpu=true:NoSchedule"],
        "kubelet-arg": ["max-pods=50"],
    }


@pytest.mark.parametrize(
    ("endpoint", "name", "url"),
    [
        ("api.example.org", "api.example.org", "api.example.org"),
        ("api.example.org:8443", "api.example.org", "api.example.org:8443"),
        ("192.0.2.100:6443", "192.0.2.100", "192.0.2.100:6443"),
        ("[2001:db8::1]:6443", "2001:db8::1", "[2001:db8::1]:6443"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_endpoint_is_in_the_certificate_and_in_the_kubeconfig(endpoint, name, url):
    made = role(k3s_api_endpoint=endpoint, k3s_tls_sans=["k3s.example.org"])
    assert yaml.safe_load(made.render("k3s", "config.yaml.j2"))["tls-san"] == [name, "192.0.2.11", "k3s.example.org"]
    assert made.value("k3s_kubeconfig_host") == url


def test_without_an_endpoint_the_kubeconfig_has_what_the_controller_uses():
    assert role("vm2").value("k3s_kubeconfig_host") == "192.0.2.11"
    assert role("vm2", k3s_kubeconfig_address="127.0.0.1:7443").value("k3s_kubeconfig_host") == "127.0.0.1:7443"


def test_more_keys_are_taken_as_they_are():
    found = config(k3s_extra_config={"embedded-registry": True, "disable": ["traefik"], "debug": False})
    assert (found["embedded-registry"], found["disable"], found["debug"]) == (True, ["traefik"], False)


def test_what_is_off_is_not_said():
    found = config(k3s_secrets_encryption=False, k3s_disable=[], k3s_flannel_backend="none")
    assert "secrets-encryption" not in found
    assert "disable" not in found
    # K3s's own word, and no empty value
    assert found["flannel-backend"] == "none"


@pytest.mark.parametrize(
    ("wish", "there", "said"), [("auto", True, True), ("auto", False, False), ("on", False, True), ("off", True, False)]
)
def test_selinux(wish, there, said):
    made = role(k3s_selinux=wish)
    found = yaml.safe_load(made.render("k3s", "config.yaml.j2", k3s_state={"node": {**NODE, "selinux": there}}))
    assert ("selinux" in found) is said


S3 = {"endpoint": "s3.example.org", "bucket": "etcd", "access_key": "AKIA", "secret_key": ODD, "insecure": True, "folder": "vm"}


def test_secrets_stand_in_their_own_file_whatever_they_are_made_of():
    made = role(k3s_snapshot_s3=S3)
    shown = made.render("k3s", "config.yaml.j2")
    assert "AKIA" not in shown
    assert {key: value for key, value in yaml.safe_load(shown).items() if key.startswith("etcd-s3")} == {
        "etcd-s3": True,
        "etcd-s3-endpoint": "s3.example.org",
        "etcd-s3-bucket": "etcd",
        "etcd-s3-folder": "vm",
        "etcd-s3-insecure": True,
    }
    assert yaml.safe_load(made.render("k3s", "secrets.yaml.j2")) == {"etcd-s3-access-key": "AKIA", "etcd-s3-secret-key": ODD}


def test_with_a_datastore_there_is_no_etcd_to_speak_of():
    plan = planned()
    plan["hosts"]["vm1"].update(init=False)
    made = role(plan=plan, k3s_datastore_endpoint="postgres://k3s:secret@db.example.org/k3s")
    shown = made.render("k3s", "config.yaml.j2")
    assert "secret@" not in shown
    assert [key for key in yaml.safe_load(shown) if key.startswith(("etcd", "cluster-init", "server"))] == []
    assert yaml.safe_load(made.render("k3s", "secrets.yaml.j2")) == {"datastore-endpoint": "postgres://k3s:secret@db.example.org/k3s"}


def paths(made, kind):
    return [one["path"] if isinstance(one, dict) else one for one in made.value(kind)]


def test_files_that_nobody_asked_for_are_removed():
    made = role()
    assert paths(made, "k3s_secret_files") == ["/etc/rancher/k3s/token"]
    assert paths(made, "k3s_absent_files") == [
        "/etc/rancher/k3s/config.yaml.d/50-mlops-secrets.yaml",
        "/etc/rancher/k3s/registries.yaml",
        "/etc/rancher/k3s/service.env",
    ]
    made = role(k3s_registries={"mirrors": {"docker.io": {}}}, k3s_environment={"A": "b"}, k3s_snapshot_s3=S3)
    assert len(paths(made, "k3s_secret_files")) == 4
    assert paths(made, "k3s_absent_files") == []
    # an agent has no datastore and takes no snapshots
    assert len(paths(role("vm4", k3s_snapshot_s3=S3), "k3s_secret_files")) == 1


def test_registries_are_k3s_own_form():
    wanted = {
        "mirrors": {"docker.io": {"endpoint": ["https://r.example.org"]}},
        "configs": {"r.example.org": {"auth": {"username": "a", "password": ODD}}},
    }
    assert yaml.safe_load(role(k3s_registries=wanted).render("k3s", "registries.yaml.j2")) == wanted


def test_the_environment_is_quoted_for_systemd():
    text = role(k3s_environment={"NO_PROXY": "10.0.0.0/8,.svc", "HTTPS_PROXY": 'http://u:p"\\@proxy:3128'}).render("k3s", "service.env.j2")
    assert text.splitlines()[1:] == ['HTTPS_PROXY="http://u:p\\"\\\\@proxy:3128"', 'NO_PROXY="10.0.0.0/8,.svc"']


def test_the_token_says_who_the_servers_are_but_to_the_one_that_began():
    assert role("vm1").value("k3s_token_text") == f"{TOKEN}\n"
    assert role("vm2").value("k3s_token_text") == f"K10{HASH}::server:{TOKEN}\n"
    # known from the beginning where the cluster exists
    assert role("vm4", plan=planned(ca_hash="b" * 64)).value("k3s_token_text") == f"K10{'b' * 64}::server:{TOKEN}\n"


def unit(name, **overrides):
    text = role(name, **overrides).render("k3s", "k3s.service.j2")
    return text, [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize(("name", "kind", "command"), [("vm1", "notify", "server"), ("vm4", "exec", "agent")])
def test_the_unit(name, kind, command):
    _text, lines = unit(name)
    assert f"Type={kind}" in lines
    assert f"ExecStart=/usr/local/bin/k3s {command}" in lines
    # containers outlive a restart, and are K3s's own to account for
    assert {"KillMode=process", "Delegate=yes", "Restart=always", "TasksMax=infinity"} <= set(lines)
    assert [line for line in lines if line.startswith("Conflicts=")] == [f"Conflicts=k3s{'-agent' if command == 'server' else ''}.service"]


def test_the_unit_has_nothing_that_pods_inherit_or_that_keeps_mounts_from_them():
    _text, lines = unit("vm1")
    names = {line.partition("=")[0] for line in lines}
    assert [
        one
        for one in names
        if one.startswith(("Protect", "Private", "ReadOnly", "Restrict", "SystemCall", "Lock", "NoNewPrivileges", "Bind"))
    ] == []


def test_the_unit_notes_every_file_that_restarts_it():
    made = role("vm1", k3s_data_dir="/srv/k3s")
    text = made.render("k3s", "k3s.service.j2")
    noted = next(line for line in text.splitlines() if "sha256sum" in line)
    assert all(path in noted for path in made.value("k3s_files"))
    assert "/etc/systemd/system/k3s.service" in made.value("k3s_files")
    assert 'stat -c "%%n %%s %%Y" /srv/k3s/agent/images/*' in noted


def test_the_clusters_own_environment_wins_over_the_hosts_proxy():
    """systemd takes a variable from the last file that has it."""
    _text, lines = unit("vm1")
    assert [line for line in lines if line.startswith("EnvironmentFile=")] == [
        "EnvironmentFile=-/etc/default/mlops-proxy",
        "EnvironmentFile=-/etc/rancher/k3s/service.env",
    ]


def test_releases_come_from_the_mirror_where_there_is_one():
    assert role().value("k3s_release_root") == "https://github.com"
    assert role(mlops_mirror="https://mirror.example.org/root/").value("k3s_release_root") == "https://mirror.example.org/root/github.com"


@pytest.mark.parametrize(
    ("machine", "files"),
    [
        ("x86_64", ["sha256sum-amd64.txt", "k3s", "k3s-airgap-images-amd64.tar.zst"]),
        ("aarch64", ["sha256sum-arm64.txt", "k3s-arm64", "k3s-airgap-images-arm64.tar.zst"]),
        ("armv7l", ["sha256sum-arm.txt", "k3s-armhf", "k3s-airgap-images-arm.tar.zst"]),
    ],
)
def test_names_of_a_releases_files(machine, files):
    made = role(k3s_airgap_images="tar.zst")
    assert made.value("k3s_release_files", k3s_state={"node": {**NODE, "architecture": machine}}) == files


@pytest.mark.parametrize(
    ("there", "form", "needed"),
    [
        ({}, "none", False),
        ({"version": "v1.33.4+k3s1"}, "none", True),
        ({"intact": False}, "none", True),
        ({}, "tar.gz", True),
        ({"images": ["k3s-airgap-images-amd64.tar.gz"]}, "tar.gz", False),
    ],
)
def test_files_of_a_directory_are_copied_where_they_are_needed(there, form, needed):
    made = role(k3s_local_dir="/srv/k3s", k3s_version="v1.33.5+k3s1", k3s_airgap_images=form)
    assert made.value("k3s_from_directory", k3s_state={"node": {**NODE, **there}}) is needed
    assert role(k3s_version="v1.34.0+k3s1").value("k3s_from_directory") is False


def test_the_plan_is_asked_about_all_hosts_in_the_inventorys_order():
    hostvars = {
        "vm1": {"ansible_host": "192.0.2.11", "k3s_state": {"node": {**NODE, "hostname": "one", "address": "192.0.2.11"}}},
        "vm2": {"ansible_host": "192.0.2.12", "k3s_node_name": "Two", "k3s_node_address": "198.51.100.2"},
        "vm3": {"ansible_host": "192.0.2.13"},
        "vm4": {"ansible_host": "192.0.2.14", "k3s_node_labels": ["a=b"]},
    }
    left_out = {
        "results": [{"item": "vm2", "node": {**NODE, "hostname": "two", "address": "192.0.2.12"}}, {"item": "vm3", "unreachable": True}]
    }
    made = role()
    found = made.value("k3s_found", hostvars=hostvars, k3s_left_out=left_out, ansible_play_hosts_all=["vm1", "vm4"])
    assert list(found) == ["vm1", "vm2", "vm3", "vm4"]
    assert [one["in_run"] for one in found.values()] == [True, False, False, True]
    assert [one["role"] for one in found.values()] == ["server", "server", "server", "agent"]
    assert [one["node_name"] for one in found.values()] == ["one", "two", "vm3", "vm4"]
    assert [one["address"] for one in found.values()] == ["192.0.2.11", "198.51.100.2", "192.0.2.13", "192.0.2.14"]
    assert [one["given_address"] for one in found.values()] == [False, True, False, False]
    assert [one["info"] is None for one in found.values()] == [False, False, True, True]
    assert found["vm4"]["labels"] == ["a=b"]
    assert json.loads(json.dumps(found)) == found

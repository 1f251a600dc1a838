"""What keeps two servers from restarting together, what a failure quotes, and what a reset takes away."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import checked_file, k3s_clean, k3s_files, k3s_guard, k3s_journal, k3s_release
from ansible_collections.mlops.platform.plugins.module_utils.k3s_api import ApiError, node_view


class Cluster:
    """Stands for the API servers of a cluster: leases with resource versions, nodes, and which servers are down."""

    def __init__(self, names=("vm1", "vm2", "vm3")):
        self.up, self.ready, self.lease = dict.fromkeys(names, True), dict.fromkeys(names, True), None
        self.voters = dict.fromkeys(names, True)
        # done between a server's look at the Lease and its taking it
        self.meanwhile = lambda: None

    def api(self, name):
        return Server(self, name)


class Server:
    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name

    def trouble(self):
        return "" if self.cluster.up[self.name] else "connection refused"

    def nodes(self):
        view = {"server": True, "reason": "kubelet stopped"}
        return [
            {**view, "name": one, "address": one, "ready": self.cluster.ready[one], "voter": self.cluster.voters[one]}
            for one in self.cluster.up
        ]

    def find(self, path):
        assert path.endswith("/kube-system/leases/mlops-k3s-restart")
        lease = self.cluster.lease
        return None if lease is None else {**lease, "metadata": dict(lease["metadata"]), "spec": dict(lease["spec"])}

    def call(self, method, _path, body):
        self.cluster.meanwhile()
        there = self.cluster.lease
        version = there["metadata"]["resourceVersion"] if there else 0
        if (method == "POST") == (there is not None) or (there and body["metadata"].get("resourceVersion") != version):
            raise ApiError(409, "conflict")
        self.cluster.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": version + 1}}


@pytest.fixture
def cluster(monkeypatch):
    made = Cluster()
    made.own = "vm1"
    monkeypatch.setattr(k3s_guard, "server_api", lambda _data, address=None: made.api(address or made.own))
    monkeypatch.setattr(k3s_guard.time, "sleep", lambda _seconds: None)
    return made


def ask(cluster, name, patience=0):
    cluster.own = name
    return k3s_guard.wait_for_turn("/data", name, [], patience, 60)


def test_one_server_gets_the_turn_and_the_next_one_after_it(cluster):
    assert ask(cluster, "vm1")
    with pytest.raises(k3s_guard.Refused, match="vm1: it is restarting"):
        ask(cluster, "vm2")
    k3s_guard.give_back(cluster.api("vm1"), "vm1")
    assert ask(cluster, "vm2")


def test_the_server_that_had_the_turn_gets_it_again(cluster):
    assert ask(cluster, "vm1")
    assert ask(cluster, "vm1")


def test_a_turn_that_nobody_gave_back_ends(cluster, monkeypatch):
    assert ask(cluster, "vm1")
    now = k3s_guard.time.time()
    monkeypatch.setattr(k3s_guard.time, "time", lambda: now + 61)
    assert ask(cluster, "vm2")


def test_of_two_at_the_same_moment_one_is_refused(cluster):
    def quicker():
        cluster.meanwhile = lambda: None
        assert k3s_guard.take(cluster.api("vm2"), "vm2", 60) is None

    cluster.meanwhile = quicker
    with pytest.raises(k3s_guard.Refused, match="another server"):
        ask(cluster, "vm1")
    assert cluster.lease["spec"]["holderIdentity"] == "vm2"


def test_the_same_when_the_lease_is_there_already(cluster):
    assert ask(cluster, "vm3")
    k3s_guard.give_back(cluster.api("vm3"), "vm3")
    test_of_two_at_the_same_moment_one_is_refused(cluster)


def test_no_restart_while_another_server_does_not_answer(cluster):
    cluster.up["vm3"] = False
    with pytest.raises(k3s_guard.Refused, match="vm3: connection refused"):
        ask(cluster, "vm1")
    assert cluster.lease is None


@pytest.mark.parametrize(
    ("what", "says"), [("ready", "vm2: its node is not Ready: kubelet stopped"), ("voters", "vm2: its etcd member does not vote yet")]
)
def test_no_restart_while_another_server_is_not_whole(cluster, what, says):
    getattr(cluster, what)["vm2"] = False
    with pytest.raises(k3s_guard.Refused, match=says):
        ask(cluster, "vm1")


def test_a_server_that_failed_while_the_turn_was_taken_stops_the_restart(cluster):
    def fails():
        cluster.meanwhile = lambda: None
        cluster.up["vm2"] = False

    cluster.meanwhile = fails
    with pytest.raises(k3s_guard.Refused, match="vm2: connection refused"):
        ask(cluster, "vm1")
    # and nobody waits for it
    assert k3s_guard.holder(cluster.lease, k3s_guard.time.time()) is None


def test_a_server_that_is_down_itself_needs_no_turn(cluster):
    cluster.up.update(vm1=False, vm2=False)
    assert not ask(cluster, "vm1")


def test_a_single_server_needs_no_turn(cluster):
    for name in ("vm2", "vm3"):
        del cluster.up[name]
    assert not ask(cluster, "vm1")


def test_a_server_of_the_inventory_that_the_cluster_has_forgotten_counts(cluster):
    api = cluster.api("vm1")
    assert k3s_guard.other_servers(api, "vm1", [{"name": "vm9", "address": "192.0.2.9"}]) == {
        "vm2": "vm2",
        "vm3": "vm3",
        "vm9": "192.0.2.9",
    }


def test_times_of_a_lease():
    assert k3s_guard.seconds_of(k3s_guard.stamp(1700000000.25)) == 1700000000.25
    assert k3s_guard.seconds_of("2023-11-14T22:13:20Z") == 1700000000


# --- the journal ------------------------------------------------------------------------------------------------------------------------


def line(text, level="error"):
    return f'time="2026-01-01T00:00:00Z" level={level} msg="{text}"'


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Failed to validate connection to cluster at https://a:6443: https://127.0.0.1:6444/v1-k3s: 401 Unauthorized", "the token is not"),
        ("starting kubernetes: preparing server: token CA hash does not match the Cluster CA certificate hash: a != b", "the token is not"),
        ("Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password'", "made by another machine"),
        ("ETCD join failed: duplicate node name found, please use a unique name for this node", "cluster_remove.yml"),
        ("etcd: the member has been permanently removed from the cluster", "k3s_reset_data"),
        ("critical configuration value mismatch between servers: cluster-cidr", "the same for all"),
        ("tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2020", "the clocks differ"),
        ("flag provided but not defined: -nonsense", "k3s_extra_config"),
        ("listen tcp :6443: bind: address already in use", "another program"),
        ("write /var/lib: no space left on device", "free some space"),
    ],
)
def test_a_cause_is_told_with_its_remedy(said, remedy):
    lines = ["Starting k3s.service", line("all is well", "info"), line("something else"), line(said)]
    found, what = k3s_journal.cause(lines)
    assert found == said
    assert remedy in what


def test_words_of_no_consequence_are_no_cause():
    assert k3s_journal.cause([line("401 Unauthorized", "info"), line("connection refused")]) is None


def test_what_is_quoted_is_what_went_wrong_once_each():
    lines = [line("one"), line("all is well", "info"), line("two"), line("two"), "panic: three"]
    assert k3s_journal.telling(lines) == ["one", "two", "panic: three"]


def test_without_an_error_the_last_lines_are_quoted():
    assert k3s_journal.telling(["a", "b", "c"], 2) == ["b", "c"]


def test_no_secret_is_quoted():
    secret = "s3cr3t"
    for said in (f"K10{'a' * 64}::server:{secret}", f"token={secret}", f"postgres://k3s:{secret}@db/k3s", f"etcd-s3-secret-key: {secret}"):
        shown = k3s_journal.telling([line(f"cannot use {said}, sorry")])[0]
        assert secret not in shown
        assert "cannot use" in shown


# --- files ------------------------------------------------------------------------------------------------------------------------------


def test_both_forms_of_a_token():
    assert k3s_files.parse_token(f"K10{'a' * 64}::server:pass\n") == {"hash": "a" * 64, "password": "pass"}
    assert k3s_files.parse_token("pass\n") == {"hash": "", "password": "pass"}


def test_what_is_read_of_a_configuration(tmp_path, monkeypatch):
    file = tmp_path / "config.yaml"
    file.write_text(
        '# managed\ncluster-init: true\nserver: "https://192.0.2.1:6443"\ntoken: hush\ncluster-cidr: 10.44.0.0/16 # pods\ntls-san:\n- a\n'
    )
    monkeypatch.setattr(k3s_files, "CONFIG", str(file))
    assert k3s_files.config() == {"cluster-init": "true", "server": "https://192.0.2.1:6443", "cluster-cidr": "10.44.0.0/16"}


def test_checksum_lists_and_addresses():
    text = f"{'a' * 64}  k3s\n{'b' * 64} *k3s-airgap-images-amd64.tar\nnonsense\n"
    assert checked_file.parse_checksums(text) == {"k3s": "a" * 64, "k3s-airgap-images-amd64.tar": "b" * 64}
    wanted = "https://m.example.org/github.com/k3s-io/k3s/releases/download/v1.33.5%2Bk3s1/k3s"
    assert k3s_release.address("https://m.example.org/github.com/", "v1.33.5+k3s1", "k3s") == wanted


def test_a_file_that_is_not_what_the_list_says_is_left_nowhere(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"something else")
    with pytest.raises(checked_file.Failed, match="should have aaaa"):
        checked_file.fetch(str(source), str(target), "a" * 64)
    assert not target.exists()


def test_a_node_as_it_is_shown():
    item = {
        "metadata": {
            "name": "vm1",
            "labels": {"node-role.kubernetes.io/control-plane": "true"},
            "annotations": {"mlops.platform/cordoned": "true"},
        },
        "spec": {"unschedulable": True},
        "status": {
            "addresses": [{"type": "Hostname", "address": "vm1"}, {"type": "InternalIP", "address": "192.0.2.11"}],
            "conditions": [{"type": "Ready", "status": "False", "message": "why"}, {"type": "EtcdIsVoter", "status": "False"}],
            "nodeInfo": {"kubeletVersion": "v1.33.5+k3s1"},
        },
    }
    assert node_view(item) == {
        "name": "vm1",
        "server": True,
        "address": "192.0.2.11",
        "version": "v1.33.5+k3s1",
        "ready": False,
        "reason": "why",
        "voter": False,
        "schedulable": False,
        "cordoned_here": True,
    }
    assert not node_view({"metadata": {"name": "vm4"}})["server"]


# --- reset ------------------------------------------------------------------------------------------------------------------------------

RULES = """*filter
:INPUT ACCEPT [0:0]
:KUBE-FORWARD - [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -s 10.44.0.0/16 -m comment --comment flanneld -j ACCEPT
COMMIT
"""


def test_rules_of_others_stay():
    assert k3s_clean.without_rules(RULES) == "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n"


def test_containers_are_found_with_all_that_they_started():
    table = {
        1: (0, "/sbin/init"),
        10: (1, "/srv/k3s/data/abc/bin/containerd-shim-runc-v2 -namespace k8s.io"),
        11: (10, "/pause"),
        12: (11, "child"),
        20: (1, "/usr/bin/containerd-shim-runc-v2 -namespace moby"),
        21: (20, "another's"),
        30: (1, "grep /srv/k3s/data/abc/bin/containerd-shim"),
    }
    assert k3s_clean.leftovers("/srv/k3s", table) == [10, 11, 12]


def test_control_groups_of_pods_are_found_where_no_process_is_in_them(tmp_path):
    def make(path, processes=""):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "cgroup.procs").write_text(processes)

    for group in ("kubepods", "memory/kubepods", "memory/kubepods/pod1", "pids/kubepods", "pids/other", "pids/other/kubepods"):
        make(group)
    make("pids/kubepods/pod1", "12\n")
    (tmp_path / "alias").symlink_to("memory")
    make("kubepods.slice")
    assert k3s_clean.groups(str(tmp_path)) == [str(tmp_path / path) for path in ("kubepods", "kubepods.slice", "memory/kubepods")]


def test_what_runc_and_the_shims_keep_of_k3ss_containers_is_found_and_no_others(tmp_path):
    for name, bundle in (("ours", "/run/k3s/containerd/x/ours"), ("theirs", "/run/containerd/x/theirs")):
        (tmp_path / "runc" / "k8s.io" / name).mkdir(parents=True)
        (tmp_path / "runc" / "k8s.io" / name / "state.json").write_text(json.dumps({"config": {"labels": ["a=b", f"bundle={bundle}"]}}))
    (tmp_path / "runc" / "moby" / "half").mkdir(parents=True)
    (tmp_path / "runc" / "moby" / "half" / "state.json").write_text('{"config": {"labels": null}')
    (tmp_path / "s").mkdir()
    for name in ("dead", "used"):
        (tmp_path / "s" / name).touch()
    (tmp_path / "unix").write_text(f"Num Path\n00: 2 0 10000 1 1 12 {tmp_path}/s/used\n01: 2 0 10000 1 1 13\n")
    found = k3s_clean.remains(str(tmp_path), str(tmp_path / "unix"))
    assert found == [str(tmp_path / "runc" / "k8s.io" / "ours"), str(tmp_path / "s" / "dead")]


def test_directories_go_where_nothing_of_others_is_in_them(tmp_path):
    shared = [str(tmp_path / path) for path in ("a/b", "a", "c/d", "c", "e")]
    for path in ("a/b", "c/d"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "c" / "socket").touch()
    assert k3s_clean.folders(shared) == [str(tmp_path / path) for path in ("a/b", "a", "c/d")]

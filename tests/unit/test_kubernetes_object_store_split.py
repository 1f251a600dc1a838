"""The object store in parts (object_store_topology: split): what its templates write, and what holds them together."""

from __future__ import annotations

import base64
import fnmatch
import functools
import json
import re
import shutil
import subprocess

import pytest
import tomllib
from lib.render import within
from lib.render_kubernetes import cluster, manifests, pods

NAME = "mlops-object-store"
PARTS = {"master": 3, "volume": 3, "filer": 2, "s3": 2}
KIND = {"master": "StatefulSet", "volume": "StatefulSet", "filer": "StatefulSet", "s3": "Deployment"}


def roles(**overrides):
    return cluster(object_store_topology="split", **overrides)


def objects(**overrides):
    """Return the objects of the split form, by kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one for one in manifests(roles(**overrides), only=("object_store",))}


@functools.cache
def defaults():
    return objects()


def pod(found, part):
    return found[KIND[part], f"{NAME}-{part}"]["spec"]["template"]["spec"]


def command(found, part):
    return pod(found, part)["containers"][0]["command"]


def selector(found, kind, name):
    spec = found[kind, name]["spec"]
    return spec.get("podSelector", spec.get("selector")).get("matchLabels", spec.get("selector"))


def test_each_part_has_pods_of_its_own():
    found = defaults()
    for part, count in PARTS.items():
        one = found[KIND[part], f"{NAME}-{part}"]
        assert one["spec"]["replicas"] == count
        assert one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == f"object-store-{part}"
        assert command(found, part)[:3] == ["weed", "-logtostderr=true", part]
        assert found["PodDisruptionBudget", f"{NAME}-{part}"]["spec"]["maxUnavailable"] == 1
        assert selector(found, "PodDisruptionBudget", f"{NAME}-{part}") == one["spec"]["selector"]["matchLabels"]
    assert ("StatefulSet", NAME) not in found and ("PersistentVolumeClaim", NAME) not in found


def test_partial_input_keeps_the_other_parts():
    found = objects(object_store_replicas={"volume": 5}, object_store_part_resources={"filer": {"limits": {"memory": "3Gi"}}})
    assert [found[KIND[part], f"{NAME}-{part}"]["spec"]["replicas"] for part in PARTS] == [3, 5, 2, 2]
    resources = pod(found, "filer")["containers"][0]["resources"]
    assert resources["limits"] == {"cpu": "2", "memory": "3Gi"} and set(resources["requests"]) == {"cpu", "memory"}


def test_clients_find_s3_where_it_was():
    found = defaults()
    assert found["Service", NAME]["spec"]["ports"] == [{"name": "s3", "port": 8333, "targetPort": "s3", "protocol": "TCP"}]
    assert found["Service", NAME]["spec"]["selector"] == found["Deployment", f"{NAME}-s3"]["spec"]["selector"]["matchLabels"]
    single, split = cluster().variables["object_store_endpoint"], roles().variables["object_store_endpoint"]
    assert single["url"] == split["url"]
    assert split["pods"] == found["Service", NAME]["spec"]["selector"]


def test_every_name_by_which_parts_call_each_other_exists_and_is_in_the_certificate():
    found = defaults()
    signed = [name.removeprefix("DNS:") for name in roles().value("object_store_certificate_names")]
    for part, option, called in (
        ("master", "-peers=", "master"),
        ("volume", "-master=", "master"),
        ("filer", "-master=", "master"),
        ("s3", "-filer=", "filer"),
    ):
        addresses = next(word for word in command(found, part) if word.startswith(option)).removeprefix(option).split(",")
        assert len(addresses) == PARTS[called]
        for number, address in enumerate(addresses):
            host, port = address.split(":")
            assert host == f"{NAME}-{called}-{number}.{NAME}-{called}.mlops.svc"
            assert f"-port={port}" in command(found, called)
            assert any(fnmatch.fnmatch(host, name) for name in signed)
    for part in ("master", "volume", "filer"):
        # a StatefulSet's pods are named by its Service, before they are ready too
        service = found["Service", found["StatefulSet", f"{NAME}-{part}"]["spec"]["serviceName"]]["spec"]
        assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
        assert service["selector"] == found["StatefulSet", f"{NAME}-{part}"]["spec"]["selector"]["matchLabels"]
        assert f"-ip=$(MLOPS_POD).{NAME}-{part}.mlops.svc" in command(found, part)


def test_the_single_form_keeps_its_certificate():
    assert cluster().value("object_store_certificate_names") == ["DNS:localhost", "IP:127.0.0.1"]


@pytest.mark.parametrize("code, copies", [("000", 1), ("001", 3), ("002", 4)])
def test_copies_are_asked_for_at_every_place(code, copies):
    found = objects(object_store_replication=code, object_store_replicas={"volume": copies})
    assert f"-defaultReplication={code}" in command(found, "master")
    assert f"-defaultReplicaPlacement={code}" in command(found, "filer")
    # also for volumes that an earlier code has made
    scripts = tomllib.loads(found["ConfigMap", NAME]["data"]["master.toml"])["master"]["maintenance"]["scripts"]
    lines = [line.strip() for line in scripts.splitlines() if line.strip()]
    assert f"volume.configure.replication -collectionPattern=* -replication={code}" in lines and "volume.fix.replication -apply" in lines
    assert (lines[0], lines[-1]) == ("lock", "unlock")
    assert any(f"-s3 {NAME}-s3.mlops.svc:18333 " in line for line in lines)


@pytest.mark.parametrize("filers, each", [(1, 20), (2, 10), (4, 5), (20, 2)])
def test_filers_share_the_connections_that_the_database_keeps_for_them(filers, each):
    text = base64.b64decode(objects(object_store_replicas={"filer": filers})["Secret", NAME]["data"]["filer.toml"])
    found = tomllib.loads(text.decode())["postgres2"]
    assert (found["connection_max_open"], found["connection_max_idle"]) == (each, min(each, 5))


def test_what_has_no_login_is_off():
    found = defaults()
    assert "-disableHttp" in command(found, "master") and "-disableHttp" in command(found, "filer")
    assert {"-iam=false", "-autoCreateBucket=false", "-allowDeleteBucketNotEmpty=false"} <= set(command(found, "s3"))
    for part in PARTS:
        # a port of metrics serves the heap to anybody
        assert not [word for word in command(found, part) if word.startswith(("-metricsPort", "-debug", "-pprof"))]


def files(found, part):
    sources = next(volume for volume in pod(found, part)["volumes"] if volume["name"] == "config")["projected"]["sources"]
    return {item["path"] for source in sources for one in source.values() for item in one["items"]}


def test_each_part_reads_the_secrets_that_it_needs_and_no_other():
    found = defaults()
    secret = {part: files(found, part) & set(found["Secret", NAME]["data"]) for part in PARTS}
    common = {"security.toml", "tls.crt", "tls.key"}
    assert secret == {"master": common, "volume": common, "filer": common | {"filer.toml"}, "s3": common | {"s3.json"}}
    for part in PARTS:
        there = set(found["Secret", NAME]["data"]) | set(found["ConfigMap", NAME]["data"])
        assert files(found, part) <= there
        # what a script calls is there as well
        for name in files(found, part) & set(found["ConfigMap", NAME]["data"]):
            called = set(re.findall(r"/etc/seaweedfs/([\w-]+\.sh)", found["ConfigMap", NAME]["data"][name]))
            assert called <= files(found, part), (part, name)


def test_a_change_rolls_the_parts_that_read_it_alone():
    def checksums(**overrides):
        found = objects(**overrides)
        workloads = {part: found[KIND[part], f"{NAME}-{part}"]["spec"]["template"] for part in PARTS}
        return {part: one["metadata"]["annotations"]["mlops.platform/config-checksum"] for part, one in workloads.items()}

    def changed(**overrides):
        now = checksums(**overrides)
        return {part for part in PARTS if now[part] != before[part]}

    before = checksums()
    assert changed() == set()
    assert changed(object_store_abort_upload_days=3) == {"master"}
    assert changed(password="another") == {"filer", "s3"}
    assert changed(object_store_certificate={"certificate": "another", "key": "another"}) == set(PARTS)


def test_claims_of_volume_servers_grow_and_the_template_stays():
    found = objects(object_store_storage_size="50Gi", object_store_replicas={"volume": 2}, mlops_storage_class="fast")
    claims = {name: one["spec"] for (kind, name), one in found.items() if kind == "PersistentVolumeClaim"}
    assert set(claims) == {f"data-{NAME}-volume-{number}" for number in range(2)}
    assert all(spec["resources"]["requests"]["storage"] == "50Gi" and spec["storageClassName"] == "fast" for spec in claims.values())
    first = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20480Mi"}}}
    applied = json.dumps({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": first}]}})
    # as the server tells it: with what it adds, and in its own spelling
    live = {**first, "resources": {"requests": {"storage": "20Gi"}}, "volumeMode": "Filesystem"}
    there = {
        "metadata": {"annotations": {"a": "b", "kubectl.kubernetes.io/last-applied-configuration": applied}},
        "spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": live}]},
    }
    for given, wanted in (([], claims[f"data-{NAME}-volume-0"]), ([there], first)):
        more = {"object_store_storage_size": "50Gi", "mlops_storage_class": "fast", "object_store_volume_servers": {"resources": given}}
        templates = objects(**more)["StatefulSet", f"{NAME}-volume"]["spec"]["volumeClaimTemplates"]
        assert [(one["metadata"]["name"], one["spec"]) for one in templates] == [("data", wanted)]


def test_copies_can_be_kept_on_different_nodes():
    for spread, key in (("preferred", "preferred"), ("required", "required")):
        found = objects(object_store_spread=spread)
        for part in ("master", "volume"):
            rules = pod(found, part)["affinity"]["podAntiAffinity"]
            assert list(rules) == [f"{key}DuringSchedulingIgnoredDuringExecution"]
            term = next(iter(rules.values()))[0]
            labels = term.get("podAffinityTerm", term)["labelSelector"]["matchLabels"]
            assert labels["app.kubernetes.io/component"] == f"object-store-{part}"


# --- network policies --------------------------------------------------------------------------------------------------------------------


def ports(rule):
    return {port["port"] for port in rule["ports"]}


def peers(rules, direction):
    """Return {part: ports} of the rules that name parts of the object store."""
    found = {}
    for rule in rules:
        for peer in rule.get(direction, []):
            labels = peer["podSelector"].get("matchLabels", {})
            if labels.get("app.kubernetes.io/name") == "object-store":
                assert labels["app.kubernetes.io/instance"] == "mlops"
                found[labels["app.kubernetes.io/component"].removeprefix("object-store-")] = ports(rule)
    return found


def test_what_a_part_may_call_lets_it_in_and_the_other_way_round():
    found = defaults()
    policies = {part: found["NetworkPolicy", f"{NAME}-{part}"]["spec"] for part in PARTS}
    for part, policy in policies.items():
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert policy["podSelector"]["matchLabels"] == found[KIND[part], f"{NAME}-{part}"]["spec"]["selector"]["matchLabels"]
        # no rule is open to everybody but DNS
        assert all("from" in rule and rule["ports"] for rule in policy["ingress"])
        assert [ports(rule) for rule in policy["egress"] if "to" not in rule] == [{53, 5353}]
    for caller in PARTS:
        for called, numbers in peers(policies[caller]["egress"], "to").items():
            assert peers(policies[called]["ingress"], "from")[caller] == numbers
            listened = {port["containerPort"] for port in pod(found, called)["containers"][0]["ports"]}
            assert numbers <= listened
    calls = {caller: set(peers(policies[caller]["egress"], "to")) for caller in PARTS}
    assert calls == {
        "master": {"master", "volume", "filer", "s3"},
        "volume": {"master", "volume"},
        "filer": {"master", "volume", "filer", "s3"},
        "s3": {"master", "volume", "filer"},
    }


def test_mlflow_reaches_s3_alone_and_only_filers_reach_the_database():
    found = defaults()
    for part in PARTS:
        policy = found["NetworkPolicy", f"{NAME}-{part}"]["spec"]
        outside = [rule for rule in policy["ingress"] if "matchExpressions" in str(rule)]
        assert [ports(rule) for rule in outside] == ([{8333}] if part == "s3" else [])
        assert (5432 in {port for rule in policy["egress"] for port in ports(rule)}) == (part == "filer")


def test_an_external_database_is_reached_and_checked_by_filers():
    overrides = {"postgresql_engine": "external", "postgresql_external_host": "db", "postgresql_external_ca": "an authority"}
    found = objects(**overrides, postgresql_external_sslmode="verify-full", postgresql_external_port=6000)
    rules = found["NetworkPolicy", f"{NAME}-filer"]["spec"]["egress"]
    assert {"ports": [{"port": 6000, "protocol": "TCP"}]} in rules
    assert "postgresql-ca.crt" in files(found, "filer") and "postgresql-ca.crt" not in files(found, "s3")


def test_without_policies_there_are_none():
    assert "NetworkPolicy" not in {kind for kind, _unused in objects(mlops_network_policies=False)}


def test_openshift_chooses_the_user():
    for _name, spec in pods(objects(openshift=True).values()):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(spec["securityContext"])


# --- the scripts -------------------------------------------------------------------------------------------------------------------------

RULE = '{"locations": [{"locationPrefix": "/buckets/",\n "fsync":  true}]}'


def script(name, **overrides):
    return roles().render("object_store", name, **within("object_store"), **overrides)


def run(tmp_path, name, argument, answers):
    """Run a script with a `weed shell` that answers in turn ("": it fails); return (exit code, [filer, master and question of each])."""
    (tmp_path / "etc").mkdir()
    for number, answer in enumerate(answers):
        (tmp_path / f"answer{number}").write_text(answer)
    (tmp_path / "etc" / "weed-shell.sh").write_text(
        f'read -r question\necho "${{WEED_FILER:-}} ${{WEED_MASTER:-}} $question" >>{tmp_path}/asked\nn=$(grep -c "" {tmp_path}/asked)\n'
        f"[ -s {tmp_path}/answer$((n - 1)) ] && cat {tmp_path}/answer$((n - 1))\n"
    )
    text = script(name, object_store_etc=f"{tmp_path}/etc").replace("/tmp/asked", f"{tmp_path}/began")
    environment = {"PATH": "/usr/bin:/bin", "MLOPS_POD": "pod-1"}
    done = subprocess.run(["/bin/sh", "-c", text, "script", argument], check=False, capture_output=True, text=True, env=environment)
    return done.returncode, (tmp_path / "asked").read_text().splitlines()


def test_a_filer_sets_the_rule_through_itself(tmp_path):
    """Also where another one has set it: only what goes through itself is sure to be in its memory."""
    code, asked = run(tmp_path, "seaweedfs-synced.sh.j2", "filer", [RULE])
    assert code == 0
    assert asked == [f"pod-1.{NAME}-filer.mlops.svc:8888  fs.configure -locationPrefix=/buckets/ -fsync=true -apply"]


@pytest.mark.parametrize("answer", ["{}", '{"fsync": false}', "error: no such filer", ""])
def test_a_filer_is_not_ready_without_the_rule(tmp_path, answer):
    assert run(tmp_path, "seaweedfs-synced.sh.j2", "filer", [answer])[0] == 1


@pytest.mark.parametrize(
    "answers, code, count", [([RULE], 0, 1), (["", RULE], 0, 2), (["error", RULE], 0, 2), (["{}", "{}"], 1, 2), (["", ""], 1, 2)]
)
def test_s3_is_ready_when_a_filer_has_the_rule(tmp_path, answers, code, count):
    done, asked = run(tmp_path, "seaweedfs-synced.sh.j2", "s3", answers)
    assert (done, len(asked)) == (code, count)
    # it looks, and changes nothing
    assert all(line.endswith(" fs.configure") for line in asked)
    assert [line.split(".")[0] for line in asked] == [f"{NAME}-filer-{number}" for number in range(count)]


def test_a_volume_server_has_joined_when_the_masters_list_it(tmp_path):
    listed = f"* volume servers 3\n      * pod-1.{NAME}-volume.mlops.svc:8080 (8000GB 4.48)"
    for number, (answer, expected) in enumerate([(listed, 0), (listed.replace("pod-1", "pod-2"), 1), ("", 1)]):
        (tmp_path / str(number)).mkdir()
        assert run(tmp_path / str(number), "seaweedfs-joined.sh.j2", "volume", [answer]) == (expected, ["  cluster.ps"])


def test_a_master_has_joined_when_it_knows_a_leader(tmp_path):
    question = f" pod-1.{NAME}-master.mlops.svc:9333 cluster.raft.ps"
    for number, (answer, expected) in enumerate([("  * a:9333 a:19333 (Leader)", 0), ("  * a:9333 a:19333 (Voter)", 1), ("", 1)]):
        (tmp_path / str(number)).mkdir()
        assert run(tmp_path / str(number), "seaweedfs-joined.sh.j2", "master", [answer]) == (expected, [question])


def test_a_master_that_stays_alone_does_not_stop_the_others(tmp_path):
    """The others can join it only when they have its certificate, and they get that after it is ready."""
    (tmp_path / "began").write_text("1000000000\n")
    assert run(tmp_path, "seaweedfs-joined.sh.j2", "master", [""])[0] == 0


def test_only_a_volume_server_repairs_an_index_and_only_a_filer_waits_for_the_database(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "root" / "volume").mkdir(parents=True)
    (tmp_path / "root" / "volume" / "1.dat").write_text("")
    for name in ("weed", "nc"):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/called\n')
        (tmp_path / "bin" / name).chmod(0o755)
    text = script("seaweedfs-before-start.sh.j2", object_store_root=f"{tmp_path}/root")
    called = {}
    for part in ("volume", "volume", "filer"):
        (tmp_path / "called").write_text("")
        environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
        subprocess.run(["/bin/sh", "-c", text, "script", part], check=True, env=environment)
        called.setdefault(part, []).append((tmp_path / "called").read_text().split("\n")[0])
    # the second start finds the boot id
    assert called["volume"] == [f"weed -logtostderr=true fix -ignoreError {tmp_path}/root/volume", ""]
    assert called["filer"] == ["nc -z -w 2 mlops-postgresql.mlops.svc 5432"]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("name", ["seaweedfs-synced.sh.j2", "seaweedfs-joined.sh.j2", "weed-shell.sh.j2", "seaweedfs-before-start.sh.j2"])
def test_scripts_are_sound(tmp_path, name):
    (tmp_path / "script.sh").write_text(script(name))
    subprocess.run(["shellcheck", str(tmp_path / "script.sh")], check=True)


def test_the_single_form_has_none_of_it():
    found = {(one["kind"], one["metadata"]["name"]) for one in manifests(cluster(), only=("object_store",))}
    assert {name for _kind, name in found} == {NAME}
    data = next(one for one in manifests(cluster(), only=("object_store",)) if one["kind"] == "ConfigMap")["data"]
    assert set(data) == {"master.toml", "seaweedfs-before-start.sh", "seaweedfs-synced.sh", "weed-shell.sh"}
    assert "volume.fix.replication" not in data["master.toml"] and " -s3 127.0.0.1:18333 " in data["master.toml"]

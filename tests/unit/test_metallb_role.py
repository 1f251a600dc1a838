"""The role metallb as a playbook, against a stand-in for an API server (lib.metallb_cluster) and the real manifests of MetalLB."""

from __future__ import annotations

import base64
import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lib import custom_resources
from lib.long_tests import LONG
from lib.metallb_cluster import HOME, MetalLbCluster
from lib.render import Roles

ROOT = Path(__file__).resolve().parents[2]
MIRROR = custom_resources.MIRROR
pytestmark = pytest.mark.skipif(
    not custom_resources.metallb().is_file(), reason="no mirror with MetalLB's manifests lies beside the repository (../shared/mirror)"
)
PLAY = [{"hosts": "all", "gather_facts": False, "roles": ["mlops.platform.metallb"]}]
POOL = {"metallb_pool": ["192.0.2.240-192.0.2.250"]}
PEER = {"name": "router", "myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1", "password": "a-routers-password"}
OLD_CONFIG = """
peers:
- {peer-address: 192.0.2.1, peer-asn: 64501, my-asn: 64500, password: an-old-password, hold-time: 30s}
bgp-communities: {no-advertise: '65535:65282'}
address-pools:
- {name: Office Net, protocol: layer2, addresses: [192.0.2.200-192.0.2.210], auto-assign: false}
- name: far
  protocol: bgp
  addresses: [198.51.100.0/28]
  avoid-buggy-ips: true
  bgp-advertisements:
  - {aggregation-length: 32, localpref: 100, communities: [no-advertise]}
  - {aggregation-length: 28}
"""


def manifest(name):
    path = MIRROR / Roles().value(f"mlops_downloads.metallb_{name}.path")
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


@pytest.fixture
def server(request):
    found = MetalLbCluster(**getattr(request, "param", {}))
    yield found
    found.close()


class Play:
    """Runs the role. `ok` is whether it ended well, `text` what was printed, `changed` how many tasks changed something."""

    def __init__(self, server, tmp_path, *arguments, play=None, **variables):
        (tmp_path / "play.yml").write_text(yaml.safe_dump(play or PLAY))
        given = {
            "mlops_substrate": "kubernetes",
            "mlops_kube": server.params,
            "mlops_mirror": f"file://{MIRROR}",
            "ansible_python_interpreter": sys.executable,
            "ansible_facts": {"python": {"executable": sys.executable}},
            "metallb_webhook_timeout": 10,
            **variables,
        }
        environment = {**os.environ, "TMPDIR": str(tmp_path), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        program = Path(sys.executable).with_name("ansible-playbook")
        done = subprocess.run(
            [program, "-i", "mlops,", "-c", "local", tmp_path / "play.yml", "-e", json.dumps(given), *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
            timeout=600,
            check=False,
        )
        self.ok, self.text = done.returncode == 0, done.stdout + done.stderr
        recap = self.text.rpartition("changed=")[2]
        self.changed = int(recap.split()[0]) if recap[:1].isdigit() else -1

    def well(self):
        """Return itself; raises AssertionError where it did not end well."""
        assert self.ok, self.text[-6000:]
        return self


def old(server, config=OLD_CONFIG):
    """Have MetalLB 0.12 there, as kubectl has installed it, and a ConfigMap that somebody wrote."""
    server.put("v1", "Namespace", HOME, None)
    server.put_all(manifest("old"))
    server.put("v1", "ConfigMap", "config", data={"config": config})


def spec(server, kind, name):
    return server.get(kind, name)["spec"]


def test_it_is_installed_and_configured_predicted_repeated_pruned_and_removed(server, tmp_path):
    predicted = Play(server, tmp_path, "--check", "--diff", **POOL).well()
    assert not server.written and predicted.changed == 1
    assert "IPAddressPool default" in predicted.text and "DaemonSet speaker" in predicted.text

    server.silent = 1
    first = Play(server, tmp_path, "--diff", **POOL).well()
    assert spec(server, "IPAddressPool", "default") == {"addresses": POOL["metallb_pool"], "autoAssign": True, "avoidBuggyIPs": False}
    assert spec(server, "L2Advertisement", "default") == {"ipAddressPools": ["default"]}
    kinds = [kind for _what, kind, _name in server.written]
    # nothing of its settings before everything of MetalLB, and the webhook was asked until it answered
    assert kinds.index("IPAddressPool") > max(
        kinds.index("Deployment"), kinds.index("DaemonSet"), kinds.index("ValidatingWebhookConfiguration")
    )
    assert server.silent == 0
    assert first.changed > 0
    levels = server.get("Namespace", HOME, None)["metadata"]["labels"]
    assert {levels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"privileged"}

    server.written.clear()
    second = Play(server, tmp_path, "--diff", **POOL).well()
    assert (second.changed, server.written) == (0, [])
    # the authority that MetalLB's controller writes into its webhook is its own
    assert server.get("ValidatingWebhookConfiguration", "metallb-webhook-configuration", None)["webhooks"][0]["clientConfig"]["caBundle"]

    server.put("v1", "Service", "web", "team", spec={}, status={"loadBalancer": {"ingress": [{"ip": "192.0.2.241"}]}})
    server.put("metallb.io/v1beta1", "IPAddressPool", "of-others", spec={"addresses": ["192.0.2.100/32"]})
    more = {"metallb_pools": [{"name": "more", "addresses": ["192.0.2.16/30"], "auto_assign": False}]}
    checked = Play(server, tmp_path, "--check", "--diff", metallb_pool=["192.0.2.230-192.0.2.250"], **more).well()
    assert not server.written and checked.changed == 1
    assert "192.0.2.230-192.0.2.250" in checked.text
    changed = Play(server, tmp_path, **more).well()
    assert server.names("IPAddressPool") == {"more", "of-others"} and server.names("L2Advertisement") == {"more"}
    assert "the address of the Service team/web" in changed.text

    refused = Play(server, tmp_path, metallb_state="absent", **more)
    assert not refused.ok and "IPAddressPool of-others" in refused.text
    server.objects.pop(("IPAddressPool", HOME, "of-others"))
    Play(server, tmp_path, metallb_state="absent", **more).well()
    assert {kind for kind, _namespace, _name in server.objects} == {"Node", "Service"}
    assert Play(server, tmp_path, metallb_state="absent", **more).well().changed == 0


def test_pools_that_cannot_be_are_refused_all_at_once_before_anything_is_touched(server, tmp_path):
    pools = [{"name": "a", "addresses": ["192.0.2.10-192.0.2.12", "10.44.1.0/28"]}, {"name": "b", "addresses": ["192.0.2.9-192.0.2.1"]}]
    run = Play(server, tmp_path, metallb_pools=pools, metallb_version="0.16.2")
    assert not run.ok and not server.written
    for words in (
        "192.0.2.11, an address of the node vm1",
        "the pods' network of the node vm1",
        "ends before it begins",
        "metallb_manifest_sha256",
    ):
        assert words in run.text


@LONG
def test_what_the_webhook_refuses_is_told_at_once_and_no_pool_is_changed(server, tmp_path):
    given = {"metallb_pool": ["203.0.113.0/28"], "metallb_pool_outside": True}
    run = Play(server, tmp_path, **given)
    assert not run.ok and "the tests' network 203.0.113.0/28 is refused" in run.text
    assert not server.names("IPAddressPool")


@LONG
def test_a_webhook_that_never_answers_is_told_in_the_servers_words(server, tmp_path):
    server.silent = 10**6
    run = Play(server, tmp_path, metallb_webhook_timeout=5, **POOL)
    assert not run.ok and "no pool was changed" in run.text and "connection refused" in run.text
    assert not server.names("IPAddressPool")


@LONG
def test_a_routers_password_goes_into_a_secret_and_is_never_shown(server, tmp_path):
    pools = [
        {
            "name": "far",
            "addresses": ["198.51.100.0/28"],
            "protocol": "bgp",
            "advertisements": [{"localPref": 100}, {"aggregationLength": 28}],
        }
    ]
    given = {
        "metallb_mode": "frr",
        "metallb_pools": pools,
        "metallb_peers": [PEER],
        "metallb_bfd_profiles": [{"name": "fast", "echoMode": True}],
    }
    run = Play(server, tmp_path, "-vvv", "--diff", **given).well()
    assert (
        PEER["password"] not in run.text.replace(json.dumps(PEER["password"]), "")
        or PEER["password"] not in run.text.partition("PLAY [")[2]
    )
    assert base64.b64encode(PEER["password"].encode()).decode() not in run.text
    assert spec(server, "BGPPeer", "router")["passwordSecret"] == {"name": "bgp-password-router", "namespace": HOME}
    secret = server.get("Secret", "bgp-password-router")
    assert (secret["type"], base64.b64decode(secret["data"]["password"]).decode()) == ("kubernetes.io/basic-auth", PEER["password"])
    assert {name: spec(server, "BGPAdvertisement", name) for name in server.names("BGPAdvertisement")} == {
        "far": {"ipAddressPools": ["far"], "localPref": 100},
        "far-2": {"ipAddressPools": ["far"], "aggregationLength": 28},
    }
    assert {one["name"] for one in spec(server, "DaemonSet", "speaker")["template"]["spec"]["containers"]} > {"frr", "speaker"}
    assert Play(server, tmp_path, **given).well().changed == 0


@LONG
@pytest.mark.parametrize("server", [{"version": "1.24"}], indirect=True)
def test_the_generation_of_the_configmap_is_converted(server, tmp_path):
    old(server)
    before = copy.deepcopy(server.get("Service", "kubernetes", "default"))
    run = Play(server, tmp_path, **POOL).well()
    assert "pool office-net: 192.0.2.200-192.0.2.210 (layer2)" in run.text and "an-old-password" not in run.text
    assert spec(server, "IPAddressPool", "office-net") == {
        "addresses": ["192.0.2.200-192.0.2.210"],
        "autoAssign": False,
        "avoidBuggyIPs": False,
    }
    assert spec(server, "IPAddressPool", "far")["avoidBuggyIPs"] is True
    assert spec(server, "BGPAdvertisement", "far") == {
        "ipAddressPools": ["far"],
        "aggregationLength": 32,
        "localPref": 100,
        "communities": ["65535:65282"],
    }
    peer = spec(server, "BGPPeer", "peer-192-0-2-1")
    assert (peer["holdTime"], peer["passwordSecret"]["name"]) == ("30s", "bgp-password-peer-192-0-2-1")
    assert server.names("IPAddressPool") == {"default", "office-net", "far"}
    # nothing is left of what was before, and nobody had to wait without a speaker: its pods were handed over
    assert not server.names("PodSecurityPolicy") and "config-watcher" not in server.names("Role") | server.names("RoleBinding")
    assert server.get("ConfigMap", "config") is None
    orphaned = [asked.body for asked in server.asked if asked.method == "DELETE" and asked.path.endswith(("/speaker", "/controller"))]
    assert [body["propagationPolicy"] for body in orphaned[:2]] == ["Orphan", "Orphan"]
    for kind in ("Deployment", "DaemonSet"):
        (name,) = server.names(kind)
        (container,) = spec(server, kind, name)["template"]["spec"]["containers"]
        assert "--config=config" not in container["args"] and container["image"].endswith(":v0.16.1")
    assert server.get("Service", "kubernetes", "default") == before
    # they belong to whoever wrote the ConfigMap
    server.written.clear()
    again = Play(server, tmp_path, **POOL).well()
    assert (again.changed, server.written) == (0, []) and server.names("IPAddressPool") == {"default", "office-net", "far"}


@LONG
@pytest.mark.parametrize("server", [{"version": "1.24"}], indirect=True)
def test_the_generation_of_the_configmap_still_works(server, tmp_path):
    given = {"metallb_version": "0.12.1", **POOL, "metallb_pools": [{"name": "more", "addresses": ["192.0.2.16/30"], "auto_assign": False}]}
    assert Play(server, tmp_path, "--check", "--diff", **given).well().changed == 1
    assert not server.written
    run = Play(server, tmp_path, "--diff", **given).well()
    config = yaml.safe_load(server.get("ConfigMap", "config")["data"]["config"])
    assert config == {
        "address-pools": [
            {"name": "default", "protocol": "layer2", "addresses": POOL["metallb_pool"]},
            {"name": "more", "protocol": "layer2", "addresses": ["192.0.2.16/30"], "auto-assign": False},
        ]
    }
    key = server.get("Secret", "memberlist")["data"]["secretkey"]
    assert len(base64.b64decode(key)) == 128 and base64.b64decode(key).decode() not in run.text
    assert server.names("PodSecurityPolicy") == {"controller", "speaker"}
    server.written.clear()
    assert Play(server, tmp_path, **given).well().changed == 0 and not server.written
    assert server.get("Secret", "memberlist")["data"]["secretkey"] == key
    # one generation up: its ConfigMap was ours, and so are the pools
    Play(server, tmp_path, **{**given, "metallb_version": "0.16.1"}).well()
    assert server.names("IPAddressPool") == {"default", "more"} and server.get("ConfigMap", "config") is None
    assert server.get("Secret", "memberlist")["data"]["secretkey"] == key


@LONG
def test_a_metallb_that_others_keep_gets_its_pools_alone(server, tmp_path):
    server.put("v1", "Namespace", "balancer", None)
    server.put(
        "apps/v1", "Deployment", "metallb-controller", "balancer", {"app.kubernetes.io/name": "metallb"}, spec={"template": {"spec": {}}}
    )
    server.put_all(one for one in manifest("native") if one["kind"] == "CustomResourceDefinition")
    server.written.clear()
    given = {**POOL, "metallb_manage": False, "metallb_namespace": "balancer"}
    Play(server, tmp_path, **given).well()
    assert {(kind, name) for _what, kind, name in server.written} == {("IPAddressPool", "default"), ("L2Advertisement", "default")}
    assert Play(server, tmp_path, **given).well().changed == 0


@LONG
def test_preflight_tells_what_is_wrong_with_pools_beside_everything_else(server, tmp_path):
    play = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.import_role": {"name": "mlops.platform.preflight"}}]}]
    others = [
        {"ansible.builtin.import_role": {"name": f"mlops.platform.{name}"}, "when": False}
        for name in ("postgresql", "object_store", "mlflow")
    ]
    play[0]["tasks"] += others
    run = Play(server, tmp_path, play=play, metallb_pool=["192.0.2.10-192.0.2.12"], metallb_mode="ospf", mlflow_replicas=0)
    assert not run.ok and not server.written
    assert "192.0.2.11, an address of the node vm1" in run.text and "mlflow_replicas is below 1" in run.text
    assert "metallb_mode must be one of: native, frr" in run.text

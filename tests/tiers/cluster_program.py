"""Where the program is that gives the tests a Kubernetes cluster, and whether it can be used here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import yaml
from results import ROOT, Failed

PROGRAM = Path(os.environ.get("MLOPS_TEST_KUBE") or ROOT.parent / "shared" / "kube" / "kube")
# manifests of other projects, in their hosts' layout
MIRROR = PROGRAM.parents[1] / "mirror"
# kinds that the platform makes objects of where a cluster serves them
DEFINITIONS = "raw.githubusercontent.com/prometheus-operator/prometheus-operator/*/example/prometheus-operator-crd/*_{}.yaml"
SERVED = ("servicemonitors", "podmonitors")
# as the program itself says
STATE = Path(os.environ.get("KUBE_HOME") or "/var/lib/test-kube")
CONFIG = STATE / "admin.kubeconfig"


def obstacle() -> str:
    """Return why no cluster can be made here, or an empty string."""
    if os.geteuid() != 0:
        return "needs root, to make a Kubernetes cluster; KUBECONFIG can name one"
    if not os.access(PROGRAM, os.X_OK):
        return "the program that makes a Kubernetes cluster is not here; KUBECONFIG can name a cluster, MLOPS_TEST_KUBE the program"
    if not shutil.which("apt-get"):
        return "needs apt, to compile Kubernetes from Debian's source package; KUBECONFIG can name a cluster"
    return ""


def call(*arguments: object) -> str:
    """Run the program and return what it printed. Raises Failed."""
    # tests that install packages run at the same time: apt waits for its lock instead of failing
    environ = {**os.environ, "APT_CONFIG": str(Path(__file__).with_name("apt.conf"))}
    command = ["nice", "-n", "10", str(PROGRAM), *map(str, arguments)]
    done = subprocess.run(command, env=environ, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failed(f"`{' '.join(command[3:])}` ended with {done.returncode}; see the tier's log")
    return done.stdout


def build() -> None:
    """Compile Kubernetes, which takes minutes the first time. Raises Failed."""
    call("build")


def runs() -> bool:
    """Return whether the cluster is up: somebody else's, if this program did not start it."""
    try:
        return Path(f"/proc/{int((STATE / 'pid' / 'kubelet').read_text())}").exists()
    except (OSError, ValueError):
        return False


def load(archive: Path) -> None:
    """Import an image archive into the node. Raises Failed."""
    call("load", archive)


def without_empty_defaults(schema: object) -> object:
    """Return `schema` without `default: ""`, which Kubernetes 1.20 reads as null and then refuses."""
    if isinstance(schema, dict):
        return {key: without_empty_defaults(value) for key, value in schema.items() if not (key == "default" and value == "")}
    return [without_empty_defaults(one) for one in schema] if isinstance(schema, list) else schema


def define() -> None:
    """Have the cluster serve the kinds of the Prometheus operator, from its own manifests. Raises Failed."""
    from kubernetes import client, config
    from kubernetes.client.rest import ApiException

    api = client.ApiextensionsV1Api(config.new_client_from_config(config_file=str(CONFIG)))
    for kind in SERVED:
        found = sorted(MIRROR.glob(DEFINITIONS.format(kind)))
        if not found:
            print(f"no definition of {kind} in {MIRROR.name}/: the cluster does not serve them")
            continue
        try:
            api.create_custom_resource_definition(without_empty_defaults(yaml.safe_load(found[-1].read_text(encoding="utf-8"))))
        except ApiException as error:
            if error.status != 409:
                raise Failed(f"{found[-1].name}: {error.reason}: {error.body}") from None

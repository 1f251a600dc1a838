"""A bundle is made with a network, and everything is installed from it where there is none: only loopback, in a namespace of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lib.air_gap import MIRROR, ROOT, SHARED, gap, make_internet, served
from lib.long_tests import LONG
from lib.platform import Platform, remove_user, user_exists
from lib.platform_secrets import as_variables

# Ansible's, and the one that services run with where root's cannot be run by them
PYTHONS = {
    subprocess.run(
        [program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for program in (sys.executable, "/usr/bin/python3")
}
VERSION = yaml.safe_load((ROOT / "roles" / "k3s" / "defaults" / "main.yml").read_text(encoding="utf-8"))["k3s_version"]
PROGRAM = Path(sys.executable).with_name("ansible-playbook")

pytestmark = [
    LONG,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root"),
    pytest.mark.skipif(not (MIRROR.is_file() and SHARED.is_dir()), reason="the releases that stand for GitHub's are not here"),
]


def make(directory, url, *arguments, **more):
    """Run playbooks/airgap.yml for this machine; return its output. Wheels come from PyPI itself."""
    variables = {
        "airgap_dir": str(directory),
        "airgap_pythons": sorted(PYTHONS),
        "airgap_machines": [os.uname().machine],
        # nothing that can be had here has the checksum of k3d
        "airgap_parts": ["k3s", "manifests", "images", "wheels", "collections"],
        "mlops_mirror": url,
        "mlops_pip_args": ["--index-url", os.environ.get("MLOPS_TEST_INDEX", "https://pypi.org/simple")],
        "k3s_airgap_images": "tar.gz",
        **more,
    }
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    command = [PROGRAM, "playbooks/airgap.yml", "-e", json.dumps(variables), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=1800)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle for this machine."""
    given = os.environ.get("MLOPS_TEST_BUNDLE")
    directory, internet = Path(given) if given else tmp_path_factory.mktemp("bundle"), tmp_path_factory.mktemp("internet")
    make_internet(internet, VERSION)
    with served(internet) as server:
        first = make(directory, server.url)
        assert first.returncode == 0, first.stdout[-4000:] + first.stderr
        server.requests.clear()
        second = make(directory, server.url, airgap_parts=["k3s", "manifests", "wheels", "collections"])
        assert "changed=0 " in second.stdout, second.stdout[-4000:]
        assert server.requests == []
    directory.chmod(0o755)
    yield directory
    if not given:
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def nowhere(bundle):
    """A network without a way out, and the platform's playbooks unpacked from the bundle."""
    with gap() as namespace:
        clone = bundle.with_name("unpacked")
        try:
            done = namespace.run("sh", bundle / "unpack.sh", clone)
            assert done.returncode == 0, done.stdout
            yield namespace, clone
        finally:
            shutil.rmtree(clone, ignore_errors=True)


def test_there_is_no_way_out(nowhere):
    namespace, _clone = nowhere
    routes = namespace.run("ip", "route").stdout.split()
    assert routes == []
    asked = namespace.run(sys.executable, "-c", "import urllib.request; urllib.request.urlopen('https://pypi.org', timeout=10)")
    assert asked.returncode != 0


def test_the_platform_is_installed_from_the_bundle_alone(bundle, nowhere):
    namespace, clone = nowhere
    had_user = user_exists()
    platform = Platform.new(name="mlops-test-gap")
    variables = platform.scratch / "variables.yml"
    variables.touch(mode=0o600)
    variables.write_text(as_variables({**platform.variables, "mlops_bundle": str(bundle)}), encoding="utf-8")

    def play(playbook, *arguments):
        command = [clone / "scripts/bootstrap", "controller", "ansible-playbook", playbook, "-e", f"@{variables}", *arguments]
        return namespace.run(*command, MLOPS_MIRROR=f"file://{bundle}")

    try:
        first = play("site.yml")
        assert first.returncode == 0, first.stdout[-6000:]
        assert "Retrying" not in first.stdout
        # the tests' own Ansible had no part in it
        assert f"{clone}/.venv" in (clone / ".venv/bin/ansible-playbook").read_text(encoding="utf-8").splitlines()[0]
        assert platform.processes()
        second = play("site.yml")
        assert second.returncode == 0 and " changed=0 " in second.stdout, second.stdout[-6000:]
        verified = play("playbooks/verify.yml")
        assert verified.returncode == 0, verified.stdout[-6000:]
    finally:
        removed = play("playbooks/reset.yml", "-e", f"mlops_reset_confirm={platform.data_dir}")
        left = platform.data_dir.exists()
        for path in (platform.data_dir, platform.scratch):
            shutil.rmtree(path, ignore_errors=True)
        if not had_user:
            remove_user()
    assert removed.returncode == 0 and not left, removed.stdout[-3000:]


@pytest.mark.parametrize("way", ["file", "directory", "server"])
def test_k3s_is_installed_from_the_bundle_alone(bundle, nowhere, tmp_path, way):
    """Through the role's own variables, on file systems of its own in place of those that K3s is installed to."""
    namespace, clone = nowhere
    url = {"file": f"file://{bundle}", "directory": "", "server": "http://127.0.0.1:8000"}[way]
    (tmp_path / "play.yml").write_text(
        yaml.safe_dump(
            [
                {
                    "hosts": "localhost",
                    "connection": "local",
                    "gather_facts": False,
                    "vars": {
                        "k3s_data_dir": str(tmp_path / "data"),
                        **({"mlops_mirror": url, "k3s_airgap_images": "tar.gz"} if url else {"mlops_bundle": str(bundle)}),
                    },
                    "tasks": [
                        # what tells the second run that the first one installed it
                        {
                            "mlops.platform.k3s_info": {"data_dir": str(tmp_path / "data")},
                            "register": "k3s_state",
                        },
                        {"ansible.builtin.import_role": {"name": "mlops.platform.k3s", "tasks_from": "release"}},
                        # what was installed is found again
                        {"ansible.builtin.command": {"argv": ["k3s", "--version"]}, "changed_when": False, "register": "said"},
                        {"ansible.builtin.assert": {"that": "k3s_version in said.stdout"}},
                    ],
                }
            ]
        )
    )
    script = "for one in /usr/local/bin /usr/local/share /var/lib/mlops-k3s-release; do mkdir -p $one; mount -t tmpfs none $one; done\n"
    if way == "server":
        script += f"python3 -m http.server --bind 127.0.0.1 --directory {bundle} 8000 >/dev/null 2>&1 &\ntrap 'kill $!' EXIT\n"
        script += "until (: </dev/tcp/127.0.0.1/8000) 2>/dev/null; do sleep 0.1; done\n"
    script += f"for run in 1 2; do {PROGRAM} {tmp_path}/play.yml || exit; done\n"
    environment = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "PATH": f"/usr/local/bin:{os.environ['PATH']}"}
    # a place to mount to; what is in there goes with the namespace
    place, was_there = Path("/var/lib/mlops-k3s-release"), Path("/var/lib/mlops-k3s-release").exists()
    done = namespace.run("unshare", "--mount", "bash", "-c", script, **environment)
    if place.exists() and not was_there:
        place.rmdir()
    assert done.returncode == 0, done.stdout
    recaps = [line for line in done.stdout.splitlines() if "changed=" in line]
    assert len(recaps) == 2 and " changed=0 " in recaps[1] and " changed=0 " not in recaps[0], done.stdout
    assert (tmp_path / "data" / "agent" / "images").is_dir()

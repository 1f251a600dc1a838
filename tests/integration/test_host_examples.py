"""The EXAMPLES of the modules for hosts: at -vvv, and with an eye on the secrets. Their directories lie below one of the test's own."""

from __future__ import annotations

import getpass
import os
import re
import stat
import subprocess
import sys
import threading

from lib.examples import examples, play


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_secret_files(tmp_path):
    secret, directory = f"planted-{os.urandom(8).hex()}", tmp_path / "secrets"
    given = {"secrets_directory": str(directory), "admin_password": secret}
    for changed in (1, 0):
        code, output, counters = play(tmp_path, examples("secret_files"), given)
        assert code == 0, output
        assert (counters["ok"], counters["changed"]) == (1, changed)
        assert not [path.name for path in directory.iterdir() if path.read_text(encoding="utf-8").strip() in output]
    assert {path.name for path in directory.iterdir()} == {"database_password", "signing_key", "admin_password"}
    assert (directory / "admin_password").read_text(encoding="utf-8").strip() == secret
    assert {mode(path) for path in directory.iterdir()} == {0o600}


def test_host_files(tmp_path):
    secret, directory = f"planted-{os.urandom(8).hex()}", tmp_path / "service"
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/service.conf.j2").write_text("user = {{ service_user }}\n", encoding="utf-8")
    (tmp_path / "templates/service.env.j2").write_text("PASSWORD={{ service_password }}\n", encoding="utf-8")
    given = {"service_user": getpass.getuser(), "service_directory": str(directory), "service_password": secret}
    for changed in (1, 0):
        code, output, counters = play(tmp_path, examples("host_files"), given)
        assert code == 0, output
        assert (counters["ok"], counters["changed"]) == (1, changed)
        assert secret not in output
        # the other file's diff is shown
        assert (f"+user = {given['service_user']}" in output) is bool(changed)
    assert (directory / "service.env").read_text(encoding="utf-8").strip() == f"PASSWORD={secret}"
    assert mode(directory / "service.env") == 0o600


def test_host_processes(tmp_path):
    """On an installation of the test's own, whose only process ends while the second task waits for that."""
    folder = tmp_path / "mlops"
    folder.mkdir()
    lists, waits = examples("host_processes").replace("/var/lib/mlops", str(folder)).split("\n\n")
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], cwd=folder, stdin=subprocess.PIPE) as process:
        code, output, counters = play(tmp_path, lists, {})
        assert code == 0, output
        assert f'"pid": {process.pid}' in output
        threading.Timer(3, process.stdin.close).start()
        # the parent has to collect it: /proc keeps a dead child until then
        threading.Thread(target=process.wait, daemon=True).start()
        code, output, counters = play(tmp_path, waits, {})
        assert code == 0, output
        assert (counters["ok"], counters["changed"]) == (1, 0)
        assert process.poll() == 0


def test_host_preflight(tmp_path):
    """Of this host, whatever it is: the module changes nothing. Either nothing stands in the way, or the second task says all that does."""
    code, output, counters = play(tmp_path, examples("host_preflight"), {})
    assert counters["changed"] == 0
    problems = re.search(r'"problems": \[(.*?)\]', output, re.DOTALL).group(1)
    if code == 0:
        assert counters["ok"] == 2 and not problems.strip()
    else:
        assert (counters["ok"], counters["failed"]) == (1, 1), output
        whats = re.findall(r'"what": "((?:[^"\\]|\\.)*)"', problems)
        stopped = output.rpartition("fatal: ")[2]
        assert whats and all(what in stopped for what in whats), output

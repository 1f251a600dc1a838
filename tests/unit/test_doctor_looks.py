"""What the doctor sees: service managers, files, certificates and backups, read from stand-ins for them; and what a bundle is made of."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import tarfile
import threading
import time
import xmlrpc.client
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import (
    doctor_backup,
    doctor_files,
    doctor_host,
    doctor_look,
    doctor_mlflow,
    doctor_network,
    doctor_services,
    doctor_support,
    doctor_tls,
)
from lib.certificates import make_certificate
from lib.doctor_facts import PLAN
from lib.modules import run_in_process


def test_ends_of_services_are_counted_in_the_supervisors_log():
    now = time.mktime(time.strptime("2026-11-29 12:00:00", "%Y-%m-%d %H:%M:%S"))
    line = "2026-11-29 {},123 WARN exited: {} (exit status 1; not expected)\n"
    text = "".join(
        line.format(moment, name) for moment, name in [("11:00:00", "a"), ("11:58:00", "a"), ("11:59:00", "a"), ("11:59:30", "b")]
    )
    assert doctor_services.ends(text, now) == {"a": 2, "b": 1}
    assert doctor_services.ends(None, now) == {}


def test_states_are_read_from_the_supervisor(tmp_path):
    (tmp_path / "run").mkdir()
    listed = [{"name": "postgresql", "statename": "RUNNING", "now": 100, "start": 40, "spawnerr": "", "description": "pid 7"}]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "run" / "supervisor.sock"))
        server.listen()

        def answer():
            link = server.accept()[0]
            asked = b""
            while b"</methodCall>" not in asked:
                asked += link.recv(65536)
            body = xmlrpc.client.dumps((listed,), methodresponse=True).encode()
            link.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            link.close()

        thread = threading.Thread(target=answer)
        thread.start()
        found = doctor_services.supervised(str(tmp_path), ["postgresql", "other"])
        thread.join()
    assert found["manager"]["alive"] and found["states"] == {"postgresql": {"state": "RUNNING", "seconds": 60, "ends": 0, "said": "pid 7"}}
    assert doctor_services.supervised(str(tmp_path / "none"), [])["manager"]["alive"] is False


def test_states_are_read_from_systemd(monkeypatch):
    text = (
        "Id=mlops-a.service\nLoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nNRestarts=0\nActiveEnterTimestampMonotonic=1\n\n"
        "Id=mlops-b.service\nLoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\nNRestarts=7\n\n"
        "Id=mlops-c.service\nLoadState=loaded\nActiveState=inactive\nSubState=dead\nResult=success\nNRestarts=0\n\n"
        "Id=mlops-d.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n"
    )
    monkeypatch.setattr(doctor_services, "output", lambda argv, **more: (0, text, ""))
    found = doctor_services.under_systemd(["a", "b", "c", "d"])
    assert {name: one["state"] for name, one in found["states"].items()} == {"a": "RUNNING", "b": "BACKOFF", "c": "STOPPED"}
    assert found["states"]["b"]["ends"] == 7
    monkeypatch.setattr(doctor_services, "output", lambda argv, **more: (1, "", "Failed to connect to bus"))
    assert doctor_services.under_systemd(["a"])["manager"] == {"alive": False, "said": "Failed to connect to bus"}


def test_files_that_changed_since_a_start(tmp_path):
    (tmp_path / "run").mkdir()
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    stamp = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}\n" for path in (one, two))
    (tmp_path / "run" / "a.started").write_text(stamp)
    assert doctor_services.changed_since(str(tmp_path), "a") == [] == doctor_services.changed_since(str(tmp_path), "none")
    one.write_text("3")
    two.unlink()
    assert doctor_services.changed_since(str(tmp_path), "a") == [str(one), str(two)]


def test_a_files_end_begins_with_a_whole_line(tmp_path):
    path = tmp_path / "log"
    path.write_text("first line with a secret\nsecond\nthird\n")
    assert doctor_look.read(path, 20) == "second\nthird\n" and doctor_look.read(path) == path.read_text()
    assert doctor_look.read(path, 10**6) == path.read_text() and doctor_look.read(tmp_path / "none") is None


def test_the_kernels_files_are_read():
    assert doctor_host.memory(doctor_look.read("/proc/meminfo"))["MemAvailable"] > 0


def test_environment_files_are_read_as_they_are_written():
    assert doctor_look.environment('# managed\nA="x \\"y\\" \\$z \\\\"\nB=""\n') == {"A": 'x "y" $z \\', "B": ""}


def test_secret_files_and_modes_are_seen(tmp_path):
    for name in ("secrets/one", "etc/mlflow.env", "etc/seaweedfs/s3.json", "tls/ca.key", "tls/ca.crt", "etc/postgresql/pg_hba.conf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x" if name != "secrets/one" else "\n")
        (tmp_path / name).chmod(0o640)
    facts = doctor_files.look({**PLAN, "data_dir": str(tmp_path), "secrets": ["one", "two"]})
    assert set(facts["secret"]) == {"secrets/one", "secrets/two", "etc/mlflow.env", "etc/seaweedfs/s3.json", "tls/ca.key"}
    assert facts["secret"]["secrets/one"]["mode"] == 0o640 and facts["secret"]["secrets/two"] is None
    assert facts["empty"]["secrets/one"] is True and facts["empty"]["secrets/two"] == "No such file or directory"


def test_what_runs_that_were_killed_leave(tmp_path):
    for name in ("secrets/a.previous", "postgresql/18.new/x", "run/backup.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"pid": 2**30, "what": "drill"}))
    assert doctor_host.leftovers(str(tmp_path)) == ["postgresql/18.new", "secrets/a.previous"]
    assert doctor_host.locks(str(tmp_path)) == [{"path": "run/backup.lock", "pid": 2**30, "what": "drill"}]
    (tmp_path / "run/backup.lock").write_text(json.dumps({"pid": os.getpid(), "what": "drill"}))
    assert doctor_host.locks(str(tmp_path)) == []


def test_names_are_resolved_and_addresses_recognised():
    assert doctor_network.resolve("nowhere.invalid")[0] == [] and doctor_network.resolve("nowhere.invalid")[1]
    assert doctor_network.is_own("127.0.0.1") and not doctor_network.is_own("192.0.2.1")
    assert not doctor_network.is_public("127.0.0.1") and doctor_network.is_public("0.0.0.0")


def test_certificates_are_read_as_they_are(tmp_path):
    authority = make_certificate(tmp_path, "authority", days=(-1, 90))
    path, _certificate, _key = make_certificate(tmp_path, "server", issuer=authority, names=("ml.example.org", "127.0.0.1"), days=(-1, 9))
    where = {"given": False, "path": str(path), "key": str(path.with_suffix(".key")), "ca": str(authority[0])}
    plan = {**PLAN, "certificate": where, "bind_address": "127.0.0.1", "https_port": 1}
    facts = doctor_tls.look(plan)
    assert facts["certificate"]["names"] == ["ml.example.org", "127.0.0.1"] and facts["signed"] is True
    assert facts["key"] == facts["certificate"]["key"] and facts["served"]["sha256"] is None
    other = make_certificate(tmp_path, "other")
    assert doctor_tls.look({**plan, "certificate": {**where, "ca": str(other[0])}})["signed"] is False
    # a given pair is in one file
    both = tmp_path / "both.pem"
    both.write_bytes(path.read_bytes() + path.with_suffix(".key").read_bytes())
    assert doctor_tls.loaded(str(both), doctor_tls.key)[0] == facts["key"]
    assert doctor_tls.loaded(str(path), doctor_tls.key) == (None, "it is not what its name says")
    assert doctor_tls.loaded(str(tmp_path / "none"), doctor_tls.key) == (None, "No such file or directory")


@pytest.mark.parametrize(
    "name, matched", [("a.example.org", True), ("A.example.org.", True), ("a.b.example.org", False), ("::1", True), ("10.0.0.1", False)]
)
def test_a_certificates_names(name, matched):
    assert doctor_tls.matches(name, ["*.example.org", "::1"]) is matched


def test_backups_tell_how_the_data_grow(tmp_path):
    for number, day in enumerate(("01", "03")):
        folder = tmp_path / "123" / "backups" / f"b{number}"
        folder.mkdir(parents=True)
        manifest = {
            "point": {"time": f"2026-11-{day}T00:00:00Z"},
            "database": {"size": 100},
            "objects": {"bytes": 1000 * number},
            "files": {},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "123" / "backups" / "damaged").mkdir()
    (tmp_path / "123" / "backups" / "damaged" / "manifest.json").write_text("{")
    found = doctor_backup.history(str(tmp_path))
    assert [size for _moment, size in found] == [100, 1100] and found[1][0] - found[0][0] == 2 * 86400
    assert doctor_backup.metrics("# HELP a b\nmlops_backup_count 3\nother 1\n") == {"mlops_backup_count": 3.0}


class Strict(BaseHTTPRequestHandler):
    """Answers as MLflow does to a Host header that it does not know."""

    def do_GET(self):
        known = self.headers["Host"] == "known:1"
        body = b"OK" if known else b"Invalid Host header - possible DNS rebinding attack detected"
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_unused):
        pass


def test_http_is_asked_with_a_host_header_and_a_limit_of_time():
    server = HTTPServer(("127.0.0.1", 0), Strict)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    assert doctor_look.get("127.0.0.1", port, "/", ("a", "b"), "known:1")["status"] == 200
    refused = doctor_look.get("127.0.0.1", port, "/", None, "other:1")
    assert refused["status"] == 403 and "Invalid Host header" in refused["said"]
    server.shutdown()
    server.server_close()
    assert doctor_look.get("127.0.0.1", port, "/")["said"] == "Connection refused"
    assert doctor_mlflow.host_headers({"https_port": 443}, "::1") == ["[::1]:443", "[::1]"]


def test_commands_that_are_not_there_or_do_not_end_have_words():
    assert doctor_look.output(["no-such-program"]) == (None, "", "No such file or directory")
    code, _text, said = doctor_look.output(["sleep", "9"], timeout=0.1)
    assert code is None and "timed out" in said


def test_a_listing_shows_modes_and_no_content(tmp_path):
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "one").write_text("the secret itself")
    (tmp_path / "runtime" / "env" / "deep").mkdir(parents=True)
    text = doctor_support.listing(str(tmp_path))
    assert "secrets/one" in text and "drwx------" in text and "itself" not in text
    assert "runtime/env" in text and "runtime/env/deep" not in text


def test_the_archive_is_private_and_whole(tmp_path):
    path = tmp_path / "b.tar.gz"
    files = {"doctor.json": "{}\n", "log/a.log": "ü\n"}
    assert run_in_process("doctor_archive", {"path": str(path), "files": files}, check=True)["changed"] and not path.exists()
    assert run_in_process("doctor_archive", {"path": str(path), "files": files})["path"] == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        assert {one.name: archive.extractfile(one).read().decode() for one in archive.getmembers()} == {
            f"b/{name}": text for name, text in files.items()
        }
    assert "leads out" in run_in_process("doctor_archive", {"path": str(path), "files": {"../x": ""}})["msg"]


def test_the_module_works_where_nothing_does_and_shows_no_secret(tmp_path):
    """A directory with a secret and a log that holds it, and not one server."""
    for name in ("secrets", "log", "run"):
        (tmp_path / name).mkdir(mode=0o700)
    secret = "a-secret-of-this-test"
    (tmp_path / "secrets" / "one").write_text(secret + "\n")
    (tmp_path / "log" / "postgresql.log").write_text(f"started\nlogin with {secret}\n")
    ports = {
        "https_port": 1,
        "internal_port": 1,
        "ports": [],
        "postgresql": {**PLAN["postgresql"], "port": 1},
        "mlflow": {**PLAN["mlflow"], "ports": [1]},
    }
    plan = {**PLAN, **ports, "public_names": ["127.0.0.1"], "bind_address": "127.0.0.1", "uid": os.getuid(), "client_versions": []}
    plan["object_store"] = {**PLAN["object_store"], "url": "http://127.0.0.1:1"}
    arguments = {"data_dir": str(tmp_path), "plan": plan, "bundle": {"log_bytes": 1000, "files": {"more.txt": f"see {secret}"}}}
    result = run_in_process("host_doctor", arguments)
    assert not result.get("failed"), result
    # the arguments, which this test has put the secret into
    del result["invocation"]
    assert secret not in json.dumps(result)
    assert (
        result["files"]["log/postgresql.log"] == "started\nlogin with [redacted:one]\n"
        and result["files"]["more.txt"] == "see [redacted:one]"
    )
    found = {one["id"] for one in result["report"]["findings"]}
    assert {"supervisor-stopped", "postgresql-unreachable", "s3-unreachable", "mlflow-unreachable", "certificate-missing"} <= found
    assert "check-failed" not in found, [one for one in result["report"]["findings"] if one["id"] == "check-failed"]

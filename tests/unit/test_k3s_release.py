"""The modules k3s_release and k3s_token on a directory of their own: what is verified, what stays, what is made once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import threading
import urllib.parse
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.mlops.platform.plugins.module_utils import k3s_files, k3s_lock, k3s_release
from ansible_collections.mlops.platform.plugins.modules import k3s_kubeconfig, k3s_token
from ansible_collections.mlops.platform.plugins.modules import k3s_release as module

OLD, NEW = "v1.33.5+k3s1", "v1.34.1+k3s1"
NAMES = k3s_release.names(k3s_release.ARCHITECTURES.get(platform.machine(), "amd64"), "tar")


def run(main, check=False, **arguments):
    """Run a module's main in this process and return what it says."""
    output = io.StringIO()
    with patch_module_args({**arguments, "_ansible_check_mode": check}), redirect_stdout(output), pytest.raises(SystemExit):
        main()
    return json.loads(output.getvalue())


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A host in a directory."""
    monkeypatch.setattr(k3s_files, "BINARY", str(tmp_path / "bin" / "k3s"))
    monkeypatch.setattr(k3s_files, "RECORD", str(tmp_path / "share" / "release.json"))
    monkeypatch.setattr(k3s_lock, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(k3s_files, "TOKEN", str(tmp_path / "etc" / "token"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def release(place, version, says=None, damage=()):
    """Make a release in a directory: a binary that says its version, an archive, and the list of checksums."""
    folder = place / "releases" / version
    folder.mkdir(parents=True)
    (folder / NAMES["binary"]).write_text(f"#!/bin/sh\necho 'k3s version {says or version} (test)'\n")
    (folder / NAMES["images"]).write_text(f"images of {version}")
    lines = [f"{hashlib.sha256((folder / NAMES[what]).read_bytes()).hexdigest()}  {NAMES[what]}\n" for what in ("binary", "images")]
    (folder / NAMES["checksums"]).write_text("".join(lines))
    for what in damage:
        with (folder / NAMES[what]).open("a") as stream:
            stream.write("# one byte more\n")
    return str(folder)


def install(place, version, check=False, **more):
    folder = release(place, version, more.pop("says", None), more.pop("damage", ()))
    return run(module.main, check, version=version, directory=folder, images="tar", data_dir=str(place / "data"), **more)


def binary(place):
    return (place / "bin" / "k3s").read_text()


def images(place):
    return place / "data" / "agent" / "images" / NAMES["images"]


def test_a_release_is_installed_once(place):
    expected = [str(place / "bin" / "k3s"), str(images(place)), *(str(place / "bin" / name) for name in ("kubectl", "crictl", "ctr"))]
    seen = run(module.main, True, version=OLD, directory="/nonexistent", images="tar", data_dir=str(place / "data"))
    assert (seen["changed"], seen["changed_paths"]) == (True, expected)
    assert os.listdir(place / "bin") == []
    first = install(place, OLD)
    assert (first["changed"], first["changed_paths"]) == (True, expected)
    assert os.stat(place / "bin" / "k3s").st_mode & 0o777 == 0o755
    assert os.readlink(place / "bin" / "kubectl") == "k3s"
    # the files that were given are gone, and nothing is asked for
    second = run(module.main, version=OLD, root="http://127.0.0.1:9", images="tar", data_dir=str(place / "data"))
    assert (second["changed"], second["changed_paths"]) == (False, [])


class Proxy(BaseHTTPRequestHandler):
    """A proxy that knows one place: the directory `folder`. It notes in `asked` what it was asked for, and with which login."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization")))
        content = (self.server.folder / os.path.basename(urllib.parse.urlsplit(self.path).path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def proxy():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("through", ["file", "option", "both"])
def test_a_download_goes_through_the_proxy_that_a_file_or_an_option_names(place, proxy, monkeypatch, through):
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # what the module sets is taken back with the test
    monkeypatch.setattr(os, "environ", os.environ.copy())
    proxy.folder = place / "releases" / OLD
    release(place, OLD)
    (place / "proxy").write_text(
        "# a comment\nHTTP_PROXY=http://" + ("one:first@127.0.0.1:9" if through == "both" else f"one:first@127.0.0.1:{proxy.server_port}")
    )
    files = [] if through == "option" else [str(place / "proxy"), str(place / "missing")]
    given = {} if through == "file" else {"HTTP_PROXY": f"http://two:second@127.0.0.1:{proxy.server_port}"}
    done = run(
        module.main,
        version=OLD,
        root="http://mirror.invalid",
        data_dir=str(place / "data"),
        environment=given,
        environment_files=files,
    )
    assert done.get("changed"), done
    assert OLD in binary(place)
    assert {urllib.parse.urlsplit(path).hostname for path, _login in proxy.asked} == {"mirror.invalid"}
    assert {login for _path, login in proxy.asked} == {"Basic b25lOmZpcnN0" if through == "file" else "Basic dHdvOnNlY29uZA=="}
    assert "second" not in json.dumps(done)


def test_a_newer_release_takes_the_place(place):
    install(place, OLD)
    result = install(place, NEW)
    assert result["changed_paths"] == [str(place / "bin" / "k3s"), str(images(place))]
    assert NEW in binary(place)
    assert images(place).read_text() == f"images of {NEW}"
    assert json.loads((place / "share" / "release.json").read_text())["version"] == NEW


@pytest.mark.parametrize("what", ["binary", "images"])
def test_with_one_wrong_file_nothing_is_replaced(place, what):
    install(place, OLD)
    result = install(place, NEW, damage=[what])
    assert result["failed"]
    assert "should have" in result["msg"]
    assert OLD in binary(place)
    assert images(place).read_text() == f"images of {OLD}"
    assert sorted(os.listdir(place / "bin")) == ["crictl", "ctr", "k3s", "kubectl"]
    assert os.listdir(images(place).parent) == [NAMES["images"]]


def test_a_binary_that_is_another_version_is_refused(place):
    install(place, OLD)
    result = install(place, NEW, says="v1.34.0+k3s1")
    assert result["failed"]
    assert "says that it is v1.34.0+k3s1, and not v1.34.1+k3s1" in result["msg"]
    assert OLD in binary(place)


def test_a_checksum_of_the_users_own_counts_besides_the_list(place):
    result = install(place, OLD, checksums={NAMES["binary"]: "0" * 64})
    assert result["failed"]
    assert "k3s_checksums says 0000" in result["msg"]
    assert not (place / "bin" / "k3s").exists()


def test_a_list_without_the_file_is_refused(place):
    folder = release(place, OLD)
    (place / "releases" / OLD / NAMES["checksums"]).write_text("")
    result = run(module.main, version=OLD, directory=folder, data_dir=str(place / "data"))
    assert result["failed"]
    assert f"has no checksum of {NAMES['binary']}" in result["msg"]


def test_a_binary_that_was_changed_is_put_right(place):
    install(place, OLD)
    (place / "bin" / "k3s").write_text("#!/bin/sh\n")
    folder = release(place / "again", OLD)
    result = run(module.main, version=OLD, directory=folder, images="tar", data_dir=str(place / "data"))
    assert result["changed_paths"] == [str(place / "bin" / "k3s")]
    assert OLD in binary(place)


def test_programs_of_others_keep_their_names(place):
    (place / "bin" / "kubectl").write_text("another one")
    install(place, OLD)
    assert (place / "bin" / "kubectl").read_text() == "another one"
    assert os.readlink(place / "bin" / "ctr") == "k3s"


# --- token ------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def root(monkeypatch):
    """Whoever runs the tests writes the file for himself."""
    replace = k3s_token.replace_file
    monkeypatch.setattr(k3s_token, "replace_file", lambda path, content, mode, _uid, _gid: replace(path, content, mode))


@pytest.mark.usefixtures("root")
def test_a_token_is_made_once(place):
    arguments = {"data_dir": str(place / "data")}
    assert run(k3s_token.main, True, **arguments)["changed"]
    assert not (place / "etc").exists()
    first = run(k3s_token.main, **arguments)
    assert first["changed"]
    assert len(first["token"]) == 64
    assert os.stat(place / "etc" / "token").st_mode & 0o777 == 0o600
    second = run(k3s_token.main, **arguments)
    assert (second["changed"], second["token"]) == (False, first["token"])


@pytest.mark.usefixtures("root")
def test_the_token_of_a_cluster_is_the_servers_own(place):
    (place / "data" / "server").mkdir(parents=True)
    (place / "data" / "server" / "token").write_text(f"K10{'a' * 64}::server:the-real-one\n")
    (place / "etc").mkdir()
    (place / "etc" / "token").write_text("another one\n")
    result = run(k3s_token.main, data_dir=str(place / "data"))
    assert (result["changed"], result["token"]) == (False, "the-real-one")
    result = run(k3s_token.main, data_dir=str(place / "data"), given="a-third-one-that-is-long")
    assert result["failed"]
    assert "k3s token rotate" in result["msg"]
    assert "the-real-one" not in json.dumps(result)


# --- kubeconfig -------------------------------------------------------------------------------------------------------------------------

CONFIG = """apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: QQ==
    server: https://127.0.0.1:6443
  name: default
users:
- name: default
  user:
    client-certificate-data: {certificate}
"""


def test_the_kubeconfig_gets_the_address_and_stays_while_it_works(place, monkeypatch):
    answers = [""]
    monkeypatch.setattr(k3s_kubeconfig, "trouble", lambda _content, _server: answers[0])
    path = place / "artifacts" / "kubeconfig"
    arguments = {"address": "192.0.2.11", "path": str(path), "timeout": 0}
    assert run(k3s_kubeconfig.main, True, content=CONFIG.format(certificate="MQ=="), **arguments)["changed"]
    assert not path.exists()
    first = run(k3s_kubeconfig.main, content=CONFIG.format(certificate="MQ=="), **arguments)
    assert (first["changed"], first["server"]) == (True, "https://192.0.2.11:6443")
    assert "server: https://192.0.2.11:6443\n" in path.read_text()
    assert [os.stat(one).st_mode & 0o777 for one in (path, path.parent)] == [0o600, 0o700]
    # the server was restarted and has another certificate
    assert not run(k3s_kubeconfig.main, content=CONFIG.format(certificate="Mg=="), **arguments)["changed"]
    assert "MQ==" in path.read_text()
    os.utime(path, (0, 0))
    assert run(k3s_kubeconfig.main, content=CONFIG.format(certificate="Mg=="), **arguments)["changed"]
    answers[0] = "connection refused"
    failed = run(k3s_kubeconfig.main, content=CONFIG.format(certificate="Mg=="), **arguments)
    assert "does not answer at https://192.0.2.11:6443 from the controller: connection refused" in failed["msg"]

"""The modules airgap_* on a directory: what is fetched, what is refused, what a run that was killed leaves."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import airgap_bundle, airgap_wheels
from ansible_collections.mlops.platform.plugins.modules import airgap_wheels as wheels_module
from lib.air_gap import served
from lib.modules import run_in_process

LIST = "github.com/o/r/releases/download/v1/sums.txt"
BINARY = "github.com/o/r/releases/download/v1/program"
MANIFEST = "raw.githubusercontent.com/o/r/v1/manifest.yaml"


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def put(root, path, text):
    place = Path(root, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    return sha(text)


@pytest.fixture
def internet(tmp_path):
    """A server with two files and the list of one of them."""
    root = tmp_path / "internet"
    put(root, LIST, f"{put(root, BINARY, 'the program')}  program\n")
    put(root, MANIFEST, "the manifest")
    with served(root) as server:
        server.root = root
        yield server


def files(server, **changes):
    entries = {
        LIST: {},
        BINARY: {"list": LIST, "name": "program", "version": "1", "purl": "pkg:github/o/r@v1", "licence": "MIT"},
        MANIFEST: {"sha256": sha("the manifest"), "name": "manifest", "version": "1"},
    }
    return [{"path": path, "url": f"{server.url}/{path}", **entry, **changes.get(path, {})} for path, entry in entries.items()]


def fetch(server, root, check=False, space_mb=0, **changes):
    return run_in_process("airgap_files", {"root": str(root), "files": files(server, **changes), "space_mb": space_mb}, check=check)


def everything(root):
    return sorted(str(path.relative_to(root)) for path in Path(root).rglob("*") if path.is_file())


# --- files --------------------------------------------------------------------------------------------------------------------------------


def test_files_are_fetched_once(internet, tmp_path):
    bundle = tmp_path / "bundle"
    seen = fetch(internet, bundle, check=True)
    assert (seen["changed"], seen["changed_paths"], internet.requests) == (True, [LIST, BINARY, MANIFEST], [])
    assert not bundle.exists()
    first = fetch(internet, bundle)
    assert (first["changed"], first["changed_paths"]) == (True, [LIST, BINARY, MANIFEST])
    assert everything(bundle) == [BINARY, LIST, MANIFEST]
    assert first["files"][BINARY] == sha("the program")
    # a list of checksums is no component
    assert [one["name"] for one in first["components"]] == ["program", "manifest"]
    internet.requests.clear()
    second = fetch(internet, bundle)
    assert (second["changed"], internet.requests) == (False, [])


@pytest.mark.parametrize("path", [BINARY, MANIFEST])
def test_a_damaged_file_is_fetched_again_and_no_other(internet, tmp_path, path):
    fetch(internet, tmp_path / "bundle")
    put(tmp_path / "bundle", path, "half")
    internet.requests.clear()
    assert fetch(internet, tmp_path / "bundle")["changed_paths"] == [path]
    assert internet.requests == [f"/{path}"]


@pytest.mark.parametrize("path", [BINARY, MANIFEST])
def test_a_wrong_checksum_stops_and_the_old_file_stays(internet, tmp_path, path):
    fetch(internet, tmp_path / "bundle")
    put(tmp_path / "bundle", path, "an older one")
    put(internet.root, path, "what somebody put there")
    result = fetch(internet, tmp_path / "bundle")
    assert result["failed"] and "should have" in result["msg"]
    assert (tmp_path / "bundle" / path).read_text() == "an older one"
    assert everything(tmp_path / "bundle") == [BINARY, LIST, MANIFEST]


def test_the_pinned_checksum_counts_besides_the_list(internet, tmp_path):
    result = fetch(internet, tmp_path / "bundle", **{BINARY: {"sha256": "0" * 64}})
    assert result["failed"] and "is pinned" in result["msg"]
    assert everything(tmp_path / "bundle") == [LIST]


def test_a_page_is_no_list_of_checksums(internet, tmp_path):
    put(internet.root, LIST, "<html>log in first</html>")
    result = fetch(internet, tmp_path / "bundle")
    assert result["failed"] and "is no list of checksums" in result["msg"]
    assert everything(tmp_path / "bundle") == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(internet, tmp_path):
    result = fetch(internet, tmp_path / "bundle", space_mb=10**9)
    assert result["failed"] and "MiB free" in result["msg"] and "airgap_dir" in result["msg"]
    assert internet.requests == []
    fetch(internet, tmp_path / "bundle")
    # nothing is missing, so nothing is needed
    assert "failed" not in fetch(internet, tmp_path / "bundle", space_mb=10**9)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", "a//b", ".partial/x"])
def test_no_file_is_outside_of_the_bundle(internet, tmp_path, path):
    result = run_in_process("airgap_files", {"root": str(tmp_path), "files": [{"path": path, "url": internet.url, "sha256": "0" * 64}]})
    assert result["failed"] and "is no path below a bundle" in result["msg"]


# --- wheels -------------------------------------------------------------------------------------------------------------------------------


def wheel(folder, name, tag="py3-none-any", metadata="License-Expression: MIT"):
    """Write a wheel; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.replace('-', '_')}-1.0-{tag}.whl"
    inside = f"{name.replace('-', '_')}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{inside}/METADATA", f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{metadata}\n\n# {tag}")
        archive.writestr(f"{inside}/WHEEL", f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{inside}/RECORD", "")
    return path


@pytest.fixture
def lock(tmp_path):
    """A lock file of a package for all and one for each version of Python, and the directory with their wheels."""
    folder = tmp_path / "wheels"
    pure = [wheel(folder, "pure-one")]
    built = [wheel(folder, "built", f"cp3{minor}-cp3{minor}-manylinux_2_17_x86_64") for minor in (12, 13)]
    lines = ""
    for name, paths, marker in (
        ("pure-one", pure, ""),
        ("built", built, " ; python_version >= '3.12'"),
        ("other", pure, " ; sys_platform == 'win32'"),
    ):
        hashes = " \\\n    ".join(f"--hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in paths)
        lines += f"{name}==1.0{marker} \\\n    {hashes}\n    # via something\n"
    (tmp_path / "lock.txt").write_text(lines)
    return tmp_path / "lock.txt"


def fill(lock, root, check=False, pythons=("3.12", "3.13"), **more):
    arguments = {"root": str(root), "locks": [str(lock)], "pythons": list(pythons), "machines": ["x86_64"], **more}
    return run_in_process(
        "airgap_wheels", {"pip_args": ["--no-index", "--find-links", str(lock.parent / "wheels")], **arguments}, check=check
    )


def test_a_lock_file_says_what_holds_for_a_python(lock):
    text = lock.read_text()
    assert [one.name for one in airgap_wheels.wanted(text, "3.11", "x86_64")] == ["pure-one"]
    assert [one.name for one in airgap_wheels.wanted(text, "3.13", "x86_64")] == ["pure-one", "built"]
    assert airgap_wheels.wanted(text, "3.13", "x86_64")[1].line.count("--hash=") == 2


def test_wheels_become_an_index(lock, tmp_path):
    bundle = tmp_path / "bundle"
    seen = fill(lock, bundle, check=True)
    assert seen["changed_paths"] == [
        "built 1.0 for Python 3.12 on x86_64",
        "built 1.0 for Python 3.13 on x86_64",
        "pure-one 1.0 for Python 3.12 on x86_64",
        "pure-one 1.0 for Python 3.13 on x86_64",
    ]
    assert not bundle.exists()
    first = fill(lock, bundle)
    assert "failed" not in first, first
    assert everything(bundle) == sorted(first["files"])
    assert len([path for path in first["files"] if path.endswith(".whl")]) == 3
    assert [one["expression"] for one in first["components"]] == ["MIT"] * 3
    page = (bundle / "pypi.org/simple/built/index.html").read_text()
    assert page.count("#sha256=") == 2
    # neither an index nor a directory of wheels is asked again
    second = fill(lock, bundle, pip_args=["--no-index"])
    assert (second["changed"], second["files"]) == (False, first["files"])


def test_only_a_missing_or_damaged_wheel_is_fetched(lock, tmp_path):
    fill(lock, tmp_path / "bundle")
    (path,) = (tmp_path / "bundle").rglob("pure_one*.whl")
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    result = fill(lock, tmp_path / "bundle")
    assert result["changed_paths"] == ["pypi.org/simple/pure-one/pure_one-1.0-py3-none-any.whl"]
    assert path.read_bytes() == good


def test_a_wheel_with_another_checksum_stops_and_the_old_one_stays(lock, tmp_path):
    fill(lock, tmp_path / "bundle")
    (path,) = (tmp_path / "bundle").rglob("pure_one*.whl")
    path.write_bytes(b"old")
    wheel(tmp_path / "wheels", "pure-one", metadata="License-Expression: GPL-2.0-only")
    result = fill(lock, tmp_path / "bundle")
    assert result["failed"] and "DO NOT MATCH THE HASHES" in result["msg"]
    assert path.read_bytes() == b"old"


def test_a_python_without_a_wheel_is_named(lock, tmp_path):
    result = fill(lock, tmp_path / "bundle", pythons=["3.14"])
    assert result["failed"] and "built 1.0" in result["msg"] and "Python 3.14 on x86_64" in result["msg"]


def test_what_a_killed_run_left_is_no_wheel(lock, tmp_path, monkeypatch):
    def killed(*_arguments, **_options):
        raise KeyboardInterrupt

    bundle = tmp_path / "bundle"
    monkeypatch.setattr(wheels_module.airgap_bundle, "settle", killed)
    with pytest.raises(KeyboardInterrupt):
        fill(lock, bundle)
    assert {path.split("/")[0] for path in everything(bundle)} == {airgap_bundle.PARTIAL}
    monkeypatch.undo()
    result = fill(lock, bundle)
    assert result["changed"] and not any(path.endswith(".whl") for path in everything(bundle / airgap_bundle.PARTIAL))


def test_an_older_python_than_the_lock_is_for_is_left_out(lock, tmp_path):
    result = fill(lock, tmp_path / "bundle", check=True, pythons=["3.10", "3.13"], oldest={str(lock): "3.12"})
    assert not [line for line in result["changed_paths"] if "3.10" in line]


# --- collections --------------------------------------------------------------------------------------------------------------------------


def installed(folder, content="the module"):
    """Make an installed collection that lacks a file of its list, as the package `ansible` leaves some out."""
    module = put(folder, "plugins/modules/one.py", content)
    listed = [
        {"name": ".", "ftype": "dir", "chksum_type": None, "chksum_sha256": None, "format": 1},
        {"name": "plugins/modules/one.py", "ftype": "file", "chksum_type": "sha256", "chksum_sha256": module, "format": 1},
        {"name": "tests/gone.py", "ftype": "file", "chksum_type": "sha256", "chksum_sha256": module, "format": 1},
    ]
    total = put(folder, "FILES.json", json.dumps({"files": listed, "format": 1}))
    info = {"namespace": "some", "name": "thing", "version": "1.2.3", "license": ["MIT"]}
    put(
        folder, "MANIFEST.json", json.dumps({"collection_info": info, "file_manifest_file": {"name": "FILES.json", "chksum_sha256": total}})
    )
    return folder


def test_a_collection_is_packed_from_where_it_is_installed(tmp_path):
    folder = installed(tmp_path / "paths" / "ansible_collections" / "some" / "thing")
    arguments = {"root": str(tmp_path / "bundle"), "own": str(folder), "names": ["some.thing"], "paths": [str(tmp_path / "paths")]}
    assert run_in_process("airgap_collections", arguments, check=True)["changed"]
    first = run_in_process("airgap_collections", arguments)
    path = tmp_path / "bundle/collections/some-thing-1.2.3.tar.gz"
    assert first["files"] == {"collections/some-thing-1.2.3.tar.gz": hashlib.sha256(path.read_bytes()).hexdigest()}
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["MANIFEST.json", "FILES.json", "plugins/modules/one.py"]
        manifest, inner = (tar.extractfile(name).read() for name in ("MANIFEST.json", "FILES.json"))
    assert json.loads(manifest)["file_manifest_file"]["chksum_sha256"] == hashlib.sha256(inner).hexdigest()
    os.utime(folder / "plugins/modules/one.py", (1, 1))
    assert run_in_process("airgap_collections", arguments)["changed"] is False


def test_a_collection_that_somebody_changed_is_refused(tmp_path):
    folder = installed(tmp_path / "thing")
    put(folder, "plugins/modules/one.py", "changed")
    result = run_in_process("airgap_collections", {"root": str(tmp_path / "bundle"), "own": str(folder)})
    assert result["failed"] and "is not what" in result["msg"]
    result = run_in_process("airgap_collections", {"root": str(tmp_path), "own": str(installed(folder)), "names": ["not.there"]})
    assert result["failed"] and "not.there is not installed here" in result["msg"]


# --- what a bundle holds, and one archive of it -------------------------------------------------------------------------------------------


def write(root, check=False, prune=False, **content):
    arguments = {"root": str(root), "version": "1.0", "files": content, "components": [], "prune": prune}
    return run_in_process("airgap_manifest", arguments, check=check)


def test_the_list_of_checksums_is_what_sha256sum_reads(tmp_path):
    total = put(tmp_path, "a/b", "content")
    put(tmp_path, ".partial/half", "half")
    assert write(tmp_path, check=True, **{"a/b": total})["changed"]
    assert write(tmp_path, **{"a/b": total})["changed"]
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert lines[0] == f"{total}  a/b" and lines[1].endswith("  sbom.cdx.json")
    assert not (tmp_path / ".partial").exists()
    assert write(tmp_path, **{"a/b": total})["changed"] is False


def test_what_is_left_over_goes_only_when_asked(tmp_path):
    totals = {name: put(tmp_path, name, name) for name in ("old", "new")}
    put(tmp_path, "mine", "of the user")
    write(tmp_path, **totals)
    del totals["old"]
    kept = write(tmp_path, **totals)
    assert kept["left_over"] == ["old"] and (tmp_path / "old").exists()
    assert write(tmp_path, **totals)["changed"] is False
    assert write(tmp_path, check=True, prune=True, **totals)["changed"] and (tmp_path / "old").exists()
    gone = write(tmp_path, prune=True, **totals)
    assert gone["changed"] and not (tmp_path / "old").exists() and (tmp_path / "mine").exists()
    again = write(tmp_path, prune=True, **totals)
    assert (again["changed"], again["left_over"]) == (False, [])


def test_an_archive_of_it(tmp_path):
    bundle, archive = tmp_path / "bundle", tmp_path / "bundle.tar"
    put(bundle, "other", "of the user")
    total = put(bundle, "a/b", "content" * 10000)
    arguments = {"root": str(bundle), "path": str(archive)}
    assert "is no bundle" in run_in_process("airgap_archive", arguments)["msg"]
    assert run_in_process("airgap_archive", arguments, check=True)["changed"]
    write(bundle, **{"a/b": total})
    assert run_in_process("airgap_archive", arguments, check=True)["changed"] and not archive.exists()
    assert run_in_process("airgap_archive", arguments)["changed"]
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["SHA256SUMS", "a/b", "sbom.cdx.json"]
    whole = archive.read_bytes()
    assert run_in_process("airgap_archive", arguments)["changed"] is False
    archive.write_bytes(whole[: len(whole) // 3])
    assert run_in_process("airgap_archive", arguments)["changed"] and archive.read_bytes() == whole
    put(bundle, "a/b", "damaged")
    archive.unlink()
    result = run_in_process("airgap_archive", arguments)
    assert result["failed"] and "is not what SHA256SUMS says" in result["msg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


# --- images -------------------------------------------------------------------------------------------------------------------------------

# a stand-in for skopeo that knows one image
SKOPEO = """#!/bin/sh
# A stand-in for skopeo that knows one image: what it was called with goes to a file beside it.
echo "$*" >>"$0.log"
case $* in *r.example.org/some/image*) ;; *) echo 'pinging container registry: no such host' >&2 && exit 1 ;; esac
case $* in *sha256:bad*) echo 'manifest unknown' >&2 && exit 1 ;; esac
case $1 in inspect) printf %s '{"schemaVersion": 2}' ;; esac
case $1 in copy) for one; do :; done; file=${one#docker-archive:}; echo "$one" >"${file%%:*}" ;; esac
"""
IMAGE = "r.example.org/some/image:1.0"


@pytest.fixture
def skopeo(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "skopeo"
    put(tmp_path, "bin/skopeo", SKOPEO)
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


def pull(root, images=(IMAGE,), check=False, **more):
    return run_in_process("airgap_images", {"root": str(root), "images": list(images), "machines": ["x86_64"], **more}, check=check)


def test_images_are_fetched_once(skopeo, tmp_path):
    path = "images/amd64/r.example.org_some_image_1.0.tar"
    assert pull(tmp_path / "bundle", check=True)["changed_paths"] == [path]
    assert not skopeo.with_name("skopeo.log").exists()
    first = pull(tmp_path / "bundle")
    assert (first["changed_paths"], first["unavailable"]) == ([path], [])
    assert (tmp_path / "bundle" / path).read_text().endswith(f":{IMAGE}\n")
    (component,) = first["components"]
    digest = hashlib.sha256(b'{"schemaVersion": 2}').hexdigest()
    assert component["purl"] == f"pkg:oci/image@sha256%3A{digest}?repository_url=r.example.org/some/image&tag=1.0"
    skopeo.with_name("skopeo.log").unlink()
    second = pull(tmp_path / "bundle")
    assert second["changed"] is False and not skopeo.with_name("skopeo.log").exists()
    # another digest than the one that it was fetched with
    result = pull(tmp_path / "bundle", digests={IMAGE: "sha256:bad"})
    assert result["failed"] and "manifest unknown" in result["msg"]
    assert (tmp_path / "bundle" / path).read_text().endswith(f":{IMAGE}\n")


def test_what_cannot_be_had_is_said_and_fails_where_it_was_asked_for(skopeo, tmp_path):
    images = ["other.example.org/x:1", IMAGE]
    result = pull(tmp_path / "bundle", images, required=False)
    assert result["unavailable"] == ["other.example.org/x:1 (amd64): pinging container registry: no such host"]
    assert len(result["components"]) == 1
    result = pull(tmp_path / "bundle", images)
    assert result["failed"] and "1 image(s) could not be fetched" in result["msg"] and "other.example.org" in result["msg"]


def test_without_a_program_every_image_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pull(tmp_path / "bundle", required=False)["unavailable"] == [f"{IMAGE} (amd64): skopeo or podman is not installed here"]

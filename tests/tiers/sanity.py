"""Tier sanity: builds the collection, looks into the archive, installs it and runs ansible-test's sanity tests on what was installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import archive
import results
import sanity_home
from results import Case, Failed, Results


def search_path() -> list[str]:
    """Return the directories of PATH for ansible-test, with those of the Pythons that a version manager has installed.

    ansible-test takes the first python3.N that it finds: a version manager's placeholder would hide the real one.
    """
    home = Path.home()
    managed = [*(home / ".pyenv" / "versions").glob("3.*/bin"), *(home / ".local/share/uv/python").glob("cpython-3*/bin")]
    path = [entry for entry in os.environ["PATH"].split(os.pathsep) if not entry.rstrip("/").endswith("/shims")]
    # behind PATH: the tests' own environment stays the first
    return [*path, *map(str, sorted(managed))]


def ansible_test(collection: Path) -> tuple[int, list[Case]]:
    """Run all sanity tests on `collection`; return the exit code and one test for each of them and each Python it ran with."""
    environ = {**os.environ, "HOME": str(sanity_home.prepare()), "PATH": os.pathsep.join(search_path())}
    command = ["ansible-test", "sanity", "--color", "no", "--junit"]
    code = subprocess.run(command, cwd=collection, env=environ, check=False).returncode
    cases, missing = [], {}
    for file in sorted((collection / "tests" / "output" / "junit").glob("*.xml")):
        test, _unused, python = file.stem.removeprefix("ansible-test-sanity-").partition("-python-")
        for case in results.read(file, reason_from="text"):
            if case.state == "skipped" and "No tests applicable" in case.reason:
                # no file of this kind (PowerShell), or a Python that tests/config.yml excludes
                continue
            if case.state == "skipped" and "could not be found" in case.reason:
                missing.setdefault(python, []).append(test)
                continue
            cases.append(Case(f"{test} (Python {python})" if python else test, case.state, case.reason))
    for python, tests in sorted(missing.items()):
        cases.append(Case(f"{', '.join(tests)} (Python {python})", "skipped", f"Python {python} is not installed here"))
    return code, cases


def main() -> int:
    """Run the tier and return the exit code."""
    # a run that is stopped removes its directory too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tier = Results(Path(sys.argv[1]))
    work = Path(tempfile.mkdtemp(prefix="mlops-sanity-"))
    try:
        with tier.test("the collection builds"):
            built = archive.build(work)
        if tier.exit_code():
            return 1
        with tier.test("the archive holds what it should, and no more"):
            found = archive.problems(built)
            print("\n".join(found))
            if found:
                raise Failed("; ".join(found[:5]))
        with tier.test("the built collection installs"):
            collection = archive.install(built, work)
        if not (work / "ansible_collections").is_dir():
            return 1
        code, cases = ansible_test(collection)
        tier.cases += cases
        tier.write()
        return code or tier.exit_code()
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

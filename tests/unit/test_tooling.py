"""The repository's own consistency: what is declared in two places is the same in both."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
LOCKS = sorted([*(ROOT / "requirements").glob("*.txt"), *(ROOT / "roles").glob("*/files/*.txt")])
FAMILIES = ("s3", "postgresql", "mlflow", "minio", "cluster")
# facts that another role sets where the one that they are named after does not run, or did not do
HANDED_ON = {"ingress_endpoint", "object_store_endpoint", "object_store_admin"}
# what the role rotate gives to the others as a user would, in their own variables
GIVEN = {
    "mlflow_admin_password",
    "postgresql_superuser_password",
    "postgresql_account_passwords",
    "mlflow_certificate_renewed",
    "object_store_certificate_renewed",
    *(f"object_store_{owner}_{kind}_key" for owner in ("admin", "mlflow") for kind in ("access", "secret")),
}
SKIPPED = {".git", ".venv", ".cache", ".ansible", ".pytest_cache", ".ruff_cache", "__pycache__", "output", "ansible_collections"}


def load(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def documentation(module):
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8"))
    found = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
    }
    return yaml.safe_load(found["DOCUMENTATION"])


def text_files():
    for path in sorted(ROOT.rglob("*")):
        if not SKIPPED & set(path.relative_to(ROOT).parts) and path.is_file() and not path.is_symlink():
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


# --- the collection ---------------------------------------------------------------------------------------------------------------------


def test_galaxy_yml_names_what_the_repository_holds():
    galaxy = load("galaxy.yml")
    assert (galaxy["namespace"], galaxy["name"]) == ("mlops", "platform")
    assert Version(galaxy["version"])
    assert (ROOT / galaxy["readme"]).is_file()
    assert {".git", ".venv", ".cache", "collections", "tests/output"} <= set(galaxy["build_ignore"])


def test_galaxy_yml_and_requirements_yml_ask_for_the_same_collections():
    wanted = {entry["name"]: entry["version"] for entry in load("requirements.yml")["collections"]}
    assert wanted == load("galaxy.yml")["dependencies"]


def test_every_collection_that_is_called_is_declared():
    """A name in a task is another collection's only where galaxy.yml depends on it; ansible.builtin and our own need no declaration."""
    declared = {*load("galaxy.yml")["dependencies"], "ansible.builtin", "mlops.platform"}
    called = {}
    for path in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/handlers/*.yml"), *ROOT.glob("playbooks/*.yml")]:
        for name in re.findall(r"^[ -]*((?:[a-z_]+\.){2}[a-z0-9_]+):", path.read_text(encoding="utf-8"), re.M):
            called.setdefault(name.rpartition(".")[0], path)
    assert called, "no task calls a module by its full name"
    assert {name: path for name, path in called.items() if name not in declared} == {}


def test_requires_ansible_is_met_by_the_lock():
    wanted = Requirement("ansible-core" + load("meta/runtime.yml")["requires_ansible"])
    assert wanted.specifier.contains(locked(ROOT / "requirements" / "controller.txt")["ansible-core"])


def test_every_module_of_a_family_is_in_its_action_group_alone():
    groups = load("meta/runtime.yml")["action_groups"]
    assert set(groups) == set(FAMILIES)
    for family, names in groups.items():
        assert names == [name for name in MODULES if name.startswith(f"{family}_")], f"action group {family}"


@pytest.mark.parametrize("module", MODULES)
def test_module_declares_its_attributes(module):
    doc = documentation(module)
    for name in ("check_mode", "diff_mode", "idempotent"):
        assert doc["attributes"][name]["support"] in ("full", "partial", "none", "N/A"), name
    fragments = doc["extends_documentation_fragment"]
    assert "mlops.platform.attributes" in fragments
    family = module.partition("_")[0]
    if family in FAMILIES:
        assert f"mlops.platform.{family}" in fragments
    assert doc["version_added"]


# --- roles and playbooks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_role_is_documented_and_typed(role):
    assert (ROOT / "roles" / role / "README.md").is_file(), f"roles/{role}/README.md is missing"
    spec = next(iter(load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"].values()))
    assert spec["short_description"]


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_argument_specs_hold_the_same_variables(role):
    file = ROOT / "roles" / role / "defaults" / "main.yml"
    defaults = (load(file) or {}) if file.is_file() else {}
    options = next(iter(load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"].values())).get("options") or {}
    typed = {name: option.get("default") for name, option in options.items() if not option.get("required")}
    # a template cannot be a typed default: the specification leaves it out, and its description says what it is
    computed = {name for name, value in defaults.items() if "{{" in str(value) and typed.get(name) is None}
    problems = [f"{name} is in defaults/main.yml alone" for name in sorted(set(defaults) - set(options))]
    problems += [f"{name} is in argument_specs.yml alone" for name in sorted(set(typed) - set(defaults)) if typed[name] is not None]
    problems += [
        f"{name}: {defaults[name]!r} in defaults/main.yml, {typed[name]!r} in argument_specs.yml"
        for name in sorted(set(defaults) & set(typed) - computed)
        if (defaults[name], type(defaults[name])) != (typed[name], type(typed[name]))
    ]
    assert problems == []


@pytest.mark.parametrize("role", ROLES)
def test_variables_of_a_role_begin_with_its_name_or_the_collections(role):
    names = set()
    for file in (ROOT / "roles" / role).glob("*/**/*.yml"):
        kind = file.relative_to(ROOT / "roles" / role).parts[0]
        content = load(file) if kind in ("defaults", "vars", "tasks") else None
        if kind in ("defaults", "vars"):
            names |= set(content or {})
        elif kind == "tasks":
            names |= set_facts(content or [])
    wrong = [
        name
        for name in names - HANDED_ON - (GIVEN if role == "rotate" else set())
        if not name.lstrip("_").startswith((f"{role}_", "mlops_")) and not name.startswith("ansible_")
    ]
    assert wrong == []


def set_facts(tasks):
    found = set()
    for task in tasks:
        found |= set(task.get("ansible.builtin.set_fact") or {}) - {"cacheable"}
        if "register" in task:
            found.add(task["register"])
        for part in ("block", "rescue", "always"):
            found |= set_facts(task.get(part) or [])
    return found


@pytest.mark.parametrize("playbook", sorted(path.name for path in (ROOT / "playbooks").glob("*.yml")))
def test_playbook_is_short(playbook):
    assert len((ROOT / "playbooks" / playbook).read_text(encoding="utf-8").splitlines()) < 40


def test_makefile_calls_playbooks_that_exist():
    called = re.findall(r"\$\(PLAY\) (\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert "site.yml" in called
    assert [name for name in called if not (ROOT / name).is_file()] == []


# --- changelog --------------------------------------------------------------------------------------------------------------------------


def test_changelog_fragments_have_known_sections():
    config = load("changelogs/config.yaml")
    sections = {name for name, _unused in config["sections"]} | {config["prelude_section_name"], config["trivial_section_name"]}
    fragments = sorted((ROOT / "changelogs" / "fragments").glob("*.yml"))
    assert fragments or load("changelogs/changelog.yaml")["releases"]
    for path in fragments:
        content = load(path)
        assert isinstance(content, dict), path.name
        assert set(content) <= sections, f"{path.name}: unknown sections {sorted(set(content) - sections)}"
        for name, entries in content.items():
            kind = str if name == config["prelude_section_name"] else list
            assert isinstance(entries, kind), f"{path.name}: {name} must be a {kind.__name__}"
            assert entries, f"{path.name}: {name} is empty"


# --- what must not be in the repository -------------------------------------------------------------------------------------------------

# a home directory or a scratch directory of a person; /root/, /tmp/ and the names that examples use are legitimate
PRIVATE_PATH = re.compile(r"/home/(?!alice\b|ops\b|USER\b|user\b|you\b)[a-z][\w.-]*/|/Users/\w+/|/root/\.pyenv|/tmp/w/|[A-Z]:\\\\Users")


def test_no_file_names_a_path_of_a_developers_machine():
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}" for path, text in text_files() if path != Path(__file__) if (hit := PRIVATE_PATH.search(text))
    ]
    assert found == []


def test_no_file_holds_a_private_key():
    # in two parts, so that this file does not match itself
    marker = "-----BEGIN" + r"(?: [A-Z]+)* PRIVATE KEY-----\n[A-Za-z0-9+/]{40}"
    assert [str(path.relative_to(ROOT)) for path, text in text_files() if re.search(marker, text)] == []


def test_programs_are_executable_and_others_are_not():
    for path, text in text_files():
        if path.suffix == ".j2" or path.parent.name in ("modules", "files", "benchmarks"):
            continue
        assert bool(path.stat().st_mode & 0o100) == text.startswith("#!"), f"{path.relative_to(ROOT)}: mode and first line disagree"


# --- lock files -------------------------------------------------------------------------------------------------------------------------


def locked(path):
    """{package: version} of a lock file; of a package with several versions for several Pythons the newest."""
    found = {}
    for name, version in re.findall(r"^([A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?==(\S+)", path.read_text(encoding="utf-8"), re.M):
        name = canonicalize_name(name)
        found[name] = str(max(Version(version), Version(found.get(name, "0"))))
    return found


def requirements(path):
    """Requirements of a .in or .txt file, with those of files that it includes."""
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            yield from requirements(path.parent / line[3:].strip())
        elif line:
            yield Requirement(line)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lock_has_hashes_and_names_no_index(path):
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(--(extra-)?index-url|-i|--find-links|-f|--trusted-host)\b", text, re.M)
    assert not re.search(r"(^|\s)/[a-z]+/", text), "it names a path"
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lock_holds_what_was_asked_for(path):
    versions = locked(path)
    for wanted in requirements(path.with_suffix(".in")):
        name = canonicalize_name(wanted.name)
        assert name in versions, f"{path.with_suffix('.in').name} asks for {name}: run make lock"
        assert wanted.specifier.contains(versions[name], prereleases=True), (
            f"{name} {versions[name]} is not {wanted.specifier}: run make lock"
        )


def test_the_tests_run_with_the_versions_that_users_get():
    controller, dev = (locked(ROOT / "requirements" / name) for name in ("controller.txt", "dev.txt"))
    assert {name: dev.get(name) for name in controller} == controller


def test_requirements_of_a_tarball_installation_are_met_by_the_lock():
    versions = locked(ROOT / "requirements" / "controller.txt")
    for wanted in requirements(ROOT / "requirements.txt"):
        assert wanted.specifier.contains(versions[canonicalize_name(wanted.name)]), str(wanted)

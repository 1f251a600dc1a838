"""The documentation against the code: generated tables, links, names of variables and of make's targets."""

from __future__ import annotations

import functools
import re

import pytest
import yaml
from lib.generated import METRICS, PART, ROOT, constants, documents, filled, load, measured
from lib.render import ROLES as EVERY
from lib.render import Roles, within

DOCUMENTS = documents()
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
REFRESH = "run: .venv/bin/python tests/lib/generated.py"


def ids(path):
    return str(path.relative_to(ROOT))


def options(role):
    return next(iter(load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"].values())).get("options") or {}


def text_of(path):
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_generated_parts_are_in_step(path):
    assert filled(text_of(path)) == text_of(path), REFRESH


@pytest.mark.parametrize("role", ROLES)
def test_readme_of_a_role_has_its_variables(role):
    names = [match["name"] for match in PART.finditer(text_of(ROOT / "roles" / role / "README.md"))]
    assert names == [f"variables {role}"]


def anchors(path):
    """The anchors that a Markdown renderer makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", text_of(path), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_links_lead_somewhere(path):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        if "://" in target:
            continue
        file, _unused, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert broken == []


def test_every_document_is_linked_from_the_readme():
    readme = text_of(ROOT / "README.md")
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f"(docs/{path.name})" not in readme] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_targets_of_make_exist(path):
    targets = set(re.findall(r"^([a-z_]+):", text_of(ROOT / "Makefile"), re.M))
    assert set(re.findall(r"`make ([a-z_]+)", text_of(path))) <= targets


NAME = re.compile(r"`(?:-e )?((?:mlops|mlflow|postgresql|object_store|ingress)_[a-z_]*[a-z])(?=[=`:])")


@functools.cache
def known_names():
    """Variables, plugins, programs, secrets, and the facts that roles hand on."""
    names = {name for role in ROLES for name in options(role)} | {
        "mlops_reset_confirm",
        "mlops_reset_backups",
        *(name for role in METRICS for name in measured(role)),
    }
    names |= {file.stem for file in [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "roles").glob("*/files/*.py")]}
    code = "".join(text_of(file) for file in (ROOT / "roles").glob("*/*/*.yml"))
    facts = re.findall(r"^ +((?:mlops|postgresql|object_store|ingress)_[a-z_]+):", code, re.M)
    # what users name in rotate_secrets
    return names | set(facts) | set(Roles(*EVERY, "rotate").value("rotate_catalogue", **within("rotate")))


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_variables_that_are_named_exist(path):
    assert set(NAME.findall(text_of(path))) - known_names() == set()


def test_every_port_is_in_the_table_of_ports():
    table = text_of(ROOT / "docs" / "security.md")
    for role in ROLES:
        for name, option in options(role).items():
            if name.endswith("_port"):
                rows = [line for line in table.splitlines() if line.startswith("|") and f"`{name}`" in line]
                assert rows and str(option["default"]) in rows[0], f"{name} {option['default']}"


def yaml_blocks():
    for path in DOCUMENTS:
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", text_of(path), re.M | re.DOTALL), 1):
            yield pytest.param(block, id=f"{ids(path)}-{number}")


def accepted(module):
    """The options that a module of this collection takes, those of its documentation fragments included."""
    doc = constants(ROOT / "plugins" / "modules" / f"{module}.py")
    names = set(doc["options"])
    for fragment in doc["extends_documentation_fragment"]:
        code = text_of(ROOT / "plugins" / "doc_fragments" / f"{fragment.rpartition('.')[2]}.py")
        names |= set(yaml.safe_load(re.search(r'DOCUMENTATION = r"""(.*?)"""', code, re.DOTALL).group(1)).get("options") or {})
    return names


@pytest.mark.parametrize("block", list(yaml_blocks()))
def test_yaml_in_the_documents_is_right(block):
    content = yaml.safe_load(block)
    tasks = (
        [task for entry in content if isinstance(entry, dict) for task in [entry, *entry.get("tasks", [])]]
        if isinstance(content, list)
        else []
    )
    for task in tasks:
        for name, arguments in task.items():
            if name.startswith("mlops.platform."):
                assert set(arguments) <= accepted(name.removeprefix("mlops.platform.")), name
    if isinstance(content, dict) and not {"all", "scrape_configs"} & set(content):
        assert set(content) <= known_names()


def messages():
    """The messages that docs/troubleshooting.md explains: the first column of its tables, without the generated one."""
    text = PART.sub("", text_of(ROOT / "docs" / "troubleshooting.md"))
    for cell in re.findall(r"^\| `([^|]*)` \|", text, re.M):
        # a single capital letter and dots stand for what differs
        parts = [part.strip(" `") for part in re.split(r"\.\.\.|\b[A-Z]\b|` and `", cell)]
        literal = max(parts, key=len)
        if len(literal) > 8 and "address already in use" not in cell:
            yield pytest.param(literal, id=literal[:60])


@pytest.mark.parametrize("literal", list(messages()))
def test_messages_that_are_explained_are_said_by_the_code(literal):
    code = ""
    for file in [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "roles").rglob("*.*")]:
        if file.suffix in (".py", ".yml", ".j2"):
            # a message may be broken over lines
            code += re.sub(r'"\s*\n\s*f?"|\s*\n\s+', " ", text_of(file))
    assert re.sub(r"\s+", " ", literal) in re.sub(r"\s+", " ", code)

"""What is found in the files that people pin with, of every kind, and in odd ones."""

from __future__ import annotations

import sys
import textwrap

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import client_files_conda, client_files_toml
from ansible_collections.mlops.platform.plugins.module_utils.client_files import Reader

needs_toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.11 is the first that reads TOML")


@pytest.fixture
def read(tmp_path):
    """Write a file and return (line, name, alternatives, marker, problem) of each pin in it, and what could not be read."""

    def reading(name, text, **others):
        for other, content in {name: text, **{key.replace("__", "."): value for key, value in others.items()}}.items():
            content = content if isinstance(content, bytes) else textwrap.dedent(content).encode()
            (tmp_path / other).write_bytes(content)
        reader = Reader()
        reader.add(str(tmp_path / name))
        reading.pins, reading.unread = reader.pins, [why for _path, why in reader.unread]
        return [(pin.line, pin.name, pin.alternatives) for pin in reader.pins]

    return reading


def test_a_requirements_file(read):
    found = read(
        "requirements.txt",
        """\
        # mlflow==1.0
        --index-url https://user:secret@index.example.org/simple
        requests
        MLflow[extras] >= 2   # for the pipeline
        mlflow_skinny==3.17.2 \\
            --hash=sha256:aaaa \\
            --hash=sha256:bbbb
        mlflow.tracing~=3.1 ; python_version >= "3.10"
        mlflow-export-import==1.2.0
        my-mlflow>=9
        """,
    )
    assert found == [(4, "mlflow", [">=2"]), (5, "mlflow-skinny", ["==3.17.2"]), (8, "mlflow-tracing", ["~=3.1"])]
    assert [pin.marker for pin in read.pins] == ["", "", 'python_version >= "3.10"'] and read.unread == []


@pytest.mark.parametrize("option", ["-r base.txt", "-rbase.txt", "--requirement base.txt", "--requirement=base.txt", "-r ./base.txt"])
def test_included_files_are_read(read, option):
    assert read("requirements.txt", f"{option}\n", base__txt="mlflow<4\n") == [(1, "mlflow", ["<4"])]
    assert read.pins[0].path.endswith("/base.txt") and not read.pins[0].constraint


@pytest.mark.parametrize("option", ["-c base.txt", "--constraint base.txt", "--constraint=base.txt"])
def test_constraints_are_told_from_requirements(read, option):
    read("requirements.txt", f"mlflow\n{option}\n", base__txt="mlflow<4\n-r more.txt\n", more__txt="mlflow-skinny<4\n")
    assert [(pin.name, pin.constraint) for pin in read.pins] == [("mlflow", False), ("mlflow", True), ("mlflow-skinny", True)]


def test_files_that_include_each_other_end(read):
    assert read("a.txt", "mlflow\n-r b.txt\n", b__txt="-r a.txt\nmlflow-skinny\n") == [(1, "mlflow", [""]), (2, "mlflow-skinny", [""])]


@pytest.mark.parametrize(
    ("line", "alternatives"),
    [
        ("mlflow @ https://files.example.org/mlflow-3.17.2-py3-none-any.whl", ["==3.17.2"]),
        ("https://files.example.org/mlflow_skinny-3.17.2-py3-none-any.whl#sha256=aa", ["==3.17.2"]),
        ("./wheels/mlflow-3.16.0.tar.gz", ["==3.16.0"]),
        ("mlflow-3.17.2-py3-none-any.whl[extras]", ["==3.17.2"]),
        ("https://conda.example.org/noarch/mlflow-skinny-3.17.2-hd8ed1ab_0.conda#0123abcd", ["==3.17.2"]),
        ("mlflow @ git+https://github.com/mlflow/mlflow.git@v3.1.0", ["==3.1.0"]),
        ("-e git+https://github.com/mlflow/mlflow@v3.1.0#egg=mlflow", ["==3.1.0"]),
    ],
)
def test_a_url_may_say_its_version(read, line, alternatives):
    assert [pin[2] for pin in read("requirements.txt", line + "\n")] == [alternatives]


@pytest.mark.parametrize(
    "line",
    [
        "mlflow @ git+https://bot:s3cr3t@git.example.org/mlflow.git@main",
        "-e ./mlflow",
        "mlflow @ file:///src/mlflow",
        "git+https://bot:s3cr3t@git.example.org/mlflow?token=s3cr3t",
        "mlflow=>3",
        "mlflow==${MLFLOW_VERSION}",
        "mlflow==three",
    ],
)
def test_what_cannot_be_told_says_why_and_shows_no_secret(read, line):
    assert len(read("requirements.txt", f"{line}\n")) == 1
    assert read.pins[0].problem and read.pins[0].name == "mlflow"
    assert "s3cr3t" not in str(read.pins)


@pytest.mark.parametrize("line", ["?!", "./libs/mlflow_utils", "./mlflow-export-import", "requests=>3", "-f ./mlflow", "--pre", ""])
def test_lines_about_something_else_are_none(read, line):
    assert read("requirements.txt", f"{line}\n") == [] and read.unread == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("latin.txt", "mlflow # caf\xe9".encode("latin-1"), "not UTF-8 (byte 12)"),
        ("broken.toml", "[project\n", "it cannot be read"),
        ("broken.yml", "dependencies: [\n", "it cannot be read"),
        ("Pipfile.lock", "{", "it cannot be read"),
        ("setup.cfg", "[options]\n", "setup.cfg is not read"),
        ("remote.txt", "-r https://example.org/requirements.txt\n", "nothing is fetched"),
        ("gone.txt", "-r none.txt\n", "No such file or directory"),
    ],
)
def test_files_that_tell_nothing_say_why(read, name, content, words):
    if name.endswith(".toml") and sys.version_info < (3, 11):
        words = "it needs Python 3.11"
    assert read(name, content) == []
    assert len(read.unread) == 1 and words in read.unread[0]


def test_a_byte_order_mark_is_none_of_the_name(read):
    assert read("requirements.txt", b"\xef\xbb\xbfmlflow<4\r\n") == [(1, "mlflow", ["<4"])]


def test_patterns_directories_and_missing_files(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/requirements.txt", "a/requirements-dev.txt"):
        (tmp_path / name).write_text("mlflow\n")
    reader = Reader()
    for name in ("**/requirements*.txt", "*.none", "none.txt", "a"):
        reader.add(str(tmp_path / name))
    assert len(reader.pins) == 2
    assert [why for _path, why in reader.unread] == [
        "it matches no file",
        "No such file or directory",
        "it is no file; name the files in it",
    ]


# --- TOML and JSON ------------------------------------------------------------------------------------------------------------------------


@needs_toml
def test_pyproject(read):
    found = read(
        "pyproject.toml",
        """\
        [project]
        name = "frontend"
        keywords = ["mlflow"]
        dependencies = [
          "requests",
          "mlflow>=3.1,<4",
        ]
        [project.optional-dependencies]
        dev = ['mlflow-skinny']
        [dependency-groups]
        test = ["mlflow-tracing==3.17.2", {include-group = "dev"}]
        [tool.uv]
        constraint-dependencies = ["mlflow<3.18"]
        """,
    )
    assert found == [
        (6, "mlflow", ["<4,>=3.1"]),
        (9, "mlflow-skinny", [""]),
        (11, "mlflow-tracing", ["==3.17.2"]),
        (13, "mlflow", ["<3.18"]),
    ]
    assert [pin.constraint for pin in read.pins] == [False, False, False, True]


@needs_toml
def test_poetry_and_pipfile(read):
    found = read(
        "pyproject.toml",
        """\
        [tool.poetry.dependencies]
        mlflow = "^3.1"
        [tool.poetry.group.dev.dependencies]
        mlflow-skinny = {version = "~2.9 || 3.*", extras = ["x"], markers = "python_version < '3.12'"}
        mlflow-tracing = {git = "https://git.example.org/mlflow.git", tag = "v3.1.0"}
        """,
    )
    assert found == [(2, "mlflow", [">=3.1,<4"]), (4, "mlflow-skinny", [">=2.9,<2.10", "==3.*"]), (5, "mlflow-tracing", ["==3.1.0"])]
    assert read.pins[1].marker == "python_version < '3.12'"
    assert read("Pipfile", '[packages]\nmlflow = "*"\n[dev-packages]\nmlflow-skinny = {version = "==3.17.2"}\n') == [
        (2, "mlflow", [""]),
        (4, "mlflow-skinny", ["==3.17.2"]),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("^3.1.2", [">=3.1.2,<4"]),
        ("^0.3", [">=0.3,<0.4"]),
        ("^0", [">=0,<1"]),
        ("~3", [">=3,<4"]),
        ("~3.1.2", [">=3.1.2,<3.2"]),
        ("*", [""]),
        ("3.17.2", ["==3.17.2"]),
        (">= 2, < 4", [">=2,<4"]),
        (">=2 <4", [">=2,<4"]),
        ("~=3.1", ["~=3.1"]),
        ("=3.1", ["==3.1"]),
    ],
)
def test_constraints_of_poetry(text, expected):
    assert client_files_toml.from_poetry(text) == expected


@needs_toml
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("poetry.lock", '[[package]]\nname = "mlflow"\nversion = "3.17.2"\n'),
        ("uv.lock", 'version = 1\n[[package]]\nname = "mlflow"\nversion = "3.17.2"\nsource = { registry = "x" }\n'),
        ("pylock.toml", 'lock-version = "1.0"\n[[packages]]\nname = "mlflow"\nversion = "3.17.2"\n'),
        ("Pipfile.lock", '{"default": {"mlflow": {"version": "==3.17.2"}}, "develop": {}}'),
        ("conda-lock.yml", "package:\n- name: mlflow\n  version: 3.17.2\n- name: numpy\n  version: 2.0\n"),
    ],
)
def test_lock_files(read, name, text):
    assert [pin[1:] for pin in read(name, text)] == [("mlflow", ["==3.17.2"])] and read.unread == []


def test_an_older_python_says_that_it_cannot_read_toml(read, monkeypatch):
    monkeypatch.setattr(client_files_toml, "tomllib", None)
    assert read("pyproject.toml", "") == [] and "Python 3.11" in read.unread[0]


# --- conda --------------------------------------------------------------------------------------------------------------------------------


def test_an_environment_of_conda(read):
    found = read(
        "environment.yml",
        """\
        name: training
        dependencies:
          - python=3.11
          - conda-forge::mlflow=3.17
          - mlflow-skinny >=2, <5
          - pip
          - pip:
              - mlflow-tracing
              - -r more.txt
        """,
        more__txt="mlflow==3.17.2\n",
    )
    assert found == [
        (4, "mlflow", ["==3.17.*"]),
        (5, "mlflow-skinny", [">=2,<5"]),
        (8, "mlflow-tracing", [""]),
        (1, "mlflow", ["==3.17.2"]),
    ]


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("", [""]),
        ("=3.17", ["==3.17.*"]),
        ("==3.17.2", ["==3.17.2"]),
        ("=3.17.2=py311_0", ["==3.17.2"]),
        (" 3.17.2 py311_0", ["==3.17.2"]),
        (" 3.17.*", ["==3.17.*"]),
        (">=2,<4.0a0", [">=2,<4.0a0"]),
        (">=2.9.*", [">=2.9"]),
        ("2.9.2|3.17.2", ["==2.9.2", "==3.17.2"]),
        ("*", [""]),
        ("[version='>=3,<4']", [">=3,<4"]),
        ("[channel=conda-forge]", [""]),
        ("!=3.5.0", ["!=3.5.0"]),
    ],
)
def test_specs_of_conda(rest, expected):
    assert client_files_conda.from_conda(rest.strip() if rest.startswith(" ") else rest) == expected


@pytest.mark.parametrize("text", ["", "[]", "dependencies: mlflow\n", "dependencies:\n  - {pip: mlflow}\n  - 3\n", "- mlflow\n"])
def test_other_yaml_has_none(read, text):
    assert read("environment.yml", text) == [] and read.unread == []


def test_a_python_without_yaml_says_so(read, monkeypatch):
    monkeypatch.setattr(client_files_conda, "yaml", None)
    assert read("environment.yml", "dependencies: []\n") == [] and "PyYAML" in read.unread[0]

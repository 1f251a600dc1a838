# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One requirement on MLflow's client, and how it is made of the words of a requirements file."""

from __future__ import annotations

import re
from collections import namedtuple

try:
    from packaging.requirements import InvalidRequirement, Requirement
except ImportError:
    # client_specifiers.HAS_PACKAGING says so
    InvalidRequirement, Requirement = ValueError, None

# the distributions that are, or bring, MLflow's client
NAMES = ("mlflow", "mlflow-skinny", "mlflow-tracing")

# alternatives: specifiers of which any may hold. problem: why nobody knows what it admits. constraint: it installs nothing by itself.
# root: the file that was named, which included this one. together: whether it holds with the root's other lines, as in a requirements file.
Pin = namedtuple("Pin", "path line name text alternatives marker problem constraint root together", defaults=("", "", False, "", False))

_NAME = r"mlflow(?:[-_.](?:skinny|tracing))?"
_MENTION = re.compile(rf"(?:^|[/=+#\s:])({_NAME})(?=$|[\s@#?\[<>=!~;/]|\.git|-\d)", re.I)
_ARCHIVE = re.compile(rf"(?:^|/){_NAME}-(\d[^-/]*?)(?:-[^/]*\.(?:whl|conda|tar\.bz2)|\.tar\.gz|\.zip)(?=$|[?#\[\s])", re.I)
_TAG = re.compile(r"@v?(\d+(?:\.\d+)+\w*)(?=$|[#&\s])")


def canonical(name):
    """Return a distribution's name in the form that an index knows it by."""
    return re.sub(r"[-_.]+", "-", name).lower()


def shown(text):
    """Return a line without what may be secret in its URLs: users, passwords and queries."""
    return re.sub(r"\?[^\s#;]*", "", re.sub(r"//[^/@\s]*@", "//", text)).strip()[:200]


def mentioned(text):
    """Return the name of MLflow's distribution in a path, a URL or a line that is no requirement; None where there is none."""
    match = _MENTION.search(text)
    return canonical(match[1]) if match else None


def from_location(text):
    """Return (alternatives, problem) of a URL or a path, which may say the version in the name of an archive or a tag."""
    match = _ARCHIVE.search(text) or _TAG.search(text.partition("://")[2])
    return ([f"=={match[1]}"], "") if match else ([], "it does not say which version is there")


def from_text(text, path, line, **more):
    """Return the Pin of a requirement as PEP 508 and pip know it, None where it is none on MLflow."""
    try:
        # the name of an archive is also the name of a package to this parser, and a file to pip
        requirement = Requirement(f"./{text}" if _ARCHIVE.match(text) else text)
    except InvalidRequirement as problem:
        name = mentioned(text)
        if name is None:
            return None
        located = "/" in text or _ARCHIVE.search(text)
        alternatives, words = from_location(text) if located else ([], str(problem).splitlines()[0])
        return Pin(path, line, name, shown(text), alternatives, problem=words, **more)
    name = canonical(requirement.name)
    if name not in NAMES:
        return None
    alternatives, problem = from_location(requirement.url) if requirement.url else ([str(requirement.specifier)], "")
    return Pin(path, line, name, shown(text), alternatives, str(requirement.marker or ""), problem, **more)

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether every version that a specifier admits works with a server.

Nobody knows the versions of tomorrow, so no list of releases is asked. A specifier and the rule are both made of ranges; a version on and
beside each of their ends stands for all that lie between.
"""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.client_rule import FAILS, LIMITED, WORKS, bounds, edges, judge

try:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    HAS_PACKAGING = True
except ImportError:
    HAS_PACKAGING = False

# OPEN: some of the admitted versions fail. UNKNOWN: it cannot be told what is admitted.
OPEN, UNKNOWN = "open", "unknown"
# later than any release; earlier than any
LATEST, EARLIEST = 99999, "0.0.1"


def parsed(text):
    """Return a SpecifierSet. Raises ValueError with the words of what is wrong."""
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as problem:
        raise ValueError(str(problem)) from problem


def beside(version):
    """Yield the versions on and next to an end of a range: just above, the next patch, minor and major release, and just below."""
    numbers = (*version.release, 0, 0)[: max(3, len(version.release))]
    yield version
    yield Version(".".join(map(str, (*numbers, 1))))
    for place in range(len(numbers)):
        yield Version(".".join(map(str, (*numbers[:place], numbers[place] + 1, *(0 for _unused in numbers[place + 1 :])))))
    last = max((place for place, number in enumerate(numbers) if number), default=None)
    if last is not None:
        yield Version(".".join(map(str, (*numbers[:last], numbers[last] - 1, LATEST, LATEST))))


def ends(specifiers):
    """Yield the versions that a SpecifierSet names."""
    for one in specifiers:
        try:
            yield Version(one.version.removesuffix(".*"))
        except InvalidVersion:
            # === compares texts, of any form
            continue


def admitted(specifiers, server):
    """Return the versions, sorted, that stand for all that a SpecifierSet admits."""
    probes = {Version(EARLIEST), Version(f"{LATEST}.0")}
    for end in [*ends(specifiers), *map(Version, edges(server))]:
        probes.update(beside(end))
    return sorted(probe for probe in probes if specifiers.contains(probe, prereleases=True))


def written(version):
    """Return a version as releases of MLflow are written, with three numbers."""
    missing = 3 - len(version.release)
    return str(version) + ".0" * missing if str(version) == version.base_version else str(version)


def verdict(alternatives, server):
    """Return (verdict, example) of specifiers of which any may hold; an example is a version of that verdict, or the words of a problem."""
    versions = []
    for text in alternatives:
        try:
            versions += admitted(parsed(text), server)
        except ValueError as problem:
            return UNKNOWN, str(problem)
    if not versions:
        return UNKNOWN, f"no version satisfies {' || '.join(alternatives)}"
    found = {version: judge(version, server) for version in sorted(versions)}
    for kind, whole, part in ((FAILS, FAILS, OPEN), (LIMITED, LIMITED, WORKS)):
        of_kind = [version for version, answer in found.items() if answer == kind]
        if len(of_kind) == len(found):
            return whole, written(of_kind[0])
        if of_kind and part != WORKS:
            return part, written(of_kind[0])
    return WORKS, written(next(version for version, answer in found.items() if answer == WORKS))


def narrowed(alternatives, server):
    """Return a specifier that admits of `alternatives` only what works: with the server's bounds beside, else the server's own version."""
    if verdict(alternatives, server)[0] == WORKS:
        return " || ".join(alternatives)
    if len(alternatives) == 1:
        # its own upper end is the wider one, or nothing of it would fail
        kept = [part.strip() for part in alternatives[0].split(",") if part.strip() and not part.strip().startswith("<")]
        joined = ",".join([*kept, bounds(server)])
        if verdict([joined], server)[0] in (WORKS, LIMITED):
            return joined
    return f"=={server}"

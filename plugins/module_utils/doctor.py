# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A pass over all layers of the platform: runs checks, each on its own, and makes one report of what they find.

A check is a function of (plan, facts) that returns findings. `plan` is what the platform should be, `facts` what one look at the layer saw.
Looking is another function, which is called once for each layer; so a check is judged without a server in the tests.
"""

from __future__ import annotations

import time
from collections import namedtuple

ERROR, WARNING = "error", "warning"
ANY = object()
UP = "make up (ansible-playbook site.yml)"

# name: the check's own, for the report. layer: what it belongs to. facts: the layer whose facts it judges, where that is another one.
Check = namedtuple("Check", "name layer judge facts", defaults=("",))


class NotApplicable(Exception):
    """There is nothing to check here; the text says why."""


class NotChecked(Exception):
    """What had to be looked at did not answer; the text says what."""


def finding(severity, ident, what, remedy, said="", subject=""):
    """Return a finding. `said`: the server's own words. `subject`: which one of several (a service, a name)."""
    return {"id": ident, "severity": severity, "subject": subject, "what": what, "said": said, "remedy": remedy, "because": []}


def error(ident, what, remedy, said="", subject=""):
    """Return a finding that keeps the platform from doing its work, or opens it."""
    return finding(ERROR, ident, what, remedy, said, subject)


def warning(ident, what, remedy, said="", subject=""):
    """Return a finding that will become an error, or weakens the platform."""
    return finding(WARNING, ident, what, remedy, said, subject)


class Facts:
    """What was seen of each layer: looked at when the first check asks, and once."""

    def __init__(self, plan, looks):
        self.plan, self.looks, self.seen = plan, looks, {}

    def of(self, layer):
        """Return the facts of `layer`. Raises what the look raised, each time."""
        if layer not in self.seen:
            try:
                self.seen[layer] = (self.looks[layer](self.plan), None)
            except Exception as problem:
                self.seen[layer] = (None, problem)
        facts, problem = self.seen[layer]
        if problem is not None:
            raise problem
        return facts


def one(check, plan, facts):
    """Make one check; return (its line of the report, its findings). Whatever it raises stays its own."""
    line = {"check": check.name, "layer": check.layer, "state": "ok", "reason": ""}
    try:
        found = list(check.judge(plan, facts.of(check.facts or check.layer)))
    except NotApplicable as reason:
        return {**line, "state": "not applicable", "reason": str(reason)}, []
    except NotChecked as reason:
        return {**line, "state": "not checked", "reason": str(reason)}, []
    except Exception as problem:
        words = f"{type(problem).__name__}: {problem}"
        return {**line, "state": "not checked", "reason": words}, [
            warning(
                "check-failed",
                f"the check {check.name} could not be made",
                "read the words; as the user who installed the platform, the doctor sees everything",
                words,
                check.name,
            )
        ]
    return {**line, "state": "found" if found else "ok"}, found


def named(found):
    """Return what a finding is called where another one refers to it."""
    return f"{found['id']} ({found['subject']})" if found["subject"] else found["id"]


def explain(findings, causes):
    """Say in each finding because of which others it is.

    `causes` is {id: [ids, or (id, subject) where None is the finding's own subject]}, the nearest first.
    """
    for found in findings:
        for cause in causes.get(found["id"], ()):
            ident, subject = cause if isinstance(cause, tuple) else (cause, ANY)
            wanted = found["subject"] if subject is None else subject
            found["because"] += [
                named(other) for other in findings if other is not found and other["id"] == ident and wanted in (ANY, other["subject"])
            ]
    return findings


def seen(facts, layer, show):
    """Return what `show` makes of a layer's facts, [] where they cannot be had: the checks of that layer say why."""
    try:
        return show(facts.plan, facts.of(layer))
    except Exception:
        return []


def examine(plan, looks, checks, causes, shown=None):
    """Make all `checks` and return the report: {seconds, summary, findings, checks}. Errors come first, and causes before their effects.

    `shown` is {name: (layer, function of plan and facts)} of lists that the report has besides, which are no fault.
    """
    began, lines, findings = time.monotonic(), [], []
    facts = Facts(plan, looks)
    for check in checks:
        line, found = one(check, plan, facts)
        lines.append(line)
        findings += [{**more, "layer": check.layer} for more in found]
    explain(findings, causes)
    findings.sort(key=lambda found: (found["severity"] != ERROR, bool(found["because"])))
    return {
        "seconds": round(time.monotonic() - began, 2),
        "summary": {
            "errors": sum(found["severity"] == ERROR for found in findings),
            "warnings": sum(found["severity"] == WARNING for found in findings),
            **{state.replace(" ", "_"): sum(line["state"] == state for line in lines) for state in ("ok", "not applicable", "not checked")},
        },
        "findings": findings,
        "checks": lines,
        **{name: seen(facts, *one) for name, one in (shown or {}).items()},
    }

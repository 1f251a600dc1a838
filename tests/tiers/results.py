"""Test results of every tier in one form: JUnit's XML, as pytest and ansible-test write it too."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "tests" / "output"
# characters of a reason in the summary, often all that is kept of a run: it is to say what failed
REASON_LENGTH = 1600


@dataclass
class Case:
    """One test: its name, `state` (passed, failed or skipped), the reason of the last two, and its time in seconds."""

    name: str
    state: str
    reason: str = ""
    seconds: float = 0.0


class Failed(Exception):
    """A test of a tier has failed; the text says why."""


class Skipped(Exception):
    """A test of a tier cannot run here; the text says why."""


@dataclass
class Results:
    """The tests of one tier that is no pytest run; write() leaves them in `path`."""

    path: Path
    cases: list[Case] = field(default_factory=list)

    @contextmanager
    def test(self, name: str):
        """Run the block as the test `name`: Failed and OSError make it fail and the next one runs, Skipped makes it
        skipped, and any other exception makes it fail and goes on."""
        print(f"\n=== {name}", flush=True)
        start = time.monotonic()
        state, reason = "passed", ""
        try:
            yield
        except Skipped as exc:
            state, reason = "skipped", str(exc)
        except (Failed, OSError) as exc:
            state, reason = "failed", str(exc)
        except BaseException as exc:
            state, reason = "failed", repr(exc)
            raise
        finally:
            seconds = time.monotonic() - start
            self.cases.append(Case(name, state, reason, seconds))
            print(f"=== {name}: {state} ({seconds:.1f} s) {reason}", flush=True)
            # after each test: a tier that is killed leaves what it knows
            self.write()

    def write(self) -> None:
        """Write what has been collected so far."""
        suite = ET.Element("testsuite", name=self.path.stem, tests=str(len(self.cases)))
        for case in self.cases:
            element = ET.SubElement(suite, "testcase", name=case.name, time=f"{case.seconds:.3f}")
            if case.state != "passed":
                kind = "failure" if case.state == "failed" else "skipped"
                ET.SubElement(element, kind, message=printable(case.reason))
        ET.ElementTree(suite).write(self.path, encoding="utf-8", xml_declaration=True)

    def exit_code(self) -> int:
        """Return 1 where a test failed or none was recorded, else 0."""
        return 1 if not self.cases or any(case.state == "failed" for case in self.cases) else 0


def printable(text: str) -> str:
    """Return `text` without the control characters that XML cannot hold."""
    return "".join(c for c in text if c in "\t\n" or ord(c) >= 32)


def first_line(text: str) -> str:
    """Return the first line of `text` that holds something, cut to a length that a summary bears."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines or [""])[0][:REASON_LENGTH]


def read(path: Path, *, reason_from: str = "message") -> list[Case]:
    """Return the tests in the JUnit file `path`. Raises OSError or ET.ParseError when it is missing or incomplete.

    reason_from: `message` or `text`, the part of a failure that says most. pytest's text is a traceback, ansible-test's the findings.
    """
    cases = []
    # written by our own tools a moment ago
    for element in ET.parse(path).getroot().iter("testcase"):  # noqa: S314
        group = element.get("classname", "").removeprefix("tests.")
        name = "::".join(part for part in (group, element.get("name", "")) if part)
        state, reason = "passed", ""
        for kind in ("failure", "error", "skipped"):
            found = element.find(kind)
            if found is not None:
                state = "skipped" if kind == "skipped" else "failed"
                message, text = found.get("message") or "", found.text or ""
                reason = first_line((message or text) if reason_from == "message" else (text or message))
                break
        cases.append(Case(name, state, reason, float(element.get("time") or 0)))
    return cases

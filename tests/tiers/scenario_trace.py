"""Where a scenario of molecule is, and what failed last in it, read from its log."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# molecule's log, which colours a failure in any case: [scenario > step] Executing
STEP = re.compile(r"> (?P<step>\w+)\] (?:\x1b\[[0-9;]*m)?(?P<state>Executing|Executed)")
TASK = re.compile(r"^TASK \[(?P<name>.*)\] \*")
FATAL = re.compile(r"^(fatal|failed): \[")
# characters of a failure at both its ends: its message may hold the whole output of another run, which ends with what is wrong
SHOWN = 600


@dataclass
class Trace:
    """Where a scenario is: its step and its task, and the task that failed last, with what it said. read() takes each line of the log."""

    step: str = ""
    task: str = ""
    place: str = ""
    told: list[str] = field(default_factory=list)
    telling: bool = False

    def read(self, line: str) -> None:
        """Take the next `line` of the log."""
        # a result goes on in lines that are indented
        if self.telling and line[:1] in (" ", "\t"):
            self.told.append(line.strip())
            return
        self.telling = False
        if found := STEP.search(line):
            self.step = found["step"]
        elif found := TASK.match(line):
            self.task = found["name"]
        elif FATAL.match(line):
            self.place, self.told, self.telling = f"in the step {self.step}, task `{self.task}`", [line.strip()], True
        elif line.startswith("...ignoring"):
            self.told = []

    @property
    def failure(self) -> str:
        """The place and the words of the last failure that was not ignored, the ends of long ones; nothing where none was."""
        text = " ".join(self.told)
        shown = text if len(text) <= 2 * SHOWN else f"{text[:SHOWN]} ... {text[-SHOWN:]}"
        return f"{self.place}: {shown}" if text else ""

"""Runs a command on a terminal of its own and types an answer as soon as a text appears; prints what it said and ends with its exit code.

Usage: type_answer.py TEXT ANSWER COMMAND...
"""

from __future__ import annotations

import os
import pty
import sys
import time


def main() -> int:
    """Run, answer once, and return the exit code."""
    text, answer, *command = sys.argv[1:]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)  # noqa: S606  # no shell is meant
    said = b""
    answered = False
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            # the terminal's other side is closed
            break
        if not part:
            break
        said += part
        if not answered and text.encode() in said:
            # the question empties the terminal's buffer before it reads
            time.sleep(1)
            os.write(terminal, answer.encode() + b"\r")
            answered = True
    print(said.decode(errors="replace"))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.exit(main())

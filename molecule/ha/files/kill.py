"""Runs a command several times and kills it and all of its processes with SIGKILL, each time in a later part of its tasks; prints where.

Usage: kill.py SEED KILLS TASKS COMMAND...

TASKS is about how many tasks the whole run has. Which task it is in each part, and how long after its beginning, is chosen by SEED.
"""

from __future__ import annotations

import collections
import os
import random
import signal
import subprocess
import sys
import time


def kill_at(command: list[str], number: int, after: float) -> str:
    """Run `command`, kill it `after` seconds after its task `number` began, and say in which task that was.

    Returns '' where it ended before, once the end of its output is printed.
    """
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        begun = 0
        last: collections.deque[str] = collections.deque(maxlen=60)
        for line in process.stdout:
            last.append(line)
            if line.startswith("TASK ["):
                begun += 1
                if begun == number:
                    time.sleep(after)
                    os.killpg(process.pid, signal.SIGKILL)
                    return line.strip(" *\n")
    print("".join(last))
    return ""


def main() -> int:
    """Kill as often as asked for; fails where a run ended by itself."""
    seed, kills, tasks, *command = sys.argv[1:]
    chosen = random.Random(int(seed))  # noqa: S311
    part = int(tasks) / int(kills)
    for turn in range(int(kills)):
        number, after = int(turn * part + chosen.uniform(1, part)), chosen.uniform(0.1, 4)
        where = kill_at(command, number, after)
        if not where:
            print(f"the run ended before its task {number}")
            return 1
        print(f"killed {after:.1f} s after the beginning of task {number}: {where}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Kills runs half-way, as a lost connection, the OOM killer or a power cut does."""

from __future__ import annotations

import time

from lib import platform_proc as proc

# Tasks in the order in which a first installation comes to them. Every kill costs the time up to its task once more.
FIRST_INSTALLATION = (
    "with the hashes of the lock file, of tools",
    "Initialise the database cluster",
    "Migrate both schemas",
)


def kill_in(platform, task, after=0.7, until=None, playbook="site.yml", **options):
    """Start a playbook and kill it `after` seconds after a task has begun whose name contains `task`, or as soon as `until()` is true.

    `options` are those of lib.platform_run.start(). Raises AssertionError when no task has such a name.
    """
    run = platform.start(playbook, **options)
    reached = run.wait_for_task(task)
    if until is None:
        time.sleep(after)
    else:
        proc.wait_until(f"the effect of task {task!r}", until, 60, interval=0.01)
    run.kill()
    assert reached, f"no task {task!r} any more: name another one here\n{run.output_file.read_text(errors='replace')[-3000:]}"


def install_through_kills(platform):
    """Install a platform with a run that is killed in one task after the other, each time a little further, and then left to finish."""
    started = time.monotonic()
    for task in FIRST_INSTALLATION:
        kill_in(platform, task)
    platform.install_seconds = time.monotonic() - started
    platform.install()

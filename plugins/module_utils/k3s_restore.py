# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes a server's etcd back to a snapshot, in steps of which each can be killed and done again.

While a restore is under way the etcd of before lies aside under a name of its own, on every server, and K3s does not start by itself: a
server that came up with old data beside the restored one would be a second cluster. The directory is there, and empty, on a server that
had no etcd, too: it is what tells every run that a restore was begun.
"""

from __future__ import annotations

import os
import shutil
import time

from ansible_collections.mlops.platform.plugins.module_utils import k3s_files, k3s_journal, k3s_service

UNIT = "k3s.service"
# the unit in which the reset runs: of one name, so that there is one at a time
RESET = "mlops-k3s-reset.service"
# what K3s puts down after a reset, and refuses a second one for
FLAG = "reset-flag"


class Failed(Exception):
    """A restore that did not end well."""


def places(data_dir):
    """Return (etcd, aside): where etcd's data are, and where they lie while a restore is under way."""
    return os.path.join(data_dir, "server", "db", "etcd"), k3s_files.aside(data_dir)


def stop(data_dir):
    """Stop K3s for good and put etcd aside; what a killed run has restored goes. Raises OSError, k3s_service.Failed."""
    etcd, aside = places(data_dir)
    if k3s_service.state(UNIT)["LoadState"] == "loaded":
        # disabled first: a machine that boots half-way must not bring the old data up
        k3s_service.systemctl("disable", UNIT)
        k3s_service.systemctl("stop", UNIT)
    if not os.path.isdir(aside):
        if os.path.isdir(etcd):
            os.rename(etcd, aside)
        else:
            os.makedirs(aside, 0o700)
    elif os.path.isdir(etcd):
        shutil.rmtree(etcd)


def reset(data_dir, path, bucket, environment_files, timeout):
    """Make this server a cluster of its own with the snapshot's data. Raises Failed, OSError, k3s_service.Failed."""
    etcd, _aside = places(data_dir)
    flag = os.path.join(os.path.dirname(etcd), FLAG)
    if os.path.exists(flag):
        os.unlink(flag)
    since = time.time()
    # all else is as K3s's configuration says; a member's `server` forbids a reset
    command = [k3s_files.BINARY, "server", "--cluster-reset", f"--cluster-reset-restore-path={path}", "--server="]
    command += [] if bucket else ["--etcd-s3=false"]
    options = [f"--property=EnvironmentFile=-{one}" for one in environment_files] + [f"--property=RuntimeMaxSec={timeout}"]
    try:
        done = k3s_service.call("systemd-run", "--wait", "--collect", "--quiet", f"--unit={RESET}", *options, "--", *command)
    except k3s_service.Failed as error:
        lines = k3s_journal.read(RESET, since)
        cause = k3s_journal.cause(lines)
        text = "; ".join(k3s_journal.telling(lines)) or str(error)
        raise Failed(f"K3s did not restore the snapshot: {text}" + (f". What to do: {cause[1]}" if cause else "")) from error
    if not os.path.isdir(os.path.join(etcd, "member")):
        raise Failed(f"K3s ended without an error, and there is no etcd in {etcd}: {done.strip()}")


def undo(data_dir):
    """Give the server back the etcd that it had; return whether one was aside. Raises OSError, k3s_service.Failed."""
    etcd, aside = places(data_dir)
    if not os.path.isdir(aside):
        return False
    loaded = k3s_service.state(UNIT)["LoadState"] == "loaded"
    if loaded:
        k3s_service.systemctl("stop", UNIT)
    if os.path.isdir(etcd):
        shutil.rmtree(etcd)
    flag = os.path.join(os.path.dirname(etcd), FLAG)
    if os.path.exists(flag):
        os.unlink(flag)
    had = bool(os.listdir(aside))
    if had:
        os.rename(aside, etcd)
    else:
        os.rmdir(aside)
    if loaded and had:
        k3s_service.systemctl("enable", UNIT)
        k3s_service.systemctl("start", "--no-block", UNIT)
    return True


def end(data_dir):
    """Name what was put aside as K3s itself names an old etcd; return whether it was there. Raises OSError."""
    etcd, aside = places(data_dir)
    if not os.path.isdir(aside):
        return False
    if os.listdir(aside):
        os.rename(aside, f"{etcd}-old-{int(time.time())}")
    else:
        os.rmdir(aside)
    return True

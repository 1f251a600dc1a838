# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The host itself: disk, inodes, memory, clock, the programs that are installed, and what an ended run has left."""

from __future__ import annotations

import glob
import json
import os
import time

from ansible_collections.mlops.platform.plugins.module_utils import host_checks, host_node
from ansible_collections.mlops.platform.plugins.module_utils.doctor import UP, Check, NotChecked, error, warning
from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import read

MIB = 1024 * 1024
# a request to S3 is refused when its time differs by more than 15 minutes; certificates and tokens are hurt by less
SKEW_SECONDS, LATE_SECONDS = 60, 300


def space(path):
    """Return {path, free, total, inodes, inodes_free} of the file system that holds `path`, in MiB and numbers."""
    found = os.statvfs(host_checks.nearest_existing(path))
    return {
        "path": path,
        "free": found.f_bavail * found.f_frsize // MIB,
        "total": found.f_blocks * found.f_frsize // MIB,
        "inodes": found.f_files,
        "inodes_free": found.f_favail,
    }


def memory(text):
    """Return {name: MiB} of /proc/meminfo."""
    found = {}
    for line in (text or "").splitlines():
        name, _colon, value = line.partition(":")
        if value.split()[1:] == ["kB"]:
            found[name] = int(value.split()[0]) // 1024
    return found


def leftovers(data_dir):
    """Return the files that only a run that was cut off leaves, relative to the data directory."""
    found = []
    for pattern in ("secrets/*.previous", "etc/*.new", "etc/*/*.new", "postgresql/*.new", "run/*.new", "tls/*.new"):
        found += glob.glob(os.path.join(data_dir, pattern))
    return sorted(os.path.relpath(path, data_dir) for path in found)


def locks(data_dir):
    """Return [{path, pid, what}] of locks whose file still names a holder that is no process any more."""
    found = []
    text = read(os.path.join(data_dir, "run", "backup.lock"))
    if text:
        try:
            holder = json.loads(text)
        except ValueError:
            holder = {}
        if isinstance(holder, dict) and holder.get("pid") and not os.path.isdir(f"/proc/{holder['pid']}"):
            found.append({"path": "run/backup.lock", **holder})
    text = read(os.path.join(data_dir, "run", "supervisord.pid"))
    if text and text.strip().isdigit() and not os.path.isdir(f"/proc/{text.strip()}"):
        found.append({"path": "run/supervisord.pid", "pid": int(text), "what": "supervisor"})
    return found


def look(plan):
    """Return the facts of this layer."""
    there = [plan["data_dir"]] + [path for path in [plan["backup"]["place"]] if path]
    return {
        "space": [space(path) for path in there],
        "memory": memory(read("/proc/meminfo")),
        "synchronised": host_node.clock_is_synchronised(),
        "container": host_node.container(),
        "skew": time.time() - plan["controller_time"] if plan["controller_time"] else None,
        "environments": host_checks.complete_environments(plan["data_dir"]),
        "leftovers": leftovers(plan["data_dir"]),
        "locks": locks(plan["data_dir"]),
        "runs": running(plan["data_dir"]),
    }


def running(data_dir, proc="/proc"):
    """Return the names of the environments that the installation's processes run from."""
    found = set()
    for pid in filter(str.isdigit, os.listdir(proc)):
        try:
            with open(f"{proc}/{pid}/cmdline", "rb") as stream:
                words = stream.read().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        found |= {word[len(data_dir) :].split("/")[2] for word in words if word.startswith(f"{data_dir}/runtime/")}
    return sorted(found)


def disk(plan, facts):
    """The object store refuses writes below its reserve; PostgreSQL stops without space."""
    for number, one in enumerate(facts["space"]):
        place, free = one["path"], one["free"]
        reserve = plan["reserve_mb"] if number == 0 else 0
        variable = "mlops_data_dir" if number == 0 else "mlops_backup_directory"
        remedy = f"free some space, enlarge the file system of {place}, or move {variable}"
        if free < max(reserve, 64):
            yield error(
                "disk-full" if number == 0 else "backup-disk-full",
                f"the file system of {place} has {free} MiB free, and {max(reserve, 64)} MiB must remain (mlops_reserve_mb)",
                remedy + ("; runtime/ keeps environments that no process uses" if number == 0 else "; or lower backup_retention_days"),
                subject=place,
            )
        elif free - reserve < one["total"] * plan["disk_percent"] // 100 and free - reserve < plan["disk_mb"]:
            yield warning(
                "disk-nearly-full",
                f"the file system of {place} has {free} MiB left of {one['total']}, {reserve} of them are a reserve",
                remedy,
                subject=place,
            )


def inodes(_plan, facts):
    """A file system without inodes is full, whatever it has free."""
    for one in facts["space"]:
        if one["inodes"] and one["inodes_free"] < max(one["inodes"] // 50, 1000):
            yield error(
                "inodes-short",
                f"the file system of {one['path']} has {one['inodes_free']} of {one['inodes']} inodes left",
                f"remove small files there, such as old environments in {one['path']}/runtime, or move it to another file system",
                subject=one["path"],
            )


def memory_left(plan, facts):
    """The kernel kills what is largest when there is none."""
    found = facts["memory"]
    if "MemAvailable" not in found:
        raise NotChecked("the kernel does not say how much memory is available")
    left = found["MemAvailable"] + found.get("SwapFree", 0)
    if left < plan["memory_mb"]:
        yield warning(
            "memory-short",
            f"{left} MiB of memory and swap are left of {found['MemTotal'] + found.get('SwapTotal', 0)}",
            "end other programs, or lower mlflow_processes, postgresql_shared_buffers or object_store_memory_limit and run " + UP,
        )
    if found.get("SwapTotal", 0) and found.get("SwapFree", 0) < found["SwapTotal"] // 10:
        yield warning(
            "swap-short", f"{found['SwapFree']} MiB of {found['SwapTotal']} MiB swap are left", "end other programs, or add memory"
        )


def clock(_plan, facts):
    """S3's signatures, certificates and tokens depend on it."""
    if facts["synchronised"] is False and not facts["container"]:
        yield warning(
            "clock-not-synchronised", "nothing keeps this host's clock right", "systemctl enable --now systemd-timesyncd (or chrony)"
        )
    skew = facts["skew"]
    if skew is not None and abs(skew) > SKEW_SECONDS:
        make = error if abs(skew) > LATE_SECONDS else warning
        yield make(
            "clock-skewed",
            f"this host's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} that of the machine that runs Ansible",
            "set both clocks by NTP: timedatectl set-ntp true",
        )


def programs(plan, facts):
    """Each component runs from the environment that its lock file names."""
    for component, path in sorted(plan["environments"].items()):
        wanted = os.path.basename(path)
        if wanted in facts["environments"]:
            old = [name for name in facts["runs"] if name.startswith(component + "-py") and name != wanted]
            if old:
                yield warning(
                    "version-old",
                    f"{component} still runs from {', '.join(old)}, and the lock file names {wanted}",
                    "restart it with " + UP,
                    subject=component,
                )
            continue
        others = [name for name in facts["environments"] if name.startswith(component + "-py")]
        if others:
            yield warning(
                "version-differs",
                f"{component} is installed as {', '.join(others)}, and the lock file of this collection names {wanted}",
                UP,
                subject=component,
            )
        else:
            yield error("program-missing", f"{component} is not installed: {path} is missing or not complete", UP, subject=component)


def unfit(plan, _facts):
    """What would stop an installation stops the next run."""
    for one in plan["unfit"]:
        yield error("host-unfit", one["what"], one["remedy"])


def left(_plan, facts):
    """What a run that was killed leaves behind."""
    if facts["leftovers"]:
        yield warning(
            "run-interrupted",
            f"a run was cut off and has left {', '.join(facts['leftovers'])}",
            f"finish it: {UP}; it takes up what was begun",
        )
    for lock in facts["locks"]:
        yield warning(
            "lock-left",
            f"{lock['path']} names process {lock['pid']} ({lock.get('what', '')}), which is gone",
            "make backup; it takes the lock over" if "backup" in lock["path"] else UP,
            subject=lock["path"],
        )


CHECKS = [
    Check("disk", "host", disk),
    Check("inodes", "host", inodes),
    Check("memory", "host", memory_left),
    Check("clock", "host", clock),
    Check("programs", "host", programs),
    Check("preflight", "host", unfit),
    Check("leftovers", "host", left),
]

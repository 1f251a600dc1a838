# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backups of a platform in a cluster: what their Jobs have said at their end, which is all that the API shows of them.

The pods of the schedule's last Jobs are kept with what they said; of the Jobs that a playbook ran, a ConfigMap has it.
"""

from __future__ import annotations

import json

from ansible_collections.mlops.platform.plugins.module_utils.doctor import NotApplicable, error, warning
from ansible_collections.mlops.platform.plugins.module_utils.doctor_backup import DAY, rehearsal

COMPONENT = "app.kubernetes.io/component"


def texts(configmaps, pods):
    """Yield what each of them has said, as text."""
    for entry in configmaps:
        if entry["metadata"].get("labels", {}).get(COMPONENT) == "backup-last":
            yield (entry.get("data") or {}).get("answer") or ""
    for pod in pods:
        if pod["metadata"].get("labels", {}).get(COMPONENT) == "backup-job":
            for container in (pod.get("status") or {}).get("containerStatuses") or []:
                if container["name"] == "program":
                    yield ((container.get("state") or {}).get("terminated") or {}).get("message") or ""


def answers(configmaps, pods):
    """Return what backups and drills have said, oldest first: each an object with `ended`, in seconds since the epoch."""
    found = []
    for text in texts(configmaps, pods):
        try:
            answer = json.loads(text)
        except ValueError:
            continue
        if isinstance(answer, dict) and isinstance(answer.get("ended"), (int, float)):
            found.append(answer)
    return sorted(found, key=lambda answer: answer["ended"])


def judge(plan, said, now):
    """Yield what is wrong with backups of which `said` is known. Raises NotApplicable where nobody asked for any, and none was taken."""
    wanted = plan["backup"]
    if not wanted and not said:
        raise NotApplicable("no backup is known here, and mlops_backup is false: what is lost is lost. Set it to true (docs/backup.md)")
    backups = [answer for answer in said if "size_bytes" in answer]
    # one of the schedule may have done both
    drills = [answer for answer in said if "rto_seconds" in answer or "drill" in answer]
    age = now - backups[-1]["ended"] if backups else 0
    if not backups:
        # what knew of it may have gone with a namespace, and the first of a schedule comes at its time
        yield warning("backup-none", "no backup of this platform is known here", "make backup")
    elif wanted and age > plan["backup_hours"] * 3600:
        yield error(
            "backup-old",
            f"the last good backup is {age / 3600:.0f} hours old, and doctor_backup_hours is {plan['backup_hours']}",
            "make backup; kubectl get cronjobs,jobs and the log of the last Job's pod say what keeps the schedule from it",
        )
    elif not wanted and age > plan["backup_days"] * DAY:
        yield warning(
            "backup-old",
            f"the last backup was taken {age / DAY:.0f} days ago, and none is scheduled",
            "make backup, or set mlops_backup: true",
        )
    if said and "problem" in said[-1]:
        yield error("backup-failed", "the last backup or drill that was tried failed", "make backup: it says why", said[-1]["problem"])
    if wanted:
        yield from rehearsal(plan, drills[-1]["ended"] if drills else None, now)

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the doctor says about the clients that a server has answered (clients_seen): all of them, and those that do not work with it."""

from __future__ import annotations

import time

from ansible_collections.mlops.platform.plugins.module_utils.client_rule import FAILS, WORKS, advice, is_newer, judge, release
from ansible_collections.mlops.platform.plugins.module_utils.clients_seen import DAY
from ansible_collections.mlops.platform.plugins.module_utils.doctor import NotApplicable, NotChecked, warning


def moment(seconds):
    """Return a time as people read it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def of_seen(version, when, server):
    """Yield the finding of a version that was last seen at `when`, in seconds. Raises ValueError for a text that is no version."""
    verdict = judge(version, server)
    if verdict == WORKS:
        return
    newer, said = is_newer(version, server), f"last seen {moment(when)}"
    remedy = f"pip install 'mlflow{advice(version, server)}' at that client"
    remedy += ", or upgrade the platform (make upgrade)" if newer else ""
    if verdict == FAILS:
        yield warning("client-seen-fails", f"a client that connects has MLflow {version}, which fails at {server}", remedy, said, version)
    else:
        lacks = "refuses what only newer clients have" if newer else "no longer has everything for it"
        what = f"a client that connects has MLflow {version}, and the server {server} {lacks}"
        yield warning("client-seen-limited", what, remedy, said, version)


def lately(plan, facts):
    """Return [(version, when)] of the clients of the last days, the latest first."""
    since = facts["now"] - plan["client_seen_days"] * DAY
    return sorted(((version, when) for version, when in facts["seen"].items() if when >= since), key=lambda one: (-one[1], one[0]))


def listed(plan, facts):
    """Return the clients as the report shows them. The verdict is "" where nobody knows the server's version."""
    server = facts["server"]
    return [
        {"version": version, "last_seen": moment(when), "verdict": judge(version, server) if release(server) else ""}
        for version, when in lately(plan, facts)
    ]


def clients_seen(plan, facts):
    """Check: the clients that connect work with the server."""
    days = plan["client_seen_days"]
    if days <= 0:
        raise NotApplicable("doctor_client_seen_days is 0")
    found = lately(plan, facts)
    if not found:
        raise NotApplicable(f"no client of MLflow has connected in {days} days")
    if release(facts["server"]) is None:
        raise NotChecked("MLflow does not tell its version")
    for version, when in found:
        yield from of_seen(version, when, facts["server"])

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the doctor says about clients: of known versions, and as files pin them. Judged on the machine that has the files."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.client_rule import FAILS, WORKS, advice, is_newer
from ansible_collections.mlops.platform.plugins.module_utils.client_specifiers import LIMITED, OPEN, UNKNOWN
from ansible_collections.mlops.platform.plugins.module_utils.doctor import NotApplicable, NotChecked, error, warning
from ansible_collections.mlops.platform.plugins.module_utils.doctor_clients_seen import of_seen

UPDATE = "or upgrade the platform (make upgrade)"


def of_version(version, verdict, server):
    """Yield the finding of a client of a known version."""
    if verdict == WORKS:
        return
    make = error if verdict == FAILS else warning
    wanted = f"pip install 'mlflow{advice(version, server)}' at the client"
    if is_newer(version, server):
        yield make("client-newer", f"a client has MLflow {version}, and the server {server}", f"{wanted}, {UPDATE}", subject=version)
    else:
        yield make("client-older", f"a client has MLflow {version}, too old for the server's {server}", wanted, subject=version)


def of_pin(pin, server):
    """Yield the finding of a pin."""
    name, verdict = f"{pin['name']}{pin['specifier']}", pin["verdict"]
    newer = verdict in (FAILS, LIMITED) and is_newer(pin["example"], server)
    change = f"change it to {pin['remedy_specifier']}" + (f" ; {pin['marker']}" if pin["marker"] else "")
    change += f", {UPDATE}" if newer else ""
    rest = (pin["text"], f"{pin['path']}:{pin['line']}")
    if verdict == FAILS:
        yield error("client-pin-fails", f"{name} admits no version that works with MLflow {server}", change, *rest)
    elif verdict == OPEN:
        what = f"{name if pin['specifier'] else pin['name'] + ' without a version'} admits versions that do not work with MLflow {server}"
        yield warning("client-pin-open", f"{what}, such as {pin['example']}", f"{change}, so that no later installation takes one", *rest)
    elif verdict == LIMITED:
        lacks = "newer than MLflow {}, which refuses what only newer versions have" if newer else "older than MLflow {} has everything for"
        yield warning("client-pin-limited", f"{name} is {lacks.format(server)}", change, *rest)
    elif verdict == UNKNOWN:
        what = f"which versions of {pin['name']} it admits cannot be told: {pin['example']}"
        yield warning("client-pin-unknown", what, f"{change}, from an index of packages", *rest)


def unread(path, why):
    """Return the finding of a file that tells nothing."""
    what = f"{path} tells nothing of its clients: {why}"
    return warning("client-file-unread", what, "name files that can be read (doctor_client_pins)", "", path)


def findings(clients, server):
    """Return everything that is wrong with some Clients at a server, as the doctor's findings."""
    found = [one for version, verdict in clients.known(server).items() for one in of_version(version, verdict, server)]
    found += [one for version, when in clients.seen.items() for one in of_seen(version, when, server)]
    found += [one for pin in clients.pins(server) for one in of_pin(pin, server)]
    found += [unread(path, why) for path, why in clients.unread]
    # a file that is named and included as well is read twice
    return [one for place, one in enumerate(found) if one not in found[:place]]


def client_pins(plan, _facts):
    """Check: files that pin clients admit none that cannot work. The module client_pins has judged them before."""
    asked = plan.get("clients") or {}
    if asked.get("failed"):
        raise NotChecked(asked["failed"])
    if not asked.get("asked"):
        raise NotApplicable("doctor_client_pins names no file")
    yield from asked.get("findings") or []

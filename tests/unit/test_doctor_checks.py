"""Each check of the doctor over planted facts: what it finds of them, and that it finds nothing in those of a healthy platform."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import doctor, doctor_local, doctor_network
from lib.doctor_facts import DAY, FACTS, GOOD, NOW, OURS, PLAN, PRIVATE, RUNNING, changed


def examine(facts=FACTS, plan=PLAN):
    looks = {layer: lambda _plan, layer=layer: facts[layer] for layer in facts}
    return doctor.examine(plan, looks, doctor_local.CHECKS, doctor_local.CAUSES, doctor_local.SHOWN)


def test_a_healthy_platform_has_none():
    report = examine()
    assert report["findings"] == []
    assert [one["check"] for one in report["checks"] if one["state"] != "ok"] == ["cluster"]


DRILLED = "mlops_drill_last_success_timestamp_seconds"
SKEWED = {"status": None, "body": "", "date": "", "said": "Connection refused"}
FAILED = {**RUNNING, "state": "BACKOFF", "ends": 9}
# path in the facts, what stands there, and what is found of it
PLANTED = [
    ("host space 0 free", 5000, "disk-full"),
    ("host space 0 free", 9000, "disk-nearly-full"),
    ("host space 0 inodes_free", 900, "inodes-short"),
    ("host memory MemAvailable", 100, "memory-short"),
    ("host memory SwapTotal", 4000, "swap-short"),
    ("host synchronised", False, "clock-not-synchronised"),
    ("host skew", 90.0, "clock-skewed"),
    ("host environments", ["tools-py3.11-new"], "program-missing"),
    ("host environments", ["tools-py3.11-new", "mlflow-py3.11-old"], "version-differs"),
    ("host runs", ["mlflow-py3.11-old"], "version-old"),
    ("host leftovers", ["secrets/one.previous"], "run-interrupted"),
    ("host locks", [{"path": "run/backup.lock", "pid": 9, "what": "backup"}], "lock-left"),
    ("files root", None, "data-directory-missing"),
    ("files private etc", None, "data-directory-missing"),
    ("files private etc", {**PRIVATE, "owner": "root"}, "data-directory-owner"),
    ("files private etc", {**PRIVATE, "mode": 0o750}, "data-directory-mode"),
    ("files private etc", {**PRIVATE, "mode": 0o500}, "data-directory-mode"),
    ("files secret secrets/one", None, "secret-missing"),
    ("files secret secrets/one", {**PRIVATE, "mode": 0o640}, "secret-readable"),
    ("files secret secrets/one", {**PRIVATE, "owner": "root"}, "secret-owner"),
    ("files empty secrets/one", True, "secret-empty"),
    ("files empty secrets/one", "Permission denied", "secret-unreadable"),
    ("services manager", {"alive": False, "said": "no socket"}, "supervisor-stopped"),
    ("services states guardian", {**RUNNING, "state": "STOPPED"}, "guardian-stopped"),
    ("services states postgresql", {**RUNNING, "state": "STOPPED"}, "service-stopped"),
    ("services states postgresql", {**RUNNING, "state": "EXITED"}, "service-stopped"),
    ("services states postgresql", FAILED, "service-failing"),
    ("services states postgresql", {**RUNNING, "seconds": 4, "ends": 5}, "service-failing"),
    ("services states", {"mlflow-15001": RUNNING, "guardian": RUNNING}, "service-missing"),
    ("services changed postgresql", ["/etc/x"], "service-stale"),
    ("services holders", {("127.0.0.1", 15432): {**OURS, "cwd": "/root"}, ("127.0.0.1", 15001): OURS}, "port-foreign"),
    ("services holders", {("127.0.0.1", 15001): OURS}, "port-closed"),
    ("network names ml.example.org", {"addresses": [], "said": "Name or service not known", "own": []}, "dns-unresolved"),
    ("network names ml.example.org", {"addresses": ["192.0.2.9"], "said": "", "own": []}, "dns-elsewhere"),
    ("network firewalls ufw", (0, "Status: active\n\n22/tcp  ALLOW  Anywhere\n", ""), "firewall-closed"),
    ("tls said certificate", "No such file or directory", "certificate-missing"),
    ("tls said key", "Permission denied", "certificate-key-missing"),
    ("tls key", "another", "certificate-key-mismatch"),
    ("tls signed", False, "certificate-authority"),
    ("tls certificate not_after", NOW - DAY, "certificate-expired"),
    ("tls certificate not_after", NOW + 5 * DAY, "certificate-expires"),
    ("tls certificate not_before", NOW + DAY, "certificate-not-yet-valid"),
    ("tls authority not_after", NOW + 5 * DAY, "authority-expires"),
    ("tls certificate names", ["other.example.org"], "certificate-name"),
    ("tls served sha256", "another", "certificate-not-served"),
    ("tls served trusted", False, "certificate-untrusted"),
    ("database reached", False, "postgresql-unreachable"),
    ("database logins mlflow said", 'FATAL: password authentication failed for user "mlflow"', "postgresql-password"),
    ("database logins mlflow said", "FATAL: sorry, too many clients already", "postgresql-connections"),
    ("database logins mlflow said", 'FATAL: database "mlflow" does not exist', "postgresql-database-missing"),
    ("database logins mlflow said", "FATAL: no pg_hba.conf entry", "postgresql-login"),
    ("database server connections", [["mlflow", 90]], "postgresql-connections"),
    ("database server settings 0", ["fsync", "off"], "postgresql-unsafe"),
    ("database server settings 1", ["full_page_writes", "off"], "postgresql-unsafe"),
    ("database server pending", [["max_connections", "100"]], "postgresql-restart-pending"),
    ("database server invalid", [["postgresql.conf", "invalid value"]], "postgresql-configuration"),
    ("database server superusers", [["postgres", "true"], ["other", "true"]], "postgresql-superuser"),
    ("database server logins", [["mlflow", ""], ["mlflow_rotating", ""]], "postgresql-rotation-left"),
    ("database server trust", [["host all all", "trust"]], "postgresql-trust"),
    ("database server open_databases", [["mlflow", ""]], "postgresql-public"),
    ("database public_schema mlflow", True, "postgresql-public"),
    ("database server archiver", [[NOW - 900, NOW]], "wal-archive-failing"),
    ("storage listed", ("EndpointConnectionError", "Could not connect"), "s3-unreachable"),
    ("storage listed", ("NoSuchBucket", "it does not exist"), "bucket-missing"),
    ("storage admin bucket", (None, "404", "Not Found"), "bucket-missing"),
    ("storage listed", ("SignatureDoesNotMatch", "it does not match"), "s3-identity-refused"),
    ("storage listed", ("InternalError", "we"), "s3-failing"),
    ("storage probe", ("write", "InternalError", "no space"), "s3-unwritable"),
    ("storage admin bucket", (None, "InvalidAccessKeyId", "unknown"), "s3-admin-refused"),
    ("storage admin versioning", ({"Status": "Suspended"}, "", ""), "versioning-suspended"),
    ("storage admin versioning", ({}, "", ""), "versioning-suspended"),
    ("storage admin lifecycle", (None, "NoSuchLifecycleConfiguration", "none"), "lifecycle-missing"),
    ("storage admin lifecycle", ({"Rules": [{"Status": "Disabled"}]}, "", ""), "lifecycle-missing"),
    ("storage admin policy", (None, "NoSuchBucketPolicy", "none"), "bucket-policy-missing"),
    ("storage anonymous", ("", ""), "s3-anonymous"),
    ("storage environment AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported", "s3-checksum"),
    ("storage environment MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "virtual", "s3-path-style"),
    ("mlflow processes", {15001: SKEWED}, "mlflow-unreachable"),
    ("mlflow processes", {15001: {**GOOD, "status": 401}}, "mlflow-admin-refused"),
    ("mlflow processes", {15001: {**GOOD, "status": 503}}, "mlflow-no-database"),
    ("mlflow processes", {15001: {**GOOD, "status": 500}}, "mlflow-failing"),
    ("mlflow ping", SKEWED, "ingress-unreachable"),
    (
        "mlflow entry ml.example.org",
        [("ml.example.org:8443", {**GOOD, "status": 403, "body": "Invalid Host header"})],
        "mlflow-host-refused",
    ),
    ("mlflow entry ml.example.org", [("ml.example.org:8443", SKEWED)], "ingress-failing"),
    ("mlflow routes", "http://127.0.0.1:15002", "mlflow-drained"),
    ("mlflow nobody", GOOD, "mlflow-open"),
    ("mlflow defaults", ["password1234"], "mlflow-default-password"),
    ("mlflow schema", (10, "tracking: empty"), "schema-empty"),
    ("mlflow schema", (11, "tracking: behind"), "schema-behind"),
    ("mlflow schema", (12, "auth: newer"), "schema-newer"),
    ("mlflow schema", (14, "tracking: other tables"), "schema-foreign"),
    ("mlflow schema", (None, "No such file"), "schema-unknown"),
    ("mlflow artifacts", {**GOOD, "status": 500}, "artifact-store-failing"),
    ("mlflow version body", "2.22.0", "client-newer"),
    ("mlflow version body", "3.16.0", "client-newer"),
    ("mlflow seen", {"4.0.0": NOW - 60}, "client-seen-fails"),
    ("mlflow seen", {"3.18.0": NOW - 60}, "client-seen-limited"),
    ("backup metrics", {DRILLED: NOW - DAY}, "backup-none"),
    ("backup metrics", {key: value for key, value in FACTS["backup"]["metrics"].items() if key != DRILLED}, "drill-none"),
    (f"backup metrics {DRILLED}", NOW - 36 * DAY, "drill-old"),
    ("backup metrics mlops_backup_last_success_timestamp_seconds", NOW - 27 * 3600, "backup-old"),
    ("backup metrics mlops_backup_last_attempt_success", 0.0, "backup-failed"),
    ("backup metrics mlops_drill_last_attempt_success", 0.0, "drill-failed"),
    ("backup place", False, "backup-destination-missing"),
    ("backup owner", 0, "backup-destination-owner"),
    ("backup key", {"/var/lib/mlops/secrets/backup_key": False}, "backup-key-missing"),
    ("backup free", 6 * 10**9, "disk-forecast"),
]


@pytest.mark.parametrize("path, value, ident", PLANTED, ids=[f"{ident}-{path.replace(' ', '.')}" for path, _value, ident in PLANTED])
def test_planted_facts(path, value, ident):
    keys = [int(key) if key.isdigit() else key for key in path.split()]
    report = examine(changed(FACTS, keys, value))
    assert {one["id"] for one in report["findings"]} == {ident}
    for found in report["findings"]:
        assert found["remedy"] and found["what"] and found["layer"] and found["severity"] in ("error", "warning")
        assert "None" not in found["what"] + found["remedy"]


@pytest.mark.parametrize("wanted, severity", [(True, "error"), (False, "warning")])
def test_who_stopped_backups_and_deleted_them_can_say_so(wanted, severity):
    report = examine(changed(FACTS, ["backup", "place"], False), {**PLAN, "backup": {**PLAN["backup"], "wanted": wanted}})
    (found,) = [one for one in report["findings"] if one["id"] == "backup-destination-missing"]
    assert found["severity"] == severity
    assert ("backup/mlops_backup.prom" in found["remedy"]) is not wanted


def test_what_a_client_cannot_do_with_the_servers_settings_is_an_error():
    facts = changed(FACTS, ["storage", "environment", "AWS_REQUEST_CHECKSUM_CALCULATION"], "when_supported")
    assert examine(facts)["findings"][0]["severity"] == "warning"
    facts["storage"]["probe_as_set"] = ("write", "InvalidRequest", "the checksum is not known")
    found = examine(facts)["findings"][0]
    assert (found["severity"], found["said"]) == ("error", "the checksum is not known")


def test_findings_of_preflight_are_told():
    report = examine(plan={**PLAN, "unfit": [{"what": "it is mounted noexec", "remedy": "another one"}]})
    assert [one["id"] for one in report["findings"]] == ["host-unfit"]


@pytest.mark.parametrize(
    "versions, found",
    [
        (["3.17.9", "3.0.0"], []),
        (["3.18.0"], [("client-newer", "warning", "pip install 'mlflow<3.18' at the client")]),
        (["4.0.0"], [("client-newer", "error", "pip install 'mlflow<4' at the client")]),
        (["whatever"], []),
    ],
)
def test_versions_of_clients_are_held_against_the_servers(versions, found):
    report = examine(plan={**PLAN, "client_versions": versions})
    assert [(one["id"], one["severity"], one["remedy"].partition(", or")[0]) for one in report["findings"]] == found


def test_clients_that_connect_are_shown_beside_the_findings():
    report = examine()
    assert [(one["version"], one["verdict"]) for one in report["clients_seen"]] == [("3.17.2", "works"), ("3.16.0", "works")]
    report = examine(changed(FACTS, ["mlflow", "seen"], {}))
    (line,) = [one for one in report["checks"] if one["check"] == "clients-seen"]
    assert report["clients_seen"] == [] and line["state"] == "not applicable"


@pytest.mark.parametrize(
    "clients, state, reason",
    [
        ({}, "not applicable", "doctor_client_pins"),
        ({"asked": False, "failed": "", "findings": []}, "not applicable", "doctor_client_pins"),
        ({"asked": True, "failed": "no packaging", "findings": []}, "not checked", "no packaging"),
        ({"asked": True, "failed": "", "findings": [doctor.error("client-pin-fails", "x", "y")]}, "found", ""),
    ],
)
def test_findings_of_the_files_that_pin_clients_are_told(clients, state, reason):
    report = examine(plan={**PLAN, "clients": clients})
    line = next(one for one in report["checks"] if one["check"] == "client-pins")
    assert line["state"] == state and reason in line["reason"]
    assert [one["id"] for one in report["findings"]] == ["client-pin-fails"] * (state == "found")


@pytest.mark.parametrize("wanted", [True, False])
def test_backups_that_nobody_asked_for_are_no_finding(wanted):
    facts = changed(FACTS, ["backup", "metrics"], {})
    report = examine(facts, {**PLAN, "backup": {"wanted": wanted, "place": ""}})
    assert [one["id"] for one in report["findings"]] == (["backup-none", "drill-none"] if wanted else [])
    states = {one["check"]: one["reason"] for one in report["checks"] if one["state"] == "not applicable"}
    assert wanted or "mlops_backup" in states["backup"]


def test_a_dead_platform_still_has_its_certificate_checked():
    facts = changed(FACTS, ["database", "reached"], False)
    facts["database"].update(server=None, logins={})
    facts["services"]["states"]["postgresql"] = {**RUNNING, "state": "STOPPED"}
    facts["tls"]["certificate"]["not_after"] = NOW - DAY
    facts["mlflow"].update(
        processes={15001: {**GOOD, "status": 503}}, schema=(13, "tracking: connection refused"), nobody=None, artifacts=None
    )
    report = examine(facts)
    found = {one["id"]: one["because"] for one in report["findings"]}
    assert found == {
        "service-stopped": [],
        "certificate-expired": [],
        "postgresql-unreachable": ["service-stopped (postgresql)"],
        "mlflow-no-database": ["postgresql-unreachable"],
    }
    assert next(one for one in report["checks"] if one["check"] == "schemas")["state"] == "not checked"


# --- firewalls ----------------------------------------------------------------------------------------------------------------------------

RULESET = """table inet filter {
\tchain input {
\t\ttype filter hook input priority filter; policy %s;
\t\tiif "lo" accept
\t\ttcp dport %s accept
\t}
}
"""


@pytest.mark.parametrize(
    "policy, ports, closed",
    [
        ("drop", "22", True),
        ("drop", "8443", False),
        ("drop", "{ 22, 8443 }", False),
        ("drop", "8000-9000", False),
        ("drop", "84430", True),
        ("accept", "22", False),
    ],
)
def test_nftables(policy, ports, closed):
    assert bool(doctor_network.nft_closes(RULESET % (policy, ports), 8443)) is closed


def test_nftables_that_end_with_a_drop():
    ruleset = RULESET.replace("\t}\n}", "\t\tcounter packets 1 bytes 2 drop\n\t}\n}") % ("accept", "22")
    assert doctor_network.nft_closes(ruleset, 8443) and not doctor_network.nft_closes(ruleset, 22)


@pytest.mark.parametrize(
    "status, closed", [("Status: inactive", False), ("Status: active\n8443/tcp ALLOW Anywhere", False), ("Status: active", True)]
)
def test_ufw(status, closed):
    assert bool(doctor_network.ufw_closes(status, 8443)) is closed


ZONE = "public (default, active)\n  target: default\n  services: ssh https\n  ports: %s\n\nother\n  target: default\n  ports: 8443/tcp\n"


@pytest.mark.parametrize(
    "ports, port, closed", [("", 8443, True), ("8443/tcp", 8443, False), ("8000-9000/tcp", 8443, False), ("", 443, False)]
)
def test_firewalld(ports, port, closed):
    assert bool(doctor_network.firewalld_closes(ZONE % ports, port)) is closed

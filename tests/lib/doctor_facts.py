"""A plan and the facts of a healthy platform on a host, for the tests of the doctor's checks: each test changes what is wrong with it."""

from __future__ import annotations

import copy

PLAN = {
    "data_dir": "/var/lib/mlops",
    "user": "mlops",
    "uid": 990,
    "run_as": [],
    "service_manager": "supervisor",
    "environments": {"tools": "/var/lib/mlops/runtime/tools-py3.11-new", "mlflow": "/var/lib/mlops/runtime/mlflow-py3.11-new"},
    "unfit": [],
    "controller_time": 0,
    "services": ["postgresql", "mlflow-15001"],
    "ports": [{"port": 15432, "address": "127.0.0.1", "variable": "postgresql_port", "service": "postgresql", "listens": True}],
    "private": [],
    "secrets": ["one"],
    "public_names": ["ml.example.org"],
    "bind_address": "0.0.0.0",
    "https_port": 8443,
    "internal_port": 18081,
    "certificate": {"given": False, "path": "/c.crt", "key": "/c.key", "ca": "/ca.crt"},
    "postgresql": {"port": 15432, "superuser": "postgres", "accounts": {"mlflow": ["mlflow"]}},
    "object_store": {
        "engine": "seaweedfs",
        "url": "http://127.0.0.1:18333",
        "region": "us-east-1",
        "bucket": "artifacts",
        "has_admin": True,
    },
    "mlflow": {"ports": [15001], "username": "admin"},
    "backup": {"wanted": True, "place": "/backup"},
    "reserve_mb": 5120,
    "memory_mb": 256,
    "disk_percent": 10,
    "disk_mb": 5120,
    "forecast_days": 30,
    "certificate_days": 21,
    "backup_hours": 26,
    "backup_days": 7,
    "drill_days": 35,
    "client_versions": ["3.17.2"],
    "client_seen_days": 30,
    "clients": {"asked": True, "failed": "", "findings": []},
}
NOW, DAY = 1_800_000_000.0, 86400
PRIVATE = {"mode": 0o700, "owner": "mlops", "group": "mlops", "size": 1, "kind": "directory"}
RUNNING = {"state": "RUNNING", "seconds": 900, "ends": 0, "said": ""}
OURS = {"pid": 7, "name": "postgres", "cwd": "/var/lib/mlops/postgresql", "user": "mlops"}
GOOD = {"status": 200, "body": "{}", "date": "", "said": "200"}
CERTIFICATE = {
    "not_before": NOW - DAY,
    "not_after": NOW + 90 * DAY,
    "names": ["ml.example.org"],
    "key": "k",
    "sha256": "s",
}
FACTS = {
    "host": {
        "space": [{"path": "/var/lib/mlops", "free": 50000, "total": 90000, "inodes": 10**6, "inodes_free": 900000}],
        "memory": {"MemTotal": 8000, "MemAvailable": 4000, "SwapTotal": 0, "SwapFree": 0},
        "synchronised": True,
        "container": None,
        "skew": 0.2,
        "environments": ["mlflow-py3.11-new", "tools-py3.11-new"],
        "leftovers": [],
        "locks": [],
        "runs": ["mlflow-py3.11-new"],
    },
    "files": {
        "root": {**PRIVATE, "owner": "root"},
        "private": {"etc": PRIVATE},
        "secret": {"secrets/one": {**PRIVATE, "mode": 0o600, "kind": "file"}},
        "empty": {"secrets/one": False},
    },
    "services": {
        "manager": {"alive": True, "said": ""},
        "states": {"postgresql": RUNNING, "mlflow-15001": RUNNING, "guardian": RUNNING},
        "changed": {"postgresql": [], "mlflow-15001": []},
        "holders": {("127.0.0.1", 15432): OURS, ("127.0.0.1", 15001): OURS},
        "words": {},
    },
    "network": {
        "names": {"ml.example.org": {"addresses": ["192.0.2.7"], "said": "", "own": ["192.0.2.7"]}},
        "firewalls": {"ufw": (None, "", "no such file"), "firewalld": (None, "", ""), "nftables": (0, "", "")},
    },
    "tls": {
        "now": NOW,
        "certificate": CERTIFICATE,
        "key": "k",
        "authority": {**CERTIFICATE, "not_after": NOW + 900 * DAY},
        "said": {"certificate": "", "key": "", "authority": ""},
        "signed": True,
        "served": {"sha256": "s", "said": "", "trusted": True},
    },
    "database": {
        "reached": True,
        "said": "",
        "driver": True,
        "logins": {"postgres": {"database": "postgres", "said": ""}, "mlflow": {"database": "mlflow", "said": ""}},
        "public_schema": {"mlflow": False},
        "server": {
            "settings": [["fsync", "on"], ["full_page_writes", "on"], ["synchronous_commit", "on"], ["max_connections", "100"]],
            "pending": [],
            "invalid": [],
            "connections": [["mlflow", 12]],
            "superusers": [["postgres", "true"]],
            "logins": [["mlflow", ""], ["postgres", ""], ["seaweedfs", ""]],
            "open_databases": [],
            "trust": [],
            "sizes": [],
            "archiver": [[NOW, 0.0]],
        },
    },
    "storage": {
        "environment": {"MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path", "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"},
        "listed": ("", ""),
        "probe": ("", "", ""),
        "anonymous": ("AccessDenied", "Access Denied"),
        "admin": {
            "bucket": ({}, "", ""),
            "versioning": ({"Status": "Enabled"}, "", ""),
            "lifecycle": ({"Rules": [{"Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}}]}, "", ""),
            "policy": ({"Policy": "MlflowKeepsVersions"}, "", ""),
        },
    },
    "mlflow": {
        "processes": {15001: GOOD},
        "entry": {"ml.example.org": [("ml.example.org:8443", GOOD)]},
        "schema": (0, ""),
        "password": "x",
        "ping": GOOD,
        "nobody": {**GOOD, "status": 401},
        "defaults": [],
        "artifacts": GOOD,
        "version": {**GOOD, "body": "3.17.2"},
        "server": "3.17.2",
        "now": NOW,
        "seen": {"3.17.2": NOW - 60, "3.16.0": NOW - DAY},
        "routes": "http://127.0.0.1:15001",
    },
    "backup": {
        "now": NOW,
        "metrics": {
            "mlops_backup_last_success_timestamp_seconds": NOW - 3600,
            "mlops_backup_last_attempt_success": 1.0,
            "mlops_drill_last_success_timestamp_seconds": NOW - 7 * DAY,
        },
        "settings": {},
        "place": True,
        "owner": 990,
        "service_uid": 990,
        "history": [(NOW - 10 * DAY, 10**9), (NOW, 2 * 10**9)],
        "free": 10**12,
        "key": {"/var/lib/mlops/secrets/backup_key": True},
    },
    "cluster": None,
}


def changed(tree, path, value):
    """Return a copy of `tree` in which what stands at `path` (keys, one after the other) is `value`."""
    found = copy.deepcopy(tree)
    inner = found
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return found

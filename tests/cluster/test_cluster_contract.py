"""The second-run contract on Kubernetes: --check tells the truth, and a converged platform is left alone."""

from __future__ import annotations

import base64
import json
from collections import Counter

import pytest
from lib.cluster_platform import settled


def test_check_mode_on_an_empty_cluster(platform):
    """It said what it would make, and made nothing (the first run found nothing, or it would not have made the namespace)."""
    if platform.empty_check is None:
        pytest.skip("the platform was there already")
    run = platform.empty_check.ok()
    assert run.stats["changed"] > 0
    # what it foresaw is what the first run did; a missing namespace cannot be asked, so another task stands in for applying objects
    foreseen = Counter("Apply the objects" if task.startswith("Predict that a real run makes") else task for task in run.changed)
    assert not foreseen - Counter(platform.first_run.changed)


def test_first_run_was_verified(platform):
    assert platform.answers()
    assert "a run and an artifact were written, read back and removed through" in platform.first_run.output


def test_no_secret_in_the_output(platform):
    """The runs so far, with --diff, in check mode and for real."""
    outputs = [path.read_text(errors="replace") for path in platform.scratch.glob("run-*.log")]
    assert outputs
    for name, value in platform.secrets().items():
        # names of accounts are no secrets, and short values prove nothing
        if len(value) >= 16 and not name.endswith("_access_key"):
            part = value[:16]
            assert not any(part in text or json.dumps(part)[1:-1] in text for text in outputs), name


def test_second_run_with_the_documented_rights_alone_changes_nothing_and_restarts_nothing(platform):
    """By a user of the namespace who may do what docs/kubernetes.md and preflight name, and nothing else anywhere."""
    # makes an account of its own, before the objects are counted
    tenant = platform.as_tenant()
    before, objects = settled(platform), platform.objects()
    platform.run(extra=tenant).unchanged()
    assert platform.lives() == before
    assert platform.objects() == objects


def test_check_mode_on_a_converged_platform(platform):
    before, objects = platform.lives(), platform.objects()
    run = platform.run(check=True, diff=True).unchanged()
    # it looked at everything, not at nothing
    assert run.stats["ok"] > 30
    assert platform.lives() == before
    assert platform.objects() == objects


def test_pods_keep_the_restricted_level(platform):
    """What the API server has, after all of its defaults: every container of every pod, without exception."""
    pods = platform.pods()
    assert pods
    for name, pod in pods.items():
        spec = pod.spec
        assert spec.automount_service_account_token is False, name
        assert not (spec.host_network or spec.host_pid or spec.host_ipc), name
        for one in [*spec.containers, *(spec.init_containers or [])]:
            here, context, around = f"{name}/{one.name}", one.security_context, spec.security_context
            assert context.read_only_root_filesystem, here
            assert context.allow_privilege_escalation is False, here
            assert context.capabilities.drop == ["ALL"], here
            assert context.run_as_non_root or around.run_as_non_root, here
            assert (context.seccomp_profile or around.seccomp_profile).type == "RuntimeDefault", here
            assert one.resources.limits and one.resources.requests, here
        for one in spec.containers:
            assert one.readiness_probe and one.liveness_probe, f"{name}/{one.name}"


def test_the_login_of_the_service_monitor_scrapes(platform):
    """What a Prometheus would read of it, it can do.

    The object itself is held against its definition by unit tests: an API server of 1.20 that Go 1.19 compiled crashes when it gets one
    of a kind that it was not built with, and so the cluster of the tests does not serve ServiceMonitor.
    """
    data = platform.cluster.core.read_namespaced_secret("mlops-mlflow-login", platform.namespace).data
    user, password = (base64.b64decode(data[part]).decode() for part in ("username", "password"))
    status, _headers, answer = platform.http((user, password))("GET", "/metrics")
    assert (status, b"mlflow_http_request_total" in answer) == (200, True)
    assert platform.http((user, "another"))("GET", "/metrics")[0] == 401

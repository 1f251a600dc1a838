"""The other playbooks on Kubernetes: each finds the installation by itself, and the last of them removes it."""

from __future__ import annotations

import os

import pytest
from lib.platform_proc import wait_until


def test_status_names_the_pods_and_changes_nothing(platform):
    before = platform.lives()
    run = platform.run("playbooks/status.yml").unchanged()
    assert f"URL http://mlops-mlflow.{platform.namespace}.svc:5000" in run.output
    for name in platform.pods():
        assert f"{name}: Running, 1 of 1 ready" in run.output, name
    assert platform.lives() == before


def test_verify_proves_it_from_a_pod_and_from_here(platform):
    """As AWX runs it: with a token of a user of the namespace in the environment."""
    before = platform.lives()
    run = platform.run("playbooks/verify.yml", **platform.as_awx()).ok()
    assert "a run and an artifact were written, read back and removed through" in run.output
    assert platform.lives() == before


def test_down_keeps_the_data_and_the_next_run_brings_it_up(platform):
    run_id, content = platform.new_run("down"), os.urandom(300_000)
    platform.put_artifact(run_id, "data.bin", content)
    platform.run("playbooks/down.yml").ok()
    wait_until("no pod is left", lambda: not platform.pods(), 120)
    platform.run("playbooks/down.yml").unchanged()
    platform.run().ok()
    platform.wait_until_up()
    assert platform.artifact(run_id, "data.bin") == content


def test_reset_removes_the_namespace_once_it_is_confirmed(platform, cluster):
    if {"MLOPS_TEST_KEEP", "MLOPS_TEST_NAMESPACE"} & set(os.environ):
        pytest.skip("the platform is to be kept")
    refused = platform.run("playbooks/reset.yml", extra={"mlops_reset_confirm": "yes"})
    assert refused.code != 0 and "not confirmed: nothing was removed" in refused.failed[-1]
    assert platform.answers()
    platform.run("playbooks/reset.yml", extra={"mlops_reset_confirm": platform.namespace}).ok()
    assert not cluster.namespaces(platform.namespace)

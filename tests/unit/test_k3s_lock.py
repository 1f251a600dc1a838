"""Modules of a run that was killed go on, on the host: the next run's wait for them."""

from __future__ import annotations

import threading
import time

from ansible_collections.mlops.platform.plugins.module_utils import k3s_lock


def test_the_second_module_waits_for_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(k3s_lock, "LOCK", str(tmp_path / "lock"))
    seen = []

    def second():
        with k3s_lock.alone():
            seen.append("second")

    with k3s_lock.alone():
        other = threading.Thread(target=second)
        other.start()
        time.sleep(0.2)
        seen.append("first")
    other.join(10)
    assert seen == ["first", "second"]
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_check_mode_waits_for_nobody_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(k3s_lock, "LOCK", str(tmp_path / "lock"))
    with k3s_lock.alone(False):
        pass
    assert list(tmp_path.iterdir()) == []

"""What users deleted long ago is deleted for good by a pod of MLflow's image, but nothing that a registered model needs."""

from __future__ import annotations

from lib import platform_proc as proc
from lib.long_tests import LONG
from lib.platform_garbage import deleted_runs, there

GARBAGE = "playbooks/garbage.yml"


def test_only_what_is_old_and_that_nobody_needs_goes(platform):
    everything, objects = {"old", "recent", "needed", "within"}, platform.objects()
    with deleted_runs(platform) as deleted:
        predicted = platform.run(GARBAGE, check=True).ok()
        assert "runs: 2" in predicted.output and "deleted: false" in predicted.output
        assert there(platform, deleted) == (everything, everything)
        # a backup that is under way, as its pod has the lock
        with platform.database("postgres") as cursor:
            cursor.execute("SELECT pg_advisory_lock(1835823984, 1)")
            refused = platform.run(GARBAGE)
        assert refused.code != 0
        assert "under way in the cluster. Wait for its end; nothing was deleted" in " ".join(refused.output.split())
        assert there(platform, deleted) == (everything, everything)
        run = platform.run(GARBAGE, "-vvv").ok()
        assert run.stats["changed"] == 1
        assert "runs: 2" in run.output and "experiments: 1" in run.output
        assert there(platform, deleted) == ({"recent", "needed"}, {"recent", "needed"})
        assert platform.secrets()["mlflow_admin_password"] not in run.output
        platform.run(GARBAGE).unchanged()
    # what its pod read goes with the Job, in the background
    proc.wait_until("nothing of it to be there", lambda: platform.objects() == objects, 60)


@LONG
def test_the_schedule_is_kept_run_and_removed(platform):
    wanted = {"garbage_schedule": True, "garbage_time": "23:05"}
    with deleted_runs(platform) as deleted:
        assert platform.run(check=True, diff=True, extra=wanted).ok().changed
        platform.run(extra=wanted).ok()
        platform.run(extra=wanted).unchanged()
        (schedule,) = platform.schedules()
        assert schedule["spec"]["schedule"] == "5 23 * * *" and schedule["spec"]["suspend"] is False
        platform.run_schedule(schedule)
        assert there(platform, deleted) == ({"recent", "needed"}, {"recent", "needed"})
    platform.run().ok()
    assert platform.schedules() == []
    platform.run().unchanged()

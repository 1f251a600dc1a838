"""The distribution's PostgreSQL on a host, to the newer one of the wheel: by a copy in place, and by a dump for another engine."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from lib.backup_program import KEY
from lib.long_tests import LONG
from lib.platform import PORTS, Platform, remove_user, user_exists
from lib.platform_journal import missing, write
from lib.platform_major import UPGRADE, fill, finished, major, upgrade
from lib.platform_rows import owners

# an installation and ten runs of playbooks
pytestmark = [LONG, pytest.mark.skipif(os.geteuid() != 0, reason="only root installs the distribution's PostgreSQL")]

NEW = {"postgresql_engine": "embedded"}


@pytest.fixture(scope="module")
def packaged():
    """A platform with PostgreSQL of the distribution, and data; its `major` is that PostgreSQL's."""
    kept, had_user = os.environ.get("MLOPS_TEST_DATA_DIR"), user_exists()
    platform = Platform.at(kept) if kept else Platform.new(PORTS + 200, "mlops-major")
    platform.variables.update(postgresql_engine="package", backup_key=KEY)
    try:
        platform.install()
        platform.major = major(platform)
        if platform.major >= 18:
            pytest.skip(f"the distribution has PostgreSQL {platform.major}")
        fill(platform)
        yield platform
    finally:
        if not kept:
            platform.reset()
            # which a reset leaves
            shutil.rmtree(f"{platform.data_dir}-backup", ignore_errors=True)
            if not had_user:
                remove_user()


@pytest.fixture(scope="module")
def number(packaged):
    """The number under which a dump of the distribution's PostgreSQL is."""
    output = packaged.run("playbooks/backup.yml").ok().output
    assert re.search(r"engine: dump\b", output), output[-3000:]
    return re.search(r"installation: '?(\d+)", output)[1]


def told(run, words):
    """The run failed, and said `words`, however its output is wrapped."""
    assert run.code != 0 and any(words in re.sub(r"\s+", " ", message) for message in run.failed), run.output[-3000:]


def test_its_dump_is_rehearsed_beside_it(packaged, number):
    assert "rto_seconds" in packaged.run("playbooks/drill.yml").ok().output
    assert packaged.answers() and not Path(packaged.data_dir, "backup", "drill").exists()


def test_another_version_is_refused_and_the_playbook_named(packaged, number):
    with packaged.untouched():
        told(packaged.run(extra=NEW), "run playbooks/upgrade_postgresql.yml with the same variables")
    assert "Predict the copy" in packaged.run(UPGRADE, check=True, extra=NEW).ok().changed
    assert packaged.answers() and major(packaged) == packaged.major


def test_where_the_copy_fails_the_old_server_goes_on(packaged, number):
    told(
        packaged.run(UPGRADE, extra={**NEW, "postgresql_copy_timeout": 1}),
        f"data of PostgreSQL {packaged.major} are as they were, and it was started again",
    )
    packaged.wait_until_up()
    assert major(packaged) == packaged.major and missing(packaged, packaged.runs) == []


def test_everything_is_there_after_the_upgrade(packaged, number):
    upgrade(packaged, NEW)
    aside = Path(packaged.data_dir, "backup", f"replaced-postgresql-{packaged.major}")
    assert [path.read_text().strip() for path in aside.glob("*/PG_VERSION")] == [str(packaged.major)]
    finished(packaged)


def test_a_dump_of_the_old_engine_is_restored_into_the_new_one(packaged, number):
    later = write(packaged.http(), "after-the-dump", b"later")
    confirmed = {"backup_restore_confirm": str(packaged.data_dir)}
    # the new database cluster has a number of its own
    told(packaged.run("playbooks/restore.yml", extra=confirmed), "to restore one of them here, set backup_restore_installation to it")
    packaged.run("playbooks/restore.yml", extra={**confirmed, "backup_restore_installation": number}).ok()
    packaged.wait_until_up()
    assert missing(packaged, packaged.runs) == [] and len(missing(packaged, [later])) == 1
    assert owners(packaged) == {"mlflow"}


def test_there_is_no_way_down(packaged, number):
    with packaged.untouched():
        told(packaged.run(UPGRADE, extra={"postgresql_engine": "package"}), "PostgreSQL has no way down")

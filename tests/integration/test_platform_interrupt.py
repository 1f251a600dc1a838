"""A run that is killed half-way: the next one goes on from there, and the one after that changes nothing.

The platform of all integration tests was itself installed by a run that was killed again and again (lib.platform_interrupt).
"""

from __future__ import annotations

import re
import time

from lib.platform import PORTS, Platform
from lib.platform_interrupt import kill_in


def test_killed_changes_are_finished_by_the_next_run(platform):
    """One change after the other is killed half-way, and none is finished before the next begins; one run finishes all of them.

    The settings stay, as other tests ask for none of them.
    """
    old = dict(platform.variables)
    started = {name: platform.service(name).start for name in ("postgresql", *(f"mlflow-{port}" for port in platform.mlflow_ports))}
    passwords = {
        "postgresql_superuser_password": "one",
        "postgresql_account_passwords": {"mlflow": "two", "seaweedfs": "three"},
        "mlflow_admin_password": "four four four",
    }

    # between the new file and the restart: the file is right already, and what runs is still the old one
    platform.variables["postgresql_settings"] = {"work_mem": "6MB"}
    conf = platform.data_dir / "etc/postgresql/postgresql.conf"

    def configured():
        return re.search("^work_mem = '?6MB", conf.read_text(encoding="utf-8"), re.MULTILINE)

    assert not configured()
    kill_in(platform, "postgresql : Configure the server", until=configured)
    assert platform.service("postgresql").start == started["postgresql"]

    # while a process is out of the balance
    platform.variables["mlflow_auth_cache_seconds"] = 59
    kill_in(platform, "Restart the stale processes of MLflow", after=2)

    # after new passwords were kept and before, or after, the servers had them; and other ones each time
    for number, task in enumerate(
        ("Log in as the superuser with its password", "Make the accounts and their databases", "Hold the administrator to the password")
    ):
        for name, value in passwords.items():
            if isinstance(value, dict):
                platform.variables[name] = {account: f"{text} {number}" for account, text in value.items()}
            else:
                platform.variables[name] = f"{value} {number}"
        kill_in(platform, task)

    # the old passwords again: none of those that were interrupted; and killed wherever it happens to be
    platform.variables.update({name: old[name] for name in passwords})
    for seconds in (8, 13):
        run = platform.start()
        time.sleep(seconds)
        run.kill()
    platform.run().ok()
    platform.wait_until_up()
    for name, start in started.items():
        assert platform.service(name).start != start, name
    with platform.database("postgres") as cursor:
        cursor.execute("SHOW work_mem")
        assert cursor.fetchone() == ("6MB",)
    servers = (platform.data_dir / "etc/traefik/routes/mlflow-servers.yml").read_text()
    assert all(f":{port}" in servers for port in platform.mlflow_ports)
    assert not list((platform.data_dir / "secrets").glob("*.previous*"))
    platform.run().unchanged()


def test_a_first_installation_that_was_killed_can_be_removed():
    """Before there is a supervisor to ask, and while its packages are still being installed."""
    killed = Platform.new(ports=PORTS + 600, name="mlops-killed")
    kill_in(killed, "with the hashes of the lock file, of tools")
    assert killed.data_dir.exists()
    # raises what the playbook could not remove
    killed.reset()

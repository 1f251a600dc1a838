"""Faults of host and network: what cannot be done to the machine of the tests is wanted of it."""

from __future__ import annotations

import shutil
import time

from lib.platform_faults.planting import fault


@fault("disk-full")
def disk_without_its_reserve(platform, plan):
    yield {"reserve_mb": shutil.disk_usage(platform.data_dir).free // 2**20 + 1000}


@fault("memory-short")
def memory_short(platform, plan):
    yield {"memory_mb": 10**7}


@fault("clock-skewed")
def clock_of_another_hour(platform, plan):
    yield {"controller_time": time.time() - 3600}


@fault("version-differs/traefik")
def lock_file_of_another_version(platform, plan):
    yield {"environments": {**plan["environments"], "traefik": plan["environments"]["traefik"][:-12] + "0" * 12}}


@fault("dns-unresolved/nowhere.invalid", "certificate-name/nowhere.invalid", "mlflow-host-refused/nowhere.invalid")
def public_name_that_nobody_knows(platform, plan):
    yield {"public_names": [*plan["public_names"], "nowhere.invalid"]}

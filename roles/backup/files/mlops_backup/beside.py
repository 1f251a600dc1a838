"""The servers of a rehearsal: beside those of the platform, in a pod or on a host, and gone afterwards."""

from __future__ import annotations

from mlops_backup.drill_bucket import DrillBucket
from mlops_backup.new_server import NewServer
from mlops_backup.pod_server import PodServer
from mlops_backup.private_store import PrivateStore


def has_own_store(settings):
    """Return whether the objects go into a store of the rehearsal's own: where the platform's SeaweedFS is a program of this host."""
    return bool(settings.object_store.get("weed"))


def store(settings, folder):
    """Return what takes the objects, as a context whose `target` objects_restore takes: a store, or a bucket of the platform's server."""
    return PrivateStore(settings, folder / "seaweedfs") if has_own_store(settings) else DrillBucket(settings)


def server(settings, folder):
    """Return an empty PostgreSQL of the platform's own programs, as a context whose `address` database.session() takes."""
    return PodServer(settings, folder) if settings.pod else NewServer(settings, folder / "postgresql")

"""A rehearsal's bucket, beside that of the artifacts: whatever S3 server there is, the drill writes to it as a restore would."""

from __future__ import annotations

import time

from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_history import history

from mlops_backup.problems import BackupError

WAIT_SECONDS = 120
MISSING = ("404", "NoSuchBucket", "NotFound")


class DrillBucket:
    """An empty, versioned bucket, gone afterwards; what a killed drill left is removed first. `target`: as objects_restore takes it."""

    def __init__(self, settings):
        self.server, artifacts = settings.s3()
        # of at most 63 characters; the lock sees to it that there is one drill at a time
        self.name = f"{artifacts[:57]}-drill"
        self.target = (self.server, self.name)

    def __enter__(self):
        """Return it when it takes writes. Raises BackupError."""
        self.remove()
        steps = [
            ("create_bucket", {}),
            ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
            ("put_object", {"Key": "ready", "Body": b"ready"}),
        ]
        deadline = time.monotonic() + WAIT_SECONDS
        while steps:
            operation, arguments = steps[0]
            try:
                self.server.call("prepare the drill's bucket", operation, Bucket=self.name, **arguments)
                steps.pop(0)
            except S3Error as error:
                # an attempt whose answer was late may have made it
                if error.code in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                    steps.pop(0)
                elif time.monotonic() > deadline:
                    raise BackupError(f"the object store has no room for a drill's bucket: {error}") from None
                else:
                    time.sleep(0.5)
        return self

    def remove(self):
        """Remove it with all that is in it, if it is there. Raises BackupError."""
        try:
            for key, entries in history(*self.target).items():
                for entry in entries:
                    self.server.call(f"remove {key!r}", "delete_object", Bucket=self.name, Key=key, VersionId=entry.version)
            self.server.call("remove the drill's bucket", "delete_bucket", Bucket=self.name)
        except S3Error as error:
            if error.code not in MISSING:
                raise BackupError(f"the bucket {self.name} of the drill stays: {error}") from None

    def __exit__(self, *_unused):
        """Leave nothing."""
        self.remove()

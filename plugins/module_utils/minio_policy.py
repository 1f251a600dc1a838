# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Policies of a MinIO server, which users and groups are attached to."""

from __future__ import annotations

import json

from ansible_collections.mlops.platform.plugins.module_utils.minio import MinioError
from ansible_collections.mlops.platform.plugins.module_utils.s3_policy import canonical_policy


class PolicyManager:
    """Brings one policy to the state that is wanted. changes says what was done, or would be in check mode."""

    def __init__(self, connection, name, check_mode=False):
        self._connection, self._name, self._check_mode = connection, name, check_mode
        self.changes = []

    def find(self):
        """Return the policy as a dict, or None. Raises MinioError."""
        try:
            text = self._connection.admin(f"read the policy {self._name}", "policy_info", self._name)
        except MinioError as error:
            if error.code == "XMinioAdminNoSuchPolicy":
                return None
            raise
        try:
            return json.loads(text)
        except ValueError:
            raise MinioError(f"the policy {self._name} at {self._connection.where} is no JSON") from None

    def ensure_present(self, found, wanted):
        """Make or replace the policy that find() returned; return it as it is then. Raises MinioError."""
        if found is not None and canonical_policy(found) == canonical_policy(wanted):
            return found
        self.changes.append("create" if found is None else "update")
        if self._check_mode:
            return wanted
        self._connection.admin(f"write the policy {self._name}", "policy_add", self._name, policy=wanted)
        after = self.find()
        if after is None or canonical_policy(after) != canonical_policy(wanted):
            raise MinioError(f"{self._connection.where} took the policy {self._name} but shows another one: {json.dumps(after)}")
        # in the user's words: the server writes down the same in its own
        return wanted

    def ensure_absent(self, found):
        """Remove the policy that find() returned, if any. Raises MinioError."""
        if found is None:
            return
        self.changes.append("delete")
        if not self._check_mode:
            self._connection.admin(f"remove the policy {self._name}", "policy_remove", self._name)

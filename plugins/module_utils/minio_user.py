# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Users of a MinIO server: their secret keys, whether they are enabled, and the policies that they have."""

from __future__ import annotations

import json

from ansible_collections.mlops.platform.plugins.module_utils.minio import MinioError


class UserManager:
    """Brings one user to the state that is wanted.

    changes says what was done, or would be in check mode; warnings says what could not be seen.
    """

    def __init__(self, connection, name, check_mode=False):
        self._connection, self._name, self._check_mode = connection, name, check_mode
        self.changes, self.warnings = [], []

    def find(self):
        """Return {name, enabled, policies, groups} of the user, or None. Raises MinioError."""
        try:
            text = self._connection.admin(f"read the user {self._name}", "user_info", self._name)
        except MinioError as error:
            if error.code == "XMinioAdminNoSuchUser":
                return None
            raise
        try:
            info = json.loads(text)
        except ValueError:
            raise MinioError(f"what {self._connection.where} says of the user {self._name} is no JSON") from None
        return {
            "name": self._name,
            "enabled": info.get("status") == "enabled",
            "policies": sorted(name for name in (info.get("policyName") or "").split(",") if name),
            "groups": sorted(info.get("memberOf") or []),
        }

    def ensure_present(self, found, secret_key, enabled, policies, on_create_only=False):
        """Create or correct the user that find() returned, and return it as it is then; None leaves a property alone.

        Raises MinioError.
        """
        after = dict(found or {"name": self._name, "enabled": True, "policies": [], "groups": []})
        if found is None:
            if not secret_key:
                raise MinioError(f"the user {self._name} does not exist: user_secret_key is required to create it")
            self._do("create", f"create the user {self._name}", "user_add", self._name, secret_key)
        else:
            if enabled and not found["enabled"]:
                self._do("enable", f"enable the user {self._name}", "user_enable", self._name)
                after["enabled"] = True
            if secret_key and not on_create_only:
                self._keep_secret_key(found, after, secret_key)
        if enabled is False and after["enabled"]:
            self._do("disable", f"disable the user {self._name}", "user_disable", self._name)
            after["enabled"] = False
        if policies is not None:
            self._keep_policies(after["policies"], policies)
            after["policies"] = sorted(set(policies))
        if self.changes and not self._check_mode:
            self._see(after)
        return after

    def ensure_absent(self, found):
        """Delete the user that find() returned, if any. Raises MinioError."""
        if found is not None:
            self._do("delete", f"delete the user {self._name}", "user_remove", self._name)

    def _keep_secret_key(self, found, after, secret_key):
        """Replace a secret key that the user cannot log in with. Of a disabled user it cannot be known: the server refuses any."""
        if not after["enabled"] or (self._check_mode and not found["enabled"]):
            self.warnings.append(f"whether {self._name} has this secret key cannot be known while the user is disabled")
        elif not self._connection.can_log_in(self._name, secret_key):
            self._do("update secret key", f"change the secret key of {self._name}", "user_add", self._name, secret_key)
            if not self._check_mode and not self._connection.can_log_in(self._name, secret_key):
                raise MinioError(f"{self._connection.where} took the new secret key of {self._name} but does not let the user in with it")

    def _keep_policies(self, found, wanted):
        """Attach first: a user that changes from one policy to another has one at any time."""
        for verb, method, names in (
            ("attach", "attach_policy", sorted(set(wanted) - set(found))),
            ("detach", "detach_policy", sorted(set(found) - set(wanted))),
        ):
            if names:
                self._do(f"{verb} policies {', '.join(names)}", f"{verb} policies of {self._name}", method, names, user=self._name)

    def _see(self, wanted):
        """Raise MinioError where the server shows something else than what was done."""
        shown = self.find()
        differs = [key for key in ("enabled", "policies") if shown is None or shown[key] != wanted[key]]
        if differs:
            raise MinioError(
                f"{self._connection.where} took the changes of the user {self._name} but shows another {' and '.join(differs)}"
            )

    def _do(self, change, what, method, *args, **kwargs):
        self.changes.append(change)
        if not self._check_mode:
            self._connection.admin(what, method, *args, **kwargs)

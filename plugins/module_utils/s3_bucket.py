# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings one bucket to its wanted state: read, compare, act once, and see that it holds."""

from __future__ import annotations

import json
import time

from ansible_collections.mlops.platform.plugins.module_utils.s3 import DEFAULT_REGION, NOT_IMPLEMENTED, S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_contents import Contents
from ansible_collections.mlops.platform.plugins.module_utils.s3_facts import MISSING, bucket_exists, read_fact
from ansible_collections.mlops.platform.plugins.module_utils.s3_lifecycle import to_s3
from ansible_collections.mlops.platform.plugins.module_utils.s3_policy import canonical_policy

# a bucket on which nothing was ever set
NEW = {"versioning": "disabled", "object_lock": {"enabled": False, "mode": "none"}, "tags": {}, "lifecycle_rules": [], "policy": {}}
# the option that asks for a fact, where it has another name
OPTION = {"object_lock": "object_lock or object_lock_retention"}
# AWS shows a new bucket or setting to all its servers within seconds; a conflict with a request before takes as long
PATIENCE, STEP = 10, 0.2
TRANSIENT = {"NoSuchBucket", "OperationAborted"}


def same(fact, one, other):
    """Return whether two values of `fact` mean the same."""
    return canonical_policy(one) == canonical_policy(other) if fact == "policy" else one == other


def _patiently(request, *args, **kwargs):
    """Return what `request` returns; again for a while where it meets another request, or a bucket that is not yet known everywhere."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return request(*args, **kwargs)
        except S3Error as error:
            if error.code not in TRANSIENT or time.monotonic() > until:
                raise
        time.sleep(STEP)


def _wanted(wish, found):
    """Return the wanted form of a fact: `wish` itself, or what it makes of the present form."""
    return wish(found) if callable(wish) else wish


class Bucket:
    """One bucket, and what is done to it.

    `changes` holds what was done (or, with `check`, would be) in words; `before` and `after` the state in the form of FACTS.
    """

    def __init__(self, connection, name, check):
        self.connection = connection
        self.name = name
        self.check = check
        self.changes = []
        self.before = {"name": name, "state": "absent"}
        self.after = {"name": name, "state": "absent"}
        self.removed = None

    def present(self, wishes, object_lock=None):
        """Create the bucket where it is missing, and bring the facts in `wishes` to their values.

        A value is the fact's wanted form, or a function from the present form to the wanted one. `object_lock` says whether the
        bucket is created with Object Lock. Raises S3Error.
        """
        created = not bucket_exists(self.connection, self.name) and self._create(bool(object_lock))
        if created and self.check:
            found = dict(NEW)
            if object_lock:
                found.update(versioning="enabled", object_lock={"enabled": True, "mode": "none"})
            found = {fact: found[fact] for fact in wishes}
        else:
            found = {fact: _patiently(self._read, fact, wishes[fact]) for fact in wishes}
            if not created:
                self.before = {"name": self.name, "state": "present", **found}
        wanted = {fact: _wanted(wish, NEW[fact] if found[fact] is None else found[fact]) for fact, wish in wishes.items()}
        steps = {f: w for f, w in wanted.items() if found[f] is not None and not same(f, found[f], w)}
        self._refuse_impossible(found, wanted, steps)
        # a policy may forbid the other steps: a removed one goes first, a new one comes last
        for fact in sorted(steps, key=lambda name: name == "policy" and (1 if steps[name] else -1)):
            operation, arguments, words = getattr(self, f"_put_{fact}")(found[fact], steps[fact])
            self._act(words, operation, **arguments)
        self.after = {"name": self.name, "state": "present", **found, **steps}
        if not self.check:
            for fact in steps:
                self.after[fact] = self._settled(fact, steps[fact])

    def absent(self, force):
        """Delete the bucket where it is there; with `force` with all that is in it. Raises S3Error."""
        if not bucket_exists(self.connection, self.name):
            return
        contents = Contents(self.connection, self.name)
        try:
            self._delete(contents, force)
        except S3Error as error:
            if error.code not in MISSING:  # else it is gone: someone was faster
                raise
            return
        until = time.monotonic() + PATIENCE
        while not self.check and bucket_exists(self.connection, self.name):
            if time.monotonic() > until:
                raise S3Error(f"bucket {self.name} was deleted and the server at {self.connection.where} still shows it")
            time.sleep(STEP)

    def _delete(self, contents, force):
        """Delete the bucket, with `force` together with its `contents`. Raises S3Error."""
        contents.survey(whole=force)
        self.before = {"name": self.name, "state": "present", "contents": dict(contents.counts)}
        if contents and not force:
            number = f"{'more than ' if contents.more else ''}{contents.describe()}"
            raise S3Error(
                f"bucket {self.name} is not empty: it holds {number}, first {', '.join(map(repr, contents.keys))};"
                " nothing was deleted. Set force: true to delete the bucket with all of its content"
            )
        try:
            if contents and not self.check:
                contents.remove()
        finally:
            self.removed = contents.counts
            if contents:
                self.changes.append(f"remove {contents.describe()}")
        if not self.check:
            self.connection.call(f"delete bucket {self.name}", "delete_bucket", Bucket=self.name)
        self.changes.append("delete bucket")

    def _create(self, object_lock):
        """Create the bucket; return False where it turned out to be this identity's already."""
        arguments = {"ObjectLockEnabledForBucket": True} if object_lock else {}
        region = DEFAULT_REGION if self.check else self.connection.client_region()
        if region != DEFAULT_REGION:  # the one region that S3 takes for granted and must not be named
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            self._act("create bucket" + (" with Object Lock" if object_lock else ""), "create_bucket", **arguments)
        except S3Error as error:
            # another run was faster; only the owner finds it in the list of his buckets
            if error.code == "BucketAlreadyOwnedByYou":
                return False
            if error.code == "BucketAlreadyExists" and any(
                entry["Name"] == self.name for entry in self.connection.call("list buckets", "list_buckets").get("Buckets", [])
            ):
                return False
            raise
        return True

    def _act(self, words, operation, **arguments):
        """Note `words` as a change and, outside check mode, send the request."""
        if not self.check:
            what = f"{words} {self.name}" if operation == "create_bucket" else f"change bucket {self.name} ({words})"
            _patiently(self.connection.call, what, operation, Bucket=self.name, **arguments)
        self.changes.append(words)

    def _read(self, fact, wish):
        """Return `fact` of the bucket, or None where the server does not have the feature and nothing of it is wanted."""
        try:
            return read_fact(self.connection, self.name, fact)
        except S3Error as error:
            if error.code not in NOT_IMPLEMENTED:
                raise
            if not same(fact, _wanted(wish, NEW[fact]), NEW[fact]):
                raise S3Error(f"{OPTION.get(fact, fact)}: {error}; leave the option out for this server", error.code) from None
            self.connection.module.warn(f"{self.connection.where} does not implement {fact}; there is nothing to remove")
            return None

    def _refuse_impossible(self, found, wanted, steps):
        """Raise S3Error for changes of Object Lock that S3 does not know, before anything is changed."""
        lock = wanted.get("object_lock")
        if "object_lock" in steps and found["object_lock"]["enabled"] != lock["enabled"]:
            if not lock["enabled"]:
                raise S3Error(f"object_lock: bucket {self.name} has Object Lock, which cannot be switched off; move to a new bucket")
            state = wanted.get("versioning") or read_fact(self.connection, self.name, "versioning")
            if state != "enabled":
                raise S3Error(
                    f"object_lock: bucket {self.name} exists without Object Lock, and its versioning is {state}: Object Lock can be"
                    " switched on later only with versioning: enabled; set that too, or move to a new bucket"
                )
        if steps.get("versioning") == "suspended" and found["versioning"] == "enabled":
            lock = found.get("object_lock") or self._read("object_lock", NEW["object_lock"])
            if lock and lock["enabled"]:
                raise S3Error(f"versioning: bucket {self.name} has Object Lock, so its versioning cannot be suspended")

    def _settled(self, fact, wanted):
        """Return `fact` as the server shows it, once that is `wanted`. Raises S3Error when it does not come to that."""
        until = time.monotonic() + PATIENCE
        while True:
            shown = _patiently(read_fact, self.connection, self.name, fact)
            if same(fact, shown, wanted):
                return shown
            if time.monotonic() > until:
                raise S3Error(
                    f"{OPTION.get(fact, fact)}: the server at {self.connection.where} accepted {json.dumps(wanted)} and shows"
                    f" {json.dumps(shown)}; it does not support all of it, or something else changes the bucket at the same time"
                )
            time.sleep(STEP)

    # how each fact is written: (operation, arguments, words)

    def _put_versioning(self, old, new):
        arguments = {"VersioningConfiguration": {"Status": new.capitalize()}}
        return "put_bucket_versioning", arguments, f"versioning: {old} -> {new}"

    def _put_object_lock(self, old, new):
        config = {"ObjectLockEnabled": "Enabled"}
        words = [] if old["enabled"] else ["on"]
        if new["mode"] != "none":
            span = {key.capitalize(): new[key] for key in ("days", "years") if new.get(key)}
            config["Rule"] = {"DefaultRetention": {"Mode": new["mode"].upper(), **span}}
        if {**old, "enabled": 0} != {**new, "enabled": 0}:
            words.append(f"default retention {_retention(old)} -> {_retention(new)}")
        return "put_object_lock_configuration", {"ObjectLockConfiguration": config}, "object lock: " + ", ".join(words)

    def _put_tags(self, old, new):
        words = "tags: " + _difference(old, new)
        if not new:
            return "delete_bucket_tagging", {}, words
        return "put_bucket_tagging", {"Tagging": {"TagSet": [{"Key": key, "Value": value} for key, value in sorted(new.items())]}}, words

    def _put_lifecycle_rules(self, old, new):
        words = "lifecycle rules: " + _difference({rule["id"]: rule for rule in old}, {rule["id"]: rule for rule in new})
        if not new:
            return "delete_bucket_lifecycle", {}, words
        rules = {"Rules": [to_s3(rule) for rule in new]}
        return "put_bucket_lifecycle_configuration", {"LifecycleConfiguration": rules}, words

    def _put_policy(self, old, new):
        if not new:
            return "delete_bucket_policy", {}, "policy: remove"
        return "put_bucket_policy", {"Policy": json.dumps(new)}, "policy: " + ("change" if old else "set")


def _retention(lock):
    """Return a default retention in words."""
    return " ".join([lock["mode"], *(f"{lock[key]} {key}" for key in ("days", "years") if lock.get(key))])


def _difference(old, new):
    """Return in words which keys of two dicts are added, changed and removed."""
    kinds = {
        "add": sorted(set(new) - set(old)),
        "change": sorted(key for key in set(new) & set(old) if new[key] != old[key]),
        "remove": sorted(set(old) - set(new)),
    }
    return "; ".join(f"{kind} {', '.join(keys)}" for kind, keys in kinds.items() if keys)

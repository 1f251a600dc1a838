# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The data directory: who owns what, who else can read it, and whether each secret is there."""

from __future__ import annotations

import grp
import os
import pwd
import stat

from ansible_collections.mlops.platform.plugins.module_utils.doctor import UP, Check, error

# what the service user alone may enter, below the data directory
PRIVATE = ("etc", "etc/services", "bin", "log", "run", "secrets", "tls", "mlflow", "postgresql", "seaweedfs")


def seen(path):
    """Return {mode, owner, group, size, kind} of a path, or None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None

    def name(of, ident):
        try:
            return of(ident)[0]
        except KeyError:
            return str(ident)

    return {
        "mode": stat.S_IMODE(found.st_mode),
        "owner": name(pwd.getpwuid, found.st_uid),
        "group": name(grp.getgrgid, found.st_gid),
        "size": found.st_size,
        "kind": "directory" if stat.S_ISDIR(found.st_mode) else "file" if stat.S_ISREG(found.st_mode) else "other",
    }


def holding_secrets(data_dir):
    """Return the paths, relative to the data directory, of the files that hold a secret."""
    found = []
    for folder, inner in (("secrets", True), ("tls", True), ("etc", True)):
        for place, _folders, names in os.walk(os.path.join(data_dir, folder)):
            for name in names:
                path = os.path.relpath(os.path.join(place, name), data_dir)
                if inner and (
                    folder == "secrets"
                    or name.endswith((".key", ".pem", ".env", ".auth", ".ini"))
                    or name in ("s3.json", "security.toml", "filer.toml")
                ):
                    found.append(path)
    return sorted(found)


def look(plan):
    """Return the facts of this layer."""
    root = plan["data_dir"]
    private = [name for name in PRIVATE if os.path.isdir(os.path.join(root, name))] + plan["private"]
    wanted = [f"secrets/{name}" for name in plan["secrets"]]
    empty = {}
    for path in wanted:
        try:
            with open(os.path.join(root, path), "rb") as stream:
                empty[path] = not stream.read(100).strip()
        except OSError as problem:
            empty[path] = problem.strerror
    return {
        "root": seen(root),
        "private": {path: seen(os.path.join(root, path)) for path in dict.fromkeys(private)},
        "secret": {path: seen(os.path.join(root, path)) for path in dict.fromkeys(holding_secrets(root) + wanted)},
        "empty": empty,
    }


def directories(plan, facts):
    """A service cannot work in a directory of others; others must not read its data."""
    root, user = plan["data_dir"], plan["user"]
    if facts["root"] is None:
        yield error("data-directory-missing", f"{root} is not there", "set mlops_data_dir to the installation, or mount its file system")
        return
    for path, found in facts["private"].items():
        if found is None:
            yield error(
                "data-directory-missing", f"{root}/{path} is not there", f"restore it from a backup (docs/backup.md), or {UP}", subject=path
            )
        elif found["owner"] != user:
            yield error(
                "data-directory-owner",
                f"{root}/{path} belongs to {found['owner']}, and the services run as {user}",
                f"chown {user}: {root}/{path}",
                subject=path,
            )
        elif found["mode"] & 0o077:
            yield error(
                "data-directory-mode",
                f"{root}/{path} has mode {found['mode']:04o}: others can enter it",
                f"chmod 0700 {root}/{path}",
                subject=path,
            )
        elif found["mode"] & 0o700 != 0o700:
            yield error(
                "data-directory-mode",
                f"{root}/{path} has mode {found['mode']:04o}: its owner cannot use it",
                f"chmod 0700 {root}/{path}",
                subject=path,
            )


def secret_files(plan, facts):
    """Each secret is there, and for the services alone."""
    root, user = plan["data_dir"], plan["user"]
    for path, found in facts["secret"].items():
        name = os.path.basename(path)
        if found is None:
            yield error(
                "secret-missing",
                f"{root}/{path} is not there",
                f"restore the file, or give {UP} its value as the variable {name}; what is not given is made anew",
                subject=name,
            )
            continue
        if found["mode"] & 0o077:
            yield error(
                "secret-readable",
                f"{root}/{path} has mode {found['mode']:04o}: other accounts of this host may read it",
                f"chmod 0600 {root}/{path}; if others have an account here, replace the secret too (docs/operations.md, Passwords)",
                subject=path,
            )
        if path.startswith("secrets/") and found["owner"] != user:
            yield error(
                "secret-owner",
                f"{root}/{path} belongs to {found['owner']}, and the services run as {user}",
                f"chown {user}: {root}/{path}",
                subject=name,
            )
        empty = facts["empty"].get(path)
        if empty is True:
            yield error(
                "secret-empty", f"{root}/{path} is empty", f"restore the file, or give {UP} its value as the variable {name}", subject=name
            )
        elif empty:
            yield error("secret-unreadable", f"{root}/{path} cannot be read", f"run the doctor as root or {user}", said=empty, subject=name)


CHECKS = [Check("data-directory", "files", directories), Check("secrets", "files", secret_files)]

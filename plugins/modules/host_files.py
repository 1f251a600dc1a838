#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: all directories and files of one component in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Keep a set of directories and files in one call
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Brings directories and the content of files to what is described, all of them in one round trip. A component's dozen small files cost
    one call instead of two for each file.
  - A file is written beside its place and renamed, so that a run that is killed leaves the old content or the new one.
  - It removes no file but those in O(absent), and follows no symbolic link at the last place of a path.
options:
  directories:
    description: Directories, in the order in which they are made. A missing parent is made with the default mode.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The directory's absolute path.
        type: path
        required: true
      mode:
        description: Its mode, as an octal string.
        type: str
        default: "0700"
  files:
    description: Files whose content may be shown in a diff.
    type: list
    elements: dict
    default: []
    suboptions: &file
      path:
        description: The file's absolute path.
        type: path
        required: true
      content:
        description: The whole content.
        type: str
        required: true
      mode:
        description: Its mode, as an octal string.
        type: str
        default: "0600"
      check:
        description:
          - A command that accepts the content, as a list; V(%s) in it stands for a file that has it. It is run only where the content
            changes, before any of the paths is changed.
          - With another exit code than 0 the module fails with what the command wrote. In check mode, one whose program is not there yet
            is left out.
          - The file lies in a directory of O(owner), so that the command may run as that user.
        type: list
        elements: str
        default: []
  secret_files:
    description: Files whose content holds secrets. It is shown nowhere; a diff says only that it changes.
    type: list
    elements: dict
    default: []
    suboptions: *file
  absent:
    description: Absolute paths of files that must not be there. They go last, when the files that name others instead are written.
    type: list
    elements: path
    default: []
  owner:
    description: Owner of all of them. Unset means the user who runs the module.
    type: str
  group:
    description: Group of all of them. Unset means that the group is left alone.
    type: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
seealso:
  - module: ansible.builtin.template
"""

EXAMPLES = r"""
- name: Keep the files of a service
  mlops.platform.host_files:
    owner: "{{ service_user }}"
    directories:
      - path: "{{ service_directory }}"
    files:
      - path: "{{ service_directory }}/service.conf"
        content: "{{ lookup('ansible.builtin.template', 'service.conf.j2') }}"
        check: [/usr/bin/env, test, -s, "%s"]
    secret_files:
      - path: "{{ service_directory }}/service.env"
        content: "{{ lookup('ansible.builtin.template', 'service.env.j2') }}"
    absent:
      - "{{ service_directory }}/service.ini"
  register: service_files
"""

RETURN = r"""
changed_paths:
  description: Paths that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/srv/service/service.conf]
"""

import grp
import os
import pwd
import shutil
import stat
import subprocess
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import hold, replace_file


def account(module):
    """Return (uid, gid) that the paths get, -1 for what is left alone; fail the module for names that do not exist."""
    owner, group = module.params["owner"], module.params["group"]
    try:
        uid = pwd.getpwnam(owner).pw_uid if owner else -1
        gid = grp.getgrnam(group).gr_gid if group else -1
    except KeyError:
        module.fail_json(msg=f"there is no user {owner!r} or no group {group!r} on this host; create them first")
    return uid, gid


def keep_directory(path, mode, uid, gid, check):
    """Make the directory or bring its attributes to what is given; return whether that is a change. Raises OSError."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        if not check:
            # parents are nobody's of ours: they get what the umask leaves
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.mkdir(path, 0o700)
            hold(path, mode, uid, gid)
        return True
    if not stat.S_ISDIR(status.st_mode):
        raise OSError(f"{path} is there and no directory; move it away")
    return hold(path, mode, uid, gid, check)


def read(path):
    """Return the content of a regular file, or None where there is no file. Raises OSError for anything else."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path} is there and no regular file; move it away")
    with open(path, "rb") as stream:
        return stream.read()


def keep_file(path, content, mode, uid, gid, check):
    """Bring a file to content and attributes; return (changed, the content before as bytes or None). Raises OSError."""
    before = read(path)
    if before == content:
        return hold(path, mode, uid, gid, check), before
    if not check:
        replace_file(path, content, mode, uid, gid)
    return True, before


def missing(command):
    """Return the first absolute path in `command` that is not there, or None: the program, also behind one that changes the user."""
    return next((word for word in command if word.startswith("/") and not os.path.exists(word)), None)


def refusal(path, content, command, uid, gid):
    """Return what `command` says against `content` for the file `path`, or None where it accepts it. Raises OSError."""
    # not $TMPDIR, which may be a directory of root's alone
    directory = tempfile.mkdtemp(prefix="mlops-check-", dir="/tmp")
    try:
        candidate = os.path.join(directory, os.path.basename(path))
        replace_file(candidate, content, 0o600, uid, gid)
        os.chown(directory, uid, gid)
        argv = [word.replace("%s", candidate) for word in command]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd="/")
        if done.returncode == 0:
            return None
        words = done.stdout.decode("utf-8", "replace").replace(candidate, path).strip()
        return words or f"exit code {done.returncode}"
    finally:
        shutil.rmtree(directory)


def check_files(module, uid, gid):
    """Have the new content of every file that has a check accepted; fail the module where one is not. Raises OSError."""
    for kind in ("files", "secret_files"):
        for wanted in module.params[kind]:
            content = wanted["content"].encode("utf-8")
            if not wanted["check"] or read(wanted["path"]) == content or (module.check_mode and missing(wanted["check"])):
                continue
            words = refusal(wanted["path"], content, wanted["check"], uid, gid)
            if words:
                module.fail_json(msg=f"{wanted['path']}: the new content was refused, and nothing was changed. {words}", changed_paths=[])


def remove_file(path, check):
    """Remove a file or a symbolic link; return whether that is a change. Raises OSError, also for a directory."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISDIR(status.st_mode):
        raise OSError(f"{path} is a directory and no file; remove it yourself")
    if not check:
        os.unlink(path)
    return True


def difference(path, before, after, secret):
    """Return one entry of the diff of a changed file."""
    if secret:
        return {"before_header": path, "after_header": path, "before": "", "after": "(changes; the content is secret)\n"}
    text = (before or b"").decode("utf-8", "replace")
    return {"before_header": path, "after_header": path, "before": text, "after": after.decode("utf-8", "replace")}


class Module(AnsibleModule):
    """A module whose options stay out of the host's journal."""

    def _log_invocation(self):
        """Log which files are meant, and no content.

        AnsibleModule logs a list of dictionaries in Python's notation and then looks for the secrets in that text: one with a line break, a
        quotation mark or a backslash stands there in another form, and is not found.
        """
        paths = [entry["path"] for kind in ("directories", "files", "secret_files") for entry in self.params[kind]] + self.params["absent"]
        self.log(f"Invoked with {' '.join(paths)}")


def main():
    """Run the module."""
    entry = {
        "path": {"type": "path", "required": True},
        "mode": {"type": "str", "default": "0600"},
        "check": {"type": "list", "elements": "str", "default": []},
    }
    module = Module(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"path": {"type": "path", "required": True}, "mode": {"type": "str", "default": "0700"}},
            },
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {**entry, "content": {"type": "str", "required": True}},
            },
            "secret_files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "no_log": False,
                "options": {**entry, "content": {"type": "str", "required": True, "no_log": True}},
            },
            "absent": {"type": "list", "elements": "path", "default": []},
            "owner": {"type": "str"},
            "group": {"type": "str"},
        },
        supports_check_mode=True,
    )
    uid, gid = account(module)
    changed, diff = [], []
    try:
        check_files(module, uid, gid)
        for wanted in module.params["directories"]:
            if keep_directory(wanted["path"], int(wanted["mode"], 8), uid, gid, module.check_mode):
                changed.append(wanted["path"])
                diff.append({"before": "", "after": f"directory {wanted['path']} mode {wanted['mode']}\n"})
        for kind in ("files", "secret_files"):
            for wanted in module.params[kind]:
                content = wanted["content"].encode("utf-8")
                differs, before = keep_file(wanted["path"], content, int(wanted["mode"], 8), uid, gid, module.check_mode)
                if differs:
                    changed.append(wanted["path"])
                    diff.append(difference(wanted["path"], before, content, kind == "secret_files"))
        for path in module.params["absent"]:
            if remove_file(path, module.check_mode):
                changed.append(path)
                # what was in it may have been a secret
                diff.append({"before": f"file {path}\n", "after": ""})
    except ValueError:
        module.fail_json(msg="a mode must be an octal string such as '0600'")
    except OSError as error:
        module.fail_json(msg=f"cannot bring the files to their state: {error}", changed_paths=changed)
    result = {"changed": bool(changed), "changed_paths": changed}
    if module._diff:
        result["diff"] = diff
    module.exit_json(**result)


if __name__ == "__main__":
    main()

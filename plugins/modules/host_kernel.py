#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: kernel modules, sysctls and swap, now and at the next boot, in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_kernel
short_description: Kernel modules, sysctls and swap, now and at the next boot
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Loads modules, sets sysctls and switches swap off, and writes what the next boot reads, C(/etc/modules-load.d/mlops-host.conf) and
    C(/etc/sysctl.d/90-mlops-host.conf). Both files hold what is given and no more; swap in C(/etc/fstab) becomes a comment.
  - In a container it leaves alone what belongs to the machine, and says so in C(notes).
options:
  modules:
    description: Modules, loaded or built in.
    type: list
    elements: str
    default: []
  sysctls:
    description: Sysctls by name. Where the kernel has not got one, the module fails.
    type: dict
    default: {}
  at_least:
    description: Sysctls of which the running kernel may have a greater value already.
    type: dict
    default: {}
  swap:
    description:
      - V(disable) switches off all swap, for good. V(restore) brings back what was an entry of C(/etc/fstab).
      - V(leave) does nothing.
    type: str
    choices: [disable, restore, leave]
    default: leave
  container:
    description: Whether the host is a container.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Let the host forward packets
  mlops.platform.host_kernel:
    modules: [br_netfilter]
    sysctls:
      net.ipv4.ip_forward: 1
      net.bridge.bridge-nf-call-iptables: 1
    at_least:
      fs.inotify.max_user_instances: 1024
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["net.ipv4.ip_forward: 0 -> 1"]
notes:
  description: What was left alone, and why.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import host_firewall, host_kernel

MODULES_FILE = "/etc/modules-load.d/mlops-host.conf"
SYSCTL_FILE = "/etc/sysctl.d/90-mlops-host.conf"
FSTAB = "/etc/fstab"


class Kernel:
    """Brings the running kernel to what is wanted."""

    def __init__(self, check, container):
        """Begin with nothing changed."""
        self.check = check
        self.container = container
        self.changes = []
        self.notes = []

    def module(self, name):
        """Load a module."""
        if host_kernel.is_loaded(name):
            return
        note = None if self.check else host_kernel.load(name, self.container)
        if note:
            self.notes.append(note)
        elif self.check and self.container:
            self.notes.append(f"module {name}: a container has the modules of its machine")
        else:
            self.changes.append(f"module {name} loaded")

    def sysctl(self, name, value, at_least):
        """Set a sysctl."""
        before = host_kernel.current(name)
        if host_kernel.good(before, value, at_least):
            return
        if self.check:
            if self.container and not host_kernel.own_to_a_container(name):
                self.notes.append(f"{name}: left at {before}, as it is that of the container's machine")
                return
            note = None
        else:
            note = host_kernel.write(name, value, self.container)
        if note:
            self.notes.append(note)
        else:
            self.changes.append(f"{name}: {before} -> {value}")

    def swap(self, fstab):
        """Switch swap off."""
        devices = host_kernel.swap_devices(host_firewall.read("/proc/swaps") or "")
        if devices and self.container:
            self.notes.append(f"swap on {', '.join(devices)}: left, as it is that of the container's machine")
            return
        for device in devices:
            if not self.check:
                host_kernel.swap_off(device, device in fstab.split())
            self.changes.append(f"swap on {device} switched off")


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "modules": {"type": "list", "elements": "str", "default": []},
            "sysctls": {"type": "dict", "default": {}},
            "at_least": {"type": "dict", "default": {}},
            "swap": {"type": "str", "choices": ["disable", "restore", "leave"], "default": "leave"},
            "container": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    kernel = Kernel(module.check_mode, given["container"])
    files = host_firewall.Files(module.check_mode)
    exact = {name: str(value) for name, value in given["sysctls"].items()}
    least = {name: str(value) for name, value in given["at_least"].items()}
    try:
        # the files first: a run that is killed leaves a host that is right after its next boot
        files.keep(MODULES_FILE, host_kernel.HEAD + "".join(f"{name}\n" for name in given["modules"]) if given["modules"] else None)
        # greater values of others, in files that are read before this one, stay greater
        kept = {name: value for name, value in least.items() if not _greater(name, value)}
        files.keep(SYSCTL_FILE, host_kernel.sysctl_text({**kept, **exact}) if exact or kept else None)
        if given["swap"] == "disable":
            fstab = host_firewall.read(FSTAB) or ""
            files.keep(FSTAB, host_kernel.without_swap(fstab) if fstab else None)
            kernel.swap(fstab)
        if given["swap"] == "restore":
            fstab = host_firewall.read(FSTAB) or ""
            files.keep(FSTAB, host_kernel.with_swap(fstab) if fstab else None)
            if FSTAB in files.changed and not module.check_mode and not given["container"]:
                host_kernel.run("swapon", "--all")
        for name in given["modules"]:
            kernel.module(name)
        for name, value in [*exact.items(), *least.items()]:
            kernel.sysctl(name, value, name in least)
    except (host_kernel.KernelError, OSError) as error:
        module.fail_json(msg=f"cannot bring the kernel to its state: {error}", changes=kernel.changes)
    changes = [*files.changed, *kernel.changes]
    result = {"changed": bool(changes), "changes": changes, "notes": kernel.notes}
    if module._diff:
        result["diff"] = files.diff + [{"before": "", "after": f"{line}\n"} for line in kernel.changes]
    module.exit_json(**result)


def _greater(name, value):
    """Return whether the host has a greater value already: then it is somebody else's wish, and the next boot is left to it."""
    now = host_kernel.current(name)
    return now is not None and now.isdigit() and value.isdigit() and int(now) > int(value)


if __name__ == "__main__":
    main()

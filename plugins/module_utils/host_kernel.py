# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel modules, sysctls and swap: what runs now, and what the next boot reads."""

from __future__ import annotations

import os
import re
import subprocess

HEAD = "# Written by the role mlops.platform.host; changed by hand it is written anew.\n"
OFF = "# off for Kubernetes, by mlops.platform: "


class KernelError(Exception):
    """What stops the module, in words for the user."""


def run(*argv):
    """Run a program; return (code, what it wrote)."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError as error:
        return 127, f"{argv[0]}: {error.strerror}"
    return done.returncode, done.stdout.strip()


# --- modules -----------------------------------------------------------------------------------------------------------------------------


def is_loaded(name, root="/"):
    """Return whether the kernel has a module, loaded or built in."""
    if os.path.isdir(os.path.join(root, "sys/module", name)):
        return True
    place = os.path.join(root, "lib/modules", os.uname().release, "modules.builtin")
    try:
        with open(place, encoding="utf-8") as stream:
            built_in = {os.path.basename(line.strip()).split(".")[0].replace("-", "_") for line in stream}
    except OSError:
        return False
    return name.replace("-", "_") in built_in


def load(name, container):
    """Load a module; return a note for the user where that is not this host's to do. Raises KernelError."""
    code, words = run("modprobe", name)
    if code == 0:
        return None
    if container:
        return f"module {name}: a container has the modules of its machine ({words})"
    raise KernelError(
        f"the kernel module {name} cannot be loaded: {words}. Install the package with the kernel's modules and reboot into that kernel"
    )


# --- sysctls -----------------------------------------------------------------------------------------------------------------------------


def path_of(name, root="/"):
    """Return the file of a sysctl. A name with slashes may have dots in its parts, as in net/ipv4/conf/eth0.1/forwarding."""
    return os.path.join(root, "proc/sys", name if "/" in name else name.replace(".", "/"))


def current(name, root="/"):
    """Return a sysctl's value with single blanks, None where there is none."""
    try:
        with open(path_of(name, root), encoding="utf-8") as stream:
            return " ".join(stream.read().split())
    except OSError:
        return None


def good(value, wanted, at_least):
    """Return whether a value will do."""
    if value is None:
        return False
    if at_least and value.isdigit() and wanted.isdigit():
        return int(value) >= int(wanted)
    return value == " ".join(wanted.split())


def own_to_a_container(name):
    """Return whether each container has this one for itself: those of the network, as far as the kernel knows."""
    return name.replace("/", ".").startswith("net.")


def write(name, value, container, root="/"):
    """Set a sysctl; return a note for the user where that is not this host's to do. Raises KernelError."""
    if container and not own_to_a_container(name):
        return f"{name}: left at {current(name, root)}, as it is that of the container's machine"
    try:
        with open(path_of(name, root), "w", encoding="utf-8") as stream:
            stream.write(value)
    except OSError as error:
        if container:
            return f"{name}: a container cannot set it here ({error.strerror})"
        raise KernelError(f"{name} cannot be set to {value}: {error.strerror}. The module that brings it may be missing") from error
    return None


def sysctl_text(wanted):
    """Return the file that the next boot reads."""
    return HEAD + "".join(f"{name} = {value}\n" for name, value in sorted(wanted.items()))


# --- swap --------------------------------------------------------------------------------------------------------------------------------


def without_swap(fstab):
    """Return the text of /etc/fstab with its swap entries as comments."""
    lines = []
    for line in fstab.splitlines(keepends=True):
        words = line.split()
        swap = len(words) >= 3 and not line.lstrip().startswith("#") and words[2] == "swap"
        lines.append(OFF + line if swap else line)
    return "".join(lines)


def with_swap(fstab):
    """Return the text of /etc/fstab with what without_swap() made comments as entries again."""
    return "".join(line[len(OFF) :] if line.startswith(OFF) else line for line in fstab.splitlines(keepends=True))


def swap_devices(text):
    """Return the devices of /proc/swaps' text."""
    return [line.split()[0] for line in text.splitlines()[1:] if line.split()]


def unit_of(device):
    """Return the name of systemd's swap unit of a device."""
    code, words = run("systemd-escape", "--path", "--suffix=swap", device)
    return words if code == 0 and re.fullmatch(r"\S+\.swap", words) else ""


def swap_off(device, in_fstab):
    """Switch a swap device off, and for good. Raises KernelError."""
    code, words = run("swapoff", device)
    if code != 0:
        raise KernelError(f"swap on {device} cannot be switched off: {words}. Free memory first, or set host_swap to leave")
    unit = "" if in_fstab else unit_of(device)
    if unit:
        # not of fstab: a generator, such as that of zram, would bring it back
        run("systemctl", "mask", unit)

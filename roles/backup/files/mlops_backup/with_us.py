"""Lets a child end with this process, however that ends: one that is killed cannot end its servers itself, and they would be in the way."""

from __future__ import annotations

import ctypes

# prctl(2), in linux/prctl.h: the signal that a process gets when the thread that started it ends
PR_SET_PDEATHSIG = 1


def ends(number):
    """Return what subprocess calls in the child before it is another program: the child gets the signal `number` at our end.

    To be used in the main thread, which ends last.
    """
    # loaded before the fork: between fork and exec there is one system call
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, number)

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the module host_look and measures the host's clock against this machine's."""

from __future__ import annotations

import time

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Puts the controller's times before and after the call beside the host's."""

    supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Run the module; return its result with C(clock)."""
        super().run(tmp, task_vars)
        before = time.time()
        result = self._execute_module(module_args=self._task.args, task_vars=task_vars)
        after = time.time()
        if "host" in result:
            there = result["host"]["clock"]["time"]
            # the module read its clock somewhere between the two
            result["clock"] = {"least": round(there - after, 3), "most": round(there - before, 3)}
        return result

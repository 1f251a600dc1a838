"""Ansible callback: one JSON line per event, to the file named by MLOPS_TEST_EVENTS, beside whatever is printed for people.

So a test reads results as data while the output stays exactly what a user sees, and can act on a task the moment it starts.
"""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: platform_events
type: aggregate
short_description: events of a run as JSON lines
description: [Writes one JSON line per event to the file that MLOPS_TEST_EVENTS names.]
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "platform_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.stream = open(os.environ["MLOPS_TEST_EVENTS"], "a", encoding="utf-8")  # noqa: PTH123, SIM115

    def write(self, **event):
        # when it was, for whoever looks for what takes long
        self.stream.write(json.dumps({"at": round(time.time(), 2), **event}, default=str) + "\n")
        self.stream.flush()

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.write(event="start", task=task.get_name())

    def result(self, status, result):
        answer = result._result
        changed_items = [
            {"item": one.get("_ansible_item_label", one.get("item")), "msg": one.get("msg")}
            for one in answer.get("results", [])
            if isinstance(one, dict) and one.get("changed")
        ]
        self.write(
            event=status,
            task=result._task.get_name(),
            changed=bool(answer.get("changed")),
            msg=answer.get("msg"),
            items=changed_items,
        )

    def v2_runner_on_ok(self, result):
        self.result("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.result("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result):
        self.result("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self.result("skipped", result)

    def v2_playbook_on_stats(self, stats):
        self.write(event="stats", hosts={host: stats.summarize(host) for host in stats.processed})

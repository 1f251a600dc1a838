# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Starts a forward in a process of its own, which outlives the module, or finds the one that runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, connection_params
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_forward import Forwarder
from ansible_collections.mlops.platform.plugins.module_utils.cluster_forward_state import State, identity
from ansible_collections.mlops.platform.plugins.module_utils.cluster_forward_target import Target

DIRECT_TIMEOUT = 2  # seconds
MARGIN = 60  # seconds beyond the time-out after which a process that says nothing is given up


def state_of(params):
    """Return the State of the forward that the module's `params` describe. Raises ClusterError."""
    what = {key: params[key] for key in ("namespace", "service", "pod", "selector", "port", "session")}
    return State(identity([what, connection_params(params), _kubeconfig_digest(params)]))


def _kubeconfig_digest(params):
    """Return what tells a kubeconfig from an earlier one at the same place: a cluster that was made anew must not get the old forward."""
    path = params.get("kubeconfig") or os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        with open(os.path.expanduser(path), "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except (OSError, TypeError, ValueError):
        return ""


def connects(host, port, addresses=None):
    """Return whether host:port takes connections; with `addresses`, at one of these only: a name may lead anywhere outside of a cluster."""
    found = []

    def attempt():
        with contextlib.suppress(OSError):
            for *_kind, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                if addresses is None or place[0] in addresses:
                    socket.create_connection(place[:2], timeout=DIRECT_TIMEOUT).close()
                    found.append(place)
                    return

    # a name server that does not answer takes its own time
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(2 * DIRECT_TIMEOUT)
    return bool(found)


def start(params, state):
    """Return what reaches the target: the notes of a forward, new or running, or {"host", "port", "pid": None} where none is needed.

    Raises ClusterError.
    """
    if params["direct"]:
        host, _colon, port = params["direct"].rpartition(":")
        if connects(host.strip("[]"), int(port)):
            return {"host": host.strip("[]"), "port": int(port), "pid": None}
    with state.alone():
        notes = state.running()
        if notes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(notes["pid"], signal.SIGUSR1)
            time.sleep(0.05)
            if state.running():
                return notes
        return _spawn(params, state)


def _spawn(params, state):
    """Start a process and return what it reports. Raises ClusterError."""
    state.clean()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # the child leaves the session, its child belongs to nobody: neither a terminal nor Ansible waits for it
        os.setsid()
        if os.fork() == 0:
            _detached(params, state, writing)
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    answer, until = b"", time.monotonic() + params["timeout"] + MARGIN
    with os.fdopen(reading, "rb", buffering=0) as stream:
        while select.select([stream], [], [], max(0, until - time.monotonic()))[0]:
            data = stream.read(65536)
            if not data:
                break
            answer += data
    try:
        report = json.loads(answer)
    except ValueError:
        raise ClusterError("the process that forwards ended without a word", f"look at {state.log_path}") from None
    if "error" in report:
        raise ClusterError(report["error"], report["remedy"], report["status"])
    return report


def _detached(params, state, writing):
    """Be the process: report once through `writing`, then serve. Never returns."""
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        # among the others are locks that the module holds
        os.closerange(3, writing)
        os.closerange(writing + 1, 4096)
        sys.stdin = sys.stdout = sys.stderr = open(os.devnull, "r+", encoding="utf-8")  # noqa: SIM115 - as long as the process
        os.chdir("/")
        os.umask(0o077)
        # the client library writes certificates into files, and the module removes its own when it ends
        os.makedirs(state.scratch, mode=0o700, exist_ok=True)
        tempfile.tempdir = state.scratch
        _serve(params, state, writing)
    except ClusterError as error:
        _report(writing, {"error": error.what, "remedy": error.remedy, "status": error.status})
    except Exception as error:  # there is nobody to see a traceback
        state.log(f"{type(error).__name__}: {error}")
        _report(writing, {"error": f"cannot forward: {type(error).__name__}: {error}", "remedy": "", "status": 0})
    finally:
        os._exit(0)


def _report(writing, values):
    with contextlib.suppress(OSError):
        os.write(writing, json.dumps(values).encode())
        os.close(writing)


def _serve(params, state, writing):
    """Forward until it is over. Raises ClusterError."""
    cluster = Cluster(params)
    target = Target(cluster, params["namespace"], params["port"], params["service"], params["pod"], params["selector"])
    target.load()
    name = f"{params['service']}.{params['namespace']}.svc"
    if params["direct"] is None and target.addresses and connects(name, params["port"], target.addresses):
        _report(writing, {"host": name, "port": params["port"], "pid": None})
        state.clean()
        return
    if not state.hold():
        raise ClusterError("another process has just started the same forward", "run again")
    forwarder = Forwarder(target, params["idle_seconds"], state.log)
    forwarder.try_out(params["timeout"])
    forwarder.heed()
    notes = {"host": "127.0.0.1", "port": forwarder.port, "pid": os.getpid()}
    state.note(notes)
    _report(writing, notes)
    try:
        forwarder.run()
    finally:
        state.clean()

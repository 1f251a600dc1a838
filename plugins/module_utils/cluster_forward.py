# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The process that listens on this host and passes each connection on to a pod."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_tunnel import Tunnel, connect

FRESH = 2  # seconds for which a pod is taken to be as ready as it was
RETRY = 30  # seconds for which a connection waits for a pod that can be reached: one may be starting
REFUSED = 10  # seconds for which pods are tried that are said to be ready and refuse the connection: they are ending, or about to start


class Forwarder:
    """Listens, passes connections on, and ends when there was none for `idle` seconds, or on SIGTERM."""

    def __init__(self, target, idle, log):
        self.target, self.idle, self.log = target, idle, log
        self._lock = threading.Lock()
        self._open = 0
        self._busy = time.monotonic()
        self._pod, self._picked = None, 0.0
        self._over = threading.Event()
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.port = self._listener.getsockname()[1]

    def try_out(self, timeout):
        """Connect to a pod once, so that a permission that is missing shows now. Raises ClusterError."""
        connection = self._connect(timeout)
        with contextlib.suppress(OSError):
            connection.close(timeout=1)

    def heed(self):
        """Take signals from now on. Before anybody knows of this process: SIGUSR1 would end it."""
        signal.signal(signal.SIGTERM, lambda *_unused: self._over.set())
        signal.signal(signal.SIGUSR1, lambda *_unused: self._touch())

    def run(self):
        """Serve until it is over."""
        self._listener.settimeout(1)
        while not self._over.is_set():
            try:
                local, _address = self._listener.accept()
            except (socket.timeout, InterruptedError):
                with self._lock:
                    if not self._open and time.monotonic() - self._busy > self.idle:
                        break
                continue
            with self._lock:
                self._open += 1
            threading.Thread(target=self._serve, args=(local,), daemon=True).start()
        self._listener.close()

    def _touch(self):
        """Count the idle time from now on: somebody is about to connect."""
        self._busy = time.monotonic()

    def _serve(self, local):
        try:
            began, early = time.monotonic(), b""
            while True:
                tunnel = Tunnel(local, self._connect(RETRY), early)
                tunnel.run()
                if tunnel.error:
                    self.log(tunnel.error)
                    self._forget()
                if not tunnel.refused or time.monotonic() - began > REFUSED:
                    break
                early = bytes(tunnel.early)
                time.sleep(0.2)
        except ClusterError as error:
            self.log(str(error))
        except (OSError, ValueError) as error:
            self.log(f"a connection broke: {error}")
            self._forget()
        finally:
            local.close()
            with self._lock:
                self._open -= 1
                self._busy = time.monotonic()

    def _forget(self):
        with self._lock:
            self._picked = 0.0

    def _connect(self, timeout):
        """Return a connection to a ready pod; try others for `timeout` seconds. Raises ClusterError."""
        until = time.monotonic() + timeout
        avoid, words = set(), None
        while True:
            try:
                pod = self._current(avoid)
                if pod:
                    return connect(self.target.cluster, self.target.namespace, *pod)
                words = ClusterError(f"no pod of the {self.target.words} is ready", "wait until it is, or look at why it is not")
            except ClusterError as error:
                words = error
                if error.status in (401, 403):
                    raise
                self._forget()
                if self._pod:
                    avoid.add(self._pod[0])
            if time.monotonic() > until or self._over.is_set():
                raise words
            time.sleep(0.5)

    def _current(self, avoid):
        """Return (name, port) of the pod to use, None where there is none."""
        with self._lock:
            if time.monotonic() - self._picked > FRESH:
                self._pod = self.target.pick(avoid)
                self._picked = time.monotonic() if self._pod else 0.0
            return self._pod

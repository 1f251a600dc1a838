# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One TCP connection to a pod through the API server, by its portforward subresource over a WebSocket.

kubernetes.stream.portforward does the same for one request and answer. It holds without limit what the other side does not take, and
copies all of that for each piece it can pass on, so that it grows slow and large with the amounts that an object store moves.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import time
from collections import deque

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced

PROTOCOL = "v4.channel.k8s.io"
CONNECT_TIMEOUT = 10  # seconds
LIMIT = 1 << 20  # bytes that may wait for a side that does not take them, before the other side is not read any more
CHUNK = 1 << 16
LINGER = 5  # seconds without an answer after which a connection is closed whose client has closed its side: the protocol cannot say so
DATA, ERROR = 0, 1  # channels
# what the node says where nothing in the pod has got any of the bytes
REFUSED = re.compile("refused|failed to connect|not running|not found|no such")
BINARY, CLOSE, PING, PONG = 0x2, 0x8, 0x9, 0xA


def connect(cluster, namespace, pod, port):
    """Return a connected WebSocket to a pod's port. Raises ClusterError."""
    import certifi
    import websocket
    from kubernetes.stream.ws_client import websocket_proxycare

    settings = cluster.configuration
    verify = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": settings.ssl_ca_cert or certifi.where()}
    tls = verify if settings.verify_ssl else {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    for option, attribute in {"certfile": "cert_file", "keyfile": "key_file", "server_hostname": "tls_server_name"}.items():
        if getattr(settings, attribute, None):
            tls[option] = getattr(settings, attribute)
    if settings.verify_ssl and getattr(settings, "assert_hostname", None) is False:
        tls["check_hostname"] = False
    url = "ws" + settings.host[len("http") :] + namespaced(namespace, "pods", pod) + f"/portforward?ports={port}"
    options = {"header": [f"{name}: {value}" for name, value in cluster.headers()], "subprotocols": [PROTOCOL], "suppress_origin": True}
    if settings.proxy or settings.proxy_headers:
        options = websocket_proxycare(options, settings, url, {})
    tunnel = websocket.WebSocket(sslopt=tls, sockopt=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])
    try:
        tunnel.connect(url, timeout=CONNECT_TIMEOUT, **options)
    except websocket.WebSocketBadStatusException as error:
        status = error.status_code
        remedy = "this user needs the verbs get and create on pods/portforward" if status in (401, 403) else ""
        raise ClusterError(f"cannot forward to the pod {pod}, port {port}: the server says {status}", remedy, status) from None
    except (websocket.WebSocketException, OSError) as error:
        raise ClusterError(f"cannot forward to the pod {pod}, port {port}: {error}", "check that the server is up", 0) from None
    return tunnel


class Frames:
    """Takes a WebSocket's bytes apart. take() returns (opcode, payload) of every frame that is complete."""

    def __init__(self):
        self._buffer = bytearray()

    def take(self, data):
        """Return the frames that `data` completes."""
        self._buffer += data
        found, start = [], 0
        while True:
            frame = self._next(start)
            if frame is None:
                break
            opcode, begin, start = frame
            found.append((opcode, bytes(self._buffer[begin:start])))
        del self._buffer[:start]
        return found

    def _next(self, start):
        """Return (opcode, where the payload begins, where it ends) of the frame at `start`, or None where it is not complete."""
        have = len(self._buffer) - start
        if have < 2:
            return None
        length, begin = self._buffer[start + 1] & 0x7F, start + 2
        if length > 125:
            size = 2 if length == 126 else 8
            if have < 2 + size:
                return None
            length, begin = int.from_bytes(self._buffer[begin : begin + size], "big"), begin + size
        end = begin + length
        return (self._buffer[start] & 0x0F, begin, end) if len(self._buffer) >= end else None


class Queue:
    """Bytes that wait for a socket."""

    def __init__(self):
        self._parts, self.size = deque(), 0

    def put(self, data):
        """Add bytes."""
        if data:
            self._parts.append(memoryview(data))
            self.size += len(data)

    def send(self, target):
        """Send what the socket takes now. Raises OSError."""
        while self._parts:
            try:
                sent = target.send(self._parts[0])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return
            self.size -= sent
            if sent < len(self._parts[0]):
                self._parts[0] = self._parts[0][sent:]
            else:
                self._parts.popleft()


class Tunnel:
    """Passes bytes between a local socket and a WebSocket, both ways at once, until one of them is closed.

    `early` is what the client has said already. Where the pod refuses the connection, `refused` is set, the local socket stays open, and
    `early` has what the client has said until then: another pod can be told it.
    """

    def __init__(self, local, connection, early=b""):
        import websocket

        self._frame = websocket.ABNF.create_frame
        self._local, self._connection, self._remote = local, connection, connection.sock
        self._to_local, self._to_remote, self._frames = Queue(), Queue(), Frames()
        self._opened = set()  # channels whose first frame, the port's number, has come
        self._local_ended = self._remote_ended = False
        self._heard = time.monotonic()
        self.error = ""  # what the node said about the pod's port
        self.refused = False
        self.early = bytearray()  # None when it is too much to keep, or the pod has answered
        if early:
            self._pass_on(early)

    def run(self):
        """Pass bytes until the connection ends. Raises OSError where one of the sockets breaks."""
        self._local.setblocking(False)
        self._local.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._remote.setblocking(False)
        try:
            while not self._is_over():
                self._turn()
        finally:
            if not self.refused:
                self._local.close()
            with contextlib.suppress(OSError):
                # in time-out mode again, so that the close frame goes out
                self._remote.settimeout(1)
                self._connection.close(timeout=1)

    def _is_over(self):
        if self._remote_ended:
            return not self._to_local.size
        return self._local_ended and not self._to_remote.size and time.monotonic() - self._heard > LINGER

    def _turn(self):
        wanted = {self._local: 0, self._remote: 0}
        if not self._local_ended and not self._remote_ended and self._to_remote.size < LIMIT:
            wanted[self._local] |= select.POLLIN
        if not self._remote_ended and self._to_local.size < LIMIT:
            wanted[self._remote] |= select.POLLIN
        wanted[self._local] |= select.POLLOUT if self._to_local.size else 0
        wanted[self._remote] |= select.POLLOUT if self._to_remote.size and not self._remote_ended else 0
        waiter = select.poll()
        for one, events in wanted.items():
            if events:
                waiter.register(one, events)
        # what TLS has decrypted already does not show in the socket
        pending = bool(wanted[self._remote] & select.POLLIN) and isinstance(self._remote, ssl.SSLSocket) and self._remote.pending()
        ready = dict(waiter.poll(0 if pending else 1000))
        remote, local = ready.get(self._remote.fileno(), 0), ready.get(self._local.fileno(), 0)
        if wanted[self._remote] & select.POLLIN and (pending or remote & ~select.POLLOUT):
            self._read_remote()
        if local & ~select.POLLOUT and wanted[self._local] & select.POLLIN:
            self._read_local()
        # without asking again: a socket mostly takes what has just come
        self._to_local.send(self._local)
        if not self._remote_ended:
            self._to_remote.send(self._remote)

    def _read_local(self):
        data = self._local.recv(CHUNK)
        if data:
            self._pass_on(data)
        else:
            self._local_ended, self._heard = True, time.monotonic()

    def _pass_on(self, data):
        self._to_remote.put(self._frame(bytes([DATA]) + data, BINARY).format())
        if self.early is not None:
            self.early += data
            if len(self.early) > LIMIT:
                self.early = None

    def _read_remote(self):
        while self._to_local.size < LIMIT and not self._remote_ended:
            try:
                data = self._remote.recv(CHUNK)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return
            except ssl.SSLEOFError:
                data = b""
            if not data:
                self._remote_ended = True
                return
            self._heard = time.monotonic()
            for opcode, payload in self._frames.take(data):
                self._take(opcode, payload)

    def _take(self, opcode, payload):
        if opcode == CLOSE:
            self._remote_ended = True
        elif opcode == PING:
            self._to_remote.put(self._frame(payload, PONG).format())
        elif payload and opcode != PONG:
            channel, data = payload[0], payload[1:]
            if channel not in self._opened:
                self._opened.add(channel)
            elif channel == DATA:
                self.early = None
                self._to_local.put(data)
            elif data:
                self.error += data.decode("utf-8", "replace")
                self.refused = self.early is not None and bool(REFUSED.search(self.error))
                self._remote_ended = True

"""A stand-in for a Kubernetes API server: answers what a test has put in, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    method: str
    path: str
    query: dict
    body: object
    headers: list


class Refused(Exception):  # noqa: N818 - it is an answer
    """Raised by a handler to answer with a Status."""

    def __init__(self, code, message, reason="", headers=None):
        super().__init__(message)
        self.code, self.headers = code, headers or {}
        self.body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code}


class ApiServer:
    """`answers` holds an object, a text, or a function of Asked by "METHOD path" or by path; what is not there is not found."""

    def __init__(self):
        self.answers, self.asked = {}, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # an answer in one piece: two would wait for each other on the way
            wbufsize = -1
            disable_nagle_algorithm = True

            def log_message(self, *args):
                pass

            def answer(self):
                parts = urlsplit(self.path)
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = Asked(
                    self.command, parts.path, dict(parse_qsl(parts.query)), json.loads(raw) if raw else None, list(self.headers.items())
                )
                outer.asked.append(asked)
                code, headers = 200, {}
                try:
                    found = outer.find(asked)
                except Refused as refused:
                    code, found, headers = refused.code, refused.body, refused.headers
                text = found if isinstance(found, str) else json.dumps(found)
                self.send_response(code)
                self.send_header("Content-Type", "text/plain" if isinstance(found, str) else "application/json")
                self.send_header("Content-Length", str(len(text.encode())))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.params = {"host": self.url, "api_key": "a-token-of-the-tests"}
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def find(self, asked):
        for key in (f"{asked.method} {asked.path}", asked.path):
            if key in self.answers:
                found = self.answers[key]
                return found(asked) if callable(found) else found
        raise Refused(404, f"{asked.path} not found", "NotFound")

    def paths(self, method):
        return [asked.path for asked in self.asked if asked.method == method]

    def close(self):
        self._server.shutdown()
        self._server.server_close()

"""Tries, without any credential, to read, change and delete through every port of a platform. A program: JSON on stdin, JSON on stdout.

Standard library, `openssl` and `weed` only, and one file, so that it runs as any user. The request holds `ports` ({role: [port]}), all
ports that are listened on (`listening`), what to try over HTTP (`attempts`, see lib/platform_attempts.py), which paths are open on purpose
(`harmless`: {role: [path]}), `bucket`, `key`, `marker` (text in the object), `weed`, `sockets`, `pids`, `paths` (files to read) and
`data_dir`; `stranger` says whether this runs as another user than the services. The answer is a list of [where, what, succeeded, detail]:
succeeded is None for what is open on purpose.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile

HOST = "127.0.0.1"
# RFC 9113: the client preface and an empty SETTINGS frame
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def no_check():
    """Return a TLS context that accepts any server: an attacker does not mind."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def fetch(port, method, path, body=None, headers=None, tls=False):
    """Return (status, body); status 0 where no HTTP answer came."""
    kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    connection = kind(HOST, port, timeout=10, **({"context": no_check()} if tls else {}))
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(2_000_000)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return 0, repr(error).encode()
    finally:
        connection.close()


def first_byte(path):
    """Read one byte of a file."""
    with path.open("rb") as stream:
        stream.read(1)


class Attack:
    """All attempts, with their outcome in `rows`."""

    def __init__(self, ask):
        self.ask, self.rows = ask, []

    def note(self, where, what, succeeded, detail=""):
        self.rows.append([where, what, succeeded, re.sub(r"\s+", " ", str(detail))[:200]])

    def attempt(self, where, what, action):
        """Note `action` as a success of the attacker unless the operating system refuses it."""
        try:
            action()
        except OSError as error:
            self.note(where, what, False, error)
        else:
            self.note(where, what, True)

    def http(self, role, port, attempts):
        """Make the attempts, with and without TLS; an answer below 400 is a success, and so is the object's text in any."""
        for method, path, body, headers in attempts:
            for tls in (False, True):
                status, answer = fetch(port, method, path, body, headers, tls)
                held = self.ask["marker"].encode() in answer
                good = held or 200 <= status < 400
                plain = path.split("?")[0]
                if good and not held and method == "GET" and plain in self.ask["harmless"].get(role, ()):
                    good = None
                self.note(f"{role}:{port}{' TLS' if tls else ''}", f"{method} {path}"[:110], good, f"{status} {answer[:120]!r}")

    def h2(self, port, certificate):
        """Ask whether gRPC is open: plain, by TLS without a certificate, with one of our own making."""

        def speaks(stream):
            stream.settimeout(4)
            stream.sendall(H2_PREFACE)
            data = b""
            while len(data) < 9:
                chunk = stream.recv(4096)
                if not chunk:
                    return False
                data += chunk
            # type 4: the server's SETTINGS, so it talks to us
            return data[3] == 4

        opened = ""
        for name, tls, files in (("plain", False, None), ("TLS", True, None), ("TLS, foreign certificate", True, certificate)):
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                stream = stack.enter_context(socket.create_connection((HOST, port), 4))
                if tls:
                    context = no_check()
                    context.set_alpn_protocols(["h2"])
                    if files:
                        context.load_cert_chain(*files)
                    stream = stack.enter_context(context.wrap_socket(stream))
                if speaks(stream):
                    opened += f" {name}"
        self.note(f"port {port}", "HTTP/2 or gRPC without credentials", bool(opened), opened)

    def weed_shell(self, home, others=(), timeout=10):
        """Use SeaweedFS's own administration tool with what `home` holds. It hangs where it is shut out, so one session has to do.

        `others`: first words of commands that are left out, for the control in a home that does have the certificate.
        """
        ask = self.ask
        master, filer = ask["ports"]["master"][0], ask["ports"]["filer"][0]
        place = f"/buckets/{ask['bucket']}"
        commands = ["lock", "cluster.ps", f"fs.ls {place}", f"fs.cat {place}/{ask['key']}", "s3.bucket.list"]
        commands += ["s3.configure -user=evil -access_key=evil -secret_key=evil -actions=Admin -apply"]
        commands += [f"fs.rm -rf {place}/{ask['key']}", f"s3.bucket.delete -name {ask['bucket']}"]
        try:
            done = subprocess.run(
                [ask["weed"], "shell", f"-master={HOST}:{master}", f"-filer={HOST}:{filer}"],
                input="\n".join([*(one for one in commands if one.split()[0] not in others), "unlock", "exit", ""]).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"HOME": home, "PATH": "/usr/bin:/bin"},
                cwd=home,
                timeout=timeout,
                check=False,
            )
            answer = done.stdout
        except subprocess.TimeoutExpired as late:
            answer = late.stdout or b""
        except OSError as error:
            self.note("weed shell", "start the program", True, f"cannot run {ask['weed']}, so nothing is proved: {error}")
            return
        text = answer.decode(errors="replace")
        told = [word for word in (ask["marker"], "filers", "size:", "secret_key", "deleted") if word in text]
        self.note("weed shell", "read, configure, delete", bool(told), f"{told} {text[-150:]}")

    def files(self):
        """Read and write below the data directory, and reach into the processes."""
        data_dir = self.ask["data_dir"]
        for path in map(pathlib.Path, [data_dir, *self.ask["paths"]]):
            self.attempt("file", f"list {path}", lambda p=path: list(p.iterdir()))
            self.attempt("file", f"read {path}", lambda p=path: first_byte(p))
            self.attempt("file", f"write {path}", lambda p=path: p.open("ab").close())
        self.attempt("file", "make a directory", pathlib.Path(data_dir, "evil").mkdir)
        for pid in self.ask["pids"]:
            place = pathlib.Path("/proc", str(pid))
            for name in ("environ", "mem"):
                self.attempt("process", f"read {place / name}", lambda p=place / name: first_byte(p))
            self.attempt("process", f"list {place}/fd", lambda p=place: list((p / "fd").iterdir()))
            self.attempt("process", f"follow {place}/cwd", (place / "cwd").readlink)
            # 0 asks only whether a signal would be allowed
            self.attempt("process", f"signal {pid}", lambda p=pid: os.kill(p, 0))

    def unix(self):
        """Connect to the services' Unix sockets: one that can be connected to is a success unless it is gRPC behind mutual TLS."""
        for path in self.ask["sockets"]:
            try:
                with socket.socket(socket.AF_UNIX) as stream:
                    stream.settimeout(4)
                    stream.connect(path)
                self.note("unix socket", path, True)
            except OSError as error:
                self.note("unix socket", path, False, error)

    def run(self):
        """Make every attempt; return the rows."""
        roles = {port: role for role, ports in self.ask["ports"].items() for port in ports}
        with tempfile.TemporaryDirectory() as home:
            key, crt = f"{home}/k.pem", f"{home}/c.pem"
            make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=seaweedfs.mlops.internal"]
            subprocess.run([*make, "-keyout", key, "-out", crt], check=True, capture_output=True)
            for port in self.ask["listening"]:
                if roles.get(port) not in ("public", "internal", "mlflow"):
                    self.h2(port, (crt, key))
            if self.ask["stranger"]:
                self.files()
                self.unix()
            for port, (role, attempts) in self.ask["attempts"].items():
                self.http(role, int(port), attempts)
            if self.ask["weed"]:
                self.weed_shell(home)
        return self.rows


if __name__ == "__main__":
    json.dump(Attack(json.load(sys.stdin)).run(), sys.stdout)

"""What the postgresql_* modules send: how many statements, and never a password. A relay between module and server listens in."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import struct
import threading

import pytest
from lib.modules import run_module

# the request for TLS or GSSAPI encryption: length 8, then a code that no protocol version has
NEGOTIATIONS = {80877103, 80877104}


class Relay:
    """Passes connections on to the server, and keeps what the client sends."""

    def __init__(self, host, port):
        self.target = (host, port)
        self.streams = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _address = self.listener.accept()
                server = socket.create_connection(self.target)
                stream = bytearray()
                self.streams.append(stream)
                threading.Thread(target=self._pass, args=(client, server, stream), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, bytearray()), daemon=True).start()

    @staticmethod
    def _pass(source, sink, stream):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                stream += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def statements(self):
        """Return the texts of all simple queries, and fail on an extended one."""
        found = []
        for stream in self.streams:
            data, position = bytes(stream), 0
            while position + 8 <= len(data):
                length, code = struct.unpack_from("!II", data, position)
                position += length
                if code not in NEGOTIATIONS:
                    break
            while position < len(data):
                kind, length = data[position : position + 1], struct.unpack_from("!I", data, position + 1)[0]
                assert kind in b"pQX", f"unexpected message {kind}"
                if kind == b"Q":
                    found.append(data[position + 5 : position + length].decode())
                position += 1 + length
        return found


@pytest.fixture
def relay(pg_connection):
    relay = Relay(pg_connection["login_host"], pg_connection["login_port"])
    yield relay
    relay.listener.close()


@pytest.fixture
def through(pg_connection, relay):
    # in clear: else there is nothing to listen in to
    return {**pg_connection, "login_host": "127.0.0.1", "login_port": relay.port, "ssl_mode": "disable"}


def test_statements_and_secrets(pg_connection, through, relay):
    name, password = f"test_{secrets.token_hex(4)}", secrets.token_urlsafe(18)
    role = {
        "name": name,
        "login": True,
        "password": password,
        "comment": "c",
        "member_of": [],
        "settings": {"jit": False},
        "valid_until": "infinity",
    }
    database = {
        "name": name,
        "owner": name,
        "extensions": ["plpgsql"],
        "lock_public": True,
        "comment": "c",
        "grants": [],
        "encoding": "UTF8",
    }
    database["template"] = "template0"
    try:
        done = run_module("postgresql_role", {**through, **role})
        assert done["changed"] is True
        sent = relay.statements()
        verifiers = [statement for statement in sent if "PASSWORD 'SCRAM-SHA-256$" in statement]
        assert len(verifiers) == 1
        # the read, BEGIN, what is shown, COMMIT
        assert [verifiers[0].split("'SCRAM")[0] + "'********'", *sent[3:-1]] == done["queries"]
        assert [sent[1], sent[-1]] == ["BEGIN", "COMMIT"]
        done = run_module("postgresql_database", {**through, **database})
        assert done["changed"] is True

        for check in (False, True):
            for module, options in (("postgresql_role", role), ("postgresql_database", database)):
                relay.streams.clear()
                assert run_module(module, {**through, **options}, check=check)["changed"] is False
                # the whole state of a converged object: one connection, one statement
                assert len(relay.streams) == 1
                assert len(relay.statements()) == 1
        relay.streams.clear()
        assert run_module("postgresql_role", {**through, **role, "password": password + "2", "login": False}, check=True)["changed"] is True
        assert len(relay.statements()) == 1
    finally:
        run_module("postgresql_database", {**pg_connection, "name": name, "state": "absent", "force": True})
        run_module("postgresql_role", {**pg_connection, "name": name, "state": "absent"})


def test_no_password_is_sent_or_shown(pg_connection, through, relay):
    name, password = f"test_{secrets.token_hex(4)}", f"pläin'{secrets.token_urlsafe(18)}"
    options = {**through, "name": name, "login": True, "password": password}
    try:
        results = [
            run_module("postgresql_role", {**options, "_ansible_verbosity": 3}, check=True, diff=True),
            run_module("postgresql_role", {**options, "_ansible_verbosity": 3}, diff=True),
            run_module("postgresql_role", {**options, "_ansible_verbosity": 3, "password": password + "2"}, diff=True),
            run_module("postgresql_role", {**options, "_ansible_verbosity": 3, "login_password": password}, diff=True),
            run_module("postgresql_role", {**options, "_ansible_verbosity": 3, "valid_until": "never"}, diff=True),
            run_module("postgresql_role", {**options, "_ansible_verbosity": 3, "member_of": [f"{name}_missing"]}, diff=True),
        ]
        assert [result.get("failed", False) for result in results] == [False, False, False, True, True, True]
        sent = b"".join(bytes(stream) for stream in relay.streams)
        assert name.encode() in sent
        assert password.encode() not in sent
        shown = json.dumps(results, ensure_ascii=False)
        assert password not in shown
        assert pg_connection["login_password"] not in shown
        assert "SCRAM-SHA-256$" not in shown
    finally:
        run_module("postgresql_role", {**pg_connection, "name": name, "state": "absent"})


def test_nothing_is_sent_for_what_can_be_refused_here(through, relay):
    refused = [
        ("postgresql_role", {"name": "x" * 64}),
        ("postgresql_role", {"name": "x", "password": ""}),
        ("postgresql_database", {"name": "é" * 32}),
        ("postgresql_database", {"name": "template1", "state": "absent"}),
    ]
    for module, options in refused:
        assert run_module(module, {**through, **options})["failed"]
    assert relay.streams == []


@pytest.mark.parametrize(
    ("override", "words", "advice"),
    [
        ({"login_password": "wrong"}, "password authentication failed", "Check login_user and login_password"),
        ({"login_host": "nowhere.invalid"}, "could not translate host name", "Check the spelling of login_host"),
        ({"login_port": 1}, "Connection refused", "Check login_host and login_port"),
        ({"login_db": "no such database"}, 'database "no such database" does not exist', "Set login_db"),
        ({"login_unix_socket": "/nonexistent"}, "No such file or directory", "Set login_unix_socket"),
        ({"login_unix_socket": "/nonexistent"}, "/nonexistent, port", "login_unix_socket"),
    ],
)
def test_connection_errors_say_what_to_do(pg_connection, override, words, advice):
    failed = run_module("postgresql_role", {**pg_connection, **override, "name": "x"})
    assert failed["failed"]
    assert words in failed["msg"]
    assert advice.lower() in failed["msg"].lower()
    assert override.get("login_password", "\0") not in failed["msg"]


def test_tls_errors_say_what_to_do(pg_connection):
    options = {**pg_connection, "ssl_mode": "verify-full", "ca_cert": "/nonexistent/ca.crt"}
    failed = run_module("postgresql_role", {**options, "name": "x"})
    assert failed["failed"]
    # a server without TLS, or one whose authority cannot be looked up
    assert ("does not support SSL" in failed["msg"] and "ssl_mode" in failed["msg"]) or "Set ca_cert" in failed["msg"]


def test_the_environment_names_the_server(pg_connection):
    environment = {
        "PGHOST": pg_connection["login_host"],
        "PGPORT": str(pg_connection["login_port"]),
        "PGUSER": pg_connection["login_user"],
        "PGPASSWORD": pg_connection["login_password"],
        "PGDATABASE": pg_connection["login_db"],
    }
    assert run_module("postgresql_role", {"name": pg_connection["login_user"]}, env=environment)["changed"] is False
    failed = run_module("postgresql_role", {"name": "x", "login_port": 1}, env=environment)
    assert "port 1," in failed["msg"]

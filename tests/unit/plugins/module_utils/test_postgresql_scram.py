from __future__ import annotations

import base64

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import postgresql_scram as scram

# RFC 7677, 3: user "user", password "pencil". The server's final message there is HMAC(ServerKey, AuthMessage): it proves our ServerKey.
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
AUTH_MESSAGE = (
    "n=user,r=rOprNGfwEbeRWgbNEkqO,"
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
)
SERVER_SIGNATURE = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_verifier_has_the_keys_of_the_rfc():
    import hmac

    prefix, rest = scram.verifier("pencil", 4096, SALT).split("$", 1)
    parameters, keys = rest.split("$")
    assert prefix == "SCRAM-SHA-256"
    assert parameters == "4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    server_key = base64.b64decode(keys.split(":")[1])
    assert base64.b64encode(hmac.digest(server_key, AUTH_MESSAGE.encode(), "sha256")).decode() == SERVER_SIGNATURE


def test_salts_are_random_and_verifiers_verify():
    one, other = scram.verifier("pencil", 16), scram.verifier("pencil", 16)
    assert one != other
    assert scram.VERIFIER.match(one)
    assert scram.verifies("pencil", one)
    assert scram.verifies("pencil", other)
    assert not scram.verifies("Pencil", one)


def test_a_verifier_is_taken_as_it_is():
    given = scram.verifier("pencil", 16)
    assert scram.verifier(given) == given
    assert scram.verifies(given, given)
    assert not scram.verifies(scram.verifier("pencil", 16), given)


@pytest.mark.parametrize("key", [2, 3])
def test_both_keys_count(key):
    parts = scram.verifier("pencil", 16).replace(":", "$").split("$")
    parts[key + 1] = base64.b64encode(bytes(32)).decode()
    forged = f"{parts[0]}${parts[1]}:{parts[2]}${parts[3]}:{parts[4]}"
    assert scram.VERIFIER.match(forged)
    assert not scram.verifies("pencil", forged)


@pytest.mark.parametrize("stored", [None, "", "md5" + "0" * 32, "pencil", "********", "SCRAM-SHA-256$1:a$b:c"])
def test_anything_else_stored_is_another_password(stored):
    assert not scram.verifies("pencil", stored)


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        # the examples of RFC 4013, 3
        ("I\u00adX", b"IX"),
        ("user", b"user"),
        ("USER", b"USER"),
        ("\u00aa", b"a"),
        ("\u2168", b"IX"),
        # ASCII is never touched, not even a control character
        ("a\x07b", b"a\x07b"),
        # other blanks become blanks, canonical equivalents are one
        ("a\u00a0b", b"a b"),
        ("e\u0301", "é".encode()),
        # prohibited: taken as it is - control, private use, unassigned in Unicode 3.2, mixed directions, nothing left
        ("é\x07", "é\x07".encode()),
        ("\ue000ª", "\ue000ª".encode()),
        ("\u0221ª", "\u0221ª".encode()),
        ("\u0627ªb", "\u0627ªb".encode()),
        ("\u06271", "\u06271".encode()),
        ("\u00ad", "\u00ad".encode()),
        ("😀", "😀".encode()),
        # right to left all through
        ("\u06271\u0628", "\u06271\u0628".encode()),
    ],
)
def test_saslprep(password, expected):
    assert scram.prepared(password) == expected


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("", "empty"),
        ("a\x00b", "NUL"),
        ("md5" + "0a" * 16, "MD5"),
        ("SCRAM-SHA-256$4096:abc", "not a whole one"),
        ("SCRAM-SHA-256$0:abcd$" + "A" * 43 + "=:" + "A" * 43 + "=", "not a whole one"),
    ],
)
def test_refused(password, word):
    assert word in scram.problem(password)


@pytest.mark.parametrize("password", [" ", "x", "md5", "SCRAM-SHA-256", "".join(map(chr, range(32, 127))), "密码", "\ue000"])
def test_accepted(password):
    assert scram.problem(password) is None

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""SCRAM-SHA-256 verifiers as PostgreSQL stores them (RFC 5802, RFC 7677): made and checked here, so that no password is ever sent."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re

# 4096: the least that RFC 7677 allows, and PostgreSQL's own number (SCRAM_SHA_256_DEFAULT_ITERATIONS)
ITERATIONS = 4096
# 16 bytes: PostgreSQL's SCRAM_DEFAULT_SALT_LEN
SALT_BYTES = 16
PREFIX = "SCRAM-SHA-256$"
# iterations:salt$StoredKey:ServerKey; both keys are 32 bytes, 44 characters in base64
VERIFIER = re.compile(r"SCRAM-SHA-256\$([1-9][0-9]{0,8}):([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{43}=)\Z")
MD5 = re.compile(r"md5[0-9a-f]{32}\Z")


def problem(password):
    """Return why `password` cannot be set, as words that follow "The password", or None."""
    if not password:
        return "is empty: PostgreSQL would refuse every login with it. Give one, or leave the option out."
    if "\x00" in password:
        return "has a NUL character in it, which no client can send."
    if MD5.match(password):
        return "is an MD5 hash: give the password itself, or a SCRAM-SHA-256 verifier."
    if password.startswith(PREFIX) and not VERIFIER.match(password):
        return "begins like a SCRAM-SHA-256 verifier, but is not a whole one: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey."
    return None


def prepared(password):
    """Return the bytes that are hashed: SASLprep (RFC 4013) of the password in UTF-8.

    A password that SASLprep prohibits is taken as it is, which is what the server and libpq do (pg_saslprep in src/common/saslprep.c);
    like theirs, the prohibitions are looked up before normalization and ASCII is never touched.
    """
    if password.isascii():
        return password.encode()
    # seldom needed, and large: not paid for by a password in ASCII
    import stringprep
    import unicodedata

    raw = password.encode("utf-8", "surrogateescape")
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in password if stringprep.in_table_c12(c) or not stringprep.in_table_b1(c)
    )
    if not mapped or any(_prohibited(c, stringprep) for c in mapped):
        return raw
    if any(map(stringprep.in_table_d1, mapped)):
        # RFC 3454, 6: right-to-left text begins and ends with a right-to-left character and holds no left-to-right one
        right = stringprep.in_table_d1(mapped[0]) and stringprep.in_table_d1(mapped[-1])
        if not right or any(map(stringprep.in_table_d2, mapped)):
            return raw
    return unicodedata.normalize("NFKC", mapped).encode()


def _prohibited(character, tables):
    """Tell whether RFC 4013, 2.3 and 2.5, prohibits the character."""
    return (
        tables.in_table_c12(character)
        or tables.in_table_c21_c22(character)
        or tables.in_table_c3(character)
        or tables.in_table_c4(character)
        or tables.in_table_c5(character)
        or tables.in_table_c6(character)
        or tables.in_table_c7(character)
        or tables.in_table_c8(character)
        or tables.in_table_c9(character)
        or tables.in_table_a1(character)
    )


def _keys(password, salt, iterations):
    """Return StoredKey and ServerKey of RFC 5802, 3."""
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256")


def verifier(password, iterations=ITERATIONS, salt=None):
    """Return the verifier of `password`; one that is a verifier already comes back as it is. The salt is random unless given."""
    if VERIFIER.match(password):
        return password
    salt = salt or os.urandom(SALT_BYTES)
    stored, server = _keys(password, salt, iterations)
    salt, stored, server = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"{PREFIX}{iterations}:{salt}${stored}:{server}"


def verifies(password, stored):
    """Tell whether `password`, in clear or as a verifier, is the one of the stored verifier; anything else stored (MD5, None) is not."""
    match = VERIFIER.match(stored or "")
    if not match:
        return False
    if VERIFIER.match(password):
        return hmac.compare_digest(password, stored)
    try:
        salt = base64.b64decode(match[2], validate=True)
    except ValueError:
        return False
    keys = _keys(password, salt, int(match[1]))
    return hmac.compare_digest(b"".join(keys), base64.b64decode(match[3]) + base64.b64decode(match[4]))

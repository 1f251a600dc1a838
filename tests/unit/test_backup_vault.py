"""What is kept of a backup: encryption, checksums, and whole files or none. No server is needed."""

from __future__ import annotations

import os

import pytest
from lib.backup_program import KEY, OTHER, destination, key_file, settings
from mlops_backup.cipher import CHUNK, MAGIC, SALT, TAG, Encrypting, Key, decrypted
from mlops_backup.problems import BackupError
from mlops_backup.vault import Vault


@pytest.fixture(params=["clear", "encrypted"])
def vault(request, tmp_path):
    return Vault(destination(tmp_path), Key(KEY) if request.param == "encrypted" else None)


def encrypt(content, key=KEY, context="c"):
    parts = []
    machine = Encrypting(parts.append, Key(key), context)
    for start in range(0, len(content), 100_000):
        machine.write(content[start : start + 100_000])
    machine.close()
    return b"".join(parts)


def decrypt(stored, key=KEY, context="c", step=70_001):
    blocks = iter([stored[start : start + step] for start in range(0, len(stored), step)])
    return b"".join(decrypted(blocks, Key(key), context, "file"))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17])
def test_what_is_encrypted_comes_back(size):
    content = os.urandom(size)
    stored = encrypt(content)
    assert decrypt(stored) == content
    assert decrypt(stored, step=10**9) == content
    # a few bytes are in any text by chance
    assert len(content) < CHUNK - 1 or content[:100] not in stored


def test_two_files_with_the_same_content_have_nothing_in_common():
    one, other = encrypt(b"same" * 100), encrypt(b"same" * 100)
    assert one[len(MAGIC) : len(MAGIC) + SALT] != other[len(MAGIC) : len(MAGIC) + SALT]
    assert one[len(MAGIC) + SALT :] != other[len(MAGIC) + SALT :]


HEAD = len(MAGIC) + SALT
WHOLE = CHUNK + TAG


@pytest.mark.parametrize(
    "spoil",
    [
        lambda stored: stored[:-1],
        lambda stored: stored[: HEAD + WHOLE],
        lambda stored: stored[:HEAD],
        lambda stored: stored[: HEAD - 1],
        lambda stored: b"",
        lambda stored: stored + b"x",
        lambda stored: stored[:HEAD] + stored[HEAD + WHOLE : HEAD + 2 * WHOLE] + stored[HEAD : HEAD + WHOLE] + stored[HEAD + 2 * WHOLE :],
        lambda stored: stored[:100] + bytes([stored[100] ^ 1]) + stored[101:],
    ],
    ids=["short", "last-chunks-gone", "head-alone", "half-a-head", "empty", "longer", "swapped", "one-bit"],
)
def test_a_spoiled_file_is_never_taken_for_a_whole_one(spoil):
    stored = encrypt(os.urandom(2 * CHUNK + 5))
    with pytest.raises(BackupError, match="truncated"):
        decrypt(spoil(stored))


def test_another_key_and_another_file_are_refused():
    stored = encrypt(b"content")
    with pytest.raises(BackupError, match="another backup_key"):
        decrypt(stored, key=OTHER)
    with pytest.raises(BackupError):
        decrypt(stored, context="d")


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33])
def test_a_key_that_is_none_is_refused(text):
    with pytest.raises(BackupError, match="64 hexadecimal digits"):
        Key(text)


# --- the vault and its store --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [True, False])
def test_a_file_comes_back_and_its_record_is_true(vault, compress):
    content = os.urandom(3 * CHUNK) + bytes(CHUNK)
    record = vault.put("a/b", [content[:5], content[5:]], compress=compress)
    assert vault.read("a/b", compress=compress, record=record) == content
    assert record["size"] == len(content) and record["stored_size"] == vault.store.size("a/b")
    vault.check("a/b", record)


def test_a_file_that_is_damaged_or_truncated_is_said_to_be(vault):
    record = vault.put("f", [os.urandom(100_000)], compress=False)
    path = vault.store.root / "f"
    stored = path.read_bytes()
    path.write_bytes(stored[:-10])
    with pytest.raises(BackupError, match="truncated"):
        vault.check("f", record)
    path.write_bytes(stored[:-10] + bytes(10))
    with pytest.raises(BackupError, match="damaged"):
        vault.check("f", record)
    with pytest.raises(BackupError):
        vault.read("f", compress=False, record=record)


def test_a_truncated_compressed_file_does_not_end_quietly(tmp_path):
    vault = Vault(destination(tmp_path), None)
    vault.put("f", [os.urandom(100_000)])
    path = vault.store.root / "f"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BackupError, match="truncated"):
        vault.read("f")


def test_what_is_encrypted_is_not_read_without_the_key(tmp_path):
    store = destination(tmp_path)
    Vault(store, Key(KEY)).put("f", [b"secret"])
    assert b"secret" not in (store.root / "f").read_bytes()
    with pytest.raises(BackupError, match="give backup_key"):
        Vault(store, None).read("f")


def test_a_file_has_no_name_until_it_is_whole(vault):
    with pytest.raises(ZeroDivisionError):
        vault.put("f", (1 // 0 for _number in range(1)))
    assert vault.store.names("") == {}


def test_settings_that_are_not_there_say_what_writes_them(tmp_path):
    from mlops_backup.settings import Settings

    with pytest.raises(BackupError, match="run playbooks/backup.yml"):
        Settings(tmp_path / "backup.json")
    assert settings(tmp_path, key_file=key_file(tmp_path)).key().id == Key(KEY).id

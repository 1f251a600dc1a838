# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes every secret of an installation out of texts: as it is, and in the forms that it has in URLs, headers and configuration files."""

from __future__ import annotations

import base64
import json
import os
from urllib.parse import quote, quote_plus

# what is shorter stands in ordinary words too
SHORTEST = 6


def lines_of(text):
    """Return the secrets in the text of a secret file: the whole, and each line, as a replaced secret is kept one to a line."""
    whole = text.rstrip("\n")
    return [one for one in dict.fromkeys([whole, *whole.split("\n")]) if len(one) >= SHORTEST]


def read_secrets(directory):
    """Return {name: [values]} of the secret files in `directory`; what cannot be read is left out."""
    found = {}
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return {}
    for name in names:
        try:
            with open(os.path.join(directory, name), encoding="utf-8", errors="surrogateescape") as stream:
                text = stream.read()
        except OSError:
            continue
        if name == "pgpass":
            # host:port:database:user:password, where \ stands before : and \
            text = "\n".join(line.split(":", 4)[-1].replace("\\:", ":").replace("\\\\", "\\") for line in text.splitlines())
        found[name] = lines_of(text)
    return found


def forms(value, user=""):
    """Return the forms in which a secret may be written, itself among them."""
    raw = value.encode("utf-8", "surrogateescape")
    found = [value, quote(raw, safe=""), quote(raw), quote_plus(raw), base64.b64encode(raw).decode()]
    found += [base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")]
    # in JSON and Python texts, in environment files, in ini files, in PostgreSQL's statements and connection strings
    found += [json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)] + [repr(value)[1:-1]]
    found += ["".join("\\" + c if c in '\\"$`' else c for c in value), value.replace("%", "%%"), quote(raw, safe="").replace("%", "%%")]
    found += [value.replace("'", "''"), value.replace("\\", "\\\\").replace("'", "\\'")]
    if user:
        found.append(base64.b64encode(f"{user}:".encode() + raw).decode())
    # two letters after an unknown user name and its colon, base64 has one of three phases
    for pad in (b"", b"x", b"xx"):
        whole = base64.b64encode(pad + raw).decode()
        inner = whole[4 if pad else 0 : len(whole) - 4]
        if len(inner) >= 16:
            found.append(inner)
    return [one for one in dict.fromkeys(found) if len(one) >= SHORTEST]


def needles(secrets, user=""):
    """Return [(text, name)] of every form of every secret in `secrets` ({name: [values]}), the longest first."""
    found = {}
    for name, values in secrets.items():
        for value in values:
            for form in forms(value, user):
                found.setdefault(form, name)
    return sorted(found.items(), key=lambda pair: -len(pair[0]))


def redact(text, wanted):
    """Return `text` with [redacted:NAME] in place of each needle."""
    for needle, name in wanted:
        if needle in text:
            text = text.replace(needle, f"[redacted:{name}]")
    return text


def redacted(value, wanted):
    """Return `value`, texts in lists and dictionaries, without secrets."""
    if isinstance(value, str):
        return redact(value, wanted)
    if isinstance(value, dict):
        return {redact(key, wanted) if isinstance(key, str) else key: redacted(one, wanted) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(one, wanted) for one in value]
    return value


def left(text, wanted):
    """Return the names of the secrets that stand in `text`, sorted."""
    return sorted({name for needle, name in wanted if needle in text})

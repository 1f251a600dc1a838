# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificate of the entry point: dates, names, key, authority, and whether it is the one that is served."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import re
import socket
import ssl

from ansible_collections.mlops.platform.plugins.module_utils.doctor import UP, Check, NotChecked, error, warning
from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import SECONDS, words

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
except ImportError:
    x509 = None

REACHED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared with, not bound


def certificate(data):
    """Return the facts of the first certificate in PEM text. Raises ValueError."""
    found = x509.load_pem_x509_certificate(data)
    try:
        names = [str(name.value) for name in found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value]
    except x509.ExtensionNotFound:
        names = []
    der = found.public_bytes(Encoding.DER)

    def utc(name):
        moment = getattr(found, f"{name}_utc", None) or getattr(found, name).replace(tzinfo=datetime.timezone.utc)
        return moment.timestamp()

    return {
        "subject": found.subject.rfc4514_string(),
        "not_before": utc("not_valid_before"),
        "not_after": utc("not_valid_after"),
        "names": names,
        "key": found.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "sha256": hashlib.sha256(der).hexdigest(),
        "object": found,
    }


def key(data):
    """Return the public half of a private key, as certificate() has it. Raises ValueError and TypeError."""
    # a given certificate and its key are in one file
    match = re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", data, re.DOTALL)
    if not match:
        raise ValueError("no key")
    return load_pem_private_key(match.group(0), None).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def loaded(path, load):
    """Return (what `load` makes of a file's bytes, "") or (None, why it cannot)."""
    try:
        with open(path, "rb") as stream:
            return load(stream.read()), ""
    except OSError as problem:
        return None, words(problem)
    except (ValueError, TypeError):
        return None, "it is not what its name says"


def signed(found, authority):
    """Return whether `authority` has signed the certificate, None where this cannot be told."""
    if not found or not authority:
        return None
    try:
        found["object"].verify_directly_issued_by(authority["object"])
    except AttributeError:
        return None
    except Exception:
        return False
    return True


def served(plan, ca):
    """Return {sha256, said, trusted}: what the entry point shows, and what a client with the authority says of it for the first name."""
    host = REACHED.get(plan["bind_address"], plan["bind_address"])
    found = {"sha256": None, "said": "", "trusted": None}
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, plan["https_port"]), SECONDS) as raw, blind.wrap_socket(raw) as link:
            found["sha256"] = hashlib.sha256(link.getpeercert(True)).hexdigest()
    except OSError as problem:
        return {**found, "said": words(problem)}
    try:
        strict = ssl.create_default_context(cafile=ca or None)
        strict.check_hostname = False
        with socket.create_connection((host, plan["https_port"]), SECONDS) as raw, strict.wrap_socket(raw):
            found["trusted"] = True
    except (OSError, ValueError) as problem:
        found.update(trusted=False, said=words(problem))
    return found


def look(plan):
    """Return the facts of this layer."""
    if x509 is None:
        raise NotChecked("this Python has no cryptography: the platform's tools are missing")
    where = plan["certificate"]
    found, no_found = loaded(where["path"], certificate)
    pair, no_pair = loaded(where["key"], key)
    authority, no_authority = loaded(where["ca"], certificate) if where["ca"] else (None, "")
    return {
        "now": datetime.datetime.now(datetime.timezone.utc).timestamp(),
        "certificate": found,
        "key": pair,
        "authority": authority,
        "said": {"certificate": no_found, "key": no_pair, "authority": no_authority},
        # a given certificate may have others between it and the root
        "signed": signed(found, authority) if not where["given"] else None,
        "served": served(plan, where["ca"]),
    }


def day(moment):
    """Return a time as a date."""
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%d")


def renew(plan):
    """Return how the certificate is renewed."""
    if plan["certificate"]["given"]:
        return f"put a renewed pair at ingress_tls_certificate and ingress_tls_key, then {UP}"
    return f"{UP}; it signs a new one"


def files(plan, facts):
    """The files are there, and fit each other."""
    where = plan["certificate"]
    for what, path in (("certificate", where["path"]), ("key", where["key"]), ("authority", where["ca"])):
        if path and facts["said"][what]:
            yield error(
                f"{what}-missing" if what != "key" else "certificate-key-missing",
                f"the {what} {path} cannot be used",
                renew(plan),
                facts["said"][what],
            )
    if facts["certificate"] and facts["key"] and facts["certificate"]["key"] != facts["key"]:
        yield error("certificate-key-mismatch", f"the key {where['key']} is not that of the certificate {where['path']}", renew(plan))
    if facts["signed"] is False:
        yield error(
            "certificate-authority", f"{where['ca']} has not signed the certificate {where['path']}: clients refuse it", renew(plan)
        )


def dates(plan, facts):
    """It is valid now, and for some time to come."""
    for what, ident in (("certificate", "certificate"), ("authority", "authority")):
        found = facts[what]
        if not found:
            continue
        left = (found["not_after"] - facts["now"]) / 86400
        mend = renew(plan) if what == "certificate" else "move ca.crt and tls/ca.key away and run " + UP + "; users must trust the new one"
        if left < 0:
            yield error(f"{ident}-expired", f"the {what} ended on {day(found['not_after'])}", mend)
        elif left < plan["certificate_days"]:
            yield warning(f"{ident}-expires", f"the {what} ends on {day(found['not_after'])}, in {int(left)} days", mend)
        if found["not_before"] > facts["now"] + 60:
            yield error(f"{ident}-not-yet-valid", f"the {what} begins on {day(found['not_before'])}", "set this host's clock; or " + mend)


def matches(name, patterns):
    """Return whether a certificate for `patterns` holds for `name`."""
    try:
        return str(ipaddress.ip_address(name)) in patterns
    except ValueError:
        pass
    name = name.lower().rstrip(".")
    return any(
        one.lower() == name or (one.startswith("*.") and "." in name and name.partition(".")[2] == one[2:].lower()) for one in patterns
    )


def names(plan, facts):
    """It holds for every public name."""
    found = facts["certificate"]
    if not found:
        raise NotChecked("there is no certificate that can be read")
    for name in plan["public_names"]:
        if not matches(name, found["names"]):
            yield error(
                "certificate-name",
                f"the certificate holds for {', '.join(found['names']) or 'no name'}, and not for {name} (mlops_public_names)",
                renew(plan),
                subject=name,
            )


def shown(plan, facts):
    """The entry point shows this certificate, and a client that trusts the authority takes it."""
    seen = facts["served"]
    if seen["sha256"] is None:
        raise NotChecked(f"no TLS at port {plan['https_port']}: {seen['said']}")
    if facts["certificate"] and seen["sha256"] != facts["certificate"]["sha256"]:
        yield error(
            "certificate-not-served",
            f"port {plan['https_port']} shows another certificate than {plan['certificate']['path']}",
            f"{UP}; the log of the service traefik says why it did not take it",
        )
    if seen["trusted"] is False:
        yield error(
            "certificate-untrusted",
            "a client that trusts the platform's authority refuses the certificate that is served",
            renew(plan),
            seen["said"],
        )


CHECKS = [
    Check("certificate-files", "tls", files),
    Check("certificate-dates", "tls", dates),
    Check("certificate-names", "tls", names),
    Check("certificate-served", "tls", shown),
]

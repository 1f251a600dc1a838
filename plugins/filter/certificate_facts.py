# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: whether a server can use a certificate with its key, and whether clients will accept it."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import re
import ssl
import tempfile
from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleFilterError

try:
    # what ansible-core itself needs
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
except ImportError:
    x509 = None

DOCUMENTATION = r"""
name: certificate_facts
short_description: Whether a certificate, its key, its names and its authority fit together
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Looks at a server's certificate with its chain and key before a server gets them. Wrong input is described, and no error; what is
    empty is not judged. Neither the key nor a part of it is in what is returned.
  - Whether clients that know the given authorities accept the chain is what OpenSSL says in a handshake without a network. It needs the
    right key, and does not judge dates and names, which are returned apart.
positional: key, authorities, names
options:
  _input:
    description: PEM text of the server's certificate, followed by those of the authorities between it and the root.
    type: str
    required: true
  key:
    description: PEM text of the certificate's key.
    type: str
    default: ""
  authorities:
    description: PEM text of the certificates that clients know.
    type: str
    default: ""
  names:
    description: Host names and addresses that clients will ask for.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Refuse a certificate that clients would refuse
  ansible.builtin.assert:
    that: facts.unreadable == [] and facts.matches and facts.current and facts.uncovered == [] and facts.untrusted == ''
  vars:
    chain: "{{ lookup('ansible.builtin.file', 'ml.example.org.chain.pem') }}"
    key: "{{ lookup('ansible.builtin.file', 'ml.example.org.key.pem') }}"
    facts: "{{ chain | mlops.platform.certificate_facts(key, names=['ml.example.org']) }}"
"""

RETURN = r"""
_value:
  description:
    - C(unreadable) are sentences about what is not PEM or cannot be used, each beginning with C(certificate), C(key) or C(ca).
    - C(matches) is whether the key belongs to the first certificate.
    - C(not_before) and C(not_after) are the times between which the first certificate holds, in UTC, and C(current) whether it holds now.
    - C(uncovered) are those of the names for which it does not hold.
    - C(untrusted) is why clients that know the given authorities refuse it, in OpenSSL's words, or empty.
  type: dict
  sample:
    unreadable: []
    matches: true
    not_before: "2026-01-01T00:00:00Z"
    not_after: "2027-01-01T00:00:00Z"
    current: true
    uncovered: []
    untrusted: ""
"""

# X509_V_FLAG_NO_CHECK_TIME, which the module ssl does not name
NO_CHECK_TIME = 0x200000
# programs write parameters of the curve in front of a key, and a bundle holds more than the key
KEY = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


def read(part, text, found):
    """Return the certificates in a PEM text, or [] after a sentence about `part` was added to `found`."""
    if not text:
        return []
    if "-----BEGIN CERTIFICATE-----" not in text:
        found.append(f"{part} holds no certificate in PEM form")
        return []
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
        for one in chain:
            # both are read only when they are asked for
            one.public_key(), one.extensions  # noqa: B018
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
        found.append(f"{part} holds a certificate that is damaged, or of a kind that is not known")
        return []
    return chain


def read_key(text, found):
    """Return the private key in a PEM text, or None after a sentence was added to `found`; the sentence has nothing of the key."""
    if not text:
        return None
    block = KEY.search(text)
    if not block:
        found.append("key holds no private key in PEM form")
        return None
    try:
        return load_pem_private_key(block[0].encode(), None)
    except TypeError:
        found.append("key has a passphrase, which nobody could type at a start")
    except Exception:  # what is wrong with a key is told by several libraries, in words that may quote it
        found.append("key holds a private key that cannot be read")
    return None


def covered(name, certificate):
    """Return whether a client that asks for `name` accepts the certificate's names. The common name has not counted for long."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name) in names.get_values_for_type(x509.IPAddress)
    given, name = [one.lower() for one in names.get_values_for_type(x509.DNSName)], name.lower()
    _first, _dot, rest = name.partition(".")
    # a wildcard stands for one label, and not for all below a top-level domain
    return name in given or ("." in rest and f"*.{rest}" in given)


def pem(chain):
    """Return certificates as one PEM text, without what else stood between them."""
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in chain)


def refusal(chain, key, authorities, check_time):
    """Return why a client that knows `authorities` refuses a server with `chain` and `key` (a PEM text), or an empty text."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    if not check_time:
        client.verify_flags |= NO_CHECK_TIME
    try:
        client.load_verify_locations(cadata=pem(authorities))
        # OpenSSL takes a key from a file alone; Ansible's own directory for such things is private, and removed after the run
        with tempfile.TemporaryDirectory(dir=constants.DEFAULT_LOCAL_TMP) as folder:
            pair = Path(folder, "pair.pem")
            pair.touch(mode=0o600)
            pair.write_text(pem(chain) + key, encoding="utf-8")
            server.load_cert_chain(pair)
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
        # hello, the server's certificate, the client's judgement of it, the end
        for end in ends * 2:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError as error:
        return str(error.reason or "it cannot be used").replace("_", " ").lower()
    return ""


def certificate_facts(certificate, key="", authorities="", names=()):
    """Return what RETURN says of the PEM texts `certificate`, `key` and `authorities`, and of `names`."""
    if x509 is None:
        raise AnsibleFilterError("certificate_facts: install the Python library cryptography on the machine that runs Ansible")
    unreadable = []
    chain, private = read("certificate", certificate, unreadable), read_key(key, unreadable)
    known = read("ca", authorities, unreadable)
    if KEY.search(authorities):
        unreadable.append("ca holds a private key, and everybody is to read it")
    facts = {"matches": True, "not_before": "", "not_after": "", "current": True, "uncovered": [], "untrusted": ""}
    if chain:
        first, now = chain[0], datetime.datetime.now(datetime.timezone.utc)
        begin, end = first.not_valid_before_utc, first.not_valid_after_utc
        facts["not_before"], facts["not_after"] = (f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in (begin, end))
        facts["current"] = begin <= now <= end
        facts["uncovered"] = [str(name) for name in names if not covered(str(name), first)]
        facts["matches"] = private is None or private.public_key() == first.public_key()
        if known and private is not None and facts["matches"]:
            facts["untrusted"] = refusal(chain, KEY.search(key)[0], known, facts["current"])
    return {"unreadable": unreadable, **facts}


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"certificate_facts": certificate_facts}

#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: whether a key and its certificate are as the platform makes them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_certificate
short_description: Tell whether a key and its certificate are as the platform makes them
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Looks at a key, its certificate and the certificate of the authority that signed it, all at once, and says what is not as it should be.
    Where that is nothing, none of the modules that make keys, requests and certificates has to be called.
  - The key is to be one of ECDSA P-256 without a password. A certificate of an authority is to sign others and nothing else; any other
    is to sign what its service says, and to hold for exactly O(subject_alt_name) and O(extended_key_usage). One that is both, its own
    authority and a service's, is to do both.
  - It changes nothing.
options:
  path:
    description: The certificate, in PEM.
    type: path
    required: true
  privatekey_path:
    description: Its key, in PEM.
    type: path
    required: true
  authority_path:
    description: The certificate of the authority that is to have signed it. Unset means that it is one itself, and has signed itself;
      with O(extended_key_usage) it is a service's own, too.
    type: path
  common_name:
    description: The subject's common name.
    type: str
    required: true
  subject_alt_name:
    description: The names and addresses that it holds for, such as V(DNS:localhost) and V(IP:127.0.0.1).
    type: list
    elements: str
    default: []
  extended_key_usage:
    description: What it may be used for.
    type: list
    elements: str
    choices: [serverAuth, clientAuth]
    default: []
  days_left:
    description: How many days it must hold on at least.
    type: int
    default: 0
  owner:
    description: The user who is to own both files. Unset means that any may.
    type: str
  group:
    description: The group that both files are to belong to. Unset means that any may.
    type: str
  mode:
    description: The permission bits of the certificate. Those of the key are V(0600).
    type: str
    default: "0644"
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module changes nothing.
  idempotent:
    support: full
requirements:
  - cryptography >= 42
extends_documentation_fragment:
  - mlops.platform.attributes
seealso:
  - module: community.crypto.x509_certificate
  - module: community.crypto.x509_certificate_info
"""

EXAMPLES = r"""
- name: Look at the certificate of a service
  mlops.platform.host_certificate:
    path: /var/lib/mlops/tls/ingress.crt
    privatekey_path: /var/lib/mlops/tls/ingress.key
    authority_path: /var/lib/mlops/ca.crt
    common_name: localhost
    subject_alt_name: ["DNS:localhost", "IP:127.0.0.1"]
    extended_key_usage: [serverAuth]
    days_left: 30
  register: certificate

- name: Say what is wrong with it
  ansible.builtin.debug:
    msg: "{{ certificate.reasons }}"
  when: certificate.reasons | length > 0
"""

RETURN = r"""
reasons:
  description: What is not as it should be; nothing where all of it is.
  returned: always
  type: list
  elements: str
  sample: ["it holds for DNS:localhost, not for DNS:localhost, IP:127.0.0.1"]
serial_number:
  description: The serial number of the certificate, as M(community.crypto.x509_certificate) returns it.
  returned: when all files can be read
  type: int
  sample: 263214573628402135401236541876201923847561
"""

import grp
import ipaddress
import os
import pwd
import stat
from datetime import datetime, timedelta, timezone

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    x509 = None


def read(path, load):
    """Return (what `load` makes of the bytes of the file `path`, None), or (None, why it cannot)."""
    try:
        with open(path, "rb") as stream:
            return load(stream.read()), None
    except (OSError, ValueError, TypeError) as error:
        # TypeError: a key with a password
        return None, f"{path}: {error.strerror if isinstance(error, OSError) else 'not what it should be'}"


def permissions(path, mode, uid, gid):
    """Return what is wrong with mode, owner and group of `path` (None: any is right)."""
    status = os.lstat(path)
    wrong = [f"{path} has mode {stat.S_IMODE(status.st_mode):04o}"] if stat.S_IMODE(status.st_mode) != mode else []
    if not stat.S_ISREG(status.st_mode) or uid not in (None, status.st_uid) or gid not in (None, status.st_gid):
        wrong.append(f"{path} is another user's, or no file")
    return wrong


def extension(certificate, kind):
    """Return (value, whether it is critical) of an extension of the class `kind`, or None."""
    try:
        found = certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
    return found.value, found.critical


def names(certificate):
    """Return the subject's alternative names as community.crypto writes them: DNS:NAME or IP:ADDRESS; others differ from it."""
    found = extension(certificate, x509.SubjectAlternativeName)
    words = {x509.DNSName: "DNS", x509.IPAddress: "IP"}
    return [f"{words.get(type(name), type(name).__name__)}:{name.value}" for name in found[0]] if found else []


def written(name):
    """Return a wanted name in the form that names() returns."""
    kind, _colon, value = name.partition(":")
    return f"IP:{ipaddress.ip_address(value)}" if kind == "IP" else name


def purpose(certificate):
    """Return (key usages that are set, whether they are critical, extended ones, basic constraints)."""
    usage, extended = extension(certificate, x509.KeyUsage), extension(certificate, x509.ExtendedKeyUsage)
    constraints = extension(certificate, x509.BasicConstraints)
    flags = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
    )
    return (
        {flag for flag in flags if usage and getattr(usage[0], flag)},
        bool(usage and usage[1]),
        set(extended[0]) if extended else set(),
        (constraints[0].ca, constraints[0].path_length, constraints[1]) if constraints else None,
    )


def problems(params, certificate, key, authority, now):
    """Return what of the contents is not as `params` want it. `authority` is None where the certificate is one itself."""
    found = []
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        found.append("the key is not one of ECDSA P-256")
    elif certificate.public_key() != key.public_key():
        found.append("the certificate is another key's")
    subject = [(attribute.oid, attribute.value) for attribute in certificate.subject]
    if subject != [(NameOID.COMMON_NAME, params["common_name"])]:
        found.append(f"its subject is {certificate.subject.rfc4514_string()}")
    have, want = sorted(names(certificate)), sorted(map(written, params["subject_alt_name"]))
    if have != want:
        found.append(f"it holds for {', '.join(have)}, not for {', '.join(want)}")
    oids = {"serverAuth": ExtendedKeyUsageOID.SERVER_AUTH, "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH}
    extended = {oids[name] for name in params["extended_key_usage"]}
    own = authority is None
    if not own:
        wanted = ({"digital_signature"}, True, extended, None)
    elif extended:
        wanted = ({"digital_signature", "key_cert_sign"}, True, extended, (True, None, True))
    else:
        wanted = ({"key_cert_sign", "crl_sign"}, True, extended, (True, 0, True))
    if purpose(certificate) != wanted:
        found.append("it is for another purpose")
    if certificate.not_valid_after_utc - now < timedelta(days=params["days_left"]):
        found.append(f"it ends on {certificate.not_valid_after_utc:%Y-%m-%d}")
    try:
        certificate.verify_directly_issued_by(certificate if own else authority)
    except (ValueError, TypeError, InvalidSignature):
        found.append("another authority has signed it")
    return found


def look(params, now):
    """Look at the files that the module's parameters name.

    Returns (what is not as it should be, the certificate's serial number or None). Raises KeyError for an unknown user or group.
    """
    uid = pwd.getpwnam(params["owner"]).pw_uid if params["owner"] else None
    gid = grp.getgrnam(params["group"]).gr_gid if params["group"] else None
    key, no_key = read(params["privatekey_path"], lambda text: load_pem_private_key(text, None))
    certificate, no_certificate = read(params["path"], x509.load_pem_x509_certificate)
    authority, no_authority = read(params["authority_path"], x509.load_pem_x509_certificate) if params["authority_path"] else (None, None)
    missing = [reason for reason in (no_key, no_certificate, no_authority) if reason]
    if missing:
        return missing, None
    wrong = permissions(params["privatekey_path"], 0o600, uid, gid) + permissions(params["path"], int(params["mode"], 8), uid, gid)
    try:
        wrong += problems(params, certificate, key, authority, now)
    except ValueError as error:
        # an extension that cannot be read
        wrong.append(str(error))
    return wrong, certificate.serial_number


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "privatekey_path": {"type": "path", "required": True, "no_log": False},
            "authority_path": {"type": "path"},
            "common_name": {"type": "str", "required": True},
            "subject_alt_name": {"type": "list", "elements": "str", "default": []},
            "extended_key_usage": {
                "type": "list",
                "elements": "str",
                "default": [],
                "choices": ["serverAuth", "clientAuth"],
                "no_log": False,
            },
            "days_left": {"type": "int", "default": 0},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str", "default": "0644"},
        },
        supports_check_mode=True,
    )
    if x509 is None:
        module.fail_json(msg=missing_required_lib("cryptography", url="https://pypi.org/project/cryptography/"))
    try:
        reasons, serial_number = look(module.params, datetime.now(timezone.utc))
    except KeyError as error:
        module.fail_json(msg=f"owner, group: there is none of that name on this host: {error}")
    module.exit_json(changed=False, reasons=reasons, **({"serial_number": serial_number} if serial_number else {}))


if __name__ == "__main__":
    main()

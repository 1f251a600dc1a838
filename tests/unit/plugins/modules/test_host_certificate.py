"""The module host_certificate: it finds each thing that is wrong, and nothing with what the roles sign."""

from __future__ import annotations

import getpass
import grp
import ipaddress
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.modules import host_certificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from lib.modules import run_module

ROOT = Path(__file__).parents[4]
NOW = datetime.now(timezone.utc)
USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")


def subject(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def sign(key, issuer_key, name, issuer, *extensions, days=397):
    builder = x509.CertificateBuilder(subject(issuer), subject(name), key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=days))
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def usage(*wanted):
    return x509.KeyUsage(*(flag in wanted for flag in USAGES), encipher_only=False, decipher_only=False), True


AUTHORITY = ((x509.BasicConstraints(True, 0), True), usage("key_cert_sign", "crl_sign"))
SERVICE = (
    (x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("::1"))]), False),
    usage("digital_signature"),
    (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
)


class Files:
    """An authority and a service's certificate in a folder, and the module's options that describe them."""

    def __init__(self, folder):
        self.folder, self.authority_key, self.key = folder, ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.write_key("ca", self.authority_key)
        self.write("ca", sign(self.authority_key, self.authority_key, "ours", "ours", *AUTHORITY))
        self.write_key("one", self.key)
        self.write("one", self.signed())
        self.options = {
            **self.paths("one"),
            "authority_path": str(folder / "ca.crt"),
            "common_name": "one",
            "subject_alt_name": ["IP:0:0::1", "DNS:localhost"],
            "extended_key_usage": ["serverAuth"],
            "days_left": 30,
            "owner": getpass.getuser(),
            "group": grp.getgrgid(os.getegid()).gr_name,
        }

    def signed(self, name="one", extensions=SERVICE, **more):
        return sign(self.key, self.authority_key, name, "ours", *extensions, **more)

    def paths(self, name):
        return {"path": str(self.folder / f"{name}.crt"), "privatekey_path": str(self.folder / f"{name}.key")}

    def write(self, name, certificate):
        (self.folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (self.folder / f"{name}.crt").chmod(0o644)

    def write_key(self, name, key, encryption=serialization.NoEncryption()):  # noqa: B008 - it holds nothing
        text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        (self.folder / f"{name}.key").write_bytes(text)
        (self.folder / f"{name}.key").chmod(0o600)

    def reasons(self, **options):
        defaults = {"authority_path": None, "subject_alt_name": [], "extended_key_usage": [], "days_left": 0, "mode": "0644"}
        return host_certificate.look({**defaults, **self.options, **options}, NOW)[0]


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_nothing_is_found_where_all_is_right(files):
    result = run_module("host_certificate", files.options)
    assert (result["changed"], result["reasons"]) == (False, [])
    assert result["serial_number"] == x509.load_pem_x509_certificate(Path(files.options["path"]).read_bytes()).serial_number
    authority = {**files.paths("ca"), "authority_path": None, "common_name": "ours", "subject_alt_name": [], "extended_key_usage": []}
    assert files.reasons(**authority) == []


@pytest.mark.parametrize(
    "options, words",
    [
        ({"common_name": "another"}, "its subject is CN=one"),
        ({"subject_alt_name": ["DNS:localhost"]}, "it holds for DNS:localhost, IP:::1, not for DNS:localhost"),
        ({"subject_alt_name": ["DNS:localhost", "IP:no"]}, "'no' does not appear"),
        ({"extended_key_usage": ["serverAuth", "clientAuth"]}, "another purpose"),
        ({"days_left": 398}, "it ends on 20"),
        ({"owner": "nobody"}, "another user's"),
        ({"mode": "0600"}, "has mode 0644"),
        ({"authority_path": None}, "another purpose"),
        ({"authority_path": "/nonexistent/ca.crt"}, "/nonexistent/ca.crt: No such file"),
        ({"path": "/nonexistent/one.crt"}, "/nonexistent/one.crt: No such file"),
        ({"privatekey_path": "/nonexistent/one.key"}, "/nonexistent/one.key: No such file"),
    ],
)
def test_another_wish_is_found(files, options, words):
    assert any(words in reason for reason in files.reasons(**options)), files.reasons(**options)


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda f: f.write("one", f.signed(days=20)), "it ends on"),
        (lambda f: f.write("one", f.signed(extensions=SERVICE[:2])), "another purpose"),
        (lambda f: f.write("one", f.signed(extensions=[SERVICE[0], *AUTHORITY, SERVICE[2]])), "another purpose"),
        (lambda f: f.write("one", sign(f.key, f.key, "one", "ours", *SERVICE)), "another authority"),
        (lambda f: f.write("one", sign(f.key, f.authority_key, "one", "theirs", *SERVICE)), "another authority"),
        (lambda f: f.write_key("one", ec.generate_private_key(ec.SECP256R1())), "another key's"),
        (lambda f: f.write_key("one", ec.generate_private_key(ec.SECP384R1())), "not one of ECDSA P-256"),
        (lambda f: f.write_key("one", f.key, serialization.BestAvailableEncryption(b"x")), "one.key: not what it should be"),
        (lambda f: (f.folder / "one.key").chmod(0o640), "has mode 0640"),
        (lambda f: (f.folder / "one.key").write_text("no key"), "one.key: not what it should be"),
        (lambda f: (f.folder / "one.crt").write_text("no certificate"), "one.crt: not what it should be"),
        (lambda f: (f.folder / "ca.crt").write_text("no certificate"), "ca.crt: not what it should be"),
    ],
)
def test_damage_is_found(files, damage, words):
    damage(files)
    assert any(words in reason for reason in files.reasons()), files.reasons()


def test_an_unknown_user_ends_it(files):
    assert "no-such-user" in run_module("host_certificate", {**files.options, "owner": "no-such-user"})["msg"]


PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: {python}
    mlops_host: {{data_dir: {folder}, user: {user}, group: {group}}}
  tasks:
    - ansible.builtin.import_role: {{name: mlops.platform.local_host, tasks_from: authority}}
    - ansible.builtin.import_role: {{name: mlops.platform.local_certificate}}
      vars:
        local_certificate_name: one
        local_certificate_common_name: one.internal
        local_certificate_names: [localhost, "*.example.org", 127.0.0.1, "2001:db8:0::1"]
        local_certificate_usage: [serverAuth, clientAuth]
"""


def test_what_the_roles_sign_is_right_and_signed_once(tmp_path):
    (tmp_path / "tls").mkdir()
    group = grp.getgrgid(os.getegid()).gr_name
    play = tmp_path / "play.yml"
    play.write_text(PLAY.format(python=sys.executable, folder=tmp_path, user=getpass.getuser(), group=group), encoding="utf-8")

    def signed(*options):
        command = [Path(sys.executable).with_name("ansible-playbook"), play, *options]
        environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        tasks = json.loads(done.stdout)["plays"][0]["tasks"]
        return [
            task["task"]["name"]
            for task in tasks
            if task["task"]["name"].startswith("mlops.platform.") and " : Sign the" in task["task"]["name"]
        ]

    names = ["mlops.platform.local_host : Sign the authority", "mlops.platform.local_certificate : Sign the certificate of one"]
    assert signed() == names
    assert signed() == []
    assert signed("-e", '{"local_certificate_usage": ["serverAuth"]}', "--check") == names[1:]
    # one that was the platform's authority's becomes its own
    own = ("-e", '{"local_certificate_self_signed": true}')
    assert signed(*own) == names[1:]
    assert signed(*own) == []
    found = x509.load_pem_x509_certificate((tmp_path / "tls/one.crt").read_bytes())
    found.verify_directly_issued_by(found)
    assert signed() == names[1:]


def test_examples_are_tasks():
    for task in yaml.safe_load(host_certificate.EXAMPLES):
        assert task["name"]

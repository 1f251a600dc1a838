"""A certificate that a user gives: what preflight says of it, and where it goes."""

from __future__ import annotations

import os
import subprocess

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.filter.certificate_facts import certificate_facts
from lib.certificates import make_certificate
from lib.render import HOST, files, platform, services, within
from lib.render_preflight import problems

NAMES = ["ml.example.org", "10.0.0.5", "::1"]


class Given:
    """A chain of root, intermediate and server, another authority, and what is wrong with each in its own way."""

    def __init__(self, folder):
        self.folder = folder
        self.root, self.other = (make_certificate(folder, label) for label in ("root", "other"))
        self.between = make_certificate(folder, "between", issuer=self.root, authority=True)
        self.server("good", names=[*NAMES, "*.wild.example.org"])
        self.server("expired", days=(-3, -1))
        self.server("early", days=(1, 3))
        self.server("narrow", names=["other.example.org"])
        self.server("nameless", names=())
        (folder / "short.pem").write_bytes((folder / "good.pem").read_bytes())
        (folder / "short.pem").write_text(self.text("good.pem").split("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n")
        make_certificate(folder, "lonely", names=NAMES, authority=False)
        (folder / "damaged.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        (folder / "open.pem").write_text(self.text("root.pem") + self.text("root.key"))
        (folder / "text").write_text("hunter2\n")
        (folder / "empty").touch()
        subprocess.run(
            ["openssl", "pkey", "-aes256", "-passout", "pass:hunter2", "-in", folder / "good.key", "-out", folder / "closed.key"],
            check=True,
        )

    def server(self, label, **options):
        """Make a server's certificate with its chain."""
        path = make_certificate(self.folder, label, issuer=self.between, **{"names": NAMES, **options})[0]
        path.write_text(path.read_text() + self.between[0].read_text())

    def text(self, name):
        return (self.folder / name).read_text() if name else ""

    def facts(self, certificate="good.pem", key="good.key", ca="root.pem", names=None):
        """Return the filter's facts of these files."""
        return certificate_facts(self.text(certificate), self.text(key), self.text(ca), names or NAMES)

    def variables(self, certificate="good.pem", key="good.key", ca="root.pem", names=None):
        """Return a user's variables with these files."""
        named = {"certificate": certificate, "key": key, "ca": ca}
        return {
            "mlops_public_names": names or NAMES,
            **{f"ingress_tls_{part}": str(self.folder / name) for part, name in named.items() if name},
        }


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return Given(tmp_path_factory.mktemp("tls"))


FINE = {"unreadable": [], "matches": True, "current": True, "uncovered": [], "untrusted": ""}


def wrong(facts):
    """Return those facts that are not as they should be."""
    return {name: facts[name] for name, fine in FINE.items() if facts[name] != fine}


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"ca": ""},
        {"key": "", "ca": ""},
        {"certificate": "lonely.pem", "key": "lonely.key", "ca": "lonely.pem"},
        {"names": ["ML.Example.org", "0:0::1", "any.wild.example.org"]},
        {"certificate": "", "key": "", "ca": ""},
    ],
    ids=str,
)
def test_what_fits_together_is_fine(given, files):
    assert wrong(given.facts(**files)) == {}


@pytest.mark.parametrize(
    "files, name, value",
    [
        ({"key": "expired.key"}, "matches", False),
        ({"certificate": "expired.pem", "key": "expired.key"}, "current", False),
        ({"certificate": "early.pem", "key": "early.key"}, "current", False),
        ({"certificate": "narrow.pem", "key": "narrow.key"}, "uncovered", NAMES),
        ({"certificate": "nameless.pem", "key": "nameless.key"}, "uncovered", NAMES),
        (
            {"names": ["wild.example.org", "a.b.wild.example.org", "10.0.0.6"]},
            "uncovered",
            ["wild.example.org", "a.b.wild.example.org", "10.0.0.6"],
        ),
        ({"ca": "other.pem"}, "untrusted", "unable to get local issuer certificate"),
        # a client that knows the root alone cannot find the authority between
        ({"certificate": "short.pem"}, "untrusted", "unable to get local issuer certificate"),
        ({"certificate": "damaged.pem"}, "unreadable", ["certificate holds a certificate that is damaged, or of a kind that is not known"]),
        ({"certificate": "text"}, "unreadable", ["certificate holds no certificate in PEM form"]),
        ({"ca": "text"}, "unreadable", ["ca holds no certificate in PEM form"]),
        ({"ca": "open.pem"}, "unreadable", ["ca holds a private key, and everybody is to read it"]),
        ({"key": "text"}, "unreadable", ["key holds no private key in PEM form"]),
        ({"key": "closed.key"}, "unreadable", ["key has a passphrase, which nobody could type at a start"]),
    ],
    ids=str,
)
def test_each_fault_is_named_alone(given, files, name, value):
    assert wrong(given.facts(**files)) == {name: value}


def test_dates_are_told(given):
    facts = given.facts("expired.pem", "expired.key")
    assert facts["not_before"] < facts["not_after"] and facts["not_after"].endswith("Z")


def test_a_key_behind_the_parameters_of_its_curve_is_read(given):
    parameters = subprocess.run(["openssl", "ecparam", "-name", "prime256v1"], capture_output=True, text=True, check=True).stdout
    assert "EC PARAMETERS" in parameters
    facts = certificate_facts(given.text("good.pem"), parameters + given.text("good.key"), given.text("root.pem"), NAMES)
    assert wrong(facts) == {}


def test_nothing_is_left_of_the_key_on_the_disk(given, monkeypatch, tmp_path):
    monkeypatch.setattr("ansible.constants.DEFAULT_LOCAL_TMP", str(tmp_path))
    assert wrong(given.facts()) == {}
    assert list(tmp_path.iterdir()) == []


# --- preflight --------------------------------------------------------------------------------------------------------------------------


def test_a_good_pair_is_accepted(given):
    assert problems(**given.variables()) == []
    assert problems(**given.variables(ca="")) == []


@pytest.mark.parametrize(
    "files, words",
    [
        ({"key": "", "ca": ""}, ["ingress_tls_certificate and ingress_tls_key"]),
        ({"certificate": "", "ca": ""}, ["ingress_tls_certificate and ingress_tls_key"]),
        ({"certificate": "", "key": ""}, ["ingress_tls_ca is set without ingress_tls_certificate"]),
        ({"certificate": "none.pem"}, ["ingress_tls_certificate ", "none.pem cannot be read"]),
        ({"key": "empty"}, ["ingress_tls_key ", "empty cannot be read"]),
        ({"key": "none", "ca": "none"}, ["ingress_tls_key ", " and ingress_tls_ca "]),
        ({"key": "text"}, ["ingress_tls_key holds no private key"]),
        ({"ca": "open.pem"}, ["ingress_tls_ca holds a private key"]),
        ({"key": "expired.key"}, ["ingress_tls_key is not the key", "ingress_tls_certificate"]),
        ({"certificate": "expired.pem", "key": "expired.key"}, ["ingress_tls_certificate holds from 2", "and not now"]),
        ({"certificate": "narrow.pem", "key": "narrow.key"}, ["does not hold for ml.example.org, 10.0.0.5, ::1 of mlops_public_names"]),
        ({"names": ["localhost"]}, ["localhost", "mlops_public_names", "mlflow_extra_allowed_hosts"]),
        ({"ca": "other.pem"}, ["ingress_tls_ca", "unable to get local issuer certificate"]),
    ],
    ids=str,
)
def test_each_fault_is_one_problem(given, files, words):
    found = problems(**given.variables(**files))
    assert len(found) == 1, found
    text = ": ".join(found[0])
    assert [word for word in words if word not in text] == []


def test_all_faults_are_told_at_once_and_nothing_of_the_files(given):
    found = problems(**given.variables("expired.pem", "text", "damaged.pem", ["localhost"]), mlflow_admin_password="short")  # noqa: S106
    assert len(found) == 4, found
    assert "hunter2" not in str(found)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_key_of_others_is_told(given):
    (given.folder / "theirs.key").touch(mode=0)
    assert "theirs.key cannot be read" in problems(**given.variables(key="theirs.key"))[0][0]


def test_no_certificate_is_looked_at_in_a_cluster(given):
    assert problems("kubernetes", **given.variables(key="expired.key")) == []


# --- what is placed ---------------------------------------------------------------------------------------------------------------------

PAIR, AUTHORITY = f"{HOST['data_dir']}/tls/ingress-given.pem", f"{HOST['data_dir']}/ingress-ca.crt"
ROUTES = f"{HOST['data_dir']}/etc/traefik/routes/platform.yml"
OWN = {"local_certificate_signed": {"changed": False, "reasons": [], "serial_number": 1}}


def served(contents):
    """Return the default certificate in Traefik's file, as (certificate, key)."""
    pair = yaml.safe_load(contents[ROUTES])["tls"]["stores"]["default"]["defaultCertificate"]
    return pair["certFile"], pair["keyFile"]


def test_certificate_and_key_are_replaced_as_one_before_they_are_named(given):
    contents, secret = files(platform(**given.variables()))
    assert served(contents) == (PAIR, PAIR)
    assert PAIR in secret and AUTHORITY not in secret
    assert given.text("good.pem") in contents[PAIR] and given.text("good.key") in contents[PAIR]
    assert contents[AUTHORITY] == given.text("root.pem")
    assert list(contents).index(PAIR) < list(contents).index(ROUTES)


def absent(roles):
    """Return the paths that the role removes."""
    return roles.value("ingress_files_absent", **within("ingress"))


def test_what_is_not_given_any_more_is_removed(given):
    assert absent(platform(**given.variables())) == []
    assert absent(platform(**given.variables(ca=""))) == [AUTHORITY]
    assert absent(platform()) == [PAIR, AUTHORITY]
    contents, _secret = files(platform(**OWN))
    assert served(contents) == (f"{HOST['data_dir']}/tls/ingress.crt", f"{HOST['data_dir']}/tls/ingress.key")
    assert PAIR not in contents and AUTHORITY not in contents


def test_the_file_that_names_a_certificate_changes_with_it(given):
    """Traefik reads certificates again for no other reason."""
    texts = [files(platform(**given.variables(name, "good.key")))[0][ROUTES] for name in ("good.pem", "expired.pem")]
    # signed in this run or before
    signed, later = ({"local_certificate_signed": {"changed": changed, "serial_number": 2}} for changed in (True, False))
    own = [files(platform(**facts))[0][ROUTES] for facts in (OWN, signed, later)]
    assert texts[0] != texts[1] and own[0] != own[1] == own[2]


def test_a_new_certificate_restarts_nothing(given):
    for roles in (platform(**given.variables()), platform(local_certificate_signed={"changed": True, "serial_number": 2})):
        traefik = {item["name"]: item for item in services(roles)}["traefik"]
        assert traefik["config_files"] == [f"{HOST['data_dir']}/etc/traefik/traefik.yml"]
        assert not traefik["changed"]


@pytest.mark.parametrize(
    "parts, path",
    [({}, AUTHORITY), ({"ca": ""}, ""), ({"certificate": "", "key": "", "ca": ""}, f"{HOST['data_dir']}/ca.crt")],
    ids=["authority given", "known to the system", "own"],
)
def test_what_a_client_must_trust(given, parts, path):
    roles = platform(**given.variables(**parts))
    told = roles.tasks("ingress", "facts.yml")[2]["ansible.builtin.set_fact"]["ingress_endpoint"]["ca"]
    assert roles.template(told) == path

"""Secrets that are hard to carry, and how they are given to a playbook as they are."""

from __future__ import annotations

import secrets

import yaml

# every printable ASCII character, in an order that also makes what templates, shells and ini files might take for theirs
PRINTABLE = "".join(map(chr, range(32, 127)))
NASTY = f"{PRINTABLE} $HOME `id` $(id) %(x)s %d \\n \\\\ ''\"\" &amp; <!-- #;"
TEMPLATE = "{{ 7 * 7 }}{% raw %}{# x #}"
UNICODE = "\u00fc\u20ac\u4e2d\U0001f600"


def given_secrets():
    """Return every secret that a user may set, each with a unique part to look for and with all that is hard to carry."""

    def odd(extra=""):
        return f"{secrets.token_hex(8)}{NASTY}{extra}"

    return {
        "postgresql_superuser_password": odd(UNICODE),
        "postgresql_account_passwords": {"mlflow": odd(TEMPLATE + UNICODE), "seaweedfs": odd(TEMPLATE + UNICODE)},
        "object_store_admin_secret_key": odd(),
        "object_store_mlflow_secret_key": odd(TEMPLATE),
        "mlflow_admin_password": odd(TEMPLATE),
    }


class Unsafe(str):
    """A text that Ansible must not take for a template."""


class Dumper(yaml.SafeDumper):
    """Writes Unsafe as Ansible's !unsafe."""


Dumper.add_representer(Unsafe, lambda dumper, value: dumper.represent_scalar("!unsafe", str(value), style='"'))


def unsafe(value):
    """Return `value` with every text in it that looks like a template marked, so that Ansible does not take it for one.

    Only those: of any other text Ansible makes what it looks like, of "true" a boolean.
    """
    if isinstance(value, dict):
        return {key: unsafe(one) for key, one in value.items()}
    if isinstance(value, list):
        return [unsafe(one) for one in value]
    return Unsafe(value) if isinstance(value, str) and "{" in value else value


def as_variables(values):
    """Return the text of a variables file that gives `values` to a playbook, no text of which is a template."""
    return yaml.dump(unsafe(values), Dumper=Dumper, allow_unicode=True)

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a secret must be like and how one is made, wherever it is kept: in a file or in a cluster."""

from __future__ import annotations

import re
import secrets
import string

CHARSETS = {"alphanumeric": string.ascii_letters + string.digits, "hex": "0123456789abcdef"}
KEYS = {"length", "charset", "min_length", "keep_previous"}
# 40 alphanumeric characters hold 238 bits: more than any hash that they are put through
DEFAULT_LENGTH = 40


class SecretError(Exception):
    """A request that cannot be met; its text says what would be right."""


def wanted(name, spec, value):
    """Return the checked specification of one secret, and the value that was given for it, as a dict with all of KEYS and value.

    Raises SecretError that names the secret, what is wrong with it and what would be right; never with the secret itself.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise SecretError(f"secret {name!r}: the name must be letters, digits, '_', '-' and '.'")
    spec = dict(spec or {})
    if set(spec) - KEYS:
        raise SecretError(f"secret {name}: unknown keys {sorted(set(spec) - KEYS)}; known are {sorted(KEYS)}")
    spec = {"value": value, "length": DEFAULT_LENGTH, "charset": "alphanumeric", "min_length": 1, "keep_previous": False, **spec}
    if spec["charset"] not in CHARSETS:
        raise SecretError(f"secret {name}: charset must be one of {sorted(CHARSETS)}")
    if not 16 <= int(spec["length"]) <= 512:
        raise SecretError(f"secret {name}: length must be between 16 and 512")
    if value is not None and not isinstance(value, str):
        raise SecretError(f"secret {name}: the value must be a string; put it in quotes")
    if value:
        if len(value) < int(spec["min_length"]):
            raise SecretError(f"secret {name}: the given value has {len(value)} characters and needs at least {spec['min_length']}")
        if any(ord(c) < 32 or ord(c) == 127 for c in value):
            raise SecretError(f"secret {name}: the given value has a control character (a line break?): no environment file can carry it")
    return spec


def generate(spec):
    """Return a new secret of the checked specification `spec` (see wanted()), from the operating system's random source."""
    return "".join(secrets.choice(CHARSETS[spec["charset"]]) for unused in range(int(spec["length"])))


def all_wanted(names, given):
    """Return wanted() of every secret in `names`, a dict of specifications, with its value in `given`. Raises SecretError."""
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise SecretError(f"given: {unknown} are not among the secrets {sorted(names)}")
    return {name: wanted(name, spec, given.get(name)) for name, spec in names.items()}


def exit_with(module, result, more=()):
    """End an AnsibleModule with `result`: a diff that names what changed and shows none of it, and `more` lines of that kind."""
    if module._diff:
        lines = [f"{name}: generated" for name in result["generated"]]
        lines += [f"{name}: replaced by the given value" for name in result["replaced"]]
        result["diff"] = {"before": "", "after": "".join(f"{line}\n" for line in [*lines, *more])}
    values = {*result["secrets"].values(), *(value for values in result["previous"].values() for value in values)}
    if module.no_log:
        # the values must reach the next task; no_log of this one keeps them from the output
        module.no_log_values.difference_update(values)
    else:
        module.no_log_values.update(values)
    module.exit_json(**result)

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules that talk to an S3 server have in common: options, the module itself, and the connection that they make of it."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import (
    CONNECT_TIMEOUT,
    DEFAULT_REGION,
    HINTS,
    NOT_IMPLEMENTED,
    READ_TIMEOUT,
    Connection,
    S3Error,
)

__all__ = [
    "CONNECT_TIMEOUT",
    "DEFAULT_REGION",
    "HINTS",
    "NOT_IMPLEMENTED",
    "READ_TIMEOUT",
    "Connection",
    "S3Error",
    "argument_spec",
    "new_module",
]


def argument_spec(**options):
    """Return the argument spec of the connection options together with those in `options`."""
    spec = {
        "endpoint_url": {"type": "str", "fallback": (env_fallback, ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])},
        "access_key": {"type": "str", "no_log": False},
        "secret_key": {"type": "str", "no_log": True},
        "session_token": {"type": "str", "no_log": True},
        "region": {"type": "str", "fallback": (env_fallback, ["AWS_REGION", "AWS_DEFAULT_REGION"])},
        "ca_bundle": {"type": "path", "fallback": (env_fallback, ["AWS_CA_BUNDLE"])},
        "validate_certs": {"type": "bool", "default": True},
        "addressing_style": {"type": "str", "choices": ["auto", "path", "virtual"], "default": "auto"},
    }
    spec.update(options)
    return spec


def new_module(options, **kwargs):
    """Return the AnsibleModule for `options` (an argument spec) and the connection options, which are checked together."""
    together = [*kwargs.pop("required_together", []), ["access_key", "secret_key"]]
    needs = {"session_token": ["access_key", "secret_key"], **kwargs.pop("required_by", {})}
    spec = argument_spec(**options)
    return AnsibleModule(argument_spec=spec, supports_check_mode=True, required_together=together, required_by=needs, **kwargs)

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How to reach a Kubernetes API server: the options that every cluster module shares, and what they amount to."""

from __future__ import annotations

import os

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib


def _env(*names):
    return (env_fallback, [f"K8S_AUTH_{name}" for name in names])


def argument_spec(**options):
    """Return the argument spec of the connection options, which are those of kubernetes.core, together with those in `options`."""
    spec = {
        # a path, or a kubeconfig's content, whose secrets are masked one by one: errors must be able to name the path
        "kubeconfig": {"type": "raw", "no_log": False, "fallback": _env("KUBECONFIG")},
        "context": {"type": "str", "fallback": _env("CONTEXT")},
        "host": {"type": "str", "fallback": _env("HOST")},
        "api_key": {"type": "str", "no_log": True, "fallback": _env("API_KEY")},
        "username": {"type": "str", "fallback": _env("USERNAME")},
        "password": {"type": "str", "no_log": True, "fallback": _env("PASSWORD")},
        "validate_certs": {"type": "bool", "aliases": ["verify_ssl"], "fallback": _env("VALIDATE_CERTS", "VERIFY_SSL")},
        "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"], "fallback": _env("CA_CERT", "SSL_CA_CERT")},
        "client_cert": {"type": "path", "aliases": ["cert_file"], "fallback": _env("CLIENT_CERT", "CERT_FILE")},
        "client_key": {"type": "path", "aliases": ["key_file"], "no_log": False, "fallback": _env("CLIENT_KEY", "KEY_FILE")},
        "proxy": {"type": "str", "fallback": _env("PROXY")},
        "no_proxy": {"type": "str", "fallback": _env("NO_PROXY")},
        "proxy_headers": {
            "type": "dict",
            "options": {
                "proxy_basic_auth": {"type": "str", "no_log": True},
                "basic_auth": {"type": "str", "no_log": True},
                "user_agent": {"type": "str"},
            },
        },
        "persist_config": {"type": "bool", "fallback": _env("PERSIST_CONFIG")},
        "impersonate_user": {"type": "str", "fallback": _env("IMPERSONATE_USER")},
        "impersonate_groups": {"type": "list", "elements": "str", "fallback": _env("IMPERSONATE_GROUPS")},
    }
    spec.update(options)
    return spec


def new_module(options, **kwargs):
    """Return the AnsibleModule for `options` (an argument spec) and the connection options."""
    module = AnsibleModule(argument_spec=argument_spec(**options), supports_check_mode=True, **kwargs)
    if isinstance(module.params["kubeconfig"], dict):
        module.no_log_values.update(kubeconfig_secrets(module.params["kubeconfig"]))
    return module


def connection_params(params):
    """Return the connection options that are set in `params`, as a dict that another process can be given."""
    return {name: params[name] for name in argument_spec() if params.get(name) not in (None, "")}


def kubeconfig_secrets(kubeconfig):
    """Return the credentials in a kubeconfig that was given as a dict."""
    found = set()
    for entry in kubeconfig.get("users") or []:
        user = entry.get("user") or {}
        provider = (user.get("auth-provider") or {}).get("config") or {}
        environment = (user.get("exec") or {}).get("env") or []
        found |= {str(user[key]) for key in ("token", "password", "client-key-data") if user.get(key)}
        found |= {str(provider[key]) for key in ("access-token", "id-token", "refresh-token", "client-secret") if provider.get(key)}
        found |= {str(item["value"]) for item in environment if item.get("value")}
    return found


class ClusterError(Exception):
    """What could not be done, and what to do about it. `status` is the server's HTTP status, or 0; `reason` its word for it."""

    def __init__(self, what, remedy="", status=0, reason=""):
        super().__init__(f"{what}; {remedy}" if remedy else what)
        self.what, self.remedy, self.status, self.reason = what, remedy, status, reason


def source(params):
    """Return in words where the credentials come from."""
    if params.get("host") and not (params.get("kubeconfig") or params.get("context")):
        return "the option host"
    if params.get("kubeconfig"):
        words = "the given kubeconfig" if isinstance(params["kubeconfig"], dict) else f"the kubeconfig {params['kubeconfig']}"
    elif "KUBERNETES_SERVICE_HOST" in os.environ and not params.get("context"):
        words = "the service account of this pod"
    else:
        words = f"the kubeconfig {os.environ.get('KUBECONFIG') or '~/.kube/config'}"
    return words + (f", context {params['context']}" if params.get("context") else "")


def configuration(params):
    """Return the Python client's configuration for the connection options. Raises ClusterError that says what is wrong with them.

    Where there is no kubeconfig the order is that of kubernetes.core, so that both families talk to the same cluster.
    """
    try:
        from kubernetes import client, config
    except ImportError:
        raise ClusterError(missing_required_lib("kubernetes")) from None
    settings = client.Configuration()
    get = params.get
    enough = get("host") and (get("api_key") or (get("username") and get("password")) or (get("client_cert") and get("client_key")))
    if not enough:
        _load(config, settings, params)
    for name, option in {
        "host": "host",
        "username": "username",
        "password": "password",
        "verify_ssl": "validate_certs",
        "ssl_ca_cert": "ca_cert",
        "cert_file": "client_cert",
        "key_file": "client_key",
        "proxy": "proxy",
        "no_proxy": "no_proxy",
    }.items():
        if get(option) is not None:
            setattr(settings, name, get(option))
    settings.host = settings.host.rstrip("/")
    if get("api_key"):
        settings.api_key = {"authorization": f"Bearer {get('api_key')}"}
        settings.refresh_api_key_hook = None
    if get("proxy_headers"):
        import urllib3

        settings.proxy_headers = urllib3.util.make_headers(**{key: value for key, value in get("proxy_headers").items() if value})
    for option, path in {"ca_cert": settings.ssl_ca_cert, "client_cert": settings.cert_file, "client_key": settings.key_file}.items():
        if path and not os.access(path, os.R_OK):
            raise ClusterError(f"{option}: there is no readable file {path} on this host", f"it comes from {source(params)}")
    return settings


def _load(config, settings, params):
    """Fill `settings` from the pod's service account or a kubeconfig. Raises ClusterError."""
    given, context = params.get("kubeconfig"), params.get("context")
    options = {"context": context or None, "client_configuration": settings, "persist_config": bool(params.get("persist_config"))}
    if not given and not context:
        try:
            config.load_incluster_config(client_configuration=settings)
            return
        except config.ConfigException:
            pass
    try:
        if isinstance(given, dict):
            config.load_kube_config_from_dict(config_dict=given, **options)
        else:
            config.load_kube_config(config_file=os.path.expanduser(given) if given else None, **options)
    except config.ConfigException as error:
        raise ClusterError(f"{source(params)} cannot be used: {error}", _config_remedy(params, str(error))) from None
    except Exception as error:  # a file that is no YAML, an unreadable one, wrong base64: the loader lets all of these through
        raise ClusterError(f"{source(params)} cannot be used: {type(error).__name__}: {error}", _config_remedy(params, "")) from None


def _config_remedy(params, words):
    if params.get("context") and "contexts" in words:
        return "set context to one that `kubectl config get-contexts` lists, or leave it out"
    return "set kubeconfig (mlops_kubeconfig) to a file with which `kubectl version` works on this host"

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connection options of the cluster_* modules."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of C(module_utils/cluster.py): argument_spec. They are those of kubernetes.core, so that one dict serves both."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig file on the host that runs the module, or the content of one as a dictionary.
      - If unset, the environment variable E(K8S_AUTH_KUBECONFIG) is used. Without that, and without O(context), the service account of the
        pod that the module runs in is taken, and outside of a cluster the file that E(KUBECONFIG) names, or V(~/.kube/config).
    type: raw
  context:
    description:
      - Name of a context of the kubeconfig. Unset means its current context.
      - If unset, the environment variable E(K8S_AUTH_CONTEXT) is used.
    type: str
  host:
    description:
      - Address of the API server, for example V(https://cluster.example.com:6443), in place of the kubeconfig's. Together with O(api_key),
        O(username) and O(password), or O(client_cert) and O(client_key), no kubeconfig is read.
      - If unset, the environment variable E(K8S_AUTH_HOST) is used.
    type: str
  api_key:
    description:
      - Bearer token to authenticate with.
      - If unset, the environment variable E(K8S_AUTH_API_KEY) is used.
    type: str
  username:
    description:
      - User for HTTP basic authentication, which API servers since Kubernetes 1.19 do not know; a proxy in front of one may.
      - If unset, the environment variable E(K8S_AUTH_USERNAME) is used.
    type: str
  password:
    description:
      - Password of O(username).
      - If unset, the environment variable E(K8S_AUTH_PASSWORD) is used.
    type: str
  validate_certs:
    description:
      - Whether the server's certificate must be valid. Unset means what the kubeconfig says, and that is yes if it says nothing.
      - If unset, the environment variables E(K8S_AUTH_VALIDATE_CERTS) and E(K8S_AUTH_VERIFY_SSL) are used.
    type: bool
    aliases: [verify_ssl]
  ca_cert:
    description:
      - File with the certificates of the authorities that may have signed the server's.
      - If unset, the environment variables E(K8S_AUTH_CA_CERT) and E(K8S_AUTH_SSL_CA_CERT) are used.
    type: path
    aliases: [ssl_ca_cert]
  client_cert:
    description:
      - File with a client certificate to authenticate with.
      - If unset, the environment variables E(K8S_AUTH_CLIENT_CERT) and E(K8S_AUTH_CERT_FILE) are used.
    type: path
    aliases: [cert_file]
  client_key:
    description:
      - File with the key of O(client_cert).
      - If unset, the environment variables E(K8S_AUTH_CLIENT_KEY) and E(K8S_AUTH_KEY_FILE) are used.
    type: path
    aliases: [key_file]
  proxy:
    description:
      - Address of an HTTP proxy on the way to the server.
      - If unset, the environment variable E(K8S_AUTH_PROXY) is used.
    type: str
  no_proxy:
    description:
      - Hosts, separated by commas, that are reached without the O(proxy).
      - If unset, the environment variable E(K8S_AUTH_NO_PROXY) is used.
    type: str
  proxy_headers:
    description: What to tell the O(proxy).
    type: dict
    suboptions:
      proxy_basic_auth:
        description: User and password for the proxy, separated by a colon.
        type: str
      basic_auth:
        description: User and password for basic authentication, separated by a colon.
        type: str
      user_agent:
        description: The name of this client.
        type: str
  persist_config:
    description:
      - Whether tokens that were renewed are written back to the kubeconfig.
      - If unset, the environment variable E(K8S_AUTH_PERSIST_CONFIG) is used.
    type: bool
  impersonate_user:
    description:
      - User to act as.
      - If unset, the environment variable E(K8S_AUTH_IMPERSONATE_USER) is used.
    type: str
  impersonate_groups:
    description:
      - Groups to act as. Needs O(impersonate_user).
      - If unset, the environment variable E(K8S_AUTH_IMPERSONATE_GROUPS) is used, a list separated by commas.
    type: list
    elements: str
requirements:
  - kubernetes >= 24.2.0 on the host that runs the module
notes:
  - Supports Kubernetes 1.19 and later.
  - The connection options are named as those of M(kubernetes.core.k8s). They can be set once for all modules of this family with
    C(module_defaults) and C(group/mlops.platform.cluster).
"""

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connection options of the MLflow modules."""

from __future__ import annotations


class ModuleDocFragment:
    """Connection options of the MLflow modules."""

    DOCUMENTATION = r"""
options:
  tracking_uri:
    description:
      - Address of the MLflow server, C(http://host:port) or C(https://host:port), seen from the host on which the module runs.
      - A path in it is kept; it may hold the server's static prefix instead of O(static_prefix).
      - If unset, the environment variable E(MLFLOW_TRACKING_URI) is used.
    type: str
    required: true
  username:
    description:
      - User for HTTP basic authentication. A name with a colon cannot log in.
      - If unset, the environment variable E(MLFLOW_TRACKING_USERNAME) is used. An empty string means none.
    type: str
  password:
    description:
      - Password of O(username).
      - If unset, the environment variable E(MLFLOW_TRACKING_PASSWORD) is used. An empty string means none.
    type: str
  token:
    description:
      - Bearer token, for a proxy that authenticates before MLflow. A O(username) wins over it, as in MLflow's client.
      - If unset, the environment variable E(MLFLOW_TRACKING_TOKEN) is used.
    type: str
  static_prefix:
    description: The value of the server's C(--static-prefix), if it has one and O(tracking_uri) does not hold it.
    type: str
  host_header:
    description:
      - Value of the C(Host) header instead of the host and port of O(tracking_uri), for example to ask a server by its address
        whether it accepts an external name. A TLS certificate is still held against the name in O(tracking_uri).
    type: str
  ca_bundle:
    description:
      - File of PEM certificates on the host on which the module runs. These alone are trusted then; else the system's.
      - If unset, the environment variable E(MLFLOW_TRACKING_SERVER_CERT_PATH) is used.
    type: path
  validate_certs:
    description:
      - Whether the server's certificate must be valid.
      - If unset, the opposite of the environment variable E(MLFLOW_TRACKING_INSECURE_TLS) is used.
    type: bool
    default: true
  client_cert:
    description:
      - PEM file with a client certificate, and with its key unless O(client_key) is given.
      - If unset, the environment variable E(MLFLOW_TRACKING_CLIENT_CERT_PATH) is used.
    type: path
  client_key:
    description: PEM file with the key of O(client_cert).
    type: path
  timeout:
    description: Seconds that one request may take to connect, and again to be answered.
    type: int
    default: 30
notes:
  - The module needs Python's standard library only, not MLflow. HTTP proxies in the environment are not used, and redirects not followed.
  - Names and passwords may hold any character. MLflow 3.17 reads them as UTF-8 on its API, but as ASCII on its artifact routes, unless the
    server has a static prefix; with a non-ASCII name or password, artifacts are refused with 401 there.
"""

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connection options of the MinIO modules."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the MinIO server is and who asks; the same in every module of the action group C(mlops.platform.minio)."""

    DOCUMENTATION = r"""
options:
  endpoint_url:
    description:
      - Address of the MinIO server, for example V(https://minio.example.com:9000), without a bucket or a path.
    type: str
    required: true
  access_key:
    description:
      - Access key of the administrator (C(MINIO_ROOT_USER)), or of a user whose policy allows C(admin:*).
    type: str
    required: true
  secret_key:
    description:
      - Secret key of O(access_key).
    type: str
    required: true
  region:
    description:
      - The region that S3 requests are signed for. The admin API has none.
    type: str
    default: us-east-1
  ca_bundle:
    description:
      - File on the managed host with the PEM certificates of the authorities that the server's certificate is checked against.
      - When unset, the system's.
    type: path
  validate_certs:
    description:
      - Whether the server's TLS certificate is checked. V(false) gives the connection away to whoever stands in between.
    type: bool
    default: true
requirements:
  - minio >= 7.2.15 on the managed host
notes:
  - Connection options can be set once for all MinIO modules with C(module_defaults) and C(group/mlops.platform.minio).
  - The server must be MinIO. Other S3 servers do not have its admin API.
  - A request is tried three times at most, with 5 seconds to connect and 60 seconds to answer.
"""

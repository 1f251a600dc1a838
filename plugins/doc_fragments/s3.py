# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connection options of the S3 modules."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the S3 server is and who asks; the same in every module of the action group C(mlops.platform.s3)."""

    DOCUMENTATION = r"""
options:
  endpoint_url:
    description:
      - Address of the S3 server, for example V(https://s3.example.com:9000), without a bucket or a path.
      - When unset, the environment variables E(AWS_ENDPOINT_URL_S3) and E(AWS_ENDPOINT_URL) are used, in this order, and then
        what the AWS configuration file says. Without any of them the requests go to AWS.
    type: str
  access_key:
    description:
      - The access key ID. Needs O(secret_key).
      - When neither O(access_key) nor O(secret_key) is set, the environment variables E(AWS_ACCESS_KEY_ID), E(AWS_SECRET_ACCESS_KEY)
        and E(AWS_SESSION_TOKEN) are used together, and then botocore's own chain (shared files, container and instance roles).
    type: str
  secret_key:
    description:
      - The secret access key. Needs O(access_key).
    type: str
  session_token:
    description:
      - The session token of temporary credentials. Needs O(access_key) and O(secret_key).
    type: str
  region:
    description:
      - The region that requests are signed for, and in which AWS creates a bucket.
      - When unset, the environment variables E(AWS_REGION) and E(AWS_DEFAULT_REGION) are used, then what the AWS configuration file
        says, then V(us-east-1), which most other S3 servers expect.
    type: str
  ca_bundle:
    description:
      - File on the managed host with the PEM certificates of the authorities that the server's certificate is checked against.
      - When unset, the environment variable E(AWS_CA_BUNDLE) is used, and then botocore's own bundle.
    type: path
  validate_certs:
    description:
      - Whether the server's TLS certificate is checked. V(false) gives the connection away to whoever stands in between.
    type: bool
    default: true
  addressing_style:
    description:
      - Whether a request names the bucket in the path (V(path), C(https://server/bucket)) or in the host name (V(virtual),
        C(https://bucket.server)).
      - V(auto) means V(path) for an own endpoint and V(virtual) for AWS.
    type: str
    choices: [auto, path, virtual]
    default: auto
requirements:
  - botocore >= 1.29 on the managed host (the package boto3 brings it)
notes:
  - Connection options can be set once for all S3 modules with C(module_defaults) and C(group/mlops.platform.s3).
  - A request is tried three times at most, with 5 seconds to connect and 60 seconds to answer.
  - Checksums beyond those that S3 demands are neither sent nor asked for, as many S3-compatible servers mishandle them.
"""

# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the S3 modules that read from a second server."""

from __future__ import annotations


class ModuleDocFragment:
    """The source beside the target, which has the options of the fragment C(s3)."""

    DOCUMENTATION = r"""
options:
  name:
    description: Name of the target's bucket. It must be there.
    type: str
    required: true
  source:
    description: The server and the bucket that are read. Nothing is ever written there.
    type: dict
    required: true
    suboptions:
      endpoint_url:
        description: Address of the S3 server.
        type: str
        required: true
      access_key:
        description: The access key ID of an identity that may list the bucket's versions and read them.
        type: str
        required: true
      secret_key:
        description: The secret access key.
        type: str
        required: true
      session_token:
        description: The session token of temporary credentials.
        type: str
      region:
        description: The region that requests are signed for.
        type: str
      ca_bundle:
        description: File on the managed host with the authorities of the server's certificate.
        type: path
      validate_certs:
        description: Whether the server's TLS certificate is checked.
        type: bool
        default: true
      addressing_style:
        description: As O(addressing_style).
        type: str
        choices: [auto, path, virtual]
        default: auto
      bucket:
        description: Name of the bucket.
        type: str
        required: true
  versions:
    description:
      - V(all) means every version and delete marker of every key, V(current) only what a reader gets now.
      - V(all) needs a target whose bucket has versioning enabled.
    type: str
    choices: [all, current]
    default: all
  state_file:
    description:
      - File on the managed host in which every version is noted with its id at both ends and the SHA-256 of its content. It is made with
        mode 0600. A later run with the same file knows what was copied and compared, also after a run that was killed.
      - It is written, too, where nothing else is changed, but not in check mode.
    type: path
  progress_file:
    description: File on the managed host with one line of JSON that says how far a long run is, written anew every few seconds.
    type: path
  workers:
    description: How many keys are worked on at a time, from 1 to 64. The versions of one key always follow each other.
    type: int
    default: 8
"""

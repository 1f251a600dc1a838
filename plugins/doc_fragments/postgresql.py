# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connection options of the postgresql_* modules."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of C(module_utils/postgresql.py): connection_argument_spec."""

    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Host name or address of the server, or the directory of its Unix socket.
      - Unset, and with the environment variable E(PGHOST) unset, the local socket is used.
    type: str
  login_port:
    description:
      - Port of the server. The environment variable E(PGPORT) is used when the option is unset.
    type: int
    default: 5432
  login_user:
    description:
      - Role to log in as. The environment variable E(PGUSER) is used when the option is unset.
    type: str
    default: postgres
  login_password:
    description:
      - Password of O(login_user). The environment variable E(PGPASSWORD) is used when the option is unset, then libpq's password file.
    type: str
  login_db:
    description:
      - Database to connect to. The environment variable E(PGDATABASE) is used when the option is unset.
    type: str
    default: postgres
  login_unix_socket:
    description:
      - Directory of the server's Unix socket. It takes precedence over O(login_host).
    type: path
  ssl_mode:
    description:
      - Whether TLS is used, and how the server's certificate is checked.
      - Only V(verify-ca) and V(verify-full) prove who the server is; V(prefer) falls back to a connection in clear.
      - The environment variable E(PGSSLMODE) is used when the option is unset.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
    default: prefer
  ca_cert:
    description:
      - File with the certificates of the authorities that may have signed the server's.
      - The environment variable E(PGSSLROOTCERT) is used when the option is unset.
    type: path
  connect_timeout:
    description:
      - Seconds to wait for a connection. The environment variable E(PGCONNECT_TIMEOUT) is used when the option is unset.
    type: int
    default: 10
requirements:
  - psycopg2 (psycopg2-binary) 2.8 or later on the host that runs the module
notes:
  - Supports PostgreSQL 13 to 18.
  - Names are quoted and values bound, so that any characters are safe in them. A name of more than 63 bytes is refused, because the
    server would cut it without an error.
"""

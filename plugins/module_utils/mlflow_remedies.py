# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to do about each cause that a health check finds.

CAUSES maps a cause to (status, whether waiting can mend it, remedy). A remedy may use {uri}, {host} (the Host header as sent), {user},
{experiment}, {client_version} and {server_version}.
"""

from __future__ import annotations

CAUSES = {
    # -- no connection
    "dns": (
        "unreachable",
        True,
        "{uri}: the name does not resolve here. Check the spelling, and the resolver or /etc/hosts of this host.",
    ),
    "refused": (
        "unreachable",
        True,
        "Nothing listens at {uri}. See whether the server runs (its log says why not: a database schema that is out of date "
        "stops it at start), and whether it listens on this address and port.",
    ),
    "no_route": (
        "unreachable",
        True,
        "There is no route to {uri} from this host. Check the network and firewalls between them.",
    ),
    "timeout_connect": (
        "unreachable",
        True,
        "{uri} drops packets or is overloaded. Check firewalls, security groups and network policies.",
    ),
    "no_answer": (
        "unreachable",
        True,
        "{uri} accepts connections and does not answer. The server hangs or is overloaded; see its log and load.",
    ),
    "closed": (
        "unreachable",
        True,
        "{uri} closes connections without an answer: a proxy without a server behind it, a server that is starting or crashing, "
        "or a port that belongs to another program.",
    ),
    "bad_gateway": (
        "unreachable",
        True,
        "A proxy answers at {uri} and reaches no MLflow server. See whether the servers run, and the proxy's health check and "
        "backend addresses.",
    ),
    # -- TLS
    "certificate_expired": (
        "tls_error",
        False,
        "Renew the certificate that is served at {uri}, and reload the program that serves it. If it is new: check this host's clock.",
    ),
    "certificate_not_yet_valid": (
        "tls_error",
        False,
        "The clock of this host, or of the one that issued the certificate, is wrong: check NTP.",
    ),
    "certificate_revoked": (
        "tls_error",
        False,
        "Issue a new certificate for {uri}: this one was revoked.",
    ),
    "certificate_refused": (
        "tls_error",
        False,
        "Inspect the certificate: `openssl s_client -connect <host:port> -showcerts`.",
    ),
    "unknown_ca": (
        "tls_error",
        False,
        "The certificate at {uri} is signed by a CA that is not trusted here. Set ca_bundle to that CA's certificate. If it is "
        "set: it is another CA's, or the server does not send its intermediate certificates.",
    ),
    "name_mismatch": (
        "tls_error",
        False,
        "The certificate is for other names than that in {uri}. Use a name that it lists, or issue one with this name (or IP "
        "address) among its subjectAltNames.",
    ),
    "server_speaks_plain_http": (
        "tls_error",
        False,
        "The port of {uri} speaks plain HTTP: use http://, or the port with TLS.",
    ),
    "server_speaks_tls": (
        "tls_error",
        False,
        "The port of {uri} speaks TLS: use https://.",
    ),
    "client_certificate_refused": (
        "tls_error",
        False,
        "The server wants a client certificate, or refused ours: set client_cert and client_key.",
    ),
    "handshake_failed": (
        "tls_error",
        False,
        "The TLS handshake with {uri} failed. Compare protocol versions and ciphers: `openssl s_client -connect <host:port>`. "
        "If the server wants a client certificate, set client_cert and client_key.",
    ),
    # -- an answer, but not MLflow's
    "not_http": (
        "not_mlflow",
        False,
        "The port of {uri} belongs to a program that does not speak HTTP. Check host and port.",
    ),
    "not_mlflow": (
        "not_mlflow",
        False,
        "Another program answers at {uri}, or a login page stands before MLflow. Check host, port and path; give machines a way "
        "past the login page.",
    ),
    "no_such_path": (
        "not_mlflow",
        False,
        "{uri} has no MLflow at this path. If the server runs with --static-prefix, set static_prefix (or remove it); behind a "
        "proxy, check its routes for host {host}.",
    ),
    "redirect": (
        "not_mlflow",
        False,
        "{uri} redirects; redirects are not followed, because they would carry the credentials away. Set tracking_uri to where "
        "MLflow is; if that is a login page, give machines a way past it.",
    ),
    # -- MLflow's own refusals
    "host_rejected": (
        "host_rejected",
        False,
        "Add {host} to MLFLOW_SERVER_ALLOWED_HOSTS (the server's --allowed-hosts) and restart it. Names are compared exactly: "
        "with a port that is not the scheme's default, list name:port. Or set host_header to a name that is allowed.",
    ),
    "auth_required": (
        "auth_required",
        False,
        "Set username and password (or token): the server wants a login.",
    ),
    "auth_failed": (
        "auth_failed",
        False,
        "The server refused user {user}. Check name and password. MLFLOW_AUTH_ADMIN_PASSWORD counts only at the server's first "
        "start: later changes go through the API (mlops.platform.mlflow_user). With several replicas, all must share one user "
        "database.",
    ),
    "proxy_auth": (
        "auth_failed",
        False,
        "The 401 is not MLflow's own: a proxy before it refused the credentials. Check its users, or use token.",
    ),
    "non_ascii_credentials": (
        "auth_failed",
        False,
        "The API accepts user {user}, the artifact routes do not: MLflow reads credentials there as ASCII. Give this user an "
        "ASCII name and password.",
    ),
    "forbidden": (
        "auth_failed",
        False,
        "User {user} may log in, but not do this. Grant the user EDIT on experiment {experiment}, name another with "
        "experiment_name, or use depth database.",
    ),
    # -- database
    "db_unavailable": (
        "db_unavailable",
        True,
        "MLflow runs, its database does not answer. Check that PostgreSQL runs and that the server reaches it with its URL. The "
        "server recovers by itself.",
    ),
    "db_no_answer": (
        "db_unavailable",
        True,
        "MLflow runs, but a read from its store takes longer than timeout. The database is unreachable (a server that never "
        "reached it tries for minutes before it says so), locked or overloaded.",
    ),
    "db_read_only": (
        "db_unavailable",
        False,
        "The database refuses writes: a standby, or default_transaction_read_only. Point the server at the primary.",
    ),
    "db_full": (
        "db_unavailable",
        False,
        "The database has no disk space left. Free or add some; `mlflow gc` removes deleted runs.",
    ),
    "db_unmigrated": (
        "db_unmigrated",
        False,
        "Back up the database, stop every server on it, and run `mlflow db upgrade <database URL>` (for the user database: "
        "`python -m mlflow.server.auth db upgrade --url <database URL>`) with the server's MLflow version. If the version that "
        "was found is newer, because the server was rolled back: there is no downgrade; start the newer MLflow, or restore the "
        "backup.",
    ),
    # -- artifacts
    "artifact_error": (
        "artifact_store_unwritable",
        True,
        "MLflow cannot store artifacts. Check that the object store runs and that the server reaches MLFLOW_S3_ENDPOINT_URL, or "
        "that its directory is writable. The server's log has the exception.",
    ),
    "artifact_credentials": (
        "artifact_store_unwritable",
        False,
        "The object store refuses the server's key: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the server, and restart it.",
    ),
    "artifact_bucket": (
        "artifact_store_unwritable",
        False,
        "Create the bucket, or correct the server's --artifacts-destination.",
    ),
    "artifact_refused": (
        "artifact_store_unwritable",
        False,
        "The server reads its artifact store but cannot write: give its key write permission, look for a policy, a quota or a "
        "full disk. The server's log has the exception.",
    ),
    "artifact_differs": (
        "artifact_store_unwritable",
        False,
        "What was read is not what was written. Do not trust this store: look for a proxy that rewrites bodies, several servers "
        "with different artifact destinations, or a failing disk.",
    ),
    "artifact_not_deleted": (
        "artifact_store_unwritable",
        False,
        "Artifacts can be written but not deleted, which `mlflow gc` needs: give the server's key delete permission.",
    ),
    # -- the rest
    "client_incompatible": (
        "client_incompatible",
        False,
        "Clients of MLflow {client_version} need a server of the same major version or a newer one; this is {server_version}. "
        "Upgrade the server, or pin the client to the server's major version.",
    ),
    "read_back_differs": (
        "server_error",
        False,
        "The run that was read is not the one that was written. Look for several servers with different databases, or a read "
        "replica that lags, behind one address.",
    ),
    "rate_limited": (
        "server_error",
        True,
        "Something limits the rate of requests: check less often, or raise the limit.",
    ),
    "server_error": (
        "server_error",
        True,
        "The server's log has the exception. None of the known causes fits.",
    ),
}

STATUSES = ["ok", *sorted({status for status, dummy, dummy in CAUSES.values()})]


class Diagnosis:
    """Why a server is not well: status, cause, the server's own words, and what to do."""

    def __init__(self, cause, message, step, facts):
        """Take a key of CAUSES, the server's words, the step that failed, and the values for the remedy's braces."""
        self.status, self.waiting_helps, remedy = CAUSES[cause]
        self.cause = cause
        self.message = message
        self.step = step
        self.remedy = remedy.format_map(facts)

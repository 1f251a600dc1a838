# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs a program in a container of a pod, as `kubectl exec` does; the library `kubernetes` speaks the protocol."""

from __future__ import annotations

import contextlib

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError


def run(cluster, namespace, pod, container, argv, timeout=30):
    """Run `argv` for `timeout` seconds at most; return (exit code, stdout, stderr). Raises ClusterError.

    `cluster` is a cluster_api.Cluster. The program goes on in the pod where the time is over: nothing ends it from outside.
    """
    from kubernetes.client import ApiClient, CoreV1Api
    from kubernetes.client.exceptions import ApiException
    from kubernetes.stream import stream

    api = ApiClient(cluster.configuration)
    for name, value in cluster.headers():
        api.set_default_header(name, value)
    what = f"cannot run {argv[0]} in the pod {pod}"
    try:
        session = stream(
            CoreV1Api(api).connect_get_namespaced_pod_exec,
            pod,
            namespace,
            container=container,
            command=list(argv),
            stdin=False,
            stdout=True,
            stderr=True,
            tty=False,
            _preload_content=False,
            _request_timeout=timeout,
        )
        with contextlib.closing(session):
            session.run_forever(timeout=timeout)
            if session.is_open():
                raise ClusterError(f"{what}: it did not end within {timeout} s", "try again when the pod has less to do")
            return session.returncode, session.read_stdout(timeout=0), session.read_stderr(timeout=0)
    except ApiException as error:
        words = " ".join(str(error.reason or error.body or error).split())[:500]
        remedy = "ask the cluster's administrator for get and create on pods/exec" if error.status == 403 or "403" in words else ""
        raise ClusterError(f"{what}: {words}", remedy, error.status or 0) from None
    # the last two: the server says in another form than the library knows why nothing was run
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise ClusterError(f"{what}: {error}") from None

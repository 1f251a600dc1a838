"""Measures which MLflow client works with which MLflow server, with real ones of both, and writes results.json.

    .venv/bin/python tests/compatibility/measure.py --cache DIRECTORY [--output FILE] [--servers 3.17.2 ...] [--clients 2.22.5 ...]

The environments, of about a gigabyte each, are kept in the cache. Everything listens on loopback and ends with this program. Pairs that are
not measured anew stay in the file as they are. Afterwards: .venv/bin/python tests/lib/generated.py, which writes docs/compatibility.md.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from servers import VERSIONS, environment, serving, variables

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
CLIENT_SECONDS = 300


def say(text):
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def asked(home, uri):
    """Return what the client of the environment `home` says of each operation at a server."""
    with tempfile.TemporaryDirectory() as directory:
        more = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
        command = [str(home / "bin/python"), str(HERE / "operations.py")]
        done = subprocess.run(
            command,
            cwd=directory,
            env=variables(home, directory, TMPDIR=directory, **more),
            capture_output=True,
            text=True,
            timeout=CLIENT_SECONDS,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"the client does not run:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(servers, clients, cache, results):
    """Fill `results` with every pair; write nothing."""
    homes = {}
    for version in dict.fromkeys([*servers, *clients]):
        results["python"][version], homes[version] = environment(version, cache, say)
    for server in servers:
        with tempfile.TemporaryDirectory() as directory, serving(homes[server], directory) as uri:
            for client in clients:
                found = asked(homes[client], uri)
                results["pairs"].setdefault(server, {})[client] = found
                failed = [name for name, words in found.items() if words not in ("ok", "absent")]
                say(f"server {server}, client {client}: {'fails at ' + ', '.join(failed) if failed else 'ok'}")
    return results


def written(results):
    """Return results as the text of the file: the newest version first, whatever was measured when."""
    order = [version for version in VERSIONS if version in results["python"]]
    pairs = {
        server: {client: results["pairs"][server][client] for client in order if client in results["pairs"][server]}
        for server in order
        if server in results["pairs"]
    }
    return json.dumps({"python": {version: results["python"][version] for version in order}, "pairs": pairs}, indent=1) + "\n"


def main():
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--servers", nargs="+", choices=VERSIONS, default=list(VERSIONS))
    parser.add_argument("--clients", nargs="+", choices=VERSIONS, default=list(VERSIONS))
    options = parser.parse_args()
    # so that the servers end where this program is ended
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(143))
    options.cache.mkdir(parents=True, exist_ok=True)
    results = json.loads(options.output.read_text()) if options.output.exists() else {"python": {}, "pairs": {}}
    options.output.write_text(written(measure(options.servers, options.clients, options.cache.resolve(), results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

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

# its neighbours are found by themselves
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lib.compatibility import RESULTS, constant
from servers import VERSIONS, environment, serving, variables

HERE = Path(__file__).resolve().parent
CLIENT_SECONDS = 600
# a network that fails, or a machine that is too busy, is no word of a client about a server
NETWORK = ("Max retries exceeded", "Connection", "timed out")
ATTEMPTS = 3


def say(text):
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def asked(home, uri):
    """Return what the client of the environment `home` says of each operation at a server."""
    with tempfile.TemporaryDirectory() as directory:
        more = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "120"}
        command = [str(home / "bin/python"), str(HERE / "operations.py")]
        settings = variables(home, directory, TMPDIR=directory, **more)
        try:
            done = subprocess.run(command, cwd=directory, env=settings, capture_output=True, timeout=CLIENT_SECONDS, check=False)
            text, failed = done.stdout, done.stderr if done.returncode else b""
        except subprocess.TimeoutExpired as problem:
            text, failed = problem.stdout or b"", b""
    if failed:
        raise RuntimeError(f"the client does not run:\n{failed.decode(errors='replace')[-3000:]}")
    found = {}
    for line in text.decode(errors="replace").splitlines():
        if line.startswith('{"'):
            found.update(json.loads(line))
    return {name: found.get(name, "no answer") for name in constant("operations.py", "OPERATIONS")}


def judged(home, uri):
    """Return what a client says of each operation. Raises RuntimeError where it did not reach the server each time that it was asked."""
    for _unused in range(ATTEMPTS):
        found = asked(home, uri)
        broken = [words for words in found.values() if any(part in words for part in NETWORK)]
        if not broken:
            return found
    raise RuntimeError(f"the server was not reached: {broken[0]}")


def measure(servers, clients, cache, results, write):
    """Fill `results` with every pair; `write` is called with them after each server."""
    homes = {}
    for version in dict.fromkeys([*servers, *clients]):
        results["python"][version], homes[version] = environment(version, cache, say)
    for server in servers:
        with tempfile.TemporaryDirectory() as directory, serving(server, homes[server], directory) as uri:
            for client in clients:
                found = judged(homes[client], uri)
                results["pairs"].setdefault(server, {})[client] = found
                failed = [name for name, words in found.items() if words not in ("ok", "absent")]
                say(f"server {server}, client {client}: {'fails at ' + ', '.join(failed) if failed else 'ok'}")
        write(results)


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
    measure(options.servers, options.clients, options.cache.resolve(), results, lambda found: options.output.write_text(written(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

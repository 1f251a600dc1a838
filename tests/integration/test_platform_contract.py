"""The second-run contract of the local substrate: a converged platform is left alone, and --check tells the truth."""

from __future__ import annotations

import os
from pathlib import Path

from lib import platform_proc as proc
from lib.platform import PORTS, Platform


def test_down_and_up_again_with_the_same_data(platform):
    key = f"contract/{os.urandom(4).hex()}"
    run_id = platform.new_run("down-and-up")
    platform.s3(mlflow=True).put_object(Bucket="mlflow-artifacts", Key=key, Body=b"kept")
    platform.run("playbooks/down.yml").ok()
    assert not platform.processes()
    for port in (platform.variables["mlops_https_port"], platform.variables["postgresql_port"], *platform.mlflow_ports):
        assert not proc.listening(port), port
    # a second one finds nothing to stop
    platform.run("playbooks/down.yml").unchanged()
    run = platform.run().ok()
    # so that the second run, below, is the one after an installation as much as after a start
    assert run.changed == ["Start the supervisor"]
    assert platform.http().json("GET", f"/api/2.0/mlflow/runs/get?run_id={run_id}")["run"]["info"]["run_name"] == "down-and-up"
    assert platform.s3().get_object(Bucket="mlflow-artifacts", Key=key)["Body"].read() == b"kept"


def test_second_run_changes_nothing_and_restarts_nothing(platform, capsys):
    with platform.untouched():
        second = platform.run().unchanged()
    with capsys.disabled():
        print(f"\nfirst installation, with killed runs: {platform.install_seconds:.0f} s; second run: {second.seconds:.0f} s")


def test_check_mode_on_a_converged_platform(platform):
    with platform.untouched():
        run = platform.run(check=True, diff=True).unchanged()
    # it looked at everything, not at nothing
    assert run.stats["ok"] > 60


def test_check_mode_on_a_bare_data_directory(platform):
    """A host without an installation (the ports are free): it says what it would make, and makes nothing."""
    bare = Platform.new(ports=PORTS + 200, name="mlops-bare")
    try:
        run = bare.run(check=True, diff=True).ok()
        assert run.stats["changed"] > 0
        assert "would install" in run.output
        assert not bare.data_dir.exists()
        assert not bare.processes()
    finally:
        bare.reset()


def test_verify_leaves_no_trace(platform):
    def state():
        with platform.database("mlflow") as cursor:
            rows = []
            for table in ("runs", "experiments", "registered_models", "metrics", "tags"):
                cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
                rows.append((table, cursor.fetchone()[0]))
        with platform.database("mlflow_auth") as cursor:
            cursor.execute("SELECT array_agg(username ORDER BY username) FROM users")
            users = cursor.fetchone()
        pages = platform.s3().get_paginator("list_object_versions").paginate(Bucket="mlflow-artifacts")
        return rows, users, sum(len(page.get("Versions", [])) + len(page.get("DeleteMarkers", [])) for page in pages)

    before = state()
    with platform.untouched():
        run = platform.run("playbooks/verify.yml").unchanged()
    assert platform.url in run.output
    assert "byte for byte" in run.output and "removed again" in run.output
    assert state() == before


def test_status_names_every_service(platform):
    with platform.untouched():
        run = platform.run("playbooks/status.yml").unchanged()
    assert platform.url in run.output
    for name in ("postgresql", "seaweedfs", "traefik", *(f"mlflow-{port}" for port in platform.mlflow_ports)):
        assert f"process {platform.service(name).pid})" in run.output, name


def test_the_scrapers_login_opens_the_metrics_and_nothing_else(platform):
    """Traefik's own and those of each MLflow process, on the internal entry point; the same login is a stranger's everywhere else."""
    base = f"http://127.0.0.1:{platform.variables['ingress_internal_port']}"
    login = ("metrics", platform.secret("ingress_scraper_password"))
    scraper = platform.http(login, url=base)
    # each process has served a request before it is asked what it counted
    for port in platform.mlflow_ports:
        platform.http(url=f"http://127.0.0.1:{port}").json("GET", "/api/2.0/mlflow/experiments/search?max_results=1")
    pages = {"/metrics": "traefik_entrypoint_requests_total", **dict.fromkeys(metrics_of(platform), "mlflow_http_request_total")}
    for path, series in pages.items():
        status, _headers, answer = scraper("GET", path)
        assert status == 200, path
        assert any(line.startswith(series) for line in answer.decode().splitlines()), path
        for refused in (None, ("metrics", ""), ("metrics", "wrong"), ("admin", login[1]), ("mlops", login[1])):
            assert platform.http(refused, url=base)("GET", path)[0] == 401, (path, refused)
    # what else the internal entry point serves asks for another login, and MLflow knows no such user
    assert scraper("GET", "/api/rawdata")[0] == 401
    for url in (platform.url, *(f"http://127.0.0.1:{port}" for port in platform.mlflow_ports)):
        assert platform.http(login, url=url)("GET", "/api/2.0/mlflow/experiments/search?max_results=1")[0] == 401, url


def metrics_of(platform):
    """Return the paths under which the internal entry point shows each MLflow process's metrics."""
    return [f"/mlflow/{port}/metrics" for port in platform.mlflow_ports]


def test_tags_limit_a_run(platform):
    run = platform.run(tags="mlflow").unchanged()
    roles = {task["task"].split(" : ")[0].split(".")[-1] for task in run.tasks if task["event"] == "ok"}
    assert "mlflow" in roles
    assert not [t for t in run.tasks if "Make the accounts and their databases" in t["task"] and t["event"] == "ok"]


def test_the_tag_verify_proves_every_component_and_deploys_none(platform):
    run = platform.run(tags="verify").unchanged()
    done = [task["task"] for task in run.tasks if task["event"] == "ok"]
    for component in ("PostgreSQL", "The object store", "MLflow"):
        assert [task for task in done if f"Run the proof of {component}" in task], component
    assert not [task for task in done if "local_service" in task]


def test_only_what_is_public_can_be_read_by_others(platform):
    """runtime/ holds programs, ca.crt is for clients, the marker says whose directory it is; nothing else is open to other users."""
    public = {platform.data_dir / "ca.crt", platform.data_dir / ".mlops-installation"}
    open_to_others, strangers = [], []
    for folder, names, files in os.walk(platform.data_dir):
        if Path(folder) == platform.data_dir:
            names.remove("runtime")
        reachable = Path(folder) == platform.data_dir
        for path in (Path(folder, name) for name in names + files):
            status = path.lstat()
            # below a closed directory nothing can be reached: its own mode decides
            if reachable and status.st_mode & 0o077 and path not in public:
                open_to_others.append((str(path), oct(status.st_mode)))
            if status.st_uid not in (platform.uid, 0):
                strangers.append(str(path))
    assert not open_to_others
    assert not strangers
    assert platform.data_dir.stat().st_mode & 0o777 == 0o711
    for path in (platform.data_dir / "secrets").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    # a service cannot change its own program
    writable = [p for p in (platform.data_dir / "runtime").rglob("*") if not p.is_symlink() and p.lstat().st_mode & 0o022]
    assert not writable
    if platform.root:
        assert {p.lstat().st_uid for p in (platform.data_dir / "runtime").rglob("*")} == {0}

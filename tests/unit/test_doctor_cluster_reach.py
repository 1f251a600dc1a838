"""What the doctor sees behind a cluster's Services, and what it says where no way leads there; who connects; a bundle without secrets."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import (
    cluster_clients,
    doctor_cluster_mlflow,
    doctor_cluster_support,
    doctor_redact,
    doctor_support,
)
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.doctor import NotChecked
from lib.doctor_cluster import HEALTHY, PLAN, POD, SECRETS, SERVERS, Api, Planted, condition, encoded, examine, named
from lib.doctor_facts import GOOD, NOW, changed


def found(report):
    return {(one["id"], one["subject"]): one for one in report["findings"]}


def states(report):
    return {one["check"]: (one["state"], one["reason"]) for one in report["checks"]}


@pytest.mark.parametrize(
    "layer, path, value, ident, place",
    [
        (
            "database",
            ["logins", "mlflow", "said"],
            'password authentication failed for user "mlflow"',
            "postgresql-password",
            "postgresql_mlflow_password of the Secret mlops/mlops-secrets",
        ),
        ("database", ["server", "superusers"], [["postgres", ""], ["intern", ""]], "postgresql-superuser", "ALTER ROLE"),
        ("storage", ["listed"], ("AccessDenied", "no"), "s3-identity-refused", "object_store_mlflow_* of the Secret mlops/mlops-secrets"),
        ("storage", ["admin", "versioning"], ({"Status": "Suspended"}, "", ""), "versioning-suspended", "make up"),
        ("mlflow", ["processes", "mlflow-1"], {**GOOD, "status": 401}, "mlflow-admin-refused", "make up"),
        ("mlflow", ["processes", "mlflow-1"], {**GOOD, "status": 500}, "mlflow-failing", "kubectl -n mlops logs mlflow-1"),
        ("mlflow", ["nobody"], GOOD, "mlflow-open", "the Secret and the ConfigMap mlops-mlflow-environment"),
        ("mlflow", ["schema"], (12, "tracking is newer"), "schema-newer", "make restore"),
        ("clients", ["seen"], {"98.0.0": NOW - 60}, "client-seen-fails", "pip install"),
    ],
)
def test_a_fault_behind_a_service_is_told_with_its_place_in_the_cluster(layer, path, value, ident, place):
    report = examine(servers=changed(SERVERS, [layer, *path], value))
    ((_ident, finding),) = [(one["id"], one) for one in report["findings"]]
    assert finding["id"] == ident and place in finding["what"] + finding["remedy"]


def test_servers_that_no_way_leads_to_are_findings_with_their_cause():
    stopped = [named("postgresql", {}, {"replicas": 0}), named("object-store", {}, {"replicas": 0})]
    report = examine(servers={}, statefulsets=stopped)
    seen = found(report)
    assert seen["postgresql-unreachable", ""]["because"] == ["workload-stopped (postgresql)"]
    assert seen["postgresql-unreachable", ""]["said"] == "no pod of the Service is ready"
    assert seen["s3-unreachable", ""]["because"] == ["workload-stopped (object-store)"]
    assert seen["mlflow-unreachable", "mlflow-1"]["because"] == ["postgresql-unreachable"]
    assert {states(report)[name][0] for name in ("postgresql-accounts", "bucket", "logins", "schemas", "artifacts")} == {"not checked"}


def test_an_account_that_may_not_forward_is_no_fault_of_the_platform():
    problem = NotChecked("cannot forward: forbidden; ask for pods/portforward")
    report = examine(servers={}, problem=problem)
    assert report["findings"] == []
    assert {states(report)[name] for name in ("postgresql", "object-store", "mlflow-processes")} == {("not checked", str(problem))}


def test_without_secrets_or_a_cluster_nothing_is_asked():
    report = examine(servers={}, secrets=ClusterError("cannot read secrets: forbidden", "ask", 403))
    assert report["findings"] == [] and states(report)["postgresql"] == ("not checked", "cannot read secrets: forbidden")
    report = examine(servers={}, nodes=ClusterError("cannot read nodes: refused", "start it"))
    assert [one["id"] for one in report["findings"]] == ["cluster-unreachable"]
    assert states(report)["mlflow-processes"] == ("not checked", "the cluster does not answer")


def test_servers_outside_that_are_not_reached_from_here_are_not_checked():
    outside = {"postgresql": {**PLAN["postgresql"], "service": "", "host": "127.0.0.1", "port": 1}}
    outside["object_store"] = {**PLAN["object_store"], "service": "", "url": "http://127.0.0.1:1"}
    report = examine(servers={key: SERVERS[key] for key in ("mlflow", "clients")}, options=outside)
    assert report["findings"] == []
    assert "127.0.0.1:1 is not reached from here" in states(report)["postgresql"][1]
    assert "http://127.0.0.1:1 is not reached from here" in states(report)["object-store"][1]


def test_an_account_that_may_list_no_secrets_reads_those_that_it_knows():
    lists = {"secrets": ClusterError("cannot read secrets: forbidden", "ask", 403), "mlops-secrets": HEALTHY["secrets"][0]}
    report = examine(**lists)
    assert report["findings"] == [] and states(report)["secrets"][0] == states(report)["postgresql-accounts"][0] == "ok"


@pytest.mark.parametrize("missing", ["postgresql_mlflow_password", "mlflow_admin_password"])
def test_a_secret_that_is_gone_or_empty_is_told(missing):
    less = {key: value for key, value in SECRETS.items() if key != missing}
    for data, ident in ((less, "secret-missing"), ({**SECRETS, missing: ""}, "secret-empty")):
        report = examine(secrets=[named("mlops-secrets", data=encoded(**data))])
        assert list(found(report)) == [(ident, missing)]


# --- addresses ----------------------------------------------------------------------------------------------------------------------------

GIVEN = named("mlops-mlflow", {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"hostname": "lb.example.org"}]}})
NODE = {"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.8"}, {"type": "Hostname", "address": "n"}]}}


@pytest.mark.parametrize(
    "expose, names, wanted",
    [
        ("cluster", ["ml.example.org"], []),
        ("ingress", ["ml.example.org"], ["ml.example.org"]),
        ("loadbalancer", [], ["192.0.2.7", "lb.example.org"]),
        ("loadbalancer", ["ml.example.org"], ["ml.example.org"]),
        ("nodeport", [], ["192.0.2.8"]),
        ("route", [], []),
    ],
)
def test_users_addresses_are_those_promised_or_given(expose, names, wanted):
    plan = {"mlflow": {**PLAN["mlflow"], "expose": expose, "names": names, "public_port": 8443}}
    lists = {"services": ([GIVEN, named("other", GIVEN["status"])], ""), "nodes": ([NODE], "")}
    assert doctor_cluster_mlflow.addresses(plan, lists) == [(name, 8443) for name in wanted]
    assert doctor_cluster_mlflow.addresses(plan, {"services": (None, "no"), "nodes": (None, "no")}) == [
        (name, 8443) for name in names if wanted
    ]


@pytest.mark.parametrize(
    "answer, ident",
    [
        (GOOD, None),
        ({**GOOD, "status": 401}, None),
        ({**GOOD, "status": 403, "body": "Invalid Host header"}, "mlflow-host-refused"),
        ({**GOOD, "status": None, "said": "Name or service not known"}, "ingress-failing"),
        ({**GOOD, "status": 503}, "ingress-failing"),
    ],
)
def test_the_address_of_users_is_asked(answer, ident):
    options = {"mlflow": {**PLAN["mlflow"], "expose": "ingress", "names": ["ml.example.org"]}}
    report = examine(options=options, servers=changed(SERVERS, ["mlflow", "entry"], [("ml.example.org", answer)]))
    assert list(found(report)) == ([] if ident is None else [(ident, "ml.example.org")])


# --- clients ------------------------------------------------------------------------------------------------------------------------------


def test_clients_are_read_from_the_logs_of_mlflows_pods():
    text = f"INFO started\nmlops-client 3.16.0 {int(NOW) - 90}\nmlops-client 3.16.0 {int(NOW) - 30}\nxmlops-client 2.0.0 {int(NOW)}\n"
    api = Api({"pods": [POD], "log": text + f"mlops-client 3.17.2 {int(NOW) + 10**6}\n"})
    cluster_clients.of_namespace(api, "mlops")
    assert cluster_clients.seen(api, "mlops", [POD], NOW) == {"3.16.0": int(NOW) - 30}
    assert [path for path, _query in api.asked][1].endswith("/namespaces/mlops/pods/mlflow-1/log")
    assert api.asked[0][1]["labelSelector"] == cluster_clients.PODS


def test_the_log_of_a_container_that_was_replaced_counts():
    restarted = copy.deepcopy(POD)
    restarted["status"]["containerStatuses"][0]["restartCount"] = 1
    api = Api({"log": f"mlops-client 3.16.0 {int(NOW) - 90}\n"})
    assert cluster_clients.seen(api, "mlops", [restarted], NOW) == {"3.16.0": int(NOW) - 90}
    assert [bool(query.get("previous")) for _path, query in api.asked] == [False, True]


@pytest.mark.parametrize("status, raises", [(400, False), (404, False), (403, True)])
def test_a_pod_without_a_log_has_answered_nobody(status, raises):
    api = Api({"log": ClusterError("cannot read the log: no", "ask", status)})
    if raises:
        with pytest.raises(ClusterError):
            cluster_clients.seen(api, "mlops", [POD], NOW)
    else:
        assert cluster_clients.seen(api, "mlops", [POD], NOW) == {}


# --- a bundle -----------------------------------------------------------------------------------------------------------------------------


def bundle(problem=None, **lists):
    behind = Planted({**copy.deepcopy(HEALTHY), **lists}, {}, problem)
    plan = copy.deepcopy(PLAN)
    files = doctor_cluster_support.collect(behind, plan, {"files": {"variables.json": "{}"}, "log_bytes": 1000})
    return files, doctor_cluster_support.hidden(behind.lists(plan), {"given": "given-secret-6"}, "admin")


def test_a_bundle_has_objects_logs_and_events_without_secrets():
    log = "".join(f"line with {value} in it\n" for value in [*SECRETS.values(), "aws-secret-5", "given-secret-6"])
    event = {"metadata": {}, "type": "Warning", "reason": "Failed", "message": "no\nimage", "lastTimestamp": "2026-01-01T00:00:00Z"}
    files, wanted = bundle(log=log, events=[{**event, "involvedObject": {"kind": "Pod", "name": "mlflow-1"}}])
    text = doctor_support.as_json(doctor_redact.redacted(files, wanted))
    assert doctor_redact.left(text, wanted) == [] and "super-secret-1" not in text and "given-secret-6" not in text
    assert "line with [redacted:mlops-secrets/postgresql_mlflow_password] in it" in text
    assert files["events.txt"] == "2026-01-01T00:00:00Z Warning Failed Pod/mlflow-1 no image\n"
    assert json.loads(files["objects/secrets.json"])["mlops-secrets"] == sorted(SECRETS)
    assert {"log/mlflow-1/mlflow.log", "objects/pods.json", "plan.json", "variables.json"} <= set(files)
    # no way leads to the server
    assert files["postgresql.txt"] == "no pod of the Service is ready; wait\n"
    assert "held" not in json.loads(files["plan.json"])


def test_the_end_of_a_log_begins_with_a_whole_line():
    files, _wanted = bundle(log="".join(f"{number:08} {'x' * 90}\n" for number in range(30)))
    lines = files["log/mlflow-1/mlflow.log"].splitlines()
    assert len(lines) == 9 and all(len(line) == 99 for line in lines)


def test_what_may_not_be_read_says_so_in_its_place():
    files, _wanted = bundle(
        log=ClusterError("cannot read the log: forbidden", "ask", 403), events=ClusterError("cannot read events", "", 403)
    )
    assert files["log/mlflow-1/mlflow.log"] == "cannot read the log: forbidden; ask\n" and files["events.txt"] == "cannot read events\n"
    files, _wanted = bundle(nodes=ClusterError("cannot read nodes: refused", "start it"))
    assert set(files) == {"variables.json", "plan.json"}


def test_what_an_apply_leaves_is_not_in_a_bundle():
    entry = named("x")
    entry["metadata"].update(managedFields=[1], annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"})
    assert doctor_cluster_support.slim(entry)["metadata"] == {"name": "x", "annotations": {"mine": "1"}}


def test_words_that_are_no_secret_stay():
    tls = named("tls", data=encoded(**{"tls.crt": "PUBLIC-CERTIFICATE-TEXT", "tls.key": "-----BEGIN\nMIIEvQIBADANBgkqhkiG9w0\n"}))
    auth = named("auth", data=encoded(ini="[mlflow]\nadmin_password = long-enough-to-hide\n", username="administrator"))
    needles = dict(doctor_cluster_support.hidden({"secrets": ([tls, auth], "")}, {}, "admin"))
    assert "MIIEvQIBADANBgkqhkiG9w0" in needles and "long-enough-to-hide" in needles
    assert not {"PUBLIC-CERTIFICATE-TEXT", "administrator", "[mlflow]"} & set(needles)


def test_a_pod_on_its_way_out_is_not_asked():
    going = copy.deepcopy(POD)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    job = named("job", condition("Ready", "True"))
    assert doctor_cluster_mlflow.of_mlflow({"unreachable": "", "pods": ([POD, going, job], "")}) == [POD]

"""What the S3 modules refuse before any request, and that documentation and argument specs say the same."""

from __future__ import annotations

import importlib

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.doc_fragments.s3 import ModuleDocFragment
from ansible_collections.mlops.platform.plugins.doc_fragments.s3_source import ModuleDocFragment as SourceFragment
from ansible_collections.mlops.platform.plugins.module_utils import s3, s3_source
from ansible_collections.mlops.platform.plugins.modules import s3_bucket_compare
from lib.modules import run_module

CONNECTION = {"endpoint_url": "http://127.0.0.1:1", "access_key": "an-access-key", "secret_key": "one-secret-key"}
MODULES = ["s3_bucket", "s3_bucket_info"]


def load(name):
    return importlib.import_module(f"ansible_collections.mlops.platform.plugins.modules.{name}")


@pytest.mark.parametrize("name", MODULES)
def test_options_are_documented_as_they_are(name):
    module = load(name)
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    compare(documented, module.OPTIONS)
    compare({**yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"], **documented}, s3.argument_spec(**module.OPTIONS))


def compare(documented, spec):
    assert set(documented) == set(spec)
    for name, option in spec.items():
        for key in ("type", "default", "choices", "elements", "required"):
            assert documented[name].get(key) == option.get(key), f"{name}: {key}"
        if "options" in option:
            compare(documented[name]["suboptions"], option["options"])


@pytest.mark.parametrize("name, options", [("s3_bucket_copy", s3_source.OPTIONS), ("s3_bucket_compare", s3_bucket_compare.OPTIONS)])
def test_options_of_two_ends_are_documented_as_they_are(name, options):
    documented = {
        **yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"],
        **yaml.safe_load(SourceFragment.DOCUMENTATION)["options"],
        **yaml.safe_load(load(name).DOCUMENTATION)["options"],
    }
    compare(documented, s3.argument_spec(**options))
    assert isinstance(yaml.safe_load(load(name).EXAMPLES), list) and isinstance(yaml.safe_load(load(name).RETURN), dict)


@pytest.mark.parametrize("name", ["s3_bucket_copy", "s3_bucket_compare"])
def test_two_ends_are_refused_together(name):
    source = {**CONNECTION, "endpoint_url": "s3.example.com", "bucket": "No_Good"}
    result = run_module(name, {**CONNECTION, "name": "x", "source": source, "workers": 0})
    for words in ("source.bucket 'No_Good'", "name 'x'", "workers: must be", "source: endpoint_url: 's3.example.com' is no address"):
        assert result["failed"] and words in result["msg"], result
    same = run_module(name, {**CONNECTION, "name": "bkt", "source": {**CONNECTION, "bucket": "bkt"}})
    assert "are the same bucket" in same["msg"]
    assert CONNECTION["secret_key"] not in str(result) + str(same)


@pytest.mark.parametrize("name", MODULES)
def test_no_option_changes_the_server_by_default(name):
    harmless = {"state", "force", "purge_tags", "gather"}
    assert {key for key, option in load(name).OPTIONS.items() if "default" in option} <= harmless


@pytest.mark.parametrize("name", MODULES)
def test_examples_and_results_are_yaml(name):
    module = load(name)
    assert isinstance(yaml.safe_load(module.EXAMPLES), list)
    assert isinstance(yaml.safe_load(module.RETURN), dict)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "No_Good"}, "is no S3 bucket name"),
        ({"endpoint_url": "s3.example.com"}, "no address of a server"),
        ({"ca_bundle": "/does/not/exist"}, "there is no file /does/not/exist"),
        ({"secret_key": None}, "required together"),
        ({"access_key": None, "secret_key": None, "session_token": "tok-tok-tok"}, "session_token"),
    ],
)
def test_refused_before_any_request(name, options, words):
    result = run_module(name, {key: value for key, value in {**CONNECTION, "name": "bkt", **options}.items() if value is not None})
    assert result["failed"] and words in result["msg"]


def test_info_takes_a_name_or_a_prefix():
    result = run_module("s3_bucket_info", {**CONNECTION, "name": "bkt", "prefix": "b"})
    assert result["failed"] and "mutually exclusive" in result["msg"]


def test_retention_needs_object_lock():
    result = run_module("s3_bucket", {**CONNECTION, "name": "bkt", "object_lock_retention": {"mode": "none"}})
    assert result["failed"] and "object_lock" in result["msg"]


@pytest.mark.parametrize("name", MODULES)
def test_boto3_is_missing(name, tmp_path):
    """A botocore that cannot be imported stands for none: first in the path, a finder that hides the real one."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n_find = u.find_spec\nu.find_spec = lambda n, *a: None if n == 'botocore' else _find(n, *a)\n",
        encoding="utf-8",
    )
    result = run_module(name, {**CONNECTION, "name": "bkt"}, env={"PYTHONPATH": str(tmp_path)})
    assert result["failed"] and "Failed to import the required Python library (boto3)" in result["msg"]


class Answers:
    """Stands in for Connection: each operation fails with the code that `fail` has for it, and answers nothing else."""

    where = "http://s3.test"

    def __init__(self, fail):
        self.fail = fail

    def call(self, what, operation, **_kwargs):
        if operation in self.fail:
            raise s3.S3Error(f"cannot {what}: the server's words", self.fail[operation])
        return {}


def test_info_says_why_a_setting_is_null():
    server = Answers({"get_bucket_tagging": "NotImplemented", "get_bucket_policy": "AccessDenied"})
    found = load("s3_bucket_info").describe(server, "bkt", None, ["tags", "policy", "versioning"])
    assert found["tags"] is None and found["policy"] is None and found["versioning"] == "disabled"
    assert found["unavailable"] == {"tags": "not_implemented", "policy": "cannot read policy of bucket bkt: the server's words"}


def test_info_of_a_bucket_that_goes_meanwhile():
    assert load("s3_bucket_info").describe(Answers({"get_bucket_tagging": "NoSuchBucket"}), "bkt", None, ["tags"]) is None


def test_info_does_not_hide_other_failures():
    with pytest.raises(s3.S3Error, match="the server's words"):
        load("s3_bucket_info").describe(Answers({"get_bucket_tagging": "InternalError"}), "bkt", None, ["tags"])

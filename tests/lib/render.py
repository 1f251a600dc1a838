"""Renders the roles' templates and variables with Ansible's own templating, without a play."""

from __future__ import annotations

import functools
import warnings
from collections import ChainMap
from pathlib import Path

import yaml
from ansible._internal._templating._engine import TemplateOptions
from ansible._internal._templating._jinja_bits import _TEMPLATE_OVERRIDE_FIELD_NAMES, AnsibleEnvironment, _TemplateCompileContext
from ansible._internal._templating._lazy_containers import _AnsibleLazyTemplateDict, _AnsibleLazyTemplateMixin
from ansible._internal._templating._utils import TemplateContext
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader, lookup_loader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[2]
# what `preflight` and `local_runtime` would find on a host
HOST = {
    "data_dir": "/var/lib/mlops",
    "user": "mlops",
    "group": "mlops",
    "root": True,
    "run_as": [],
    "service_manager": "systemd",
    "python_version": "3.11",
}
RUNTIME = {name: f"/var/lib/mlops/runtime/{name}" for name in ("tools", "postgresql", "seaweedfs", "traefik", "mlflow")}
# every printable ASCII character, the odd ones in odd places
ODD = "".join(map(chr, range(32, 127)))

with warnings.catch_warnings():
    # tests/conftest.py has made the collections importable already
    warnings.simplefilter("ignore")
    init_plugin_loader([str(ROOT / "collections")])
compile_template = AnsibleEnvironment.compile
COMPILED = {}


def compile_once(self, source, name=None, filename=None, **options):
    """Compile a template, each text once: a rendering fills in the same ones hundreds of times, and spent half of its time here."""
    if not isinstance(source, str):
        return compile_template(self, source, name, filename, **options)
    escape = getattr(_TemplateCompileContext.current(optional=True), "escape_backslashes", None)
    delimiters = tuple(getattr(self, field) for field in _TEMPLATE_OVERRIDE_FIELD_NAMES)
    key = (source, name, filename, escape, delimiters, *options.items())
    if key not in COMPILED:
        COMPILED[key] = compile_template(self, source, name, filename, **options)
    return COMPILED[key]


AnsibleEnvironment.compile = compile_once
# a collection's filter is searched in all of its files each time that an environment meets it, and each template has its own environment
filter_loader.get = functools.cache(filter_loader.get)


# --- variables that are filled in once ---------------------------------------------------------------------------------------------------

TemplateLookup = type(lookup_loader.get("ansible.builtin.template"))
look_up_template = TemplateLookup.run


def look_up(self, terms, variables=None, **options):
    """Run the lookup `template`. What it sets besides may be what a variable is made of: then all variables are filled in anew."""
    if options.get("template_vars"):
        maps = variables.maps if isinstance(variables, ChainMap) else [variables]
        variables = dict(ChainMap(*(one._templar.plain if isinstance(one, _AnsibleLazyTemplateDict) else one for one in maps)))
    return look_up_template(self, terms, variables, **options)


TemplateLookup.run = look_up


def templar_of(loader, variables):
    """Return a Templar that fills in each variable once, as it is asked for; Ansible does so at each mention, all the way down."""
    templar = Templar(loader=loader, variables=variables)
    engine = templar._engine
    engine.plain = variables
    with TemplateContext(template_value=None, templar=engine, options=TemplateOptions.DEFAULT):
        engine.available_variables = _AnsibleLazyTemplateMixin._try_create(variables)
    return templar


# of the roles' YAML files, one for all: it keeps what it has read
LOADER = DataLoader()
# as many sets of variables are kept by one Roles
TEMPLARS = 8


class Reader(DataLoader):
    """A loader that remembers in `texts` which files were read as texts, such as templates."""

    def __init__(self):
        """Begin with none."""
        super().__init__()
        self.texts = set()

    def get_text_file_contents(self, file_name, *args, **options):
        """Return a file's text."""
        self.texts.add(Path(file_name))
        return super().get_text_file_contents(file_name, *args, **options)


class Roles:
    """The variables of some roles, as a play has them after their facts were set; `overrides` are a user's."""

    def __init__(self, *roles, **overrides):
        """Load defaults and vars of `roles`, in the order of precedence that Ansible has."""
        self.templars = {}
        self.loader = Reader()
        self.variables = {"ansible_managed": "Ansible managed", "mlops_host": HOST, "mlops_runtime": RUNTIME}
        for part in ("defaults", "vars"):
            for role in ("common", *roles):
                # one file, or a directory of files
                place = ROOT / "roles" / role / part
                for file in [*place.glob("main.yml"), *sorted(place.glob("main/*.yml"))]:
                    self.variables.update(self.load(file) or {})
        self.variables.update(overrides)

    def load(self, path):
        """Return what a YAML file of a role holds. The loader keeps it, and would copy it anew each time; nothing here writes to it."""
        return LOADER.load_from_file(str(path), trusted_as_template=True, unsafe=True)

    def value(self, expression, **more):
        """Return what the Jinja `expression` gives, with its type."""
        return self.template(trust_as_template("{{ " + expression + " }}"), **more)

    def template(self, value, **more):
        """Return `value`, a text or a structure that was loaded as trusted, with its templates filled in."""
        variables = {**self.variables, **more}
        # by identity, as what is equal can look different: 1 and True. The Templar holds the values, so no other can get their identity.
        key = tuple((name, id(one)) for name, one in variables.items())
        if key not in self.templars:
            if len(self.templars) == TEMPLARS:
                self.templars.clear()
            self.templars[key] = templar_of(self.loader, variables)
        return self.templars[key].template(value)

    def render(self, role, name, **more):
        """Return the text of roles/ROLE/templates/NAME, as the template module writes it."""
        path = ROOT / "roles" / role / "templates" / name
        return self.value("lookup('mlops.platform.template', template_path)", template_path=str(path), **more)

    def tasks(self, role, name):
        """Return the tasks of roles/ROLE/tasks/NAME, whose templates can be filled in by template()."""
        return self.load(ROOT / "roles" / role / "tasks" / name)


SECRETS = {"secrets": dict.fromkeys(("mlflow_flask_secret_key", "ingress_internal_password", "ingress_scraper_password"), "abc123")}


def platform(password=ODD, **overrides):
    """Return the Roles of the whole local substrate, with `password` wherever a user may give a secret."""
    hexadecimal = {f"object_store_{name}_key": "0f" * 32 for name in ("jwt_write", "jwt_read", "jwt_filer_write", "jwt_filer_read", "sse")}
    facts = {
        "postgresql_endpoint": {
            "host": "127.0.0.1",
            "port": 15432,
            "max_connections": 100,
            "passwords": {"mlflow": password, "seaweedfs": password},
        },
        "postgresql_secrets": {"secrets": {"postgresql_superuser_password": password}, "previous": {}},
        "object_store_secrets": {"secrets": hexadecimal},
        "object_store_endpoint": {
            "engine": "seaweedfs",
            "url": "http://127.0.0.1:18333",
            "region": "us-east-1",
            "bucket": "mlflow-artifacts",
            "access_key": "an-access-key",
            "secret_key": password,
        },
        "object_store_admin": {"access_key": "another-key", "secret_key": password},
        "ingress_secrets": SECRETS,
        "ingress_endpoint": {"routes": "/var/lib/mlops/etc/traefik/routes"},
        "mlflow_secrets": {"secrets": {**SECRETS["secrets"], "mlflow_admin_password": password}, "previous": {}},
        "local_certificate_signed": {"changed": False},
        **{f"{role}_files": {"changed": False, "changed_paths": []} for role in ROLES},
    }
    return Roles("local_service", "local_host", "postgresql", "object_store", "ingress", "mlflow", **{**facts, **overrides})


ROLES = ("postgresql", "object_store", "ingress", "mlflow")


@functools.cache
def within(role):
    """Return the variables that Ansible sets while a role runs: the same ones each time, see Roles.template()."""
    path = str(ROOT / "roles" / role)
    return {"role_path": path, "ansible_search_path": [path]}


def services(roles):
    """Return the descriptions of all services, as the roles hand them to local_service."""
    found = []
    for role in ROLES:
        for task in roles.tasks(role, "deploy_local.yml"):
            included = task.get("ansible.builtin.import_role", {})
            if included.get("name") == "mlops.platform.local_service" and "tasks_from" not in included:
                items = roles.template(task["vars"]["local_service_items"], **within(role))
                found += yaml.safe_load(items) if isinstance(items, str) else items
    return found


def described(roles):
    """Return services() by their names, which are those of a whole platform."""
    found = {item["name"]: item for item in services(roles)}
    assert set(found) == {"postgresql", "seaweedfs", "traefik", "mlflow-15001", "mlflow-15002"}
    return found


def files(roles):
    """Return (content by path, paths of those that are secret) of the files that the component roles place with host_files."""
    contents, secret = {}, set()
    for role in ROLES:
        for task in roles.tasks(role, "deploy_local.yml"):
            options = task.get("mlops.platform.host_files", {})
            for kind in ("files", "secret_files"):
                for entry in roles.template(options.get(kind, []), **within(role)):
                    contents[entry["path"]] = entry["content"]
                    secret |= {entry["path"]} if kind == "secret_files" else set()
    return contents, secret

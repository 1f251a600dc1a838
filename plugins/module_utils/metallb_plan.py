# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to do to a cluster's MetalLB, from what is there and what is wanted."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils import metallb_addresses, metallb_config, metallb_objects
from ansible_collections.mlops.platform.plugins.module_utils.metallb_objects import CONVERTED, GROUP, OURS, VERSIONS
from ansible_collections.mlops.platform.plugins.module_utils.metallb_settings import Settings
from ansible_collections.mlops.platform.plugins.module_utils.metallb_state import numbers, ours

HOME = "metallb-system"
FIRST_WITH_RESOURCES = (0, 13)
FIRST_WITHOUT_OLD_POLICIES = (1, 25)


class Plan:
    """After make() the attributes say what to do; `problems` are of (what, remedy)."""

    def __init__(self, state, wanted, settings):
        self.state, self.wanted, self.settings = state, wanted, settings
        self.old = bool(numbers(wanted["version"])) and numbers(wanted["version"]) < FIRST_WITH_RESOURCES
        self.problems, self.losses = [], []
        self.objects, self.hidden, self.removed, self.replaced, self.left, self.converted = [], [], [], [], [], []
        self.needed = False

    def make(self):
        """Find out everything."""
        if self.wanted["state"] == "absent":
            return self._absent()
        self.problems += self.settings.problems
        before = self._before()
        self.needed = bool(self.settings.pools or self.settings.peers or self.settings.profiles or before.pools or self.state.made_here())
        if self.needed:
            self._versions()
            self._addresses(before)
            self._objects(before)
            self._pruned()
        return self

    # --- what stands in the way ---------------------------------------------------------------------------------------------------------

    def _versions(self):
        state, version, problems = self.state, self.wanted["version"], self.problems
        if not self.wanted["manage"]:
            if not state.served:
                problems.append(
                    (
                        "metallb_manage is false, and the cluster has no MetalLB with custom resources",
                        "install it, or set metallb_manage to true",
                    )
                )
            return
        if not numbers(version):
            problems.append((f"metallb_version is {version}", "give a version such as 0.16.1"))
            return
        if self.wanted["namespace"] != HOME:
            problems.append(
                (f"metallb_namespace is {self.wanted['namespace']}", f"leave it {HOME}, where MetalLB's own manifest is made for")
            )
        if state.foreign:
            found = state.foreign[0]["metadata"]
            problems.append(
                (
                    f"MetalLB was installed in another way: the Deployment {found['name']} in the namespace {found.get('namespace')}",
                    f"set metallb_manage to false and metallb_namespace to {found.get('namespace')} to give it its pools alone;"
                    " or remove it first",
                )
            )
        if self.old and state.server >= FIRST_WITHOUT_OLD_POLICIES:
            server = ".".join(map(str, state.server))
            problems.append(
                (f"metallb_version is {version}, which runs on clusters up to 1.24, and this one is {server}", "take 0.13 or later")
            )
        installed = state.version()
        if state.installed() and numbers(installed) > numbers(version):
            problems.append(
                (
                    f"metallb_version is {version}, and {installed} is installed",
                    f"set it to {installed} or later; there is no way back but metallb_state absent",
                )
            )
        if self.old and self.wanted["mode"] == "frr":
            problems.append((f"metallb_mode is frr, which MetalLB {version} does not have", "set it to native, or take 0.13 or later"))
        if not self.old and self.settings.profiles and self.wanted["mode"] != "frr":
            problems.append(("metallb_bfd_profiles are given, and metallb_mode is native", "set metallb_mode to frr: BFD is FRR's"))

    def _addresses(self, before):
        taken = {**self.state.taken(), **self.wanted["taken"]}
        kept_free = {**self.state.pod_networks(), **self.wanted["kept_free"]}
        given = (self.wanted["node_networks"], self.wanted["outside"])
        self.problems += metallb_addresses.problems(self.settings.pools, taken, kept_free, *given)
        names = self.settings.names()
        others = [
            {"name": one["metadata"]["name"], "addresses": one["spec"].get("addresses") or [], "protocol": ""}
            for one in self.state.resources["IPAddressPool"]
            if not ours(one) and one["metadata"]["name"] not in names
        ]
        others += [pool for pool in before.pools if pool["name"] not in [one["name"] for one in others]]
        alone = metallb_addresses.problems(self.settings.pools)
        self.problems += [one for one in metallb_addresses.problems(others + self.settings.pools) if one not in alone]

    # --- the generation of the ConfigMap -------------------------------------------------------------------------------------------------

    def _before(self):
        """Return the Settings of a ConfigMap of others that are not wanted by name; what it says and nobody asked for stays."""
        found = self.state.config
        if not found:
            return Settings()
        before = metallb_config.read((found.get("data") or {}).get("config"))
        if ours(found):
            return Settings()
        if self.old:
            lost = [pool["name"] for pool in before.pools if pool["name"] not in self.settings.names()]
            lost += [f"the peer {peer.get('peerAddress')}" for peer in before.peers if peer.get("peerAddress") not in self._peers()]
            if lost:
                what = f"the ConfigMap config in {self.state.namespace} is of others, and has {', '.join(lost)}"
                self.problems.append((what, "name all of them in metallb_pools and metallb_peers, and the platform keeps the ConfigMap"))
            return Settings()
        self.problems += before.problems
        before.pools = [one for one in before.pools if one["name"] not in self.settings.names()]
        before.peers = [one for one in before.peers if one.get("peerAddress") not in self._peers()]
        before.profiles = [one for one in before.profiles if one["name"] not in [given["name"] for given in self.settings.profiles]]
        self.converted = [f"pool {one['name']}: {', '.join(one['addresses'])} ({one['protocol']})" for one in before.pools]
        self.converted += [f"peer {one['name']}: AS {one.get('peerASN')} at {one.get('peerAddress')}" for one in before.peers]
        self.converted += [f"BFD profile {one['name']}" for one in before.profiles]
        return before

    def _peers(self):
        return [peer.get("peerAddress") for peer in self.settings.peers]

    # --- what to do ----------------------------------------------------------------------------------------------------------------------

    def _objects(self, before):
        namespace = self.wanted["namespace"]
        if self.old:
            found, problems = metallb_objects.config_map(self.settings, namespace, OURS)
            self.problems += problems
            # a router's password may be in it
            (self.hidden if any(peer.get("password") for peer in self.settings.peers) else self.objects).append(found)
            return
        for settings, marks in ((before, CONVERTED), (self.settings, OURS)):
            objects, hidden = metallb_objects.resources(settings, namespace, marks)
            self.objects += objects
            self.hidden += hidden
        if self.wanted["manage"]:
            # of another hand: what its manifest said and ours does not would stay in it
            self.replaced = [_reference(one) for one in self.state.workloads.values() if one and not ours(one)]
        if self.state.config and self.wanted["manage"]:
            self.left = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config", "namespace": namespace}}]
            for kind in ("RoleBinding", "Role"):
                item = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind}
                self.left.append({**item, "metadata": {"name": "config-watcher", "namespace": namespace}})
            for name in ("controller", "speaker") if self.state.policies_served else ():
                self.left.append({"apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy", "metadata": {"name": name}})

    def _pruned(self):
        """Fill in what was wanted of the platform and is no longer; warn of Services that lose their address with it."""
        kept = {(one["kind"], one["metadata"]["name"]) for one in self.objects + self.hidden}
        for kind, items in [*self.state.resources.items(), ("Secret", self.state.secrets)]:
            for one in items:
                if ours(one) and (kind, one["metadata"]["name"]) not in kept:
                    version = "v1" if kind == "Secret" else f"{GROUP}/{VERSIONS[kind]}"
                    self.removed.append(_reference({"apiVersion": version, "kind": kind, "metadata": one["metadata"]}))
                    self._losers(kind, one)

    def _losers(self, kind, item):
        for text in (item.get("spec") or {}).get("addresses") or [] if kind == "IPAddressPool" else []:
            pool = metallb_addresses.span(text)[0]
            for service, address in self.state.given():
                one = metallb_addresses.span(f"{address}-{address}")[0]
                if pool and one and pool.overlaps(one):
                    self.losses.append(
                        f"the pool {item['metadata']['name']} goes, and with it {address}, the address of the Service {service}"
                    )

    def _absent(self):
        if self.state.installed() and not self.state.made_here():
            self.problems.append(
                ("metallb_state is absent, and the MetalLB that is there was installed in another way", "remove it in that way")
            )
        others = [f"{kind} {one['metadata']['name']}" for kind, items in self.state.resources.items() for one in items if not ours(one)]
        if others and self.state.made_here():
            self.problems.append(
                (
                    f"metallb_state is absent, and there is more than the platform has made: {', '.join(others)}",
                    "delete these first, if nobody needs them",
                )
            )
        # the namespace goes last: a removal that was killed is gone on with
        self.needed = self.state.made_here() or bool(self.state.home and ours(self.state.home) and not self.state.installed())
        self.removed = [
            _reference({**one, "apiVersion": f"{GROUP}/{VERSIONS[kind]}", "kind": kind})
            for kind, items in self.state.resources.items()
            for one in items
        ]
        for service, address in self.state.given():
            self.losses.append(f"the Service {service} loses the address {address}, if MetalLB gave it")
        return self


def _reference(item):
    """Return what names an object."""
    metadata = {key: item["metadata"][key] for key in ("name", "namespace") if key in item["metadata"]}
    kind = item.get("kind") or ("DaemonSet" if metadata["name"] == "speaker" else "Deployment")
    return {"apiVersion": item.get("apiVersion") or "apps/v1", "kind": kind, "metadata": metadata}

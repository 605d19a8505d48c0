# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the role has to be told so that it declares what there is, and what it makes otherwise all the same. Pure.

The variables are those that can never change in the life of a StatefulSet, and those whose default would surprise: the
others are a matter of taste, and the next run's own diff tells of them.
"""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._plan import application
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._members import options_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import DISABLED, Config, MemberConfig
from ansible_collections.stateful.kube.plugins.module_utils._workload import _adoption as adoption
from ansible_collections.stateful.kube.plugins.module_utils._workload._adoption import Difference

Object = t.Mapping[str, t.Any]

# What the role says itself, with a value or without.
_VALUED = ("replSet", "port", "dbpath", "keyFile", "bind_ip", "clusterAuthMode", "config", "f")
_PARALLEL = "kept by mongodb_pod_management_policy; Parallel would make the StatefulSet again under its pods"
_PLAIN = ("bind_ip_all", "auth", "transitionToAuth", "noauth", "smallfiles", "noprealloc")


def container_of(template: Object) -> Object:
    """The container that mongod runs in: the one that says so, else the first."""
    containers = (template.get("spec") or {}).get("containers") or [{}]
    named = [one for one in containers if words_of(one)[:1] == ["mongod"] or "mongo" in str(one.get("image", ""))]
    return t.cast(Object, (named or containers)[0])


def words_of(container: Object) -> list[str]:
    return [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]


def arguments_of(words: t.Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What mongod is started with: the arguments that the role has variables for, and all others."""
    known: dict[str, str] = {}
    others: list[str] = []
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        name, sign, value = word.lstrip("-").partition("=")
        follows = not sign and bool(rest) and not rest[0].startswith("-")
        if name in _PLAIN:
            known[name] = ""
        elif name in _VALUED:
            known[name] = value or (rest.pop(0) if follows else "")
        else:
            others += [word, rest.pop(0)] if follows else [word]
    return known, others


def variables(
    target: Target, stateful_set: Object, config: t.Optional[Config], hosts: t.Mapping[str, int], mode: str
) -> dict[str, t.Any]:
    """``hosts``: which pod each member of the configuration is in."""
    spec = stateful_set["spec"]
    template, container = spec["template"], container_of(spec["template"])
    known, others = _arguments(container)
    found: dict[str, t.Any] = {
        "mongodb_name": target.name,
        "mongodb_namespace": target.namespace,
        "mongodb_members": spec.get("replicas", 1),
        "mongodb_image": container.get("image", ""),
    }
    if config and config.set_name != target.name:
        found["mongodb_replica_set"] = config.set_name
    if spec.get("serviceName") and spec["serviceName"] != target.name:
        found["mongodb_service"] = spec["serviceName"]
    selector = adoption.selected(spec)
    if selector != application(target).selector:
        found["mongodb_selector"] = selector
    if target.port != 27017:
        found["mongodb_port"] = target.port
    if target.cluster_domain != "cluster.local":
        found["mongodb_cluster_domain"] = target.cluster_domain
    if spec.get("podManagementPolicy", "OrderedReady") != "Parallel":
        found["mongodb_pod_management_policy"] = "OrderedReady"
    found.update(_storage(spec, container, known.get("dbpath") or "/data/db"))
    if mode and mode != "required":
        found["mongodb_authentication"] = mode
    if others:
        found["mongodb_extra_args"] = others
    for field, name in (("runAsUser", "mongodb_run_as_user"), ("fsGroup", "mongodb_fs_group")):
        value = ((template.get("spec") or {}).get("securityContext") or {}).get(field)
        if value is not None and value != 999:
            found[name] = str(value)
    if container.get("resources"):
        found["mongodb_resources"] = dict(container["resources"])
    options = _member_options(config, hosts)
    if options:
        found["mongodb_member_options"] = options
    # The role's own would shut out clients that do not have its label.
    found["mongodb_network_policy"] = False
    return found


def _arguments(container: Object) -> tuple[dict[str, str], list[str]]:
    """What a script starts is not known; the official entry point starts mongod with what begins with a dash."""
    words = words_of(container)
    if not container.get("command") and words and words[0].startswith("-"):
        words = ["mongod", *words]
    return arguments_of(words) if words and words[0].rpartition("/")[2] == "mongod" else ({}, [])


def data_elsewhere(stateful_set: Object) -> str:
    """Where the data is, if the role cannot declare it to be there; else nothing."""
    spec = stateful_set["spec"]
    container = container_of(spec["template"])
    at, mount, _path = _mount(spec, container, _arguments(container)[0].get("dbpath") or "/data/db")
    if at is None:
        return ""
    name = mount["name"]
    if any(claim["metadata"]["name"] == name for claim in spec.get("volumeClaimTemplates") or ()):
        return f"a folder of its own for each pod (subPathExpr of {at})" if mount.get("subPathExpr") else ""
    volumes = (spec["template"].get("spec") or {}).get("volumes") or ()
    kinds = [key for volume in volumes if volume["name"] == name for key in volume if key != "name"]
    return "" if kinds == ["emptyDir"] else f"the volume {name} ({', '.join(kinds) or 'unknown'}) of the pods"


def _mount(spec: Object, container: Object, path: str) -> tuple[t.Optional[str], Object, str]:
    """Where the volume with the data is mounted, how, and where the data is."""
    mounts = {str(mount["mountPath"]).rstrip("/"): mount for mount in container.get("volumeMounts") or ()}
    path = path.rstrip("/")
    at = max((one for one in mounts if path == one or path.startswith(f"{one}/")), key=len, default=None)
    if at is None and len(spec.get("volumeClaimTemplates") or ()) == 1:
        # A script may start it anywhere: the only claim is the one.
        name = spec["volumeClaimTemplates"][0]["metadata"]["name"]
        at = next((one for one, mount in mounts.items() if mount["name"] == name), None)
        path = at or path
    return at, mounts[at] if at is not None else {}, path


def _storage(spec: Object, container: Object, path: str) -> dict[str, t.Any]:
    at, mount, path = _mount(spec, container, path)
    if at is None:
        return {"mongodb_storage_class": "none"}
    claim = next((c for c in spec.get("volumeClaimTemplates") or () if c["metadata"]["name"] == mount["name"]), None)
    if claim is None:
        return {"mongodb_storage_class": "none"}
    found: dict[str, t.Any] = {
        "mongodb_storage_size": ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "")
    }
    if claim["metadata"]["name"] != "data":
        found["mongodb_claim_name"] = claim["metadata"]["name"]
    if "storageClassName" in claim["spec"]:
        found["mongodb_storage_class"] = claim["spec"]["storageClassName"] or "-"
    below = "/".join(part for part in (mount.get("subPath") or "", path[len(at) :].strip("/")) if part)
    if below:
        found["mongodb_data_sub_path"] = below
    return found


def _member_options(config: t.Optional[Config], hosts: t.Mapping[str, int]) -> list[dict[str, t.Any]]:
    told: list[dict[str, t.Any]] = []
    for member in config.members if config else ():
        options = options_of(member)
        different = {name: getattr(options, name) for name in options.differs_from(MemberConfig(0, ""))}
        if "tags" in different:
            different["tags"] = dict(different["tags"])
        if different and member.host in hosts:
            told.append({"ordinal": hosts[member.host], **different})
    return sorted(told, key=lambda one: t.cast(int, one["ordinal"]))


def differences(
    target: Target,
    stateful_set: Object,
    service: t.Optional[Object],
    stable: t.Mapping[str, str],
    mode: str,
    secrets: t.Collection[str],
) -> tuple[Difference, ...]:
    """``stable``: the stable names of members that are in the configuration under other ones."""
    spec = stateful_set["spec"]
    return (
        *(
            Difference("name of a member", host, f"reconfigured by the adoption, to {name}")
            for host, name in stable.items()
        ),
        *adoption.fixed(application(target), spec, _PARALLEL),
        *_data(spec),
        *adoption.headless(service),
        *_template(spec["template"]),
        *_logins(target, mode, secrets),
    )


def _data(spec: Object) -> t.Iterator[Difference]:
    container = container_of(spec["template"])
    path = _arguments(container)[0].get("dbpath") or "/data/db"
    found = _storage(spec, container, path)
    if "mongodb_data_sub_path" in found and path not in (one["mountPath"] for one in container["volumeMounts"]):
        how = (
            "kept by mongodb_data_sub_path, where they are in the claim: an image that declares a volume there, as the "
            f"official one does of /data/db, has them outside of it. See by df {path} in a pod before the next run"
        )
        yield Difference("data below the mount of the claim", path, how)
    if found.get("mongodb_storage_class") == "none":
        yield Difference(
            "claim of the data", "none", "kept so by mongodb_storage_class: a pod that is replaced is empty"
        )


def _template(template: Object) -> t.Iterator[Difference]:
    """Why the next run replaces pods: its own diff shows all of it."""
    container, rolling = container_of(template), "a rolling change, by the next run"
    if container.get("name") != "mongodb":
        yield Difference("container", str(container.get("name")), f"becomes mongodb: {rolling}")
    others = [one["name"] for one in (template.get("spec") or {}).get("containers") or () if one is not container]
    if others:
        yield Difference("other containers", ", ".join(others), f"taken out: {rolling}")
    if not container.get("readinessProbe"):
        yield Difference("probes", "none", f"startup, readiness and liveness are asked for: {rolling}")
    if not container.get("resources"):
        yield Difference("resources", "none", f"requests and limits of mongodb_resources: {rolling}")
    context = (template.get("spec") or {}).get("securityContext") or {}
    if not context.get("runAsNonRoot"):
        user = str(context.get("runAsUser", "what the image says"))
        yield Difference("user", user, f"never root, and no privileges: {rolling}. Data that are root's stay root's")


def _logins(target: Target, mode: str, secrets: t.Collection[str]) -> t.Iterator[Difference]:
    if mode == DISABLED:
        how = "kept by mongodb_authentication; declare transition, and later required: two rolling changes"
        yield Difference("authentication", mode, how)
    elif mode:
        for name in (f"{target.name}-keyfile", target.root_secret):
            if name not in secrets:
                how = "the next run is refused without it: make it from what the members have"
                yield Difference(f"Secret {name}", "none", how)


def sidecar_in(template: Object) -> str:
    """A container that keeps the members in the configuration by its own idea of their names."""
    for one in (template.get("spec") or {}).get("containers") or ():
        if "mongo-k8s-sidecar" in f"{one.get('image', '')} {one.get('name', '')}":
            return str(one["name"])
    return ""

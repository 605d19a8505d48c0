# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the role has to be told so that it declares what there is, and what it makes otherwise all the same. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._plan import application
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._state import ADMIN, ON, Found, Server
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import REPLICATION_USER
from ansible_collections.stateful.kube.plugins.module_utils._workload import _adoption as adoption
from ansible_collections.stateful.kube.plugins.module_utils._workload._adoption import Difference

Object = t.Mapping[str, t.Any]

_PARALLEL = "becomes Parallel by the next run, which makes the StatefulSet again under its pods"
_ROLLING = "a rolling change, by the next run"
# What images and the role say themselves, and what is a matter of the pod.
_NOT_DECLARED = re.compile(
    r"admin_.*|basedir|bind_address|character_sets_dir|core_file|datadir|enforce_gtid_consistency|general_log_file|"
    r"gtid_.*|hostname|init_file|lc_messages_dir|log_bin.*|log_error.*|log_replica_updates|log_slave_updates|mysqlx.*|"
    r"pid_file|plugin_.*|port|read_only|relay_log.*|replica_.*|report_.*|secure_file_priv|server_id|skip_.*|"
    r"slow_query_log_file|socket|ssl_.*|super_read_only|tls_.*|tmpdir"
)


def container_of(template: Object) -> Object:
    """The container that the server runs in: the one of that name, else the first one of such an image."""
    containers = (template.get("spec") or {}).get("containers") or [{}]
    named = [one for one in containers if one.get("name") in ("mysql", "mysqld")]
    imaged = [one for one in containers if "mysql" in str(one.get("image", "")).rpartition("/")[2]]
    return t.cast(Object, (named or imaged or containers)[0])


def data_elsewhere(stateful_set: Object, datadir: str) -> str:
    """Where the data is, if the role cannot declare it to be there; else nothing."""
    spec = stateful_set["spec"]
    mount, below = _mount(container_of(spec["template"]), datadir)
    if mount is None:
        return f"no volume at all ({datadir})"
    if _claim(spec, mount) is None:
        return f"the volume {mount['name']} of the pods, which is no claim of the StatefulSet"
    if mount.get("subPathExpr"):
        return f"a folder of its own for each pod (subPathExpr of {mount['mountPath']})"
    if not below:
        return f"the topmost folder of the claim {mount['name']}"
    return f"the folder {below} of the claim {mount['name']}, below another one" if "/" in below else ""


def variables(target: Target, stateful_set: Object, found: Found, primary: Server) -> dict[str, t.Any]:
    spec, app = stateful_set["spec"], application(target)
    template, container = spec["template"], container_of(spec["template"])
    told: dict[str, t.Any] = {
        "mysql_name": target.name,
        "mysql_namespace": target.namespace,
        "mysql_members": spec.get("replicas", 1),
        "mysql_image": container.get("image", ""),
    }
    if spec.get("serviceName") and spec["serviceName"] != target.name:
        told["mysql_service"] = spec["serviceName"]
    selector = adoption.selected(spec)
    if selector != app.selector:
        told["mysql_selector"] = selector
    if target.port != 3306:
        told["mysql_port"] = target.port
    if target.cluster_domain != "cluster.local":
        told["mysql_cluster_domain"] = target.cluster_domain
    if target.root_secret != f"{target.name}-root":
        told["mysql_root_secret"] = target.root_secret
    told.update(_storage(spec, container, primary.datadir))
    for field, name in (("runAsUser", "mysql_run_as_user"), ("fsGroup", "mysql_fs_group")):
        value = ((template.get("spec") or {}).get("securityContext") or {}).get(field)
        if value is not None and value != 999:
            told[name] = str(value)
    if container.get("resources"):
        told["mysql_resources"] = dict(container["resources"])
    settings = _settings(found)
    if settings:
        told["mysql_config"] = {"mysqld": settings}
    # The role's own would shut out clients that do not have its label.
    told["mysql_network_policy"] = False
    return told


def _storage(spec: Object, container: Object, datadir: str) -> dict[str, t.Any]:
    mount, below = _mount(container, datadir)
    claim = _claim(spec, mount) if mount else None
    if mount is None or claim is None:
        return {}
    told: dict[str, t.Any] = {
        "mysql_storage_size": ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", ""),
        "mysql_access_modes": list(claim["spec"].get("accessModes") or ()),
    }
    if "storageClassName" in claim["spec"]:
        told["mysql_storage_class"] = claim["spec"]["storageClassName"] or "-"
    if (claim["spec"].get("selector") or {}) != {}:
        told["mysql_storage_selector"] = dict(claim["spec"]["selector"])
    if claim["metadata"]["name"] != "data":
        told["mysql_claim_name"] = claim["metadata"]["name"]
    if below != "data":
        told["mysql_data_folder"] = below
    return told


def _settings(found: Found) -> dict[str, str]:
    """What is set alike on all servers."""
    first, *others = [server.settings for server in found.servers.values()] or [{}]
    return {
        name: value
        for name, value in first.items()
        if not _NOT_DECLARED.fullmatch(name) and all(other.get(name) == value for other in others)
    }


def _mount(container: Object, datadir: str) -> tuple[t.Optional[Object], str]:
    """How the volume with the data is mounted, and the folder of it that the data is in."""
    path = datadir.rstrip("/")
    mounts = {str(mount["mountPath"]).rstrip("/"): mount for mount in container.get("volumeMounts") or ()}
    at = max((one for one in mounts if path == one or path.startswith(f"{one}/")), key=len, default=None)
    if at is None:
        return None, ""
    parts = (str(mounts[at].get("subPath") or "").strip("/"), path[len(at) :].strip("/"))
    return t.cast(Object, mounts[at]), "/".join(part for part in parts if part)


def _claim(spec: Object, mount: Object) -> t.Optional[Object]:
    return next((c for c in spec.get("volumeClaimTemplates") or () if c["metadata"]["name"] == mount["name"]), None)


def differences(
    target: Target, stateful_set: Object, services: t.Sequence[Object], found: Found, primary: t.Optional[int]
) -> tuple[Difference, ...]:
    spec = stateful_set["spec"]
    name = spec.get("serviceName")
    return (
        *_replicating(target, found),
        *_logins(target, found, primary),
        *_named(target, found, services),
        *adoption.fixed(application(target), spec, _PARALLEL),
        *adoption.headless(next((one for one in services if one["metadata"]["name"] == name), None)),
        *_data(spec, found, primary),
        *_template(spec["template"]),
    )


def _replicating(target: Target, found: Found) -> t.Iterator[Difference]:
    modes = {server.gtid_mode for server in found.servers.values()}
    if modes != {ON}:
        yield Difference("gtid_mode", ", ".join(sorted(modes)), "becomes ON by the adoption, while the servers run")
    by_position = [o for o, server in found.servers.items() if server.source_identity and not server.auto_position]
    if by_position:
        names = ", ".join(target.pod(ordinal) for ordinal in by_position)
        yield Difference("replication by file and position", names, "by GTID from the adoption on")
    users = {s.source_user for s in found.servers.values() if s.source_user and s.source_user != REPLICATION_USER}
    if users:
        yield Difference(
            "replication account", ", ".join(sorted(users)), f"becomes {REPLICATION_USER} by the adoption, through TLS"
        )


def _logins(target: Target, found: Found, primary: t.Optional[int]) -> t.Iterator[Difference]:
    if target.root_secret not in found.secrets:
        how = f"made by the adoption, with the account {ADMIN}; root stays as it is"
        yield Difference(f"Secret {target.root_secret}", "none", how)
    server = found.servers.get(primary) if primary is not None else None
    open_accounts = server.open_accounts if server else ()
    if open_accounts:
        how = (
            "stay, so that applications go on. Give these accounts of their own, and then end it on the primary: ALTER "
            f"USER root@'%' IDENTIFIED BY '…', or DROP USER, since the collection uses {found.user}"
        )
        yield Difference("accounts without a password", ", ".join(open_accounts), how)


def _named(target: Target, found: Found, services: t.Sequence[Object]) -> t.Iterator[Difference]:
    if found.snapshot.record is None and len(found.servers) > 1:
        how = (
            f"the adoption makes {target.primary_service}, which leads to the primary: let applications write there "
            "before the next run, which moves the primary to another pod"
        )
        yield Difference("Service for writing", "none", how)
    name = f"{target.name}-read"
    reading = next((one for one in services if one["metadata"]["name"] == name), None)
    if reading and "stateful.kube/role" not in (reading["spec"].get("selector") or {}):
        how = "leads to replicas that are not far behind alone, by the next run"
        yield Difference(f"Service {name}", "all servers", how)


def _data(spec: Object, found: Found, primary: t.Optional[int]) -> t.Iterator[Difference]:
    server = found.servers.get(primary) if primary is not None else None
    if server is None:
        return
    _mounted, below = _mount(container_of(spec["template"]), server.datadir)
    if below and below != "data":
        yield Difference("folder of the data", below, "can never change: kept by mysql_data_folder")
    names = sorted({one.binlog for one in found.servers.values() if one.binlog and one.binlog != "binlog"})
    if names:
        how = "binlog from the next start on; the files of before stay until you delete them from the folder"
        yield Difference("binary logs", ", ".join(names), how)
    if server.tables:
        how = (
            "stay, and one transaction cannot write to them and to InnoDB's any more. What is in them may be lost in a "
            "crash: ALTER TABLE … ENGINE = InnoDB"
        )
        yield Difference("tables that are not transactional", ", ".join(server.tables), how)


def _template(template: Object) -> t.Iterator[Difference]:
    """Why the next run replaces pods: its own diff shows all of it."""
    container, pod = container_of(template), template.get("spec") or {}
    if container.get("name") != "mysql":
        yield Difference("container", str(container.get("name")), f"becomes mysql: {_ROLLING}")
    own = ("initialise", "donor")
    more = [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]
    others = [one["name"] for one in more if one is not container and one["name"] not in own]
    if others:
        how = f"taken out: {_ROLLING}. New members copy their data by MySQL's own clone plugin"
        yield Difference("other containers", ", ".join(others), how)
    read = [v["configMap"]["name"] for v in pod.get("volumes") or () if "configMap" in v]
    read = [name for name in read if not name.endswith(("-config", "-record"))]
    if read:
        yield Difference("ConfigMap", ", ".join(read), "read by nobody after the next run: delete it then")
    context = pod.get("securityContext") or {}
    if not context.get("runAsNonRoot"):
        user = str(context.get("runAsUser", "what the image says"))
        yield Difference("user", user, f"never root, and no privileges: {_ROLLING}. Data that are root's stay root's")

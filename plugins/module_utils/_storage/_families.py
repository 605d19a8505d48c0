# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""From a short list to PersistentVolumes, each checked against what its type can do. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._storage._former import BY_FIELD, REMOVED
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import ROX, RWO, RWOP, RWX, preset_of

Object = dict[str, t.Any]
Entry = t.Mapping[str, t.Any]

HOSTNAME = "kubernetes.io/hostname"
_FILE, _BLOCK = "Filesystem", "Block"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_CLAIM = ("namespace", "name")
# {n}, {n:03} and {node}: all that differs between the volumes of one entry.
_PLACE = re.compile(r"\{(n|node)(?::0?(\d+))?\}")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A volume source: what it needs, and the access modes for each volume mode. In the words of the API."""

    needs: tuple[str, ...]
    filesystem: tuple[str, ...]
    block: tuple[str, ...] = ()
    #: whether something deletes such a volume when its policy says Delete
    deleter: bool = False


KINDS: t.Mapping[str, Kind] = {
    "nfs": Kind(("server", "path"), (RWO, ROX, RWX)),
    "hostPath": Kind(("path",), (RWO,)),
    "local": Kind(("path",), (RWO,), (RWO,)),
    "iscsi": Kind(("targetPortal", "iqn", "lun"), (RWO, ROX), (RWO, ROX)),
    "fc": Kind((), (RWO, ROX), (RWO, ROX)),
    "csi": Kind(("driver", "volumeHandle"), (RWO, ROX, RWX, RWOP), (RWO, ROX, RWX, RWOP), deleter=True),
}


@dataclasses.dataclass(frozen=True)
class Family:
    """The volumes of all entries, and what should be told about them."""

    volumes: tuple[Object, ...]
    warnings: tuple[str, ...] = ()


def family(entries: t.Sequence[Entry], state: str) -> Family:
    """The PersistentVolumes that these entries mean. Raises Failure."""
    volumes: list[Object] = []
    warnings: list[str] = []
    for number, entry in enumerate(entries, 1):
        where = f"volumes: entry {number} ({entry['name']})"
        made = [_volume(where, entry, n, node, state, warnings) for n, node in _members(where, entry)]
        volumes += made
    names = [one["metadata"]["name"] for one in volumes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Failure(
            f"volumes: {', '.join(twice)}: more than one volume would get this name. Put {{n}}, or {{node}} where "
            "nodes are given, into the name, or choose other names."
        )
    return Family(tuple(volumes), tuple(dict.fromkeys(warnings)))


def _members(where: str, entry: Entry) -> list[tuple[int, str]]:
    count, start, nodes = entry["count"], entry["start"], entry["nodes"] or [""]
    if count < 1 or start < 0:
        raise Failure(f"{where}: expected count to be 1 or more and start 0 or more, found {count} and {start}.")
    if entry["nodes"] and not all(nodes):
        raise Failure(f"{where}: nodes: expected host names of nodes, found an empty one.")
    return [(n, node) for node in nodes for n in range(start, start + count)]


def _fill(value: t.Any, n: int, node: str) -> t.Any:
    """The same with {n} and {node} filled in, wherever texts are."""
    if isinstance(value, str):
        return _PLACE.sub(lambda m: node if m[1] == "node" else str(n).zfill(int(m[2] or 0)), value)
    if isinstance(value, dict):
        return {key: _fill(item, n, node) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, n, node) for item in value]
    return value


def _volume(where: str, entry: Entry, n: int, node: str, state: str, warnings: list[str]) -> Object:
    name = _name(where, "name", _fill(entry["name"], n, node))
    volume: Object = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
    if state == "absent":
        return volume
    for part in ("labels", "annotations"):
        if entry[part]:
            volume["metadata"][part] = _fill(dict(entry[part]), n, node)
    source, affinity = _source(where, _fill(entry["source"], n, node), name, warnings)
    (kind,) = source
    _check(where, entry, kind, source[kind])
    spec: Object = {
        "capacity": {"storage": entry["capacity"]},
        "accessModes": list(entry["access_modes"]),
        "volumeMode": entry["volume_mode"],
        "persistentVolumeReclaimPolicy": entry["reclaim_policy"],
        **source,
    }
    if entry["storage_class_name"]:
        spec["storageClassName"] = entry["storage_class_name"]
    if entry["mount_options"]:
        spec["mountOptions"] = list(entry["mount_options"])
    if entry["claim_ref"]:
        # The API server takes any text here, and the volume would wait for a claim that nobody can make.
        claim = {key: _name(where, f"claim_ref: {key}", _fill(entry["claim_ref"][key], n, node)) for key in _CLAIM}
        spec["claimRef"] = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}
    affinity = _affinity(where, entry, n, node, affinity)
    if affinity:
        spec["nodeAffinity"] = affinity
    _think_of(where, entry["reclaim_policy"], kind, affinity, warnings)
    volume["spec"] = spec
    return volume


def _name(where: str, option: str, name: str) -> str:
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise Failure(
            f'{where}: {option} "{name}": expected at most 253 lower-case letters, digits, "-" and ".", with a letter '
            "or digit at both ends."
        )
    return name


def _affinity(where: str, entry: Entry, n: int, node: str, known: t.Optional[Object]) -> t.Optional[Object]:
    """From where the volume can be reached; ``known`` is what its source says of that."""
    given = t.cast("t.Optional[Object]", _fill(entry["node_affinity"], n, node))
    if node and given:
        raise Failure(f"{where}: nodes and node_affinity say the same thing in two ways. Keep one of the two.")
    if node:
        return {"required": {"nodeSelectorTerms": [{"matchExpressions": [_in(HOSTNAME, node)]}]}}
    return given or known


def _think_of(where: str, policy: str, kind: str, affinity: t.Optional[Object], warnings: list[str]) -> None:
    """What is possible and seldom meant."""
    if kind == "local" and not affinity:
        raise Failure(
            f"{where}: a local volume is on one node, and the API server wants to know which. Give nodes (host "
            "names), or node_affinity as the API has it."
        )
    if kind == "hostPath" and not affinity:
        warnings.append(
            f"{where}: a hostPath without nodes means another folder on each node, so a pod that moves finds none of "
            "its data. Give nodes, or use local."
        )
    if policy == "Delete" and not KINDS[kind].deleter:
        warnings.append(
            f"{where}: reclaim_policy is Delete, and nothing in Kubernetes deletes what is behind {kind}: the volume "
            "ends as Failed when its claim goes. Retain is what such a volume can do."
        )


def _in(key: str, value: str) -> Object:
    return {"key": key, "operator": "In", "values": [value]}


def _source(where: str, source: t.Any, name: str, warnings: list[str]) -> tuple[Object, t.Optional[Object]]:
    """One source of a type that works today, and the node affinity that it brings along. Raises Failure."""
    if not isinstance(source, dict) or len(source) != 1 or not isinstance(next(iter(source.values())), dict):
        found = ", ".join(source) if isinstance(source, dict) and source else "none"
        raise Failure(
            f"{where}: source: expected exactly one volume source as a PersistentVolume has it ({', '.join(KINDS)}), "
            f"found {found}."
        )
    ((kind, fields),) = source.items()
    former = BY_FIELD.get(kind)
    if former and former.fate == REMOVED:
        raise Failure(
            f"{where}: source: {kind} ({former.title}) is gone since Kubernetes {former.version}: the API server may "
            f"take it, and each pod with such a volume hangs. Use {former.use}."
        )
    if former:
        affinity, driver = None, _translated(kind, fields)
        if driver is None:
            handle = _HANDLES.get(kind, former.use)
            raise Failure(
                f"{where}: source: {kind} ({former.title}) has been left to a CSI driver since Kubernetes "
                f"{former.version}, and cannot be written as one from these fields. Write csi instead: {handle}."
            )
        if "zone" in driver:
            term = {"matchExpressions": [_in("topology.ebs.csi.aws.com/zone", driver.pop("zone"))]}
            affinity = {"required": {"nodeSelectorTerms": [term]}}
        warnings.append(
            f"{where}: source: {kind} is written as csi with driver {driver['driver']}: the code in Kubernetes itself "
            f"went with {former.version}."
        )
        return {"csi": driver}, affinity
    if kind not in KINDS:
        raise Failure(
            f"{where}: source: {kind} is no source of a PersistentVolume: expected one of {', '.join(KINDS)}."
        )
    fields = dict(fields)
    if str(fields.get("lun", "")).isdigit():
        fields["lun"] = int(fields["lun"])  # a text where {n} was filled in
    missing = [field for field in KINDS[kind].needs if fields.get(field) in (None, "")]
    if kind == "fc" and not (fields.get("wwids") or (fields.get("targetWWNs") and "lun" in fields)):
        missing = ["targetWWNs and lun, or wwids"]
    if missing:
        raise Failure(f"{where}: source: {kind} of {name} lacks {', '.join(missing)}. Add what is missing.")
    path = fields.get("path")
    if path is not None and (not str(path).startswith("/") or ".." in str(path).split("/")):
        raise Failure(
            f'{where}: source: path "{path}" of {name}: expected a path that begins with / and has no .. in it.'
        )
    return {kind: fields}, None


# What has to be known beside the fields of the former type.
_HANDLES = {
    "gcePersistentDisk": "driver pd.csi.storage.gke.io, volumeHandle projects/PROJECT/zones/ZONE/disks/NAME",
    "azureFile": "driver file.csi.azure.com, volumeHandle RESOURCEGROUP#ACCOUNT#SHARE, volumeAttributes.shareName, "
    "and the Secret in nodeStageSecretRef",
    "azureDisk": "driver disk.csi.azure.com, volumeHandle the id of a managed disk, which begins with /subscriptions/",
    "vsphereVolume": "driver csi.vsphere.vmware.com, volumeHandle the id of a First Class Disk",
}


def _translated(kind: str, fields: Entry) -> t.Optional[Object]:
    """The CSI source that means the same volume, or None where more must be known."""
    drivers = {
        "awsElasticBlockStore": ("ebs.csi.aws.com", "volumeID"),
        "azureDisk": ("disk.csi.azure.com", "diskURI"),
        "cinder": ("cinder.csi.openstack.org", "volumeID"),
        "portworxVolume": ("pxd.portworx.com", "volumeID"),
    }
    if kind not in drivers or not fields.get(drivers[kind][1]):
        return None
    driver, handle = drivers[kind][0], str(fields[drivers[kind][1]])
    result: Object = {"driver": driver, "volumeHandle": handle}
    attributes: dict[str, str] = {}
    if kind == "awsElasticBlockStore":
        # aws://eu-1a/vol-1 names the zone as well.
        zone, _slash, volume = handle.removeprefix("aws://").rpartition("/")
        result["volumeHandle"] = volume
        if zone.strip("/"):
            result["zone"] = zone.strip("/")
        if fields.get("partition"):
            attributes["partition"] = str(fields["partition"])
    if kind == "azureDisk":
        if not handle.lower().startswith("/subscriptions/"):
            return None
        if fields.get("cachingMode"):
            attributes["cachingMode"] = str(fields["cachingMode"])
    for field in ("fsType", "readOnly"):
        if fields.get(field):
            result[field] = fields[field]
    if attributes:
        result["volumeAttributes"] = attributes
    return result


def _check(where: str, entry: Entry, kind: str, fields: Entry) -> None:
    try:
        enough = quantity(entry["capacity"]) > 0
    except ValueError:
        enough = False
    if not enough:
        raise Failure(
            f'{where}: capacity: expected a size above zero with a unit, such as 10Gi, found "{entry["capacity"]}".'
        )
    if entry["reclaim_policy"] == "Recycle":
        raise Failure(
            f"{where}: reclaim_policy: Recycle is deprecated, and wipes a volume without asking as soon as its claim "
            "is deleted. Use Retain: the volume is then Released with its data, and rebind gives it to a new claim "
            "once you have looked at it. Or have volumes made and deleted by a class (nfs_subdir, nfs_csi)."
        )
    known = KINDS[kind]
    preset = preset_of(None, str(fields.get("driver"))) if kind == "csi" else None
    title = f"csi ({preset.title})" if preset else kind
    mode = entry["volume_mode"]
    block, filesystem = (preset.block, preset.filesystem) if preset else (known.block, known.filesystem)
    can = block if mode == _BLOCK else filesystem
    if not can:
        raise Failure(f"{where}: volume_mode: {title} has no volumes of mode {mode}. Use {_FILE}.")
    lost = [one for one in entry["access_modes"] if one not in can]
    if lost or not entry["access_modes"]:
        raise Failure(
            f"{where}: access_modes: {title} with volume mode {mode} can do {', '.join(can)}, found "
            f"{', '.join(entry['access_modes']) or 'none'}. Use what it can do; a mode that it cannot do would be "
            "promised to claims and not be kept."
        )
    if entry["mount_options"] and (mode == _BLOCK or kind == "hostPath"):
        raise Failure(
            f"{where}: mount_options: {title} with volume mode {mode} is not mounted with options, and the API server "
            "or the kubelet would refuse them. Leave them out."
        )
    if not all(option.strip() for option in entry["mount_options"]):
        raise Failure(f"{where}: mount_options: expected options such as nfsvers=4.1, found an empty one.")

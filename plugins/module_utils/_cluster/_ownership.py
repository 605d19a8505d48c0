# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is declared against what is there: decided from managedFields, without a request.

The API server records, for each manager, exactly which fields it applied. The record also tells the shape of every
list (keyed, set, or replaced as a whole), so no schema is needed to walk it.
"""

from __future__ import annotations

import base64
import copy
import json
import typing as t

Object = t.Mapping[str, t.Any]

# Set by the server, and no part of what a person declares.
_SERVER_SIDE = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")
_IDENTITY = ("apiVersion", "kind")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_HIDDEN = "(hidden)"
_HIDDEN_CHANGED = "(hidden, changed)"


def normalised(obj: Object) -> dict[str, t.Any]:
    """A declared object without null values, with stringData written as data, as the server would store it."""
    result = t.cast("dict[str, t.Any]", without_nulls(obj))
    if result.get("kind") == "Secret" and "stringData" in result:
        data = result.setdefault("data", {})
        for key, text in result.pop("stringData").items():
            data[key] = base64.b64encode(str(text).encode()).decode()
    return result


def unchanged(declared: Object, live: Object, manager: str) -> bool:
    """Whether applying ``declared`` as ``manager`` would surely change nothing.

    False means "perhaps": the server normalises quantities and fills in defaults, and only a dry run can tell.
    """
    body = {key: value for key, value in declared.items() if key not in _IDENTITY}
    metadata = {key: value for key, value in body.get("metadata", {}).items() if key not in ("name", "namespace")}
    body.pop("metadata", None)
    if metadata:
        body["metadata"] = metadata
    fields = _applied_fields(live, manager, declared.get("apiVersion", ""))
    if fields is None:
        # Of an object that is declared by its name alone (a Namespace) the server keeps no record.
        return not body
    return _same(fields, body, _as_declared(live))


def _as_declared(live: Object) -> Object:
    """Without the status that the server writes into each claim template, a list that is compared as a whole."""
    templates = (live.get("spec") or {}).get("volumeClaimTemplates")
    if not templates:
        return live
    stripped = [{key: value for key, value in template.items() if key != "status"} for template in templates]
    return {**live, "spec": {**live["spec"], "volumeClaimTemplates": stripped}}


def owns(live: Object, manager: str, *path: str) -> bool:
    """Whether the manager has applied the field at this path (names of fields, no list entries)."""
    for entry in live.get("metadata", {}).get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            fields: t.Any = entry.get("fieldsV1") or {}
            for name in path:
                fields = fields.get(f"f:{name}") if isinstance(fields, dict) else None
            if fields is not None:
                return True
    return False


def appliers(live: Object) -> set[str]:
    """The managers that have declared something of this object by server-side apply."""
    return {
        str(entry.get("manager"))
        for entry in live.get("metadata", {}).get("managedFields") or ()
        if entry.get("operation") == "Apply" and not entry.get("subresource")
    }


def same_outcome(live: Object, dry_run: Object) -> bool:
    """Whether a dry run left the object as it is, the record of who manages which field included."""
    return _comparable(live) == _comparable(dry_run)


def visible(obj: t.Optional[Object]) -> dict[str, t.Any]:
    """The part of an object that a person declares or reads in a diff."""
    if obj is None:
        return {}
    result = {key: copy.deepcopy(value) for key, value in obj.items() if key != "status"}
    metadata = result.get("metadata") or {}
    for key in _SERVER_SIDE:
        metadata.pop(key, None)
    # kubectl's client-side apply keeps a copy of everything there, values of Secrets included.
    (metadata.get("annotations") or {}).pop(_LAST_APPLIED, None)
    return result


def visible_pair(before: t.Optional[Object], after: t.Optional[Object]) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """Both sides of a diff, with the values of Secrets hidden: a changed value shows as changed and no more."""
    left, right = visible(before), visible(after)
    if "Secret" in (left.get("kind"), right.get("kind")):
        for section in ("data", "stringData"):
            old, new = left.get(section) or {}, right.get(section) or {}
            if section in left:
                left[section] = dict.fromkeys(old, _HIDDEN)
            if section in right:
                right[section] = {
                    key: _HIDDEN if not old or old.get(key) == value else _HIDDEN_CHANGED for key, value in new.items()
                }
    return left, right


def _applied_fields(live: Object, manager: str, api_version: str) -> t.Optional[t.Mapping[str, t.Any]]:
    for entry in live.get("metadata", {}).get("managedFields") or ():
        if (
            entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
            and entry.get("apiVersion") == api_version
        ):
            return t.cast("t.Mapping[str, t.Any]", entry.get("fieldsV1") or {})
    return None


def _same(fields: t.Mapping[str, t.Any], declared: t.Any, live: t.Any) -> bool:
    children = [key for key in fields if key != "."]
    if not children:
        return bool(declared == live)
    kind = children[0].partition(":")[0]
    if kind == "f":
        return _same_map(fields, children, declared, live)
    if kind == "k":
        return _same_keyed_list(fields, children, declared, live)
    if kind == "v":
        values = [json.loads(child[2:]) for child in children]
        return (
            isinstance(declared, list)
            and isinstance(live, list)
            and len(values) == len(declared)
            and all(value in declared and value in live for value in values)
        )
    return False


def _same_map(fields: t.Mapping[str, t.Any], children: t.Sequence[str], declared: t.Any, live: t.Any) -> bool:
    if not isinstance(declared, dict) or not isinstance(live, dict):
        return False
    names = {child[2:] for child in children}
    return names == set(declared) and all(
        name in live and _same(fields[f"f:{name}"], declared[name], live[name]) for name in names
    )


def _same_keyed_list(fields: t.Mapping[str, t.Any], children: t.Sequence[str], declared: t.Any, live: t.Any) -> bool:
    if not isinstance(declared, list) or not isinstance(live, list) or len(children) != len(declared):
        return False
    places: dict[int, int] = {}  # of our elements: where declared, and where live
    for child in children:
        keys = json.loads(child[2:])
        there = next((item for item in live if all(item.get(k) == v for k, v in keys.items())), None)
        # A key that is left out was filled in by the server (protocol: TCP).
        wanted = [item for item in declared if all(item.get(k, v) == v for k, v in keys.items())]
        if there is None or len(wanted) != 1:
            return False
        if not _same(
            fields[child], {**wanted[0], **{k: v for k, v in keys.items() if f"f:{k}" in fields[child]}}, there
        ):
            return False
        places[declared.index(wanted[0])] = live.index(there)
    # Init containers run, and variables refer to each other, in their order.
    in_order = [places[index] for index in sorted(places)]
    return in_order == sorted(in_order)


def without_nulls(value: t.Any) -> t.Any:
    """The same without empty fields, which some writers of JSON write and the server does not keep."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _comparable(obj: Object) -> dict[str, t.Any]:
    result = visible(obj)
    result["managed"] = sorted(
        (
            (
                e.get("manager"),
                e.get("operation"),
                e.get("subresource", ""),
                json.dumps(e.get("fieldsV1"), sort_keys=True),
            )
            for e in obj.get("metadata", {}).get("managedFields") or ()
        ),
        key=str,
    )
    return result

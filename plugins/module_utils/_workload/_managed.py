# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Who manages which field, after a rollout action has changed some. Pure.

An action changes fields that somebody else has declared: undo changes the template, pause the partition. The API server
then records this action as their manager, and the next apply of the declaration would end in a conflict. So, when the
action is through, what it took from the template goes back to the manager that applied the template (whose next apply
may change it again, or take it away), and what it held for a pause is held by nobody, or again by whoever declared it.
Its own notes stay its own.
"""

from __future__ import annotations

import copy
import typing as t

Object = dict[str, t.Any]
Path = tuple[str, ...]

#: the name under which the API server records what a rollout action changed
ROLLOUT_MANAGER = "stateful.kube-rollout"

_TEMPLATE: Path = ("f:spec", "f:template")
_PODS: Path = (*_TEMPLATE, "f:spec")
_OWN: tuple[Path, ...] = (
    ("f:spec", "f:template", "f:metadata", "f:annotations", "f:kubectl.kubernetes.io/restartedAt"),
    # Which content of a Secret the pods are to have; nobody declares it.
    ("f:spec", "f:template", "f:metadata", "f:annotations", "f:stateful.kube/keyfile"),
)
_OWN_ANNOTATION: Path = ("f:metadata", "f:annotations")
_PARTITION: Path = ("f:spec", "f:updateStrategy", "f:rollingUpdate", "f:partition")
_HELD: tuple[Path, ...] = (("f:spec", "f:updateStrategy"), ("f:spec", "f:paused"))


def handed_back(live: Object, holding: bool, declared: bool = False) -> t.Optional[list[Object]]:
    """The managedFields as they should be, or None where they are.

    ``holding``: a pause still needs its fields. ``declared``: they were declared with the template before the pause.
    """
    entries: list[Object] = copy.deepcopy(live["metadata"].get("managedFields") or [])
    ours = next((entry for entry in entries if entry.get("manager") == ROLLOUT_MANAGER and _plain(entry)), None)
    if ours is None:
        return None
    owner = _declarer(entries)
    taken = set(_paths(ours.get("fieldsV1") or {}))
    held = {path for path in taken if _under(path, _HELD)}
    back = declared and owner is not None and not holding
    freed = set() if holding or back else held
    returned = {path for path in taken - held if owner is not None and not _ours(path)} | (held if back else set())
    # A dot stands for the map or item itself. It goes along with an item of a list, and is no reason by itself.
    returned = {path for path in returned if path[-1] != "." or path[-2].startswith("k:")}
    if not any(path[-1] != "." for path in freed | returned):
        return None
    if owner is not None:
        owner["fieldsV1"] = _tree(set(_paths(owner.get("fieldsV1") or {})) | returned)
    left = taken - freed - returned
    if any(path[-1] != "." for path in left):
        ours["fieldsV1"] = _tree(left)
    else:
        entries.remove(ours)
    return entries


def others(live: Object, manager: str) -> tuple[str, ...]:
    """Who else has declared fields of this object, or written them."""
    entries = live["metadata"].get("managedFields") or []
    return tuple(sorted({entry["manager"] for entry in entries if _foreign(entry, manager)}))


def taken_over(live: Object, manager: str, declared: t.Collection[str] = ()) -> list[Object]:
    """The managedFields with everything that others manage as if ``manager`` had applied it.

    Its next declaration may then change these fields, and takes away those that it does not name. Status belongs to
    whoever writes it, and so does what this collection writes besides declarations, but for ``declared`` annotations.
    """
    entries: list[Object] = copy.deepcopy(live["metadata"].get("managedFields") or [])
    foreign = [entry for entry in entries if _foreign(entry, manager)]
    mine = next((e for e in entries if e.get("manager") == manager and e.get("operation") == "Apply"), None)
    if mine is None:
        mine = {"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {}}
        mine["apiVersion"] = live["apiVersion"]
        entries.append(mine)
    paths = {path for entry in (mine, *foreign) for path in _paths(entry.get("fieldsV1") or {})}
    ours = {(*_OWN_ANNOTATION, f"f:{name}") for name in declared}
    for entry in entries:
        if entry.get("manager") == manager and _plain(entry):
            written = set(_paths(entry.get("fieldsV1") or {}))
            paths |= written & ours
            entry["fieldsV1"] = _tree(written - ours)
    mine["fieldsV1"] = _tree(paths)
    return [entry for entry in entries if entry not in foreign]


def _foreign(entry: Object, manager: str) -> bool:
    name = str(entry.get("manager") or "")
    return not entry.get("subresource") and name != manager and not name.startswith(f"{manager}-")


def declarer(live: Object) -> t.Optional[str]:
    """The manager that applied the template, if any did."""
    owner = _declarer(live["metadata"].get("managedFields") or [])
    return owner["manager"] if owner else None


def declares_partition(live: Object) -> bool:
    """Whether the manager that applied the template applied the partition too."""
    owner = _declarer(live["metadata"].get("managedFields") or [])
    return owner is not None and _PARTITION in set(_paths(owner.get("fieldsV1") or {}))


def _declarer(entries: t.Iterable[Object]) -> t.Optional[Object]:
    """Of several managers that apply parts of the template, the one that declares most of its pods."""
    applied = [entry for entry in entries if entry.get("operation") == "Apply" and not entry.get("subresource")]

    def share(entry: Object) -> tuple[int, int]:
        paths = list(_paths(entry.get("fieldsV1") or {}))
        return (sum(_under(path, (_PODS,)) for path in paths), sum(_under(path, (_TEMPLATE,)) for path in paths))

    owner = max(applied, key=share, default=None)
    return owner if owner is not None and any(share(owner)) else None


def _plain(entry: Object) -> bool:
    return entry.get("operation") == "Update" and not entry.get("subresource")


def _ours(path: Path) -> bool:
    return _under(path, _OWN) or (path[:2] == _OWN_ANNOTATION and path[2:3] != () and _own_name(path[2]))


def _own_name(key: str) -> bool:
    return key.startswith("f:stateful.kube/")


def _under(path: Path, roots: t.Iterable[Path]) -> bool:
    return any(path[: len(root)] == root for root in roots)


def _paths(fields: Object, above: Path = ()) -> t.Iterator[Path]:
    for key, below in fields.items():
        if below:
            yield from _paths(below, (*above, key))
        else:
            yield (*above, key)


def _tree(paths: t.Iterable[Path]) -> Object:
    tree: Object = {}
    for path in sorted(paths):
        node = tree
        for key in path:
            node = node.setdefault(key, {})
    return tree

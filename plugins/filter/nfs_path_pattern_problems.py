# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: nfs_path_pattern_problems
short_description: What is wrong with a path pattern of the NFS provisioner
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Tells why two claims could come to share a folder, or one lie inside the folder of another, if a class of the
    nfs-subdir-external-provisioner had this C(pathPattern). The provisioner itself does not look.
  - Two claims never share a folder if the name of every folder can be taken apart again into namespace and name of its
    claim, and all folders lie equally deep.
positional: _input
options:
  _input:
    description: The pattern, in which C(${.PVC.namespace}), C(${.PVC.name}) and C(${.PVC.labels.KEY}) are replaced.
    type: str
    required: true
  archive:
    description: Whether folders of deleted claims are archived, under the last part of their path alone.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Nothing to complain about
  ansible.builtin.assert:
    that: "'${.PVC.namespace}/${.PVC.name}' | stateful.kube.nfs_path_pattern_problems | length == 0"
"""

RETURN = r"""
_value:
  description: One sentence for each problem. Empty where there is none.
  type: list
  elements: str
"""

import re
import typing as t

FIELD = re.compile(r"\$\{\.PVC\.([^}]*)\}")
# No namespace and no claim has one of these in its name, so they hold two names apart. A namespace has no dot either.
APART = re.compile(r"[^a-z0-9.-]")


def split(element: str) -> list[str]:
    """One part of a path: fixed text at even places, fields at odd ones."""
    return FIELD.split(element)


def told_apart(element: str) -> bool:
    """Whether namespace and name can be read back from a part of a path that holds both."""
    parts = split(element)
    between = parts[2]
    return (
        bool(APART.search(between))
        or (between.startswith(".") and parts[1] == "namespace")
        or (between.endswith(".") and parts[3] == "namespace")
    )


def problems(pattern: str, archive: bool = False) -> list[str]:
    if pattern == "":
        return []
    # The key of a label or annotation may hold a slash, which begins no new part.
    marked = FIELD.sub(lambda match: match[0].replace("/", "\0"), pattern)
    elements = [element.replace("\0", "/") for element in marked.strip("/").split("/")]
    fields = [split(element)[1::2] for element in elements]
    named = [name for each in fields for name in each]
    found: list[str] = []
    for name in named:
        if name.startswith("annotations."):
            found.append(
                f"{name} lets everybody who may make a claim choose the folder, also that of somebody else's claim."
            )
        elif name not in ("namespace", "name") and not (name.startswith("labels.") and len(name) > len("labels.")):
            found.append(f"${{.PVC.{name}}} is nothing that the provisioner knows.")
    for name in ("namespace", "name"):
        if named.count(name) != 1:
            found.append(f"it has to hold ${{.PVC.{name}}} once, and holds it {named.count(name)} times.")
    if any("${" in text for element in elements for text in split(element)[0::2]):
        found.append("a ${ in it does not begin one of ${.PVC.namespace}, ${.PVC.name} and ${.PVC.labels.KEY}.")
    for element, names in zip(elements, fields, strict=True):
        text = "".join(split(element)[0::2])
        if element in ("", ".", ".."):
            found.append("a part of the path is empty or made of dots.")
        elif any(name.startswith("labels.") for name in names) and (
            not text.strip(".") or set(names) & {"namespace", "name"}
        ):
            found.append(
                f"{element} holds a label, which a claim may lack, without other text and without a part of its own."
            )
        elif sorted(names) == ["name", "namespace"] and not told_apart(element):
            found.append(
                f"{element} does not hold namespace and name apart: a-b and c give the same as a and b-c. "
                "Put / or _ between them."
            )
    if archive and not found and not {"namespace", "name"} <= set(fields[-1]) and len(elements) > 1:
        found.append(
            "the archive of a folder is named after the last part of its path, in which two claims may be alike. "
            "Name both there, or let folders be kept or removed."
        )
    return found


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"nfs_path_pattern_problems": problems}

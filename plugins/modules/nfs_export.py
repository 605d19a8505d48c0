#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nfs_export
short_description: Export a folder of this host by NFS
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Writes the line of one path into a file of C(/etc/exports.d), and has C(exportfs) read it when it changed. Other
    lines and other files are left as they are.
  - What would not work, or would give away more than was meant, is refused before anything is written. That is a path
    that is no folder, a path or an C(fsid) that another line has too, options that are unknown or contradict each
    other, an export above or below another one with other rights on the same file system, and C(no_root_squash) for
    everybody.
  - C(exportfs) has the last word. When it does not accept the new line, the file is put back as it was, and the task
    fails with what it said. A run that was killed before C(exportfs) had read the file is completed by the next one.
  - Runs on the NFS server and needs root there, and the NFS server's programs. It starts no service. The role
    P(stateful.kube.nfs_server#role) does all of it.
extends_documentation_fragment:
  - stateful.kube._attributes.host_module
options:
  path:
    description:
      - The folder, as an absolute path. It must be there; in check mode a missing one gives a warning, because an
        earlier task may be the one that makes it.
    type: path
    required: true
  state:
    description: V(absent) takes the line of this path out. The folder and what is in it stay.
    type: str
    choices: [present, absent]
    default: present
  clients:
    description: Who may mount the folder. Needed with O(state=present).
    type: list
    elements: dict
    suboptions:
      host:
        description:
          - A host name, an address, a network such as V(10.0.0.0/24) or V(fd00::/64), a netgroup such as V(@nodes), a
            wildcard such as V(*.example.org), or V(*) for everybody.
        type: str
        required: true
      options:
        description:
          - Options of exports(5) for this client alone, such as V(rw). They win over O(options) where the two
            contradict each other.
        type: list
        elements: str
        default: []
  options:
    description:
      - Options of exports(5) for every client, such as V(rw), V(sync), V(no_subtree_check), V(anonuid=1000) or
        V(sec=krb5p). What is given nowhere is as C(exportfs) has it, which is V(ro), V(sync), V(root_squash) and
        V(no_subtree_check).
    type: list
    elements: str
    default: []
  fsid:
    description:
      - A number, a UUID, or V(root) (the same as V(0)) for the folder that NFSv4 clients see as C(/). Needed for file
        systems that have no UUID, and where a file handle must stay the same on another host.
    type: str
  file:
    description:
      - Name of the file in C(/etc/exports.d). It may hold the lines of several paths. The default is made from
        O(path), as C(srv-nfs-shop.exports) for C(/srv/nfs/shop).
    type: str
  allow_world_root:
    description: Allow V(no_root_squash) for everybody.
    type: bool
    default: false
  allow_nested:
    description:
      - Allow an export above or below another one with other clients or options on the same file system.
    type: bool
    default: false
seealso:
  - name: exports(5)
    description: The options and who a client can be.
    link: https://man7.org/linux/man-pages/man5/exports.5.html
"""

EXAMPLES = r"""
- name: Let the nodes of a cluster write
  stateful.kube.nfs_export:
    path: /srv/nfs/shop
    options: [rw, sync, no_subtree_check]
    clients:
      - host: 10.0.0.0/24
      - host: backup.example.org
        options: [ro]

- name: Every file belongs to user 999, whoever writes it
  stateful.kube.nfs_export:
    path: /srv/nfs/mongodb
    options: [rw, sync, all_squash, anonuid=999, anongid=999]
    clients:
      - host: 10.0.0.0/24

- name: Show what would be written
  stateful.kube.nfs_export:
    path: /srv/nfs/shop
    clients:
      - host: 10.0.1.0/24
        options: [rw]
  check_mode: true
  diff: true

- name: Export it no longer
  stateful.kube.nfs_export:
    path: /srv/nfs/shop
    state: absent
"""

RETURN = r"""
plan:
  description: What was left to do when the task began, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: write
      target: /etc/exports.d/srv-nfs-shop.exports
      step: write '/srv/nfs/shop 10.0.0.0/24(rw,sync)' to /etc/exports.d/srv-nfs-shop.exports
    - action: export
      target: exportfs
      step: run exportfs -ra
done:
  description: What was done, with the seconds it took.
  returned: always
  type: list
  elements: dict
state:
  description: The export at the end, or in check mode as it is now.
  returned: always
  type: dict
  contains:
    path:
      description: The folder.
      type: str
      returned: always
    file:
      description: The file with its line.
      type: str
      returned: always
    lines:
      description: What this file says of the path; nothing where it is not exported.
      type: list
      elements: str
      returned: always
      sample: ["/srv/nfs/shop 10.0.0.0/24(rw,sync)"]
refusal:
  description: Why the path is not exported, with C(reason), C(evidence) and C(choices).
  returned: when it was refused
  type: dict
"""

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._storage._export_plan import wish_of
from ansible_collections.stateful.kube.plugins.module_utils._storage._exporting import Exporting, Host
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        "path": {"type": "path", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "clients": {
            "type": "list",
            "elements": "dict",
            "options": {
                "host": {"type": "str", "required": True},
                "options": {"type": "list", "elements": "str", "default": []},
            },
        },
        "options": {"type": "list", "elements": "str", "default": []},
        "fsid": {"type": "str"},
        "file": {"type": "str"},
        "allow_world_root": {"type": "bool", "default": False},
        "allow_nested": {"type": "bool", "default": False},
    },
    "required_if": [("state", "present", ["clients"])],
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    return carry_out(Exporting(wish_of(task.params, task.check_mode), Host(), task.warn), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()

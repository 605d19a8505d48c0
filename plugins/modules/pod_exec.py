#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_exec
short_description: Run a command in a container of a pod
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Runs a command in a running container through the API server, with standard input, a time limit and the
    command's own exit code. The image needs no Python and no shell.
  - In check mode nothing is run.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
attributes:
  diff_mode:
    support: none
    description: What a command changes cannot be known.
  idempotent:
    support: none
    description: The command is run every time.
options:
  namespace:
    description: Namespace of the pod. The default is the namespace of the context.
    type: str
  pod:
    description: Name of the pod.
    type: str
    required: true
  container:
    description:
      - Name of the container. The default is the one that the annotation
        C(kubectl.kubernetes.io/default-container) names, or else the first.
    type: str
  command:
    description: The command and its arguments. No shell is involved unless you name one.
    type: list
    elements: str
    required: true
  stdin:
    description:
      - Text for the command's standard input, which is closed after it. The way to hand over a secret, because
        arguments can be read in the process list.
      - Needs Kubernetes 1.30 or newer.
    type: str
  timeout:
    description: Seconds that the command may take. The command itself is not killed when the time is up.
    type: int
    default: 60
  fail_on_rc:
    description: Fail when the exit code is not 0.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Ask a member who it is
  stateful.kube.pod_exec:
    namespace: shop
    pod: shop-0
    command: [mongosh, --quiet, --eval, db.hello().me]
  register: me
  changed_when: false
"""

RETURN = r"""
rc:
  description: The exit code of the command.
  returned: when the command ended
  type: int
stdout:
  description: What the command wrote to standard output.
  returned: when the command ended
  type: str
stdout_lines:
  description: RV(stdout) in lines.
  returned: when the command ended
  type: list
  elements: str
stderr:
  description: What the command wrote to standard error.
  returned: when the command ended
  type: str
stderr_lines:
  description: RV(stderr) in lines.
  returned: when the command ended
  type: list
  elements: str
"""

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import connection_arguments
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import execute
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        "namespace": {"type": "str"},
        "pod": {"type": "str", "required": True},
        "container": {"type": "str"},
        "command": {"type": "list", "elements": "str", "required": True},
        "stdin": {"type": "str", "no_log": True},
        "timeout": {"type": "int", "default": 60},
        "fail_on_rc": {"type": "bool", "default": True},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    if not params["command"]:
        raise Failure("command: expected a program and its arguments, found an empty list.")
    if task.check_mode:
        return {"changed": True, "skipped_in_check_mode": True}
    with connect(params, task.warn) as cluster:
        done = execute(
            cluster,
            params["namespace"] or cluster.namespace,
            params["pod"],
            params["command"],
            params["container"],
            params["stdin"],
            params["timeout"],
        )
    result: dict[str, t.Any] = {
        "changed": True,
        # Without this word Ansible takes any other exit code for a failure.
        "failed": False,
        "rc": done.rc,
        "stdout": done.stdout,
        "stdout_lines": done.stdout.splitlines(),
        "stderr": done.stderr,
        "stderr_lines": done.stderr.splitlines(),
    }
    if done.rc != 0 and params["fail_on_rc"]:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it wrote nothing"]
        raise Failure(f"{params['pod']}: {params['command'][0]} ended with exit code {done.rc}: {last[0]}", **result)
    return result


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The edge where an operation meets Ansible's module machinery."""

from __future__ import annotations

import os
import select
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.module_utils._proc import PARENT, stat

# Keys of a kubeconfig whose values are secret. Its other values (paths, names, addresses) belong into messages.
_SECRET_KEYS = frozenset(
    ("token", "password", "client-key-data", "value", "id-token", "refresh-token", "access-token", "client-secret")
)

# Set where ansible-core's wrapper of asynchronous tasks runs.
ASYNC = "ANSIBLE_ASYNC_DIR"

# Masking by value turns a short secret into asterisks all over an error message, and hides nothing of worth.
SHORTEST_MASKED = 5

Backend = t.Callable[[Task], dict[str, t.Any]]
Shown = t.Callable[[t.Mapping[str, t.Any]], dict[str, t.Any]]


class ParentWatch:
    """Knows whether the process that started this one still lives.

    A worker of ansible-playbook, and a module, live on as orphans when their parent is killed. A module's parent is a
    shell, which lives on too, so the parent of the session is watched as well: ansible-playbook for a module on the
    controller (its workers are sessions of their own), the SSH server for one on another host. Those of an asynchronous
    task end on purpose, so there only the one that waits for the module counts.
    """

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._session = None if ASYNC in os.environ else os.getsid(0)
        self._starter = self._parent_of_session()

    def gone(self) -> bool:
        return os.getppid() != self._parent or self._parent_of_session() != self._starter

    def _parent_of_session(self) -> t.Optional[int]:
        return None if self._session is None else _parent_of(self._session)


def _parent_of(pid: int) -> t.Optional[int]:
    """The parent of a process; None for one that has ended, and where the system has no /proc."""
    fields = stat(pid)
    return int(fields[PARENT]) if fields else None


def _unheard() -> bool:
    """Whether nobody is left to read what this process prints: an SSH connection that was lost or closed."""
    asked = select.poll()
    asked.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _fd, event in asked.poll(0))


class ModuleTask:
    """A task that runs as a module: nothing can be shown before it ends, so progress lines are dropped."""

    def __init__(self, module: AnsibleModule) -> None:
        self.params: dict[str, t.Any] = module.params
        self.check_mode: bool = module.check_mode
        self.diff_mode: bool = module._diff
        self._module = module
        self._parent = ParentWatch()

    def progress(self, line: str) -> None:
        self._module.debug(line)

    def warn(self, text: str) -> None:
        self._module.warn(text)

    def conceal(self, values: t.Iterable[str]) -> None:
        self._module.no_log_values |= {value for value in values if len(value) >= SHORTEST_MASKED}

    def abandoned(self) -> bool:
        return self._parent.gone() or _unheard()


def harmless(params: t.Mapping[str, t.Any]) -> set[str]:
    """Values that ansible-core would mask wherever they occur, because ``kubeconfig`` may hold secrets."""

    def texts(value: t.Any) -> t.Iterator[str]:
        if isinstance(value, dict):
            for key, item in value.items():
                if key not in _SECRET_KEYS:
                    yield from texts(item)
        elif isinstance(value, list):
            for item in value:
                yield from texts(item)
        elif value is not None:
            yield str(value)

    return set(texts(params.get("kubeconfig")))


def failure_result(failure: Failure) -> dict[str, t.Any]:
    """The fields of a failed task. The stack is kept where the cause was an exception of another library."""
    result = {**failure.facts, "msg": failure.message}
    if failure.__cause__ is not None:
        result["exception"] = "".join(traceback.format_exception(failure.__cause__))
    return result


def defect_result(error: Exception) -> dict[str, t.Any]:
    """The fields of a task that failed by a defect of ours, as a result so that its secrets are masked like any."""
    return {
        "msg": f"{type(error).__name__}: {error}. This is a defect of stateful.kube: please report it with what `-vvv` "
        "shows below this line. What is done stays done; the same command goes on from here.",
        "exception": "".join(traceback.format_exception(error)),
    }


class DiscreetModule(AnsibleModule):
    """A module whose options are shown (-vvv) and logged (by the system) only as ``shown`` gives them."""

    params: dict[str, t.Any]

    def __init__(self, specification: t.Mapping[str, t.Any], shown: Shown) -> None:
        self._shown = shown
        super().__init__(**specification)

    def exit_json(self, **kwargs: t.Any) -> t.NoReturn:
        super().exit_json(**{"invocation": self._invocation(), **kwargs})
        raise AssertionError("exit_json returned")

    def fail_json(self, msg: str, **kwargs: t.Any) -> t.NoReturn:
        # Also called by the constructor, for options that do not fit.
        super().fail_json(msg, **{"invocation": self._invocation(), **kwargs})
        raise AssertionError("fail_json returned")

    def _invocation(self) -> dict[str, t.Any]:
        return {"module_args": self._shown(self.params)}

    def _log_invocation(self) -> None:
        params = self.params
        self.params = self._shown(params)
        try:
            super()._log_invocation()
        finally:
            self.params = params


def run_as_module(specification: t.Mapping[str, t.Any], backend: Backend, shown: Shown = dict) -> None:
    """``shown`` gives the options of a task as they may be shown."""
    module = DiscreetModule(specification, shown)
    module.no_log_values -= harmless(module.params)
    try:
        result = backend(ModuleTask(module))
    except Failure as failure:
        module.fail_json(**failure_result(failure))
    except Exception as error:
        module.fail_json(**defect_result(error))
    module.exit_json(**result)

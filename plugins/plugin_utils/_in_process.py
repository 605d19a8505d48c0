# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The base class of every action plugin: run the module's operation inside the ansible-playbook process.

Starting a module costs a quarter of a second before it does anything, and a module cannot show progress. A task that
runs on the controller anyway needs neither. Everything else gets the wrapped module.
"""

from __future__ import annotations

import contextlib
import os
import sys
import typing as t

from ansible import constants
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._task import (
    SHORTEST_MASKED,
    ParentWatch,
    defect_result,
    failure_result,
    harmless,
)

display = Display()

SWITCH = "stateful_kube_in_process"


class ControllerTask:
    """A task inside the ansible-playbook process: progress is shown while it works."""

    def __init__(self, params: dict[str, t.Any], check_mode: bool, diff_mode: bool, quiet: bool) -> None:
        self.params = params
        self.check_mode = check_mode
        self.diff_mode = diff_mode
        self.warnings: list[str] = []
        self.secrets: set[str] = set()
        self._quiet = quiet
        self._parent = ParentWatch()

    def progress(self, line: str) -> None:
        if not self._quiet:
            display.display(f"  {line}", color="bright gray")

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def conceal(self, values: t.Iterable[str]) -> None:
        self.secrets.update(values)

    def abandoned(self) -> bool:
        return self._parent.gone()


class InProcessAction(ActionBase):
    """Set ``module`` to the module whose operation this action runs."""

    module: t.Any
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[dict[str, t.Any]] = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        if not self._in_process(variables):
            self._keep_secrets_off_the_command_line()
            result.update(self._execute_module(task_vars=variables, wrap_async=bool(self._task.async_val)))
            return result
        with _environment(self._task_environment()):
            result.update(self._run_here())
        return result

    def _in_process(self, variables: dict[str, t.Any]) -> bool:
        switch = self._templar.template(variables.get(SWITCH, True))
        if str(switch).lower() in ("false", "no", "0", "off"):
            return False
        if self._task.async_val or self._task.become or self._connection.become is not None:
            return False
        if self._connection.transport != "local" and not self._connection.ansible_name.endswith(".local"):
            return False
        if self._task.delegate_to:
            variables = variables.get("ansible_delegated_vars", {}).get(self._task.delegate_to, variables)
        python = str(
            self._templar.template(constants.config.get_config_value("INTERPRETER_PYTHON", variables=variables))
        )
        return python.startswith("auto") or os.path.abspath(python) == os.path.abspath(sys.executable)

    def _task_environment(self) -> dict[str, str]:
        """The task's environment, which ansible-core hands to modules only."""
        merged: dict[str, str] = {}
        declared = self._task.environment or []
        for layer in declared if isinstance(declared, list) else [declared]:
            values = self._templar.template(layer) if layer else {}
            merged.update({str(key): str(value) for key, value in (values or {}).items()})
        return merged

    def _keep_secrets_off_the_command_line(self) -> None:
        """Turn secrets of the task's environment into options.

        ansible-core sets a task's environment in front of the module's command, where the process list of that host
        and -vvv show it. Options travel with the module, and these are masked.
        """
        environment = self._task_environment()
        specification = self.module.SPECIFICATION["argument_spec"]
        self._task.args, moved = secrets_as_options(specification, self._task.args, environment)
        if moved:
            self._task.environment = [{name: value for name, value in environment.items() if name not in moved}]

    def _sentence(self, error: Exception) -> str:
        """What is wrong with the options. For unknown ones ansible-core gives only their names here."""
        prefix = f"Unsupported parameters for ({self._task.action}): " if isinstance(error, UnsupportedError) else ""
        return f"{prefix}{error}"

    def _run_here(self) -> dict[str, t.Any]:
        specification = dict(self.module.SPECIFICATION)
        specification.pop("supports_check_mode", None)
        checked = ArgumentSpecValidator(**specification).validate(plain(self._task.args))
        if checked.error_messages:
            return {"failed": True, "msg": "; ".join(self._sentence(error) for error in checked.errors)}
        task = ControllerTask(
            checked.validated_parameters, self._task.check_mode, bool(self._task.diff), quiet=bool(self._task.no_log)
        )
        try:
            outcome = self.module.run(task)
        except Failure as failure:
            outcome = {**failure_result(failure), "failed": True}
        except Exception as error:
            outcome = {**defect_result(error), "failed": True}
        for text in task.warnings:
            display.warning(text)
        masked = ({str(value) for value in checked._no_log_values} - harmless(task.params)) | task.secrets
        secrets = {value for value in masked if len(value) >= SHORTEST_MASKED}
        return t.cast("dict[str, t.Any]", remove_values(outcome, secrets))


def secrets_as_options(
    specification: t.Mapping[str, t.Any], given: t.Mapping[str, t.Any], environment: t.Mapping[str, str]
) -> tuple[dict[str, t.Any], set[str]]:
    """The options with those secrets that only the environment names, and the variables that hold these."""
    options, moved = dict(given), set()
    for name, rule in specification.items():
        if "options" in rule and isinstance(given.get(name, {}), dict):
            inner, inside = secrets_as_options(rule["options"], given.get(name, {}), environment)
            if inside:
                options[name] = inner
                moved |= inside
        names = rule["fallback"][1] if rule.get("no_log") and "fallback" in rule else ()
        for variable in names:
            if variable in environment:
                moved.add(variable)
                options.setdefault(name, environment[variable])
    return options, moved


def plain(value: t.Any) -> t.Any:
    """Copy of the data in builtin types: templating hands over subclasses that YAML writers do not know."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for builtin in (str, bool, int, float):
        if isinstance(value, builtin):
            return builtin(value)
    return value


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> t.Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

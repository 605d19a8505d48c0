# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is masked in messages, and what is not; how an orphan notices that it is one."""

from __future__ import annotations

import inspect
import json
import os
import pathlib
import shlex
import socket
import subprocess
import sys
import time
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import (
    parse_definitions,
    shown,
    without_values,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.module_utils._task import failure_result, harmless, run_as_module


def test_a_path_is_no_secret() -> None:
    assert harmless({"kubeconfig": "/home/me/config", "api_key": "sesame"}) == {"/home/me/config"}
    assert harmless({"kubeconfig": None}) == set()


def test_the_secrets_inside_a_kubeconfig_stay_masked() -> None:
    user = {"token": "sesame", "client-key-data": "a2V5", "exec": {"env": [{"name": "WHO", "value": "open"}]}}
    content = {"current-context": "lab", "users": [{"name": "me", "user": user}]}
    assert harmless({"kubeconfig": content}) == {"lab", "me", "WHO"}


SECRET = {"kind": "Secret", "data": {"pin": "cXE3"}, "stringData": {"pin": "qq7"}, "metadata": {"name": "root"}}


@pytest.mark.parametrize(
    "definition",
    [
        SECRET,
        [[SECRET], {"kind": "List", "items": [SECRET]}],
        {"kind": "SecretList", "items": [{"data": {"pin": "qq7"}}]},
        {"kind": "secret", "data": "qq7"},
        {"kind": "Nonsense", "stringData": {"pin": "qq7"}},
        {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "qq7"}}},
        "{kind: Secret, stringData: {pin: qq7}}",
        ["{kind: Secret, stringData: {pin: qq7}}"],
        "kind: Secret\n---\n- kind: Secret\n  data: {pin: qq7}\n",
        "{kind: Secret, stringData: {pin: qq7}",
    ],
)
def test_values_of_secrets_are_not_shown_however_they_are_written(definition: t.Any) -> None:
    for name in ("definition", "resource_definition", "inline"):
        text = str(shown({name: definition}))
        assert "qq7" not in text
        assert "cXE3" not in text
        assert "(hidden)" in text


def test_everything_else_is_shown_as_it_is() -> None:
    params = {
        "definition": [{"kind": "ConfigMap", "data": {"color": "blue"}}, {"kind": "Job", "spec": {"text": "a: b"}}],
        "generated_secrets": [{"name": "root", "keys": {"pin": {"length": 4}}}],
        "namespace": "shop",
    }
    assert shown(params) == params
    assert shown({"definition": SECRET})["definition"]["metadata"] == {"name": "root"}


def test_given_values_of_generated_secrets_are_not_shown() -> None:
    given = shown({"generated_secrets": [{"name": "root", "keys": {"pin": {"value": "qq7"}}}]})
    assert given == {"generated_secrets": [{"name": "root", "keys": {"pin": {"value": "(hidden)"}}}]}


def test_a_message_about_a_secret_loses_its_values_and_no_other_words() -> None:
    assert without_values("pin: found qq7, qq77, aqq7 and cXE3", SECRET) == (
        "pin: found (hidden), qq77, aqq7 and (hidden)"
    )
    assert without_values("found qq7", {"kind": "ConfigMap", "data": {"pin": "qq7"}}) == "found qq7"


def test_text_that_does_not_parse_is_not_quoted() -> None:
    with pytest.raises(Failure) as failure:
        parse_definitions("kind: Secret\nstringData: {pin: qq7]")
    assert "qq7" not in str(failure_result(failure.value))
    assert "line 2" in failure.value.message


def test_a_module_logs_and_returns_its_options_as_they_may_be_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    testing = pytest.importorskip("ansible.module_utils.testing")
    logged: list[str] = []
    monkeypatch.setattr(AnsibleModule, "log", lambda _self, msg, **_more: logged.append(msg))
    specification = {"argument_spec": {"definition": {"type": "raw"}, "state": {"choices": ["present"]}}}
    for state, ended in (("present", 0), ("perhaps", 1)):
        options: dict[str, t.Any] = {"definition": SECRET, "state": state}
        if "_ansible_inject_invocation" in inspect.getsource(AnsibleModule):
            options["_ansible_inject_invocation"] = (
                True  # how -vvv asks for the options; older versions always show them
            )
        with testing.patch_module_args(options), pytest.raises(SystemExit) as end:
            run_as_module(specification, lambda task: {"length": len(task.params["definition"]["data"])}, shown)
        assert end.value.code == ended
    printed = capsys.readouterr().out
    assert printed.count("(hidden)") == 4
    assert '"length": 1' in printed
    assert "(hidden)" in logged[0]
    assert "qq7" not in printed + str(logged)


def test_a_defect_ends_a_module_as_a_failed_task_and_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    testing = pytest.importorskip("ansible.module_utils.testing")

    def defective(task: Task) -> dict[str, t.Any]:
        task.conceal({"open-sesame"})
        raise KeyError("open-sesame")

    with testing.patch_module_args({}), pytest.raises(SystemExit) as end:
        run_as_module({"argument_spec": {}}, defective)
    assert end.value.code == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["msg"].startswith("KeyError: ")
    assert "please report it" in printed["msg"]
    assert "open-sesame" not in str(printed)


# A child that waits until its watch says that it is alone; what it saw is written to the file that its argument names.
CHILD = """
import pathlib, sys, time
from ansible_collections.stateful.kube.plugins.module_utils import _task
{watch}
told = pathlib.Path(sys.argv[1])
told.write_text("alone too soon" if alone() else "in company")
end = time.monotonic() + 20
while time.monotonic() < end and not alone():
    time.sleep(0.02)
told.write_text("alone" if alone() else "noticed nothing")
"""
PARENT = CHILD.format(watch="alone = _task.ParentWatch().gone")
LISTENER = CHILD.format(watch="alone = _task._unheard")


def start(words: list[str], more: t.Optional[t.Mapping[str, str]] = None, **how: t.Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(more or {})}, **how)


def say(told: pathlib.Path, unlike: str = "") -> str:
    """What the child said last, once it says something else."""
    end = time.monotonic() + 30
    while time.monotonic() < end and (not told.exists() or told.read_text() in ("", unlike)):
        time.sleep(0.02)
    return told.read_text()


def test_a_module_notices_that_the_starter_of_its_session_is_gone(tmp_path: pathlib.Path) -> None:
    """Its parent, the shell, lives on: that is how a killed ansible-playbook and a closed SSH session look."""
    told = tmp_path / "told"
    shell = f"{shlex.join([sys.executable, '-c', PARENT, str(told)])}; true"
    outer = "import subprocess, sys; subprocess.run(['sh', '-c', sys.argv[1]], start_new_session=True)"
    starter = start([sys.executable, "-c", outer, shell])
    assert say(told) == "in company"
    starter.kill()
    starter.wait()
    assert say(told, "in company") == "alone"


def test_the_starter_of_an_asynchronous_task_ends_on_purpose(tmp_path: pathlib.Path) -> None:
    told, go_on = tmp_path / "told", tmp_path / "go_on"
    watch = f"""
alone = _task.ParentWatch().gone
pathlib.Path(sys.argv[1]).write_text("watching")
while not pathlib.Path({str(go_on)!r}).exists():
    time.sleep(0.02)
"""
    child = CHILD.format(watch=watch).replace("time.monotonic() + 20", "time.monotonic() + 1")
    shell = f"{shlex.join([sys.executable, '-c', child, str(told)])}; true"
    outer = "import subprocess, sys; subprocess.run(['sh', '-c', sys.argv[1]], start_new_session=True)"
    starter = start([sys.executable, "-c", outer, shell], {"ANSIBLE_ASYNC_DIR": "/nowhere"})
    assert say(told) == "watching"
    starter.kill()
    starter.wait()
    go_on.touch()
    assert say(told, "watching") == "in company"
    assert say(told, "in company") == "noticed nothing"


def test_a_process_notices_that_its_parent_is_gone(tmp_path: pathlib.Path) -> None:
    told = tmp_path / "told"
    outer = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    parent = start([sys.executable, "-c", outer, sys.executable, "-c", PARENT, str(told)])
    assert say(told) == "in company"
    parent.kill()
    parent.wait()
    assert say(told, "in company") == "alone"


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_module_notices_that_nobody_reads_its_output(tmp_path: pathlib.Path, kind: str) -> None:
    told = tmp_path / "told"
    if kind == "pipe":
        reader, writer = os.pipe()
    else:
        reader, writer = (end.detach() for end in socket.socketpair())
    child = start([sys.executable, "-c", LISTENER, str(told)], stdout=writer)
    os.close(writer)
    assert say(told) == "in company"
    os.close(reader)
    assert say(told, "in company") == "alone"
    assert child.wait() == 0

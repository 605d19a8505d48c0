# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The command line, the environment it prints, and the lock."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from lab import cli, lock
from lab.errors import LabError
from lab.settings import Settings

ENTRY = Path(__file__).resolve().parents[1] / "lab"


def call(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ENTRY, *arguments],
        env={**os.environ, "STATEFUL_LAB_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_env_before_up_says_what_to_do(settings: Settings) -> None:
    result = call(settings, "env")
    assert result.returncode == 1
    assert result.stdout == ""
    assert f"There is no lab in {settings.home} yet" in result.stderr


def test_env_is_what_a_shell_can_evaluate(settings: Settings) -> None:
    settings.home.mkdir()
    settings.kubeconfig.write_text("{}")
    image = "docker.io/library/mongo:6.0.5"
    settings.variables.write_text(yaml.safe_dump({"mongodb_image": image, "stateful_lab_busybox_image": "b:1"}))
    printed = call(settings, "env")
    assert printed.returncode == 0, printed.stderr
    script = printed.stdout + 'printf "%s\n" "$KUBECONFIG" "$STATEFUL_LAB_VARS" "$STATEFUL_LAB_MONGODB_IMAGE" '
    script += '"$STATEFUL_LAB_BUSYBOX_IMAGE" "${PATH%%:*}"'
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown == [
        str(settings.kubeconfig),
        str(settings.variables),
        image,
        "b:1",
        str(settings.home / "tools"),
    ]


def test_a_reader_that_has_seen_enough_is_no_error(settings: Settings) -> None:
    """As in `status | head`: no traceback, whatever is left to say."""
    settings.home.mkdir()
    settings.kubeconfig.write_text("{}")
    settings.variables.write_text("{}")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as broken:
        done = subprocess.run(
            [sys.executable, ENTRY, "env"],
            env={**os.environ, "STATEFUL_LAB_HOME": str(settings.home)},
            stdout=broken,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == ""
    assert done.returncode == 1


def test_options_are_remembered(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    Settings(settings.home, node_count=3, audit=True).remember()
    monkeypatch.setenv("STATEFUL_LAB_HOME", str(settings.home))
    assert Settings.from_environment() == Settings(settings.home, node_count=3, audit=True)


def test_every_node_has_its_own_everything() -> None:
    nodes = Settings(Path("/x"), node_count=3).nodes
    for values in (
        {node.name for node in nodes},
        {node.address for node in nodes},
        {node.pod_subnet for node in nodes},
        {node.containerd_socket for node in nodes},
        {node.cgroup for node in nodes},
        {node.network_namespace for node in nodes},
    ):
        assert len(values) == 3


def test_a_second_command_waits_and_names_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path / "run")
    over = tmp_path / "over"
    code = f"""if True:
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(ENTRY.parent)!r})
        from lab import lock
        lock.FOLDER = Path({str(tmp_path / "run")!r})
        with lock.exclusive(Path('/home/lab'), 'up'):
            print('held', flush=True)
            sys.stdin.readline()
            Path({str(over)!r}).touch()
    """
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdin
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        holder = f"`lab up` of process {first.pid} in /home/lab"
        assert lock.holder(tmp_path / "run" / "lock").startswith(holder)
        told: list[str] = []

        @contextlib.contextmanager
        def waiting(title: str) -> Iterator[None]:
            told.append(title)
            # Only whoever waits lets the first one go.
            print(file=first.stdin, flush=True)
            yield

        monkeypatch.setattr(lock.progress, "work", waiting)
        with lock.exclusive(Path("/home/lab"), "down"):
            assert over.exists()
        assert len(told) == 1
        assert told[0].startswith(f"waiting for {holder}")


def test_a_lab_elsewhere_that_runs_is_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    lock.claim(Path("/one"))
    lock.claim(Path("/two"))  # the first does not run, so it is not in the way
    monkeypatch.setattr("lab.processes.running", lambda home: {"etcd": object()})
    with pytest.raises(LabError, match="A lab in /two is up"):
        lock.claim(Path("/one"))


def test_wrong_commands_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["fly"])
    assert stopped.value.code == 2
    assert "'up', 'down'" in capsys.readouterr().err

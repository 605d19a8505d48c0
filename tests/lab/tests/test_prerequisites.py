# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What the lab's packages bring along does not start by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab import prerequisites


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that notes what it is asked."""
    program = tmp_path / "systemctl"
    program.write_text('#!/bin/sh\necho "$@" >>"${0%/*}/asked"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "asked"


def test_every_service_of_an_installed_package_is_disabled_without_systemd_too(systemctl: Path) -> None:
    prerequisites.disable_services(["openssh-server", "runc"])
    asked = [line.replace("--now ", "") for line in systemctl.read_text().splitlines()]
    assert asked == ["disable ssh.service", "disable ssh.socket"]

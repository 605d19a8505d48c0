# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is brought from a claim, and where it is found; and the way of a pod to the members."""

from __future__ import annotations

import pathlib
import socket
import threading
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _fetch as fetch
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _inside as inside
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import FULL, Manifest, Optime
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

WISH = fetch.Wish("shop", "prod", "/backups")
SPEC = {
    "securityContext": {"runAsUser": 999, "fsGroup": 998},
    "containers": [{"image": "python:1"}],
    "imagePullSecrets": [{"name": "pull"}],
    "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "b", "persistentVolumeClaim": {"claimName": "shop-backups"}}],
}
CRON_JOB = {"spec": {"jobTemplate": {"spec": {"template": {"spec": SPEC}}}}}


def manifest(end: int) -> Manifest:
    at = Optime(end, 1)
    return Manifest(f"b{end}", FULL, "prod", "shop", "", "id1", "", "", "", "", "", at, at, at, 0, ())


def steps(around: fetch.Around, wish: fetch.Wish = WISH) -> list[str]:
    found = fetch.plan(wish, around)
    assert isinstance(found, Plan), found
    return [f"{step.action} {step.target}" for step in found.steps]


def test_what_is_not_here_is_copied_the_oldest_first() -> None:
    one, two, three = manifest(10), manifest(20), manifest(30)
    assert steps(fetch.Around(CRON_JOB, here=(two,), there=(three, two, one))) == ["copy b10", "copy b30"]
    assert steps(fetch.Around(CRON_JOB, here=(one, two), there=(one,))) == []
    assert steps(fetch.Around(CRON_JOB, leftovers=("p",), there=())) == ["remove p"]
    assert steps(fetch.Around(CRON_JOB)) == ["copy shop-backups"]


def test_claim_and_pod_are_those_of_the_cron_job_or_given() -> None:
    assert fetch.claim_of(WISH, CRON_JOB) == "shop-backups"
    found = fetch.pods_of(WISH, CRON_JOB)
    assert (found.image, found.user, found.fs_group, found.pull_secrets) == ("python:1", 999, 998, ("pull",))
    given = fetch.Wish("shop", "prod", "/backups", "mine", "other:2")
    assert (fetch.claim_of(given, CRON_JOB), fetch.pods_of(given, CRON_JOB).image) == ("mine", "other:2")
    assert steps(fetch.Around({}), given) == ["copy mine"]
    assert isinstance(fetch.plan(WISH, fetch.Around({})), Refusal)


def test_credentials_are_files_of_a_secret(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Failure, match="must have the keys username and password"):
        inside._credentials(tmp_path)
    for key in ("username", "password", "password-next"):
        (tmp_path / key).write_text(key)
    found = inside._credentials(tmp_path)
    assert (found.username, found.password, found.others) == ("username", "password", ("password-next",))


def test_straight_carries_both_ways_and_ends_with_either_side() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo() -> None:
            far, _address = server.accept()
            with far:
                far.sendall(far.recv(100).upper())

        threading.Thread(target=echo, daemon=True).start()
        with inside.Straight(*server.getsockname(), tls=lambda: None) as straight, _connected(straight.path) as near:
            near.sendall(b"hello")
            assert near.recv(100) == b"HELLO"
            assert near.recv(100) == b""


def test_straight_says_why_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    with inside.Straight(*address, tls=lambda: None) as straight, _connected(straight.path) as near:
        assert near.recv(100) == b""
        assert "127.0.0.1 cannot be reached" in str(straight.error)


def _connected(path: str) -> t.Any:
    near = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    near.settimeout(10)
    near.connect(path)
    return near

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that give no answer: which are asked, and what is made of what the program in the pod says."""

from __future__ import annotations

import os
import subprocess
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster import _mounts
from ansible_collections.stateful.kube.plugins.module_utils._cluster._mounts import Place, judge, places_of, unanswered
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import Executed
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

DATA = Place("db", "/data/db", "claim data-shop-0")
SHARE = Place("db", "/share", "nfs nfs.example.com:/srv")


def pod(**state: t.Any) -> dict[str, t.Any]:
    mounts = [{"name": name, "mountPath": path} for name, path in (("data", "/data/db"), ("share", "/share"))]
    return {
        "metadata": {"name": "shop-0"},
        "spec": {
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-shop-0"}},
                {"name": "share", "nfs": {"server": "nfs.example.com", "path": "/srv"}},
                {"name": "tmp", "emptyDir": {}},
            ],
            "containers": [
                {"name": "db", "volumeMounts": [*mounts, {"name": "tmp", "mountPath": "/scratch"}]},
                {"name": "backup", "volumeMounts": mounts},
            ],
        },
        "status": {"containerStatuses": [{"name": "db", "state": state}, {"name": "backup", "state": {}}]},
    }


def test_claims_and_shares_of_running_containers_are_asked_once() -> None:
    assert places_of(pod(running={})) == [DATA, SHARE]
    assert places_of(pod(waiting={})) == []


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("asked\n0 /data/db \n0 /share \n", []),
        ("asked\n137 /data/db Killed\n0 /share\n", ["claim data-shop-0 at /data/db gives no answer"]),
        # No `timeout` in the image, so this side gave up: what comes after it was not asked.
        (
            "asked\n",
            ["claim data-shop-0 at /data/db gives no answer", "nfs nfs.example.com:/srv at /share gives no answer"],
        ),
        (
            "asked\n0 /data/db\n1 /share stat: '/share': Stale file handle\n",
            ["nfs nfs.example.com:/srv at /share cannot be read (stat: '/share': Stale file handle)"],
        ),
        # No stat in the image, and no shell: nothing is known.
        ("asked\n127 /data/db sh: stat: not found\n127 /share sh: stat: not found\n", []),
        ("", []),
    ],
)
def test_what_was_said_is_judged_place_by_place(said: str, wrong: list[str]) -> None:
    assert judge(said, [DATA, SHARE]) == wrong


def test_the_program_tells_a_folder_that_answers_from_one_that_does_not(tmp_path: t.Any) -> None:
    # A `stat` that hangs on one folder, as it does on a volume whose server is away.
    (tmp_path / "stat").write_text(f'#!/bin/sh\ncase "$2" in *away) sleep 60;; esac\nexec {_which("stat")} "$@"\n')
    (tmp_path / "stat").chmod(0o755)
    folders = [tmp_path / name for name in ("there", "away", "nowhere")]
    for folder in folders[:2]:
        folder.mkdir()
    places = [Place("db", str(folder), folder.name) for folder in folders]
    program = _mounts._ASK.replace(f"KILL {_mounts.ANSWERS_WITHIN}", "KILL 0.3")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["sh", "-c", program, "sh", *map(str, folders)], env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    wrong = judge(ran.stdout, places)
    assert wrong[0] == f"away at {folders[1]} gives no answer"
    assert wrong[1].startswith(f"nowhere at {folders[2]} cannot be read (")
    assert len(wrong) == 2


def _which(program: str) -> str:
    return subprocess.run(["which", program], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def test_the_sentence_says_storage_and_silence_of_the_way_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(answer: t.Union[Executed, Failure]) -> dict[str, str]:
        def execute(*_args: t.Any, **_more: t.Any) -> Executed:
            if isinstance(answer, Failure):
                raise answer
            return answer

        monkeypatch.setattr(_mounts, "execute", execute)
        cluster: t.Any = None
        return unanswered(cluster, "shop", [pod(running={})])

    assert told(Executed(0, "asked\n0 /data/db\n0 /share\n", "")) == {}
    assert told(Failure("no right to pods/exec")) == {}
    assert told(Failure("time is up", stdout="")) == {}
    found = told(Failure("time is up", stdout="asked\n0 /share\n"))["shop-0"]
    assert found.startswith("storage: claim data-shop-0 at /data/db gives no answer.")

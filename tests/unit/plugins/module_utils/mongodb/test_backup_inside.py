# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup by the cluster itself: how members are spoken to, also while they are given TLS; and Jobs."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _inside as inside
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _job as jobs
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls import _secrets as secrets
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._certificates import Pair
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._plan import MODES
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal


@pytest.mark.parametrize("mode", MODES)
def test_tls_is_spoken_as_soon_as_every_member_takes_it(
    tmp_path: pathlib.Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = secrets.Content(mode, Pair("certificate", "key"), "authorities")
    assert secrets.VERSION == inside.VERSION
    (tmp_path / inside.VERSION).write_text(content.version)
    (tmp_path / "ca.pem").write_text(content.authorities)
    monkeypatch.setattr(inside, "context_for", lambda text: text)
    found = inside.spoken(tmp_path, "shop-0.shop")
    # A process may be one mode behind the Secret, or ahead of it.
    near = MODES[max(0, MODES.index(mode) - 1) : MODES.index(mode) + 2]
    takes_plain, takes_tls = {"disabled", "allowTLS", "preferTLS"}, {"allowTLS", "preferTLS", "requireTLS"}
    assert set(near) <= (takes_tls if found else takes_plain)
    if found:
        assert found == inside.ServerTls(t.cast("t.Any", "authorities"), "shop-0.shop")


def test_a_set_without_tls_is_spoken_to_plainly(tmp_path: pathlib.Path) -> None:
    assert inside.spoken(tmp_path, "shop-0.shop") is None


CRON_JOB = {
    "metadata": {"name": "shop-backup", "namespace": "prod", "uid": "1"},
    "spec": {
        "jobTemplate": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"template": {"spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "shop-backups"}}]}}},
        }
    },
}
WISH = jobs.Wish("shop", "prod", "full")


def test_a_job_is_started_unless_one_is_at_it() -> None:
    found = jobs.plan(WISH, jobs.Around(CRON_JOB))
    assert isinstance(found, Plan)
    assert [(step.action, step.target) for step in found.steps] == [("start", "shop-backup")]
    assert "the claim shop-backups" in found.steps[0].sentence
    found = jobs.plan(WISH, jobs.Around(CRON_JOB, ("shop-backup-7",)))
    assert isinstance(found, Plan)
    assert [(step.action, step.target) for step in found.steps] == [
        ("follow", "shop-backup-7"),
        ("start", "shop-backup"),
    ]
    assert jobs.plan(WISH, jobs.Around(CRON_JOB, finished=True)) == Plan()
    assert isinstance(jobs.plan(WISH, jobs.Around(None)), Refusal)


def test_the_job_is_the_cron_jobs_own() -> None:
    made = jobs.job_of(CRON_JOB, "shop-backup-7")
    assert made["spec"] == CRON_JOB["spec"]["jobTemplate"]["spec"]
    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "1"


def test_what_the_cron_job_decides_is_not_asked_for_here() -> None:
    params = {"name": "shop", "namespace": "prod", "mode": "full", "dest": "/x", "s3": None}
    with pytest.raises(Failure, match="expected no dest, keep beside it"):
        jobs.wish_of({**params, "keep": 3, "read_from": "", "verify": False})

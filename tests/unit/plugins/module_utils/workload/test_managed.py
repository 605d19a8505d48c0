# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who manages which field after a rollout action, and what a template's way back is written as."""

from __future__ import annotations

import copy
import typing as t

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._workload._history import merge_patch
from ansible_collections.stateful.kube.plugins.module_utils._workload._managed import (
    ROLLOUT_MANAGER,
    declarer,
    declares_partition,
    handed_back,
    taken_over,
)
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.workload.workloads import merged

MAIN = 'k:{"name":"main"}'
NOTE: t.Any = {"f:metadata": {"f:annotations": {"f:stateful.kube/undone": {}}}}
RESTART: t.Any = {
    "f:spec": {"f:template": {"f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {}}}}}
}
PARTITION: t.Any = {"f:spec": {"f:updateStrategy": {"f:rollingUpdate": {"f:partition": {}}}}}
STATUS: t.Any = {
    "manager": "kube-controller-manager",
    "operation": "Update",
    "subresource": "status",
    "fieldsV1": {"f:status": {"f:replicas": {}}},
}


def containers(**fields: t.Any) -> t.Any:
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": {MAIN: fields}}}}}


def both(*trees: t.Any) -> t.Any:
    result: t.Any = {}
    for tree in trees:
        for key, below in tree.items():
            result[key] = both(result.get(key, {}), below)
    return result


def entry(manager: str, operation: str, fields: t.Any) -> dict[str, t.Any]:
    return {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsV1": fields}


def live(*entries: t.Any) -> dict[str, t.Any]:
    return {"metadata": {"managedFields": list(entries)}}


APPLIED = containers(**{".": {}, "f:name": {}})
TAKEN = containers(**{"f:image": {}, "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}}})


def test_the_mark_of_a_key_file_stays_like_that_of_a_restart() -> None:
    mark = {"f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:stateful.kube/keyfile": {}}}}}}
    for own in (RESTART, mark):
        seen = live(entry("stateful.kube", "Apply", APPLIED), entry(ROLLOUT_MANAGER, "Update", own))
        assert handed_back(seen, holding=False) is None


def test_what_an_undo_took_goes_back_to_whoever_applied_the_template() -> None:
    ours = entry(ROLLOUT_MANAGER, "Update", both(TAKEN, NOTE, RESTART))
    other = entry("somebody", "Update", {"f:metadata": {"f:annotations": {"f:stateful.kube/mongodb-set-id": {}}}})
    seen = live(entry("stateful.kube", "Apply", APPLIED), STATUS, other, ours)
    before = copy.deepcopy(seen)
    expected = [
        entry("stateful.kube", "Apply", both(APPLIED, TAKEN)),
        STATUS,
        other,
        entry(ROLLOUT_MANAGER, "Update", both(NOTE, RESTART)),
    ]
    fields = handed_back(seen, holding=False)
    assert fields == expected
    assert seen == before
    assert handed_back(live(*expected), holding=False) is None


def test_notes_and_restarts_are_no_reason_to_write() -> None:
    for fields in (NOTE, RESTART, both(NOTE, RESTART)):
        applied = entry("stateful.kube", "Apply", APPLIED)
        assert handed_back(live(applied, entry(ROLLOUT_MANAGER, "Update", fields)), holding=False) is None
    assert handed_back(live(), holding=False) is None
    assert handed_back({"metadata": {}}, holding=False) is None


def test_a_template_that_nobody_applied_stays_where_it_is() -> None:
    kubectl = entry("kubectl-client-side-apply", "Update", APPLIED)
    assert declarer(live(kubectl)) is None
    assert handed_back(live(kubectl, entry(ROLLOUT_MANAGER, "Update", TAKEN)), holding=False) is None


def test_of_several_managers_the_one_that_declares_most_of_the_template_gets_it() -> None:
    small = entry("injector", "Apply", RESTART)
    seen = live(small, entry("argocd", "Apply", APPLIED), entry(ROLLOUT_MANAGER, "Update", TAKEN))
    assert declarer(seen) == "argocd"
    assert handed_back(seen, holding=False) == [small, entry("argocd", "Apply", both(APPLIED, TAKEN))]


def test_the_partition_of_a_pause() -> None:
    applied = entry("stateful.kube", "Apply", APPLIED)
    ours = entry(ROLLOUT_MANAGER, "Update", PARTITION)
    assert handed_back(live(applied, ours), holding=True) is None
    assert handed_back(live(applied, ours), holding=False) == [applied]
    assert handed_back(live(ours), holding=False) == []
    declared = entry("stateful.kube", "Apply", both(APPLIED, PARTITION))
    assert declares_partition(live(declared))
    assert not declares_partition(live(applied))
    assert handed_back(live(applied, ours), holding=False, declared=True) == [declared]
    assert handed_back(live(applied, ours), holding=True, declared=True) is None


trees = st.recursive(
    st.sampled_from([True, False, 0, 1, "", "x", [], [1], [{"a": 1}]]),
    lambda below: st.dictionaries(st.sampled_from("abcd"), below, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abcd"), trees), st.dictionaries(st.sampled_from("abcd"), trees))
def test_the_patch_makes_the_one_template_of_the_other(before: t.Any, after: t.Any) -> None:
    patch = merge_patch(before, after)
    assert merged(before, patch) == after
    assert (patch == {}) is (before == after)


def test_annotations_that_are_declared_are_taken_over_from_what_is_written_besides() -> None:
    written = {"f:metadata": {"f:annotations": {"f:told": {}, "f:kept": {}}}}
    live = {
        "apiVersion": "apps/v1",
        "metadata": {
            "managedFields": [
                {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {}}},
                {"manager": "stateful.kube", "operation": "Update", "fieldsV1": written},
            ]
        },
    }
    taken = {entry["operation"]: entry["fieldsV1"] for entry in taken_over(live, "stateful.kube", ["told", "absent"])}
    assert taken["Apply"]["f:metadata"] == {"f:annotations": {"f:told": {}}}
    assert taken["Update"] == {"f:metadata": {"f:annotations": {"f:kept": {}}}}

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which path patterns are refused, and that no two claims share a folder under one that is not."""

from __future__ import annotations

import posixpath
import typing as t

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.filter.nfs_path_pattern_problems import FIELD, problems

NAMESPACE, NAME, LABEL = "${.PVC.namespace}", "${.PVC.name}", "${.PVC.labels.tier}"


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        f"{NAMESPACE}/{NAME}",
        f"{NAMESPACE}_{NAME}",
        f"{NAMESPACE}.{NAME}",
        f"{NAME}.{NAMESPACE}",
        f"volumes/{NAMESPACE}/x-{NAME}",
        f"tier-{LABEL}/{NAMESPACE}/{NAME}",
        f"x-${{.PVC.labels.app.kubernetes.io/name}}/{NAMESPACE}/{NAME}",
    ],
)
def test_good(pattern: str) -> None:
    assert problems(pattern) == []


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (NAME, "once, and holds it 0 times"),
        ("fixed", "namespace"),
        (f"{NAMESPACE}-{NAME}", "a-b and c give the same"),
        (f"{NAMESPACE}{NAME}", "apart"),
        (f"{NAME}.x{NAMESPACE}", "apart"),
        (f"{NAMESPACE}x.{NAME}", "apart"),
        ("${.PVC.annotations.nfs.io/path}", "choose the folder"),
        (f"{NAMESPACE}/{NAME}/{LABEL}", "may lack"),
        (f"{NAMESPACE}/{NAME}_{LABEL}", "may lack"),
        (f"{NAMESPACE}/{NAME}/${{.PVC.uid}}", "knows"),
        (f"{NAMESPACE}/{NAME}/${{pvc}}", "does not begin"),
        (f"../{NAMESPACE}/{NAME}", "dots"),
        (f"{NAMESPACE}//{NAME}", "empty"),
        (f"{NAMESPACE}/{NAME}/{NAME}", "2 times"),
    ],
)
def test_bad(pattern: str, says: str) -> None:
    assert any(says in problem for problem in problems(pattern)), problems(pattern)


def test_archives_are_named_after_the_last_part() -> None:
    assert problems(f"{NAMESPACE}/{NAME}", archive=True)
    assert problems(f"all/{NAMESPACE}_{NAME}", archive=True) == []
    assert problems("", archive=True) == []


def folder(pattern: str, claim: dict[str, str]) -> str:
    """What the provisioner makes of a pattern: what it does not know, or a claim lacks, is replaced by nothing."""
    return posixpath.normpath("/" + FIELD.sub(lambda match: claim.get(match[1], ""), pattern))


names = st.from_regex(r"[ab]([-.ab]{0,2}[ab])?", fullmatch=True)
claims = st.fixed_dictionaries(
    {
        "namespace": st.from_regex(r"[ab]([-ab]{0,2}[ab])?", fullmatch=True),
        "name": names,
        "labels.tier": st.one_of(st.just(""), st.from_regex(r"[ab]([-._ab]{0,2}[ab])?", fullmatch=True)),
        "annotations.path": st.from_regex(r"[ab./]{0,4}", fullmatch=True),
    }
)
pieces = st.sampled_from([NAMESPACE, NAME, LABEL, "${.PVC.annotations.path}", "/", "-", ".", "_", "a", "x"])


@given(st.lists(pieces, max_size=7).map("".join), claims, claims, st.booleans())
@example(f"{NAMESPACE}-{NAME}", {"namespace": "a-b", "name": "a"}, {"namespace": "a", "name": "b-a"}, False)
@example(f"{NAMESPACE}.{NAME}", {"namespace": "a", "name": "b.a"}, {"namespace": "b", "name": "a"}, False)
def test_no_two_claims_share_a_folder(
    pattern: str, one: dict[str, t.Any], other: dict[str, t.Any], archive: bool
) -> None:
    same_claim = (one["namespace"], one["name"]) == (other["namespace"], other["name"])
    if pattern == "" or same_claim or problems(pattern, archive):
        return
    first, second = folder(pattern, one), folder(pattern, other)
    assert not (first + "/").startswith(second + "/")
    assert not (second + "/").startswith(first + "/")
    if archive:
        assert posixpath.basename(first) != posixpath.basename(second)

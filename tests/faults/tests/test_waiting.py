# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts as there, what as not yet, and what is said in the end."""

from __future__ import annotations

import pytest

from harness import waiting
from harness.verdict import Failed


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "AGAIN", 0.0)


def test_what_is_found_at_last_is_handed_over() -> None:
    looks: list[list[int]] = [[], [0], [3]]

    def look() -> list[int]:
        found = looks.pop(0)
        if found == [0]:
            raise ValueError("not yet")
        return found

    assert waiting.until(look, 60, "It never came.", (ValueError,)) == [3]


def test_who_waits_in_vain_is_told_why() -> None:
    def look() -> bool:
        raise ValueError("the server is away")

    with pytest.raises(Failed, match=r"It never came\. \(the server is away\)"):
        waiting.until(look, 0, "It never came.", (ValueError,))
    with pytest.raises(Failed, match=r"It never came\.$"):
        waiting.until(lambda: False, 0, "It never came.")


def test_what_nobody_expects_is_not_hidden() -> None:
    def look() -> bool:
        raise KeyError("a mistake")

    with pytest.raises(KeyError):
        waiting.until(look, 60, "It never came.", (ValueError,))

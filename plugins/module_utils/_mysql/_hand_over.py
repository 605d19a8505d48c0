# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""One server hands over to another one: as one act, because nobody can write meanwhile.

Killed before the record is written, the old primary stays without writes, and the next run lets it take them again.
Killed after that, the next run lets the new one take them.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import NoAnswer, SqlError
from ansible_collections.stateful.kube.plugins.module_utils._mysql._link import Link

# Seconds that the new one may take to apply what is left: it was close behind a moment ago.
CATCH_UP = 10


def hand_over(
    old: Link,
    new: Link,
    former: str,
    following: tuple[str, int],
    record: t.Callable[[], object],
    take_back: t.Callable[[], None],
) -> None:
    """From the pod ``former`` to the pod and epoch ``following``, which ``record`` writes down.

    Raises NotYet, NoAnswer and SqlError. Then ``take_back`` lets the old one take writes again, which raises NotYet
    where the record is another one by now.
    """
    try:
        old.flavour.fence(old.client)
        _catch_up(old, new, former, following[0])
    except (NotYet, NoAnswer, SqlError):
        with contextlib.suppress(NotYet, NoAnswer, SqlError):
            take_back()
        raise
    # Where that fails, nobody knows whether it is written: nobody writes then, and the next look tells who may.
    record()
    new.flavour.detach(new.client)
    new.flavour.let_write(new.client, *following)
    # Clients are sent away when there is somewhere to go.
    with contextlib.suppress(NoAnswer, SqlError):
        old.flavour.disconnect(old.client)


def _catch_up(old: Link, new: Link, former: str, pod: str) -> None:
    position = _position(old)
    if not new.flavour.wait_for(new.client, position, CATCH_UP):
        raise NotYet(f"{pod} has not applied what {former} wrote last within {CATCH_UP} s, so {former} goes on")
    # What keeps everybody from writing may end with the session, and this one ends with it.
    if _position(old) != position:
        raise NotYet(f"{former} was written to although it is fenced, so it goes on")


def _position(link: Link) -> str:
    return str(link.client.rows(link.flavour.position)[0]["position"] or "")

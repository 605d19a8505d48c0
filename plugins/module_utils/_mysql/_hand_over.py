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
    old: Link, new: Link, former: tuple[str, int], pod: str, epoch: int, record: t.Callable[[], None]
) -> None:
    """``former``: pod and epoch of the old one; ``record`` writes down the new one, or raises NotYet.

    Raises NotYet, NoAnswer and SqlError; then the old one takes writes again, if it answers.
    """
    try:
        old.flavour.fence(old.client)
        _catch_up(old, new, former[0], pod)
        record()
    except (NotYet, NoAnswer, SqlError):
        # Whether the record was written is not known where the API server did not answer: then nobody writes.
        with contextlib.suppress(NoAnswer, SqlError):
            old.flavour.let_write(old.client, *former)
        raise
    new.flavour.detach(new.client)
    new.flavour.let_write(new.client, pod, epoch)
    # Clients are sent away when there is somewhere to go.
    with contextlib.suppress(NoAnswer, SqlError):
        old.flavour.disconnect(old.client)


def _catch_up(old: Link, new: Link, former: str, pod: str) -> None:
    position = str(old.client.rows(old.flavour.position)[0]["position"] or "")
    if not new.flavour.wait_for(new.client, position, CATCH_UP):
        raise NotYet(f"{pod} has not applied what {former} wrote last within {CATCH_UP} s, so {former} goes on")

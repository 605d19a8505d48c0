# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What both restores do: they read the backup, let a server take what is in it, and note that they are at it."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._place import Place
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _programs as programs
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import Manifest, position
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._operate import RESTORING
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._pipe import Alive, Ended, Pods
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore_plan import Wish
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._server import Server
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import MARIADB
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer

CHUNK = 1024 * 1024
# What mariadb-binlog says of a file that ends before the place that it is to begin at: all of it is there already.
BEHIND = "Binary logs never reached expected GTID state"


@dataclasses.dataclass(frozen=True)
class Source:
    """The place, and what is taken from it."""

    place: Place[Manifest]
    wish: Wish


class Work:
    """Of one restore. Raises NoAnswer, SqlError, Ended and Gone."""

    def __init__(self, observer: Observer, source: Source, alive: Alive) -> None:
        self.place = source.place
        self.wish = source.wish
        self.alive = alive
        self._observer = observer

    def server(self, ordinal: int) -> Server:
        return Server(self._observer.links[ordinal].client, self.wish.base.flavour)

    def pods(self) -> Pods:
        credentials = self._observer.credentials
        return Pods(self._observer.cluster, self._observer.target.namespace, credentials.password, self.alive)

    def replay(self, pod: str, end: str, begun: str = "") -> None:
        """What comes after this history. ``begun``, if any, is what the pod notes with how far it has come."""
        wish, user = self.wish, self._observer.credentials.username
        has = wish.base.history(end)
        for one in wish.slices:
            after = position(str(has)) if one.flavour == MARIADB else str(has)
            for path in one.logs:
                said = programs.far(one.flavour, begun) if begun else ""
                program = functools.partial(programs.replay, one.flavour, user, wish.until, after, said=said)
                try:
                    self.feed(pod, one, path, program)
                except Ended as ended:
                    if BEHIND not in str(ended):
                        raise
            has = has.union(one.history(one.end))

    def feed(self, pod: str, manifest: Manifest, path: str, command: t.Callable[[int], list[str]]) -> None:
        size = next(file.size for file in manifest.files if file.path == path)
        with self.place.open(manifest.backup, path) as opened:
            self.pods().feed(pod, command(size), self.read(opened, f"{manifest.backup}/{path}", size))

    def read(self, opened: t.BinaryIO, what: str, size: int) -> t.Iterator[bytes]:
        read = 0
        while part := opened.read(CHUNK):
            read += len(part)
            self.alive.say(f"{what}: {read >> 20} of {size >> 20} MiB")
            yield part

    def mark(self, text: t.Optional[str]) -> None:
        """Note beside the record what goes on; None where it has come to its end. Raises NotYet."""
        target = self._observer.target
        try:
            patch = {"metadata": {"annotations": {RESTORING: text}}}
            self._observer.cluster.merge("v1", "ConfigMap", target.record, target.namespace, patch)
        except ApiError as error:
            if not (error.conflict or error.not_found):
                raise
            raise NotYet(f"the ConfigMap {target.namespace}/{target.record} has changed meanwhile") from error
        self._observer.forget_objects()

    def facts(self, complete: bool) -> dict[str, t.Any]:
        wish = self.wish
        return {
            "backup": wish.base.facts(),
            "slices": [one.facts() for one in wish.slices],
            "until": wish.until or (wish.slices[-1].until if wish.slices else wish.base.until),
            "complete": complete,
        }

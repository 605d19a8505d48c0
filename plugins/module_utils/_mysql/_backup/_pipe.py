# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""One of the programs, running in a pod: what it writes, what it is given, and with what it ended."""

from __future__ import annotations

import contextlib
import re
import time
import typing as t
import zlib

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._streams import Broken, Stream
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._programs import last_words, statuses
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task

# Seconds between two lines of progress.
SAY_EVERY = 5.0
# What a client says whose server has gone, or ends its session, or is copied by another one: another try may do better.
_GONE = re.compile(r"\b(?:1053|1927|2002|2003|2006|2013|2055|3634|4031)\b")


class Ended(Exception):
    """It ended with an error."""


class Gone(Exception):
    """It, its server or the way to it went away in the middle."""


@contextlib.contextmanager
def taking_commands(namespace: str, pod: str) -> t.Iterator[None]:
    """Raises Gone where the pod does not."""
    try:
        yield
    except ApiError as exc:
        if exc.forbidden:
            raise
        raise Gone(f"{namespace}/{pod} takes no commands ({exc})") from exc


class Alive:
    """Says what goes on, and ends with the process that started this run."""

    def __init__(self, task: Task, title: str) -> None:
        self.title = title
        self._task = task
        self._said = time.monotonic()
        self._text = ""

    def say(self, text: str) -> None:
        self._text = text
        self()

    def __call__(self) -> None:
        if self._task.abandoned():
            raise Failure(
                f"{self.title}: stopped, because the process that started this run is gone. Run the same command again."
            )
        if self._text and time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            self._task.progress(f"{self.title}: {self._text}")


class Pods:
    """Where programs are run, and with which password."""

    def __init__(self, cluster: Cluster, namespace: str, password: str, alive: Alive) -> None:
        self.alive = alive
        self._cluster = cluster
        self._namespace = namespace
        self._password = password

    def run(self, pod: str, command: t.Sequence[str], given: t.Iterable[bytes] = ()) -> t.Iterator[bytes]:
        """What it writes. Raises Ended and Gone."""
        try:
            with taking_commands(self._namespace, pod):
                stream = Stream(self._cluster, self._namespace, pod, command, self.alive)
                with stream:
                    yield from stream.run(_after(self._password, given))
        except Broken as exc:
            raise Gone(str(exc)) from exc
        found = statuses(stream.complaints)
        bad = [f"{name} with {status}" for name, status in found.items() if status]
        if stream.rc:
            bad.append(f"the last one with {stream.rc}")
        if bad or not found:
            said = last_words(stream.complaints)
            text = f"{', '.join(bad) or 'it was killed'}: {said}"
            raise (Gone if _GONE.search(said) or not found else Ended)(text)

    def feed(self, pod: str, command: t.Sequence[str], given: t.Iterable[bytes]) -> None:
        """Let it take all of this. Raises Ended and Gone."""
        for _said in self.run(pod, command, given):
            pass  # clients that load data write nothing of interest


def _after(password: str, given: t.Iterable[bytes]) -> t.Iterator[bytes]:
    yield f"{password}\n".encode()
    yield from given


def unpacked(packed: t.Iterable[bytes], each: t.Callable[[bytes], t.Any] = lambda part: None) -> t.Iterator[bytes]:
    """What a program writes compressed. ``each`` sees it as it comes. Raises Ended where it is not whole."""
    stream = zlib.decompressobj(wbits=31)
    try:
        for part in packed:
            each(part)
            yield stream.decompress(part)
    except zlib.error as exc:
        raise Ended(f"what it wrote is damaged ({exc})") from exc
    if not stream.eof or stream.unused_data:
        raise Ended("what it wrote is not complete")

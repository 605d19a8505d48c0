# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The primary, found and believed, and the base of the operations that need nothing else of a replica set."""

from __future__ import annotations

import abc
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._parallel import in_parallel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _client
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._act import TRANSIENT
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._asking import Conversation
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import (
    CommandError,
    NoAnswer,
    require_driver,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._note import Hello
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import PRIMARY, Answer, Config, Kind, Pod
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._declared import Name
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._plan import Around
from ansible_collections.stateful.kube.plugins.module_utils._operation import Observed, Refusal, Step

# Milliseconds that a majority of the members gets to take a write.
MAJORITY_TIMEOUT = 10_000
# Answers to a step that another hand has taken since the look that it was planned on.
OVERTAKEN = (_client.USER_EXISTS, _client.ROLE_EXISTS, _client.USER_NOT_FOUND)
# Answers that come before anything is done.
NOT_DONE = (10107, 13435, 10058)
NEVER_FORMED = "it has a primary: no replica set was formed here yet (mongodb_replica_set does that)"


def claimant(hellos: t.Mapping[int, Hello]) -> t.Optional[int]:
    """Who says that it is the primary; of two, the one with the newer term is right."""
    claims = [ordinal for ordinal, told in hellos.items() if told.state == PRIMARY]
    return max(claims, key=lambda ordinal: hellos[ordinal].term, default=None)


def doubt(ordinal: int, hellos: t.Mapping[int, Hello], config: Config) -> str:
    """Why this primary is not believed; empty where a majority of the voting members takes it for theirs.

    One that is cut off takes itself for the primary for some seconds more. What it says of users may be old, and what
    it is told is lost.
    """
    host = hellos[ordinal].host
    voters = {member.host for member in config.members if member.votes}
    agreed = {told.host for told in hellos.values() if told.primary == host and told.host in voters}
    if 2 * len(agreed) > len(voters):
        return ""
    return f"a majority takes {host} for the primary: {len(agreed)} of {len(voters)} voting members do so far"


class OnPrimary(Conversation[Observed]):
    """What is asked of the primary and done there; one that steps down meanwhile is waited for and found again."""

    def __init__(self, observer: Observer, wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self._primary: t.Optional[int] = None
        self._taken: set[tuple[str, str, str]] = set()
        self._uncertain: set[tuple[str, str, str]] = set()

    # Looking

    def find(self) -> Around:
        """The primary, or why there is none to ask."""
        require_driver()
        self._primary = None
        seen = self._observer.objects()
        name, namespace = self._target.name, self._target.namespace
        login = Name("admin", seen.root_user)
        formed = bool(seen.recorded)
        missing = ""
        if not seen.stateful_set:
            missing = f"there is no StatefulSet {name} in namespace {namespace}"
        elif not seen.secret:
            missing = f"there is no Secret {self._target.root_secret} in namespace {namespace} (root_secret)"
        if missing:
            return Around("", f"the objects are there: {missing}", missing, None, formed, login, namespace)
        hellos, silent = self._hellos(seen.pods)
        ordinal = claimant(hellos)
        if ordinal is None:
            told = [f"{self._target.pod(o)} {hello.state or 'does not serve'}" for o, hello in hellos.items()]
            states = "; ".join([*told, *silent]) or "there are no pods"
            waits = f"a member is primary: {states}" if formed else f"{NEVER_FORMED}; {states}"
            return Around("", waits, "", None, formed, login, namespace)
        pod = self._target.pod(ordinal)
        answer = self._observer.ask(ordinal)
        refused, waits = self._judged(ordinal, answer, hellos)
        if not (refused or waits):
            self._primary = ordinal
        # Whoever could be asked has a set, recorded or not.
        formed = formed or answer.kind in (Kind.MEMBER, Kind.REFUSED)
        return Around(pod, waits, "", refused, formed, login, namespace)

    def _judged(self, ordinal: int, answer: Answer, hellos: t.Mapping[int, Hello]) -> tuple[t.Optional[Refusal], str]:
        pod = self._target.pod(ordinal)
        if answer.kind is Kind.REFUSED:
            where = f"{self._target.namespace}/{self._target.root_secret}"
            return (
                Refusal(
                    f"The primary {pod} does not let in the user of the Secret {where} (root_secret): its password is "
                    "another one.",
                    (),
                    ("put the right username and password into the Secret", "name the right Secret"),
                ),
                "",
            )
        if answer.kind is Kind.NO_USER:
            return None, f"the set has its root user, which mongodb_replica_set makes: {pod} has no user yet"
        if answer.kind is not Kind.MEMBER or answer.state != PRIMARY or answer.config is None:
            return None, f"a member is primary: {pod} {answer.state or answer.detail or answer.kind.value}"
        if answer.set_name != self._target.replica_set:
            name = answer.set_name
            return Refusal(
                f"The members are in a replica set named {name}, and replica_set is {self._target.replica_set}.",
                (),
                (f"declare replica_set: {name}",),
            ), ""
        return None, doubt(ordinal, hellos, answer.config)

    def _hellos(self, pods: t.Mapping[int, Pod]) -> tuple[dict[int, Hello], list[str]]:
        """What each member says, and who says nothing, in words."""

        def ask(item: tuple[int, Pod]) -> t.Union[Hello, str]:
            _ordinal, pod = item
            if not pod.running:
                return f"{pod.name} {pod.obstacle or 'does not run'}"
            try:
                return self._observer.hello(pod)
            except NoAnswer as silence:
                return f"{pod.name} gives no answer ({silence})"

        told = dict(zip(pods, in_parallel(ask, pods.items()), strict=True))
        hellos = {ordinal: one for ordinal, one in told.items() if isinstance(one, Hello)}
        return hellos, [one for one in told.values() if isinstance(one, str)]

    # Doing

    def ask_primary(self, name: str, value: t.Any, **more: t.Any) -> dict[str, t.Any]:
        """The answer to a question, once a majority has all that it tells. Raises NotYet where waiting may help.

        Without that a change that a killed run made on the primary alone would look complete, and could be lost still.
        """
        try:
            answer = self._command(name, value, "admin", **more)
            if "operationTime" in answer:
                concern = {"level": "majority", "afterClusterTime": answer["operationTime"]}
                self._command(
                    "find", "system.version", "admin", limit=1, readConcern=concern, maxTimeMS=MAJORITY_TIMEOUT
                )
        except NoAnswer as silence:
            raise NotYet(f"the primary answers: it did not ({silence})") from silence
        except CommandError as error:
            if error.code in TRANSIENT:
                raise NotYet(f"the primary answers: it does not now ({error.message})") from error
            raise Failure(
                f"MongoDB refused to answer {name}: {error.message} (code {error.code}). The user in root_secret needs "
                "the role root, or userAdminAnyDatabase.",
                code=error.code,
            ) from error
        return answer

    def tell_primary(self, step: Step, name: str, value: t.Any, database: str, **more: t.Any) -> bool:
        """One change; whether a majority is known to have it. Raises NotYet where waiting may help, and Failure."""
        mark = (step.action, step.target, step.sentence)
        if mark in self._taken:
            raise Failure(
                f"MongoDB took this change, and tells the same as before: {step.sentence}. Either somebody else "
                "changes it back, or MongoDB keeps it in another form: declare it as MongoDB tells it."
            )
        try:
            self._write(name, value, database, **more)
        except NoAnswer as silence:
            if self._may_be_done(mark):
                return False
            raise NotYet(f"the primary did not answer ({silence}); next: {step.sentence}") from silence
        except NotYet:
            if self._may_be_done(mark):
                return False
            raise
        except CommandError as error:
            if error.code in OVERTAKEN:
                raise NotYet(f"somebody else did something of the kind just now ({error.message})") from error
            if error.code in NOT_DONE:
                raise NotYet(f"the primary takes no changes now ({error.message}); next: {step.sentence}") from error
            if error.code in TRANSIENT:
                if self._may_be_done(mark):
                    return False
                raise NotYet(f"the primary was interrupted ({error.message}); next: {step.sentence}") from error
            raise Failure(
                f"MongoDB refused to {step.sentence}: {error.message} (code {error.code}).", code=error.code
            ) from error
        self._taken.add(mark)
        return True

    def _may_be_done(self, mark: tuple[str, str, str]) -> bool:
        """Whether to let the next look tell. It counts as done once, and is waited for after that."""
        first = mark not in self._uncertain
        self._uncertain.add(mark)
        return first

    def _write(self, name: str, value: t.Any, database: str, **more: t.Any) -> None:
        concern = {"w": "majority", "wtimeout": MAJORITY_TIMEOUT}
        answer = self._command(name, value, database, writeConcern=concern, **more)
        late = answer.get("writeConcernError")
        if late:
            raise NotYet(f"a majority of the members does not have it yet ({late.get('errmsg')})")

    def _command(self, name: str, value: t.Any, database: str, **more: t.Any) -> dict[str, t.Any]:
        link = self._observer.links.get(self._primary) if self._primary is not None else None
        if link is None:
            raise NotYet("the primary is gone")
        return link.client(login=True).command(name, value, seconds=_client.CHANGE_TIMEOUT, database=database, **more)

    def may_repeat(self) -> None:
        """What was done before is no measure of what follows."""
        self._taken.clear()
        self._uncertain.clear()

    @abc.abstractmethod
    def around(self, observed: Observed) -> Around:
        """The part of the snapshot that find made."""

    def hopeless(self, observed: Observed) -> t.Optional[str]:
        missing = self.around(observed).missing
        return f"{missing[0].upper()}{missing[1:]}." if missing else None

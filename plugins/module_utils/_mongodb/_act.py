# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Takes the steps of a replica set's plan, each checked again at the moment of acting."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import replace_pod
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _client
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _steps as steps
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import Client, CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import MemberOptions
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._link import config_from
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import (
    SET_ID_ANNOTATION,
    Observer,
    annotate,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Snapshot, StatefulSet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._versions import CONFIRMED_SINCE, series_of
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._as_seen import patch_as_seen
from ansible_collections.stateful.kube.plugins.module_utils._workload._managed import handed_back

# Seconds that another member gets to catch up before the primary steps down, that the old one then stays out, and that
# members other than the one that is to take over do not stand for election.
CATCH_UP = 10
STAY_OUT = 60
STAND_BACK = 10
# Seconds for which a member tries to be elected, less than the others stand back, and between two attempts.
STANDS_FOR = 5.0
STANDS_AGAIN = 0.2
# Seconds that members may take to replicate from another one.
FOLLOWS_WITHIN = 3.0
FOLLOWS_TOLD_AGAIN = 0.5

# Answers that another look, a little later, may not get any more.
TRANSIENT = (
    _client.HOST_UNREACHABLE,
    _client.MAX_TIME_EXPIRED,
    _client.NODE_NOT_FOUND,
    _client.INCOMPATIBLE_CONFIG,
    _client.CONFIGURATION_IN_PROGRESS,
    _client.CONFIGURATION_NOT_COMMITTED,
    _client.CONFLICTING_OPERATION,
    _client.EXCEEDED_TIME_LIMIT,
    *_client.NOT_PRIMARY,
)


def act(observer: Observer, step: Step, seen: Snapshot) -> None:
    """Take one step. Raises NotYet where waiting may help, Failure where it will not."""
    try:
        _ACTS[step.action](observer, step, seen)
    except NoAnswer as silence:
        raise NotYet(f"{step.target} did not answer ({silence}); next: {step.sentence}") from silence
    except CommandError as error:
        if error.code in TRANSIENT:
            raise NotYet(f"{step.target}: {_explained(error)}; next: {step.sentence}") from error
        raise Failure(
            f"MongoDB refused to {step.sentence}: {error.message} (code {error.code}).", code=error.code
        ) from error


def _initiate(observer: Observer, step: Step, _seen: Snapshot) -> None:
    ordinal: int = step.data["ordinal"]
    document: dict[str, t.Any] = {
        "_id": observer.target.replica_set,
        "members": [{"_id": 0, "host": step.data["host"], **member_fields(step.data["options"])}],
    }
    if step.data["settings"]:
        document["settings"] = dict(step.data["settings"])
    try:
        _initiated(observer, ordinal, document)
    except CommandError as error:
        # The server has no code of its own for a name that does not lead to itself.
        if error.code == _client.INVALID_CONFIG and "maps to this node" in error.message:
            raise NotYet(
                f"the name {step.data['host']} does not resolve in {step.target}, or not to {step.target} itself"
            ) from error
        if error.code != _client.ALREADY_INITIALIZED:
            raise


def _initiated(observer: Observer, ordinal: int, document: dict[str, t.Any]) -> None:
    # The server itself is the compare-and-set: it takes this once.
    try:
        _link_client(observer, ordinal, login=False).command(
            "replSetInitiate", document, seconds=_client.CHANGE_TIMEOUT
        )
    except CommandError as error:
        if error.code != _client.UNAUTHORIZED:
            raise
        # Users that are there already, of a set whose files these were, are the end of the localhost exception.
        client = _link_client(observer, ordinal, login=True)
        client.command("replSetInitiate", document, seconds=_client.CHANGE_TIMEOUT)


def _create_user(observer: Observer, step: Step, seen: Snapshot) -> None:
    ordinal: int = step.data["ordinal"]
    credentials = observer.credentials
    try:
        _link_client(observer, ordinal, login=False).command(
            "createUser",
            credentials.username,
            pwd=credentials.password,
            roles=["root"],
            writeConcern={"w": "majority", "wtimeout": int(_client.READ_TIMEOUT * 1000)},
        )
    except CommandError as error:
        # Somebody else made it, or has just made it and ended the localhost exception: the login will tell.
        if error.code not in (_client.USER_EXISTS, _client.UNAUTHORIZED):
            raise
        if error.code == _client.USER_EXISTS and seen.answer(ordinal).open and not observer.links[ordinal].lets_in():
            raise Failure(
                f"{step.target} has a user {credentials.username} already, with another password than the one in "
                f"Secret {observer.target.namespace}/{observer.target.root_secret} (root_secret). Put the right "
                "password into the Secret, or name another user there, and run again."
            ) from error
    for link in observer.links.values():
        link.expect_login()


def _record(observer: Observer, step: Step, seen: Snapshot) -> None:
    stateful_set = seen.stateful_set
    record = {SET_ID_ANNOTATION: step.data["set_id"]}
    done = bool(stateful_set and annotate(observer.cluster, observer.target, stateful_set, record))
    observer.forget_objects()
    if not done:
        raise NotYet(f"the StatefulSet {observer.target.name} changed meanwhile; next: {step.sentence}")


def _add(observer: Observer, step: Step, seen: Snapshot) -> None:
    def edit(document: dict[str, t.Any]) -> None:
        free = 1 + max(member["_id"] for member in document["members"])
        new = {"_id": free, "host": step.data["host"], **member_fields(step.data["options"])}
        if step.data.get("horizons"):
            new["horizons"] = dict(step.data["horizons"])
        document["members"].append(new)

    if step.data["options"].arbiter_only:
        # The server takes no arbiter while the default write concern is one that it would change by itself.
        client = _primary_client(observer, step, seen)
        # Before 5.0 it had no opinion of its own, and does not tell a source.
        if client.command("getDefaultRWConcern").get("defaultWriteConcernSource") == "implicit":
            client.command("setDefaultRWConcern", defaultWriteConcern={"w": "majority", "wtimeout": 0})

    _reconfigure(observer, step, seen, edit)


def _change(observer: Observer, step: Step, seen: Snapshot) -> None:
    def edit(document: dict[str, t.Any]) -> None:
        # Only declared fields are replaced: what a member has besides stays.
        member = next(member for member in document["members"] if member["host"] == step.data["host"])
        member.pop("slaveDelay", None)
        member.update(member_fields(step.data["options"]))

    _reconfigure(observer, step, seen, edit)


def _rename(observer: Observer, step: Step, seen: Snapshot) -> None:
    def edit(document: dict[str, t.Any]) -> None:
        for member in document["members"]:
            if member["host"] == step.data["host"]:
                member["host"] = step.data["to"]

    _reconfigure(observer, step, seen, edit)


def _horizons(observer: Observer, step: Step, seen: Snapshot) -> None:
    def edit(document: dict[str, t.Any]) -> None:
        for member in document["members"]:
            # Who is to leave has those that the others have, or none.
            wanted = step.data["horizons"].get(member["host"], member.get("horizons"))
            member.pop("horizons", None)
            if wanted:
                member["horizons"] = dict(wanted)

    _reconfigure(observer, step, seen, edit)


def _feature_version(observer: Observer, step: Step, seen: Snapshot) -> None:
    version: str = step.data["version"]
    client = _primary_client(observer, step, seen)
    server = series_of(str(client.command("buildInfo").get("version", "")))
    # Older servers do not know the word.
    confirmed: dict[str, t.Any] = {"confirm": True} if server and server >= CONFIRMED_SINCE else {}
    # Where this ends too early the server goes on, and the next time it is told the same.
    client.command("setFeatureCompatibilityVersion", version, seconds=_client.CHANGE_TIMEOUT, **confirmed)


def _settings(observer: Observer, step: Step, seen: Snapshot) -> None:
    def edit(document: dict[str, t.Any]) -> None:
        document["settings"] = {**document.get("settings", {}), **step.data["settings"]}

    _reconfigure(observer, step, seen, edit)


def _reconfigure(observer: Observer, step: Step, seen: Snapshot, edit: t.Callable[[dict[str, t.Any]], None]) -> None:
    """One reconfiguration, without force, from the very configuration that the step was planned on."""
    client = _primary_client(observer, step, seen)
    document: dict[str, t.Any] = client.command("replSetGetConfig")["config"]
    planned = (step.data["version"], step.data["term"])
    found = (document["version"], document.get("term", 0))
    if found != planned:
        raise NotYet(f"the configuration moved from version {planned[0]} to {found[0]}; next: {step.sentence}")
    edit(document)
    document["version"] += 1
    try:
        client.command("replSetReconfig", document, seconds=_client.CHANGE_TIMEOUT)
    except (CommandError, NoAnswer):
        # It may be installed, and only not yet with a majority: then it is done, and the next look waits for the rest.
        if not _installed(client, document):
            raise


def _installed(client: Client, document: t.Mapping[str, t.Any]) -> bool:
    try:
        found = config_from(client.command("replSetGetConfig")["config"])
    except (CommandError, NoAnswer):
        return False
    sent = config_from(document)
    return (found.version, found.members, found.settings) == (sent.version, sent.members, sent.settings)


def _remove(observer: Observer, step: Step, seen: Snapshot) -> None:
    _leave_source(observer, step, seen)

    def edit(document: dict[str, t.Any]) -> None:
        document["members"] = [member for member in document["members"] if member["host"] != step.data["host"]]

    _reconfigure(observer, step, seen, edit)


def _step_down(observer: Observer, step: Step, seen: Snapshot) -> None:
    """Hand over to a certain member: the others do not stand for a while, and that one does at once."""
    client = _primary_client(observer, step, seen)
    if seen.primary != step.data["ordinal"]:
        raise NotYet(f"{step.target} is not the primary any more")
    to: int = step.data["to"]
    others = [ordinal for ordinal in observer.links if ordinal not in (step.data["ordinal"], to)]
    # It may have stepped down itself a moment ago. Should this run be killed, all of this ends by itself.
    _freeze(observer, to, 0)
    _follow(observer, others, observer.target.host(to, seen), client)
    for ordinal in others:
        _freeze(observer, ordinal, STAND_BACK)
    try:
        # A server that steps down may close its connections before it answers: the next look tells.
        with contextlib.suppress(NoAnswer):
            client.command(
                "replSetStepDown", STAY_OUT, secondaryCatchUpPeriodSecs=CATCH_UP, seconds=_client.CHANGE_TIMEOUT
            )
        _stand(observer, to)
    finally:
        for ordinal in others:
            _freeze(observer, ordinal, 0)


def _stand(observer: Observer, ordinal: int) -> None:
    """Let a member stand for election until it has won.

    It loses where it lacks a write that another one has, which it gets a moment later. Nobody else stands meanwhile,
    and without another attempt nobody would before the election timeout.
    """
    until = time.monotonic() + STANDS_FOR
    while True:
        with contextlib.suppress(CommandError, NoAnswer, NotYet):
            _link_client(observer, ordinal, login=True).command("replSetStepUp")
            return
        if _has_become_primary(observer, ordinal) or time.monotonic() > until:
            return
        time.sleep(STANDS_AGAIN)


def _follow(observer: Observer, ordinals: t.Sequence[int], host: str, primary: Client) -> None:
    """Let members replicate from who is to be primary: after an election they look for a source for a second or more.

    Without one that follows, the new primary has no majority for its first writes. A member refuses a source that has
    nothing newer than itself, and looks again a second later; so something is written meanwhile, and it follows only
    once it got something from there. It is only for speed, so whoever cannot is left alone.
    """
    waiting = {ordinal: _Following() for ordinal in ordinals}
    until = time.monotonic() + FOLLOWS_WITHIN
    while waiting and time.monotonic() < until:
        for ordinal, following in list(waiting.items()):
            with contextlib.suppress(CommandError, NoAnswer, NotYet):
                if following.follows(_link_client(observer, ordinal, login=True), host):
                    del waiting[ordinal]
        if waiting:
            with contextlib.suppress(CommandError, NoAnswer):
                primary.command("appendOplogNote", data={"stateful.kube": "another source"})
            time.sleep(0.05)


class _Following:
    """How far a member has come in replicating from another one."""

    def __init__(self) -> None:
        self._told = float("-inf")
        self._began: t.Any = None

    def follows(self, member: Client, host: str) -> bool:
        """Whether it has got something from there; where it has another source it is told again, now and then."""
        status = member.command("replSetGetStatus")
        newest = ((status.get("optimes") or {}).get("appliedOpTime") or {}).get("ts")
        if status.get("syncSourceHost") == host:
            if self._began is not None and newest is not None and newest > self._began:
                return True
            self._began = self._began if self._began is not None else newest
            return False
        self._began = None
        if time.monotonic() - self._told > FOLLOWS_TOLD_AGAIN:
            member.command("replSetSyncFrom", host)
            self._told = time.monotonic()
        return False


def _leave_source(observer: Observer, step: Step, seen: Snapshot) -> None:
    """Let those that replicate from a member that is about to go replicate from the primary instead.

    They would look for another source only once it is gone, and a majority could lack them meanwhile.
    """
    going: int = step.data["ordinal"]
    if seen.primary is None or seen.primary == going:
        return
    source = observer.target.host(going, seen)
    fed = []
    for ordinal in observer.links:
        with contextlib.suppress(CommandError, NoAnswer, NotYet):
            if ordinal in (going, seen.primary):
                continue
            if _link_client(observer, ordinal, login=True).command("replSetGetStatus").get("syncSourceHost") == source:
                fed.append(ordinal)
    if fed:
        _follow(observer, fed, observer.target.host(seen.primary, seen), _primary_client(observer, step, seen))


def _freeze(observer: Observer, ordinal: int, seconds: int) -> None:
    """For so long a member does not stand for election. One that does not answer is no candidate either."""
    with contextlib.suppress(CommandError, NoAnswer, NotYet):
        _link_client(observer, ordinal, login=True).command("replSetFreeze", seconds)


def _replace(observer: Observer, step: Step, seen: Snapshot) -> None:
    others = [ordinal for ordinal in seen.answers if ordinal != step.data["ordinal"]]
    if seen.primary != step.data["ordinal"] and others and _has_become_primary(observer, step.data["ordinal"]):
        raise NotYet(f"{step.target} has just become primary; next: {step.sentence}")
    _leave_source(observer, step, seen)
    replace_pod(observer.cluster, observer.target.namespace, step.data["pod"], step.data["uid"])
    observer.forget_objects()


def _has_become_primary(observer: Observer, ordinal: int) -> bool:
    try:
        return bool(_link_client(observer, ordinal, login=False).command("hello").get("isWritablePrimary"))
    except (CommandError, NoAnswer, NotYet):
        return False


def _scale(observer: Observer, step: Step, seen: Snapshot) -> None:
    found = t.cast(StatefulSet, seen.stateful_set)
    patch = {
        "metadata": {"uid": found.uid, "resourceVersion": found.resource_version},
        "spec": {"replicas": step.data["replicas"]},
    }
    patch_stateful_set(observer, step, patch)


def _hand_back(observer: Observer, step: Step, _seen: Snapshot) -> None:
    """Whoever applies the declaration again must not run into a conflict with this operation."""
    live = observer.cluster.get("apps/v1", "StatefulSet", observer.target.name, observer.target.namespace)
    managed = handed_back(live, holding=False) if live else None
    if live and managed is not None:
        metadata = {key: live["metadata"][key] for key in ("uid", "resourceVersion")}
        patch_stateful_set(observer, step, {"metadata": {**metadata, "managedFields": managed}})
    observer.forget_objects()


def patch_stateful_set(observer: Observer, step: Step, patch: dict[str, t.Any]) -> None:
    """With the version that was seen in ``patch`` it is a compare-and-set. Raises NotYet where it is another one."""
    target = observer.target
    try:
        patch_as_seen(observer.cluster, "apps/v1", "StatefulSet", target.name, target.namespace, patch, step)
    finally:
        observer.forget_objects()


def _delete_claim(observer: Observer, step: Step, _seen: Snapshot) -> None:
    observer.cluster.delete("v1", "PersistentVolumeClaim", step.data["claim"], observer.target.namespace)
    observer.forget_objects()


def _primary_client(observer: Observer, step: Step, seen: Snapshot) -> Client:
    if seen.primary is None:
        raise NotYet(f"no member is primary; next: {step.sentence}")
    return _link_client(observer, seen.primary, login=True)


def _link_client(observer: Observer, ordinal: int, login: bool) -> Client:
    link = observer.links.get(ordinal)
    if link is None:
        raise NotYet(f"{observer.target.pod(ordinal)} is gone")
    return link.client(login)


def member_fields(options: MemberOptions) -> dict[str, t.Any]:
    """The fields of a member in a configuration document."""
    return {
        "priority": options.priority,
        "votes": options.votes,
        "hidden": options.hidden,
        "tags": dict(options.tags),
        "secondaryDelaySecs": options.secondary_delay_secs,
        "buildIndexes": options.build_indexes,
        # MongoDB leaves it out of a configuration where it is false.
        **({"arbiterOnly": True} if options.arbiter_only else {}),
    }


def _explained(error: CommandError) -> str:
    if error.code in _client.NOT_PRIMARY:
        return f"it takes no changes now ({error.message})"
    if error.code == _client.NODE_NOT_FOUND:
        return f"a member's name does not resolve or does not lead to it yet ({error.message})"
    return error.message


_ACTS: t.Mapping[str, t.Callable[[Observer, Step, Snapshot], None]] = {
    steps.INITIATE: _initiate,
    steps.CREATE_USER: _create_user,
    steps.RECORD: _record,
    steps.ADD: _add,
    steps.CHANGE: _change,
    steps.SETTINGS: _settings,
    steps.HORIZONS: _horizons,
    steps.RENAME: _rename,
    steps.FEATURE_VERSION: _feature_version,
    steps.REMOVE: _remove,
    steps.STEP_DOWN: _step_down,
    steps.REPLACE: _replace,
    steps.SCALE: _scale,
    steps.HAND_BACK: _hand_back,
    steps.DELETE_CLAIM: _delete_claim,
}

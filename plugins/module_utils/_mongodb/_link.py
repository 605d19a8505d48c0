# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The conversation with one member: a tunnel to its pod, kept from look to look, and what the member says of itself."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _client
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import (
    Client,
    CommandError,
    Credentials,
    NoAnswer,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    BELIEVED_AFTER,
    PRIMARY,
    REQUIRED,
    SECONDARY,
    Answer,
    Config,
    Kind,
    MemberConfig,
    MemberStatus,
    authentication_of,
)


class Link:
    """Close it when done. A link belongs to one pod by its uid, and is not used by two threads at once."""

    def __init__(self, tunnel: Tunnel, uid: str, login_first: bool) -> None:
        self.uid = uid
        self._tunnel = tunnel
        self._clients: dict[bool, Client] = {}
        self._credentials: t.Optional[Credentials] = None
        # One password after the other, the one that was let in last at the front.
        self._passwords: collections.deque[Credentials] = collections.deque()
        # Each way in is a connection of its own: the one that is likelier to be let in is tried first.
        self._login_first = login_first
        self._server = ""
        # It runs without authentication and does not know the root user: whoever logs in elsewhere is nobody here.
        self._open = False
        # Which process said 'not initialised', and since when.
        self._process: t.Any = None
        self._since = 0.0

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._tunnel.close()

    def expect_login(self) -> None:
        """The root user was made just now."""
        self._login_first = True

    def lets_in(self) -> bool:
        """Whether it knows the root user by the password of the Secret."""
        self._open = False
        return self._logged_in(False) is not None

    def authentication(self) -> str:
        """What this mongod does about it, by its own arguments, which it shows to nobody where a login is required."""
        try:
            return authentication_of(self.client(login=False).command("getCmdLineOpts").get("parsed") or {})
        except CommandError as error:
            if error.code == _client.UNAUTHORIZED:
                return REQUIRED
            raise

    def client(self, login: bool) -> Client:
        login = login and not self._open
        if login not in self._clients:
            self._clients[login] = Client(self._tunnel.path, self._passwords[0] if login and self._passwords else None)
        return self._clients[login]

    def ask(self, credentials: t.Optional[Credentials], new_disk: bool) -> Answer:
        """What the member says; silence is an answer too. Raises Failure where the API server forbids to ask."""
        if credentials != self._credentials:
            self._credentials = credentials
            self._passwords = collections.deque(credentials.ways if credentials else ())
            self._drop(login=True)
        # A login that was refused before is tried again at the end: the user may have been made in between.
        last = (self._as_nobody, self._logged_in)
        ways = (self._logged_in, *last) if self._login_first else last
        try:
            self._open = False
            for way in ways:
                found = way(new_disk)
                if found and found.open and self._passwords:
                    # Anybody is let in, and the root user may be there all the same.
                    found = self._logged_in(new_disk) or found
                if found:
                    self._open = found.open
                    # A member that serves and has no user is about to get one, or needs none.
                    self._login_first = found.kind is Kind.MEMBER or found.state in (PRIMARY, SECONDARY)
                    return self._with_certificate(found)
        except NoAnswer as silence:
            self._process = None
            failure = self._tunnel.failure
            if isinstance(failure, ApiError) and failure.forbidden:
                raise failure from silence
            return Answer(Kind.UNREACHABLE, self._tunnel.error or f"no answer ({silence})")
        except CommandError as error:
            return Answer(Kind.UNREACHABLE, f"its answer makes no sense here ({error.message})")
        who = f"user {credentials.username}" if credentials else "anybody: there is no Secret to log in with"
        return Answer(Kind.REFUSED, f"it does not let in {who}")

    def _with_certificate(self, found: Answer) -> Answer:
        shown = self._tunnel.certificate
        return dataclasses.replace(found, certificate=(shown.not_before, shown.not_after)) if shown else found

    def _logged_in(self, new_disk: bool) -> t.Optional[Answer]:
        for _one in range(len(self._passwords)):
            found = self._let_in(new_disk)
            if found:
                return found
            self._drop(login=True)
            self._passwords.rotate(-1)
        return None

    def _let_in(self, new_disk: bool) -> t.Optional[Answer]:
        client = self.client(login=True)
        try:
            status = client.command("replSetGetStatus")
        except CommandError as error:
            if error.code == _client.AUTHENTICATION_FAILED:
                return None
            if error.code == _client.INVALID_CONFIG:
                return Answer(Kind.REMOVED, error.message, config=_config_of(client))
            # Whom the Secret names is known here, and nobody is on a new disk.
            answer = self._without_status(client, error, new_disk=False)
            return dataclasses.replace(answer, users=answer.kind is Kind.UNINITIALISED)
        config = _config_of(client)
        if config is None:
            return Answer(Kind.UNREACHABLE, "it reports a status and no configuration")
        answer = _answer(Kind.MEMBER, status, config, _writable(client, status))
        return dataclasses.replace(
            answer, version=self._version(client), feature_version=_feature_version(client, answer)
        )

    def _version(self, client: Client) -> str:
        """Of the server: another one comes with another pod."""
        self._server = self._server or str(client.command("buildInfo").get("version", ""))
        return self._server

    def _as_nobody(self, new_disk: bool) -> t.Optional[Answer]:
        client = self.client(login=False)
        try:
            status = client.command("replSetGetStatus")
        except CommandError as error:
            if error.code == _client.UNAUTHORIZED:
                return None
            return self._without_status(client, error, new_disk)
        config = _config_of(client)
        if config is None:
            return _answer(Kind.NO_USER, status, None, _writable(client, status))
        # The localhost exception goes not that far: this one runs without authentication, or does not insist on it.
        answer = _answer(Kind.MEMBER, status, config, _writable(client, status))
        return dataclasses.replace(
            answer, version=self._version(client), feature_version=_feature_version(client, answer), open=True
        )

    def _without_status(self, client: Client, error: CommandError, new_disk: bool) -> Answer:
        if error.code == _client.NOT_YET_INITIALIZED:
            return Answer(Kind.UNINITIALISED, error.message, settled=new_disk or self._said_long_enough(client))
        if error.code == _client.INVALID_CONFIG:
            return Answer(Kind.REMOVED, error.message)
        if error.code == _client.NO_REPLICATION:
            return Answer(Kind.STANDALONE, error.message)
        raise error

    def _said_long_enough(self, client: Client) -> bool:
        process = (client.command("hello").get("topologyVersion") or {}).get("processId")
        now = time.monotonic()
        if process is None or process != self._process:
            self._process, self._since = process, now
        return now - self._since >= BELIEVED_AFTER

    def _drop(self, login: bool) -> None:
        client = self._clients.pop(login, None)
        if client:
            client.close()


def _feature_version(client: Client, answer: Answer) -> str:
    """Asked of the primary alone: the others follow it."""
    if answer.state != PRIMARY:
        return ""
    found = client.command("getParameter", 1, featureCompatibilityVersion=1).get("featureCompatibilityVersion") or {}
    return str(found.get("version", ""))


def _writable(client: Client, status: t.Mapping[str, t.Any]) -> bool:
    """Whether a primary takes writes: the status tells only that it was elected."""
    return status.get("myState") != 1 or bool(client.command("hello").get("isWritablePrimary"))


def _answer(kind: Kind, status: t.Mapping[str, t.Any], config: t.Optional[Config], writable: bool) -> Answer:
    statuses = tuple(_status(member, status.get("date")) for member in status.get("members", ()))
    mine = next((m["stateStr"] for m in status.get("members", ()) if m.get("self")), "")
    if status.get("myState") == 1:
        mine = PRIMARY
    return Answer(
        kind,
        state=mine,
        set_name=status.get("set", ""),
        config=config,
        statuses=statuses,
        # Servers before 5.0 do not count for us: there every voter of the configuration votes.
        voting=status.get("votingMembersCount", config.voters if config else 0),
        term=status.get("term", 0),
        writable=writable,
        me=next((str(m.get("name", "")) for m in status.get("members", ()) if m.get("self")), ""),
    )


def _status(member: t.Mapping[str, t.Any], now: t.Optional[datetime.datetime]) -> MemberStatus:
    newest = member.get("optimeDate")
    seconds = 0.0
    if newest is not None:
        # The driver hands over UTC without saying so.
        seconds = newest.replace(tzinfo=datetime.timezone.utc).timestamp()
    heard = member.get("lastHeartbeat")
    return MemberStatus(
        host=member["name"],
        state=member.get("stateStr", "UNKNOWN"),
        healthy=bool(member.get("health")),
        optime=seconds,
        message=member.get("lastHeartbeatMessage") or "",
        config=(int(member.get("configVersion", 0)), int(member.get("configTerm", 0))),
        silent=(now - heard).total_seconds() if now and heard else 0.0,
    )


def _config_of(client: Client) -> t.Optional[Config]:
    try:
        return config_from(client.command("replSetGetConfig")["config"])
    except CommandError:
        return None


def config_from(document: t.Mapping[str, t.Any]) -> Config:
    """The part of a configuration document that decisions are made on."""
    settings = dict(document.get("settings") or {})
    set_id = str(settings.pop("replicaSetId", ""))
    return Config(
        set_name=document["_id"],
        set_id=set_id,
        version=int(document["version"]),
        term=int(document.get("term", 0)),
        members=tuple(_member(member) for member in document["members"]),
        settings=tuple(sorted((key, value) for key, value in settings.items() if not isinstance(value, dict))),
    )


def _member(member: t.Mapping[str, t.Any]) -> MemberConfig:
    return MemberConfig(
        id=int(member["_id"]),
        host=member["host"],
        priority=float(member.get("priority", 1)),
        votes=int(member.get("votes", 1)),
        hidden=bool(member.get("hidden", False)),
        tags=tuple(sorted((str(key), str(value)) for key, value in (member.get("tags") or {}).items())),
        secondary_delay_secs=int(member.get("secondaryDelaySecs", member.get("slaveDelay", 0))),
        build_indexes=bool(member.get("buildIndexes", True)),
        arbiter_only=bool(member.get("arbiterOnly", False)),
        horizons=tuple(sorted((str(key), str(value)) for key, value in (member.get("horizons") or {}).items())),
    )

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica set of three with users and roles, and the Secrets beside it, in memory.

Both can be made to fail at any write, before or after it took effect, and whoever writes can be killed there.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._secret import decoded
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _client
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import (
    CommandError,
    Credentials,
    NoAnswer,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._note import Hello
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    Answer,
    Config,
    Kind,
    MemberConfig,
    Pod,
    Snapshot,
    StatefulSet,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import others

TARGET = Target("shop", "ns", "shop", root_secret="shop-root")  # noqa: S106 (a name)
ROOT = ("admin", "root")
HOSTS = tuple(f"shop-{ordinal}.shop.ns.svc.cluster.local:27017" for ordinal in range(3))
CONFIG = Config("shop", "id1", 3, 1, tuple(MemberConfig(number, host) for number, host in enumerate(HOSTS)))
HASHES = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}

# What may become of a write.
KILLED_BEFORE, KILLED_AFTER = "killed before it", "killed after it"
UNHEARD = "the request is lost"
UNTOLD = "the answer is lost"
LATE = "a majority does not have it in time"
STEPPED_DOWN = "another member is primary"
ROLLED_BACK = "a majority never has it, and another member becomes primary"
FAULTS = (KILLED_BEFORE, KILLED_AFTER, UNHEARD, UNTOLD, LATE, STEPPED_DOWN, ROLLED_BACK)


class Killed(BaseException):
    """The process that worked is no more."""


def text64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kept_of(username: str, password: str, mechanisms: t.Iterable[str]) -> dict[str, t.Any]:
    """What a server keeps of a password; written anew here, with few rounds."""
    credentials = {}
    for mechanism in mechanisms:
        name = HASHES[mechanism]
        secret = password.encode()
        if name == "sha1":
            secret = hashlib.md5(f"{username}:mongo:{password}".encode()).hexdigest().encode()  # noqa: S324
        salted = hashlib.pbkdf2_hmac(name, secret, b"salt", 2)
        stored = hashlib.new(name, hmac.new(salted, b"Client Key", name).digest()).digest()
        credentials[mechanism] = {
            "iterationCount": 2,
            "salt": base64.b64encode(b"salt").decode(),
            "storedKey": base64.b64encode(stored).decode(),
        }
    return credentials


class Server:
    """Three members of which one is primary. What it has, a majority has, unless a fault says otherwise."""

    def __init__(self) -> None:
        self.primary = 0
        self.term = 1
        self.users: dict[tuple[str, str], dict[str, t.Any]] = {}
        self.roles: dict[tuple[str, str], dict[str, t.Any]] = {}
        #: what becomes of the n-th write from now; writes beyond are taken
        self.faults: list[t.Optional[str]] = []
        self.written: list[str] = []
        #: whether everything that was written is with a majority
        self.settled = True
        self.create("admin", "root", "first", [{"role": "root", "db": "admin"}])

    def create(self, database: str, name: str, password: str, roles: t.Sequence[t.Any] = ()) -> None:
        both = list(HASHES)
        self.users[database, name] = {"pwd": password, "roles": list(roles), "mechanisms": both, "restrictions": []}

    def step_down(self) -> None:
        self.primary = (self.primary + 1) % 3
        self.term += 1
        self.settled = True

    def hello(self, ordinal: int) -> Hello:
        state = "PRIMARY" if ordinal == self.primary else "SECONDARY"
        return Hello("shop", 3, HOSTS[ordinal], state, term=self.term, primary=HOSTS[self.primary])

    def lets_in(self, credentials: t.Optional[Credentials]) -> bool:
        if not credentials:
            return False
        found = self.users.get(("admin", credentials.username))
        return bool(found and found["pwd"] in [way.password for way in credentials.ways])

    def command(self, ordinal: int, name: str, value: t.Any, database: str, more: dict[str, t.Any]) -> dict[str, t.Any]:
        if name in ("usersInfo", "rolesInfo"):
            return {**self._told(name, value), "operationTime": "now"}
        if name == "find":
            assert more["readConcern"] == {"level": "majority", "afterClusterTime": "now"}
            if not self.settled:
                self.settled = True
                raise CommandError(_client.MAX_TIME_EXPIRED, "operation exceeded time limit")
            return {"ok": 1}
        if ordinal != self.primary:
            raise CommandError(10107, "not primary")
        assert more["writeConcern"]["w"] == "majority"
        fault = self.faults.pop(0) if self.faults else None
        if fault == KILLED_BEFORE:
            raise Killed
        if fault == UNHEARD:
            raise NoAnswer("reset")
        if fault == STEPPED_DOWN:
            self.step_down()
            raise CommandError(11602, "interrupted")
        before = copy.deepcopy((self.users, self.roles))
        self._do(name, value, database, more)
        self.written.append(name)
        if fault == KILLED_AFTER:
            raise Killed
        if fault == UNTOLD:
            raise NoAnswer("reset")
        if fault == LATE:
            self.settled = False
            return {"ok": 1, "writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}
        if fault == ROLLED_BACK:
            self.users, self.roles = before
            self.step_down()
            return {"ok": 1, "writeConcernError": {"code": 91, "errmsg": "stepped down"}}
        self.settled = True
        return {"ok": 1}

    def _do(self, name: str, value: t.Any, database: str, more: dict[str, t.Any]) -> None:
        place = self.roles if name.endswith("Role") else self.users
        key = (database, value)
        if name.startswith("create"):
            if key in place:
                raise CommandError(_client.ROLE_EXISTS if place is self.roles else _client.USER_EXISTS, "exists")
            fresh = {"roles": [], "privileges": [], "restrictions": [], "mechanisms": list(HASHES)}
            place[key] = fresh
        elif key not in place:
            raise CommandError(_client.ROLE_NOT_FOUND if place is self.roles else _client.USER_NOT_FOUND, "none")
        if name.startswith("drop"):
            del place[key]
            return
        for role in more.get("roles", ()):
            if place is self.roles and (role["db"], role["role"]) not in self.roles and role["role"] not in ("read",):
                raise CommandError(_client.ROLE_NOT_FOUND, f"Could not find role: {role['role']}@{role['db']}")
        if "mechanisms" in more and "pwd" not in more:
            assert set(more["mechanisms"]) <= set(place[key]["mechanisms"])
        if "pwd" in more and "mechanisms" not in more:
            place[key]["mechanisms"] = list(HASHES)
        fields = ("pwd", "roles", "mechanisms", "privileges")
        place[key].update({field: more[field] for field in fields if field in more})
        if "authenticationRestrictions" in more:
            place[key]["restrictions"] = more["authenticationRestrictions"]

    def _told(self, name: str, value: t.Any) -> dict[str, t.Any]:
        asked = value if isinstance(value, list) else [value]
        if name == "rolesInfo":
            keys = [(one["db"], one["role"]) for one in asked]
            return {"roles": [self._role(key) for key in keys if key in self.roles]}
        keys = [(one["db"], one["user"]) for one in asked]
        return {"users": [self._user(key) for key in keys if key in self.users]}

    def _user(self, key: tuple[str, str]) -> dict[str, t.Any]:
        user = self.users[key]
        external = key[0] == "$external"
        return {
            "user": key[1],
            "db": key[0],
            "roles": user["roles"],
            "mechanisms": ["external"] if external else user["mechanisms"],
            "authenticationRestrictions": user["restrictions"],
            "credentials": {"external": True} if external else kept_of(key[1], user["pwd"], user["mechanisms"]),
        }

    def _role(self, key: tuple[str, str]) -> dict[str, t.Any]:
        role = self.roles[key]
        return {
            "role": key[1],
            "db": key[0],
            "roles": role["roles"],
            "privileges": role["privileges"],
            # As the real one does: one list more than for users.
            "authenticationRestrictions": [role["restrictions"]] if role["restrictions"] else [],
            "isBuiltin": False,
        }


class Api:
    """The Secrets of one namespace. Each write is a compare-and-set where it names a version."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, t.Any]] = {}
        self.faults: list[t.Optional[str]] = []
        self.written: list[str] = []
        self._version = 0
        self.put("shop-root", {"username": "root", "password": "first"})

    def put(self, name: str, data: dict[str, str], **metadata: t.Any) -> None:
        self._version += 1
        self.secrets[name] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": "ns",
                "uid": name,
                "resourceVersion": str(self._version),
                "annotations": {},
                **metadata,
            },
            "data": {key: text64(value) for key, value in data.items()},
        }

    def texts(self, name: str) -> dict[str, str]:
        return {key: base64.b64decode(value).decode() for key, value in self.secrets[name]["data"].items()}

    def get(self, _api_version: str, kind: str, name: str, _namespace: t.Optional[str] = None) -> t.Any:
        assert kind == "Secret"
        return copy.deepcopy(self.secrets.get(name))

    def create(self, wanted: dict[str, t.Any]) -> None:
        after = self._fault()
        name = wanted["metadata"]["name"]
        if name in self.secrets:
            raise ApiError("exists", 409, "AlreadyExists")
        self.put(name, {})
        self.secrets[name]["metadata"].update(wanted["metadata"])
        self.secrets[name]["data"] = dict(wanted["data"])
        self.written.append(f"create {name}")
        after()

    def merge(self, _api: str, _kind: str, name: str, _namespace: str, patch: dict[str, t.Any]) -> None:
        after = self._fault()
        found = self.secrets.get(name)
        if found is None:
            raise ApiError("none", 404, "NotFound")
        metadata = found["metadata"]
        if patch["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            raise ApiError("changed", 409, "Conflict")
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        for place, change in (
            (metadata["annotations"], patch["metadata"].get("annotations")),
            (found["data"], patch["data"]),
        ):
            for key, value in (change or {}).items():
                place.pop(key, None)
                if value is not None:
                    place[key] = value
        self.written.append(f"merge {name}")
        after()

    def delete(self, _api: str, _kind: str, name: str, _namespace: str, uid: t.Optional[str] = None) -> bool:
        after = self._fault()
        self.written.append(f"delete {name}")
        gone = self.secrets.pop(name, None) is not None
        after()
        return gone

    def _fault(self) -> t.Callable[[], None]:
        """Die here where that is due; what is called after the write dies there."""
        fault = self.faults.pop(0) if self.faults else None

        def after() -> None:
            if fault == KILLED_AFTER:
                raise Killed

        if fault == KILLED_BEFORE:
            raise Killed
        return after


class Member:
    """A link to one member."""

    def __init__(self, server: Server, ordinal: int) -> None:
        self.server, self.ordinal = server, ordinal

    def client(self, login: bool) -> Member:
        assert login
        return self

    def command(self, name: str, value: t.Any = 1, seconds: float = 0, database: str = "admin", **more: t.Any) -> t.Any:
        return copy.deepcopy(self.server.command(self.ordinal, name, value, database, more))


class Watcher:
    """The Observer of this set. As the real one it reads the root Secret once, and again when it is locked out."""

    def __init__(self, server: Server, api: Api, formed: bool = True) -> None:
        self.server, self.cluster, self.formed = server, api, formed
        self.target = TARGET
        self.links = {ordinal: Member(server, ordinal) for ordinal in range(3)}
        self.selector = ""
        self.silent: set[int] = set()
        self.turns: list[t.Callable[[], None]] = []
        self._credentials: t.Optional[Credentials] = None

    def _read(self) -> t.Optional[Credentials]:
        secret = self.cluster.secrets.get("shop-root")
        if not secret:
            return None
        password = decoded(secret, "password")
        assert password
        return Credentials("root", password, others(secret))

    def objects(self) -> Snapshot:
        self._credentials = self._credentials or self._read()
        return Snapshot(
            StatefulSet("uid", "1", 3, "shop", recorded="id1" if self.formed else ""),
            {ordinal: Pod(f"shop-{ordinal}") for ordinal in range(3)},
            secret=self._credentials is not None,
            root_user="root" if self._credentials else "",
        )

    def hello(self, pod: Pod) -> Hello:
        ordinal = int(pod.name[-1])
        if ordinal in self.silent or not self.formed:
            raise NoAnswer("silent")
        return self.server.hello(ordinal)

    def ask(self, ordinal: int) -> Answer:
        if not self.server.lets_in(self._credentials):
            self._credentials = self._read()
        if not self.server.lets_in(self._credentials):
            return Answer(Kind.REFUSED, "no")
        state = "PRIMARY" if ordinal == self.server.primary else "SECONDARY"
        return Answer(Kind.MEMBER, state=state, set_name="shop", config=CONFIG)

    def pause(self, _seconds: float) -> None:
        if self.turns:
            self.turns.pop(0)()


class FreeLock:
    held = True

    def check(self) -> None:
        pass

    release = check


class Task:
    params: t.ClassVar[dict[str, t.Any]] = {}
    diff_mode = False

    def __init__(self, check_mode: bool = False) -> None:
        self.check_mode = check_mode
        self.concealed: set[str] = set()
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def progress(self, line: str) -> None:
        self.lines.append(line)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def conceal(self, values: t.Iterable[str]) -> None:
        self.concealed.update(values)

    def abandoned(self) -> bool:
        return False

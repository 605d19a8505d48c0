# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client of its own: fills a set, writes numbered documents to it, and tells what a set holds.

Usage: outside.py KUBECONFIG NAMESPACE COMMAND ...

- ``seed SET``: what no writer changes, of every kind that a database knows;
- ``more SET``: a hundred documents more, in a collection of their own;
- ``write SET LOG STOP``: everything that a backup may meet, until the file STOP is there. Every write that was
  acknowledged is a line of LOG, with its position in the oplog;
- ``acknowledged SET LOG POSITION``: which of them are there; POSITION is the first that must not be there;
- ``middle LOG AFTER``: a position in the middle of what was written after one;
- ``same SET SET``: what is different in two sets at rest;
- ``login SET USER PASSWORD``: whether a user is let in.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import secrets
import sys
import threading
import time
from urllib.parse import quote_plus

import pymongo
from ansible.plugins.loader import init_plugin_loader
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure, PyMongoError

init_plugin_loader()

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect  # noqa: E402
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel  # noqa: E402

RAW = CodecOptions(RawBSONDocument)
BIG = 12000
NO_DATA = ("admin", "config", "local")


class Sets:
    def __init__(self, kubeconfig, namespace):
        # Kept open to the end of the process.
        self._connecting = connect({"kubeconfig": kubeconfig})
        self.cluster = self._connecting.__enter__()
        self.namespace = namespace

    def member(self, pod, user="", password=""):
        if not user:
            name = pod.rpartition("-")[0]
            data = self.cluster.get("v1", "Secret", f"{name}-root", self.namespace)["data"]
            user, password = (base64.b64decode(data[key]).decode() for key in ("username", "password"))
        tunnel = Tunnel(self.cluster, self.namespace, pod, 27017)
        return pymongo.MongoClient(
            f"mongodb://{quote_plus(tunnel.path)}",
            directConnection=True,
            username=user,
            password=password,
            authSource="admin",
            retryWrites=False,
            serverSelectionTimeoutMS=20000,
        )

    def primary(self, name):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for ordinal in range(3):
                if self.cluster.get("v1", "Pod", f"{name}-{ordinal}", self.namespace):
                    client = self.member(f"{name}-{ordinal}")
                    try:
                        if client.admin.command("hello")["isWritablePrimary"]:
                            return client
                    except PyMongoError:
                        pass
            time.sleep(0.2)
        raise SystemExit(f"{name} has no primary")


def seed(client):
    for name in client.list_database_names():
        if name not in NO_DATA:
            client.drop_database(name)
    base = client.base
    for start in range(0, BIG, 1000):
        base.big.insert_many([{"_id": n, "pad": os.urandom(100).hex()} for n in range(start, start + 1000)])
    base.create_collection("words", collation={"locale": "de", "strength": 2})
    base.words.create_index("word", unique=True)
    base.words.insert_many([{"word": "Ä"}, {"word": "b"}])
    base.create_collection("checked", validator={"n": {"$type": "int"}}, validationAction="error")
    base.checked.insert_one({"n": 1})
    base.command({"insert": "checked", "documents": [{"n": "no number"}], "bypassDocumentValidation": True})
    base["od d/näme;?%"].insert_one({"_id": 1})
    base["long" * 60].insert_one({"_id": 1})
    base.old.create_index("at", expireAfterSeconds=10**8, partialFilterExpression={"n": {"$gt": 1}})
    base.create_collection("view", viewOn="words", pipeline=[{"$match": {"word": "b"}}])
    base.create_collection("round", capped=True, size=50000, max=100)
    base.round.insert_many([{"_id": n} for n in range(150)])
    base.create_collection("weather", timeseries={"timeField": "at", "metaField": "place"})
    day = datetime.datetime(2026, 1, 1)
    base.weather.insert_many([{"at": day + datetime.timedelta(minutes=n), "place": n % 3, "t": n} for n in range(300)])
    base.weather.create_index([("place", 1), ("at", 1)])
    client.admin.notes.drop()
    client.admin.notes.insert_one({"_id": 1, "of": "an application that keeps its data in admin"})
    for name in ("teller", "auditor"):
        with contextlib.suppress(OperationFailure):
            client.admin.command("dropUser", name)
    client.base.command({"dropAllRolesFromDatabase": 1})
    client.base.command({"createRole": "counting", "privileges": [], "roles": ["read"]})
    client.admin.command(
        {"createUser": "teller", "pwd": "tellers-password", "roles": [{"role": "counting", "db": "base"}]}
    )


class Writer:
    def __init__(self, sets, name, log, stop):
        self.sets, self.name = sets, name
        self.client = sets.primary(name)
        self._numbers = collections.Counter()
        self.stop = pathlib.Path(stop)
        self._log = pathlib.Path(log)
        self._lock = threading.Lock()

    def going(self):
        # The folder goes at the end of a test, however it ends.
        return self.stop.parent.exists() and not self.stop.exists()

    def note(self, session, ids):
        stamp = session.operation_time
        with self._lock, self._log.open("a") as file:
            file.write(json.dumps([stamp.time, stamp.inc, ids]) + "\n")

    def prepare(self):
        """All that comes before the first write; an election in the middle of it is none of this test's business."""
        while True:
            try:
                for name in ("live", "ddl"):
                    self.client.drop_database(name)
                for name in ("one", "two", "left", "right"):
                    self.client.live.create_collection(name)
                self.client.live.create_collection("series", timeseries={"timeField": "at"})
            except PyMongoError:
                self.client = self.sets.primary(self.name)
            else:
                return

    def run(self):
        self.prepare()
        works = [lambda: self.insert("one"), lambda: self.insert("two"), self.transfer, self.define, self.churn]
        failed = []

        def guarded(work):
            while self.going():
                try:
                    work()
                except PyMongoError:
                    # An election: what was under way may have been written or not, and is not in the log.
                    self.client = self.sets.primary(self.name)
                except Exception as exc:
                    failed.append(repr(exc))
                    self.stop.touch()

        threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise SystemExit("; ".join(failed))

    def number(self, of):
        """Each only once, whatever became of it."""
        self._numbers[of] += 1
        return self._numbers[of] - 1

    def insert(self, name):
        live = self.client.live
        with self.client.start_session() as session:
            while self.going():
                number = self.number(name)
                live[name].insert_one({"_id": number, "pad": "x" * secrets.randbelow(300)}, session=session)
                self.note(session, [[name, number]])
                live[name].update_one({"_id": number - 3}, {"$set": {"seen": number}, "$push": {"by": number}})

    def transfer(self):
        """Transactions: some of more than one entry of the oplog, some given up."""
        live = self.client.live
        with self.client.start_session() as session:
            while self.going():
                number = self.number("transfer")
                session.start_transaction()
                live.left.insert_one({"_id": number}, session=session)
                live.right.insert_one({"_id": number}, session=session)
                if number % 50 == 7:
                    # More than the 16 MB of one entry.
                    many = [{"_id": f"{number} {n}", "pad": "z" * 400000} for n in range(43)]
                    live.left.insert_many(many, session=session)
                if number % 5 == 1:
                    session.abort_transaction()
                else:
                    session.commit_transaction()
                    self.note(session, [["left", number], ["right", number]])
                time.sleep(0.05)

    def define(self):
        """Collections that come, are indexed, renamed, replaced and dropped."""
        ddl = self.client.ddl
        while self.going():
            number = self.number("define")
            made, kept = f"made{number}", f"kept{number}"
            ddl[made].insert_many([{"_id": n, "n": n % 7} for n in range(50)])
            ddl[made].create_index([("n", 1), ("_id", -1)], name="by_n")
            ddl[made].rename(kept)
            ddl[kept].update_many({"_id": {"$lt": 20}}, {"$set": {"after": True}})
            ddl[kept].create_index("after", name="gone")
            ddl[kept].drop_index("gone")
            ddl.command({"collMod": kept, "index": {"name": "by_n", "hidden": True}})
            ddl.command({"collMod": kept, "validator": {"n": {"$exists": True}}})
            ddl.create_collection(f"view{number}", viewOn=kept, pipeline=[{"$match": {"after": True}}])
            ddl.command({"collMod": f"view{number}", "viewOn": kept, "pipeline": [{"$match": {"n": 1}}]})
            ddl[made].insert_one({"_id": "of the same name, and another one"})
            ddl.coming.insert_one({"_id": number})
            ddl.coming.rename("current", dropTarget=True)
            if number > 2:
                ddl[f"kept{number - 2}"].drop()
                ddl[f"view{number - 2}"].drop()
                ddl[f"made{number - 2}"].drop()
            time.sleep(0.2)

    def churn(self):
        """The large collection: documents are changed, deleted and made again; an index comes and goes."""
        big = self.client.base.big
        while self.going():
            number = self.number("churn")
            for _n in range(20):
                one = secrets.randbelow(BIG)
                big.update_one({"_id": one}, {"$set": {"changed": number}, "$push": {"list": number}})
                big.delete_one({"_id": secrets.randbelow(BIG)})
                if secrets.randbelow(2):
                    big.replace_one({"_id": one}, {"again": number}, upsert=True)
            self.client.live.series.insert_one({"at": datetime.datetime(2026, 1, 1, 0, number % 60), "n": number})
            if number % 10 == 5:
                big.create_index("changed", name="changed", sparse=True)
            if number % 10 == 9:
                big.drop_index("changed")


def lines(log):
    for line in pathlib.Path(log).read_text().splitlines():
        seconds, ordinal, ids = json.loads(line)
        yield (seconds, ordinal), ids


def position(text):
    seconds, ordinal = text.split(":")
    return int(seconds), int(ordinal)


def acknowledged(client, log, first_not):
    limit = position(first_not)
    held = {
        name: {one["_id"] for one in client.live[name].find({}, {"_id": 1})} for name in ("one", "two", "left", "right")
    }
    found = {"before": 0, "after": 0, "lost": [], "too_late": []}
    for at, ids in lines(log):
        found["before" if at < limit else "after"] += 1
        for name, number in ids:
            if (at < limit) != (number in held[name]):
                found["lost" if at < limit else "too_late"].append([name, number])
    return found


def middle(log, after):
    late = sorted(at for at, _ids in lines(log) if at > position(after))
    found = late[len(late) // 2]
    return {"position": f"{found[0]}:{found[1]}", "written": len(late)}


def contents(client, database, name):
    total = count = 0
    cursor = client[database].command({"find": name, "batchSize": 5000}, codec_options=RAW)["cursor"]
    while True:
        for one in cursor.get("firstBatch", cursor.get("nextBatch")):
            total ^= int.from_bytes(hashlib.sha256(one.raw).digest(), "big")
            count += 1
        if not cursor["id"]:
            return count, f"{total:x}"
        more = {"getMore": cursor["id"], "collection": name, "batchSize": 5000}
        cursor = client[database].command(more, codec_options=RAW)["cursor"]


def described(client):
    """Everything about a set but the ids of its collections."""
    found = {}
    for database in client.list_database_names():
        if database in ("config", "local"):
            continue
        for one in client[database].command("listCollections")["cursor"]["firstBatch"]:
            name = one["name"]
            if name == "system.views" or (database == "admin" and name.startswith("system.")):
                continue
            about = {"type": one["type"], "options": one["options"]}
            if one["type"] != "view":
                indexes = client[database].command("listIndexes", name)["cursor"]["firstBatch"]
                about["indexes"] = sorted(json.dumps(index, default=str) for index in indexes)
                about["contents"] = contents(client, database, name)
            found[f"{database}.{name}"] = json.loads(json.dumps(about, default=str))
    return found


def same(first, second):
    one, other = described(first), described(second)
    different = {name: [one.get(name), other.get(name)] for name in sorted(one.keys() | other.keys())}
    return {"collections": len(one), "different": {name: two for name, two in different.items() if two[0] != two[1]}}


def login(sets, name, user, password):
    try:
        return {
            "roles": sets.member(f"{name}-0", user, password).base.command("connectionStatus")["authInfo"][
                "authenticatedUserRoles"
            ]
        }
    except OperationFailure as exc:
        return {"refused": exc.code}


def main():
    kubeconfig, namespace, command, *rest = sys.argv[1:]
    sets = Sets(kubeconfig, namespace)
    found = {}
    if command == "seed":
        seed(sets.primary(rest[0]))
    elif command == "more":
        sets.primary(rest[0]).base.more.insert_many([{"_id": number} for number in range(100)])
    elif command == "write":
        Writer(sets, *rest).run()
    elif command == "acknowledged":
        found = acknowledged(sets.primary(rest[0]), *rest[1:])
    elif command == "middle":
        found = middle(*rest)
    elif command == "same":
        found = same(*(sets.primary(name) for name in rest))
    elif command == "login":
        found = login(sets, *rest)
    else:
        raise SystemExit(f"no such command: {command}")
    print(json.dumps(found, default=str), flush=True)
    os._exit(0)  # tunnels have threads


if __name__ == "__main__":
    main()

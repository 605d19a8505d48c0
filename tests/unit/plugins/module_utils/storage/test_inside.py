# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of a volume that was used: by the programs, run here on real folders, and by those who read their words.

A real MongoDB directory is looked into by the integration target persistent_volumes.
"""

from __future__ import annotations

import itertools
import pathlib
import shutil
import subprocess
import typing as t

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._storage import _inside_script as script
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside import (
    EMPTY,
    IDENTITY,
    SEVERAL,
    UNKNOWN,
    Expected,
    Inside,
    differs,
    judge,
    next_user,
    replica_sets,
    why_not,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_script import read, shell
from ansible_collections.stateful.kube.plugins.modules.persistent_volumes import SPECIFICATION

TOOLS = ["base64", "cat", "cut", "find", "grep", "head", "id", "ls", "od", "rm", "sed", "sh", "stat", "tr", "wc"]
SET_ID = "6b021cb61517b3dd1959bfa0"


@pytest.fixture(params=["gnu", "busybox"])
def path(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """A PATH with nothing but the tools that the programs need, of one kind or the other."""
    tools = tmp_path / "tools"
    tools.mkdir()
    busybox = shutil.which("busybox")
    if request.param == "busybox" and not busybox:
        pytest.skip("there is no busybox on this machine; the integration target uses its image")
    for name in TOOLS:
        target = busybox if request.param == "busybox" else shutil.which(name)
        (tools / name).symlink_to(t.cast("str", target))
    return str(tools)


def run(path: str, program: str, *arguments: object) -> str:
    command = shell(program, *arguments)
    done = subprocess.run(
        [f"{path}/sh", *command[1:]], check=False, capture_output=True, text=True, timeout=60, env={"PATH": path}
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def look(path: str, volume: pathlib.Path, scratch: pathlib.Path) -> Inside:
    return judge(run(path, script.LOOK, volume), run(path, script.COUNT, volume, scratch))


@pytest.fixture
def volume(tmp_path: pathlib.Path) -> pathlib.Path:
    made = tmp_path / "a volume"
    made.mkdir()
    return made


def put(folder: pathlib.Path, **files: t.Union[str, bytes]) -> None:
    for name, content in files.items():
        file = folder / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


def configuration(name: str, set_id: str = SET_ID, members: int = 3) -> bytes:
    found: bytes = bson.encode(
        {
            "_id": name,
            "version": 3,
            "term": bson.Int64(2),
            "members": [{"_id": n, "host": f"shop-{n}.shop:27017", "votes": 1} for n in range(members)],
            "settings": {"chainingAllowed": True, "replicaSetId": bson.ObjectId(set_id)},
        }
    )
    return found


def page(*documents: bytes) -> bytes:
    """A file of pages with a document each, padded as a storage engine does."""
    return b"".join((b"\x41\xd8\x01\x00" + document).ljust(4096, b"\0") for document in documents)


def mongodb(folder: pathlib.Path, pages: bytes, lock: str = "") -> None:
    put(folder, WiredTiger="WiredTiger", **{"storage.bson": "x", "mongod.lock": lock})
    put(folder, **{"collection-0-1.wt": b"\0nothing\0", "collection-15-1.wt": pages, "index-1-1.wt": pages})


# The programs, on real folders


def test_a_replica_set_is_known_by_its_configuration(path: str, volume: pathlib.Path, tmp_path: pathlib.Path) -> None:
    mongodb(volume, page(configuration("shop"), configuration("shop", members=1)))
    found = look(path, volume, tmp_path)
    assert (found.engine, found.folder, found.clean, found.problem) == ("mongodb", "", True, "")
    assert found.identity == {"replica_set": "shop", "replica_set_id": SET_ID}
    assert (found.files, found.bytes) == (6, 10 + 1 + 0 + 9 + 2 * 8192)
    assert found.newest.startswith("20")


def test_databases_in_folders_of_their_own_are_found(path: str, volume: pathlib.Path, tmp_path: pathlib.Path) -> None:
    data = volume / "data" / "db"
    put(data, WiredTiger="x", **{"_mdb_catalog.wt": "x", "mongod.lock": "17"})
    put(data, **{"local__collection__0-1.wt": page(configuration("shop"))})
    found = look(path, volume, tmp_path)
    assert (found.engine, found.folder, found.clean) == ("mongodb", "/data/db", False)
    assert found.identity["replica_set"] == "shop"
    assert "not shut down cleanly" in found.sentence()


def test_a_server_without_replica_set_has_no_identity(path: str, volume: pathlib.Path, tmp_path: pathlib.Path) -> None:
    mongodb(volume, b"\0" * 4096)
    found = look(path, volume, tmp_path)
    assert (found.engine, dict(found.identity)) == ("mongodb", {})
    assert "its replica set cannot be told" in found.problem


def test_files_of_two_replica_sets_have_no_identity(path: str, volume: pathlib.Path, tmp_path: pathlib.Path) -> None:
    mongodb(volume, page(configuration("shop"), configuration("other", "0" * 24)))
    found = look(path, volume, tmp_path)
    assert dict(found.identity) == {}
    assert f"other ({'0' * 24}), shop ({SET_ID})" in found.problem


@pytest.mark.parametrize(
    ("files", "engine", "identity"),
    [
        ({"ibdata1": "x", "auto.cnf": "[auto]\nserver-uuid=aa-bb\n"}, "mysql", {"server_uuid": "aa-bb"}),
        (
            {"ibdata1": "x", "aria_log_control": "x", "grastate.dat": "# GALERA\nversion: 2.1\nuuid:    cc-dd\n"},
            "mariadb",
            {"cluster_id": "cc-dd"},
        ),
        (
            {"PG_VERSION": "16\n", "global__pg_control": (7300000000000000001).to_bytes(8, "little") + b"rest"},
            "postgresql",
            {"system_identifier": "7300000000000000001"},
        ),
        (
            {".minio.sys__format.json": '{"version":"1","format":"xl",\n"id":"ee-ff","xl":{"this":"gg"}}'},
            "minio",
            {"deployment_id": "ee-ff"},
        ),
        ({"rabbit@shop-0__quorum__x": ""}, "rabbitmq", {"node_name": "rabbit@shop-0"}),
        ({"data__system__local-7ad5__x": "", "commitlog__x": ""}, "cassandra", {}),
        ({"STORAGE_MIN_VERSION": "x", "MANIFEST-1": "x"}, "cockroachdb", {}),
    ],
)
@pytest.mark.parametrize("folder", ["", "data"])
def test_an_engine_is_known_by_its_files(
    path: str,
    volume: pathlib.Path,
    tmp_path: pathlib.Path,
    files: dict[str, t.Any],
    engine: str,
    identity: dict[str, str],
    folder: str,
) -> None:
    put(volume / folder, **files)
    (volume / "lost+found").mkdir()
    found = look(path, volume, tmp_path)
    assert (found.engine, dict(found.identity)) == (engine, identity)
    assert found.folder == (f"/{folder}" if folder else "")
    assert bool(found.problem) is not bool(identity)


def test_an_empty_volume_is_called_so(path: str, volume: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (volume / "lost+found").mkdir()
    found = look(path, volume, tmp_path)
    assert (found.engine, found.files, found.bytes, found.newest) == (EMPTY, 0, 0, "")


def test_files_of_no_engine_are_named(path: str, volume: pathlib.Path, tmp_path: pathlib.Path) -> None:
    put(volume, **{"index.html": "hello", "deep__er__page": "x", ".hidden": ""})
    found = look(path, volume, tmp_path)
    assert (found.engine, found.files, set(found.names)) == (UNKNOWN, 3, {"index.html", "deep", ".hidden"})


def test_two_engines_are_not_taken_for_one(path: str, volume: pathlib.Path, tmp_path: pathlib.Path) -> None:
    put(volume, a__ibdata1="x", b__ibdata1="x")
    found = look(path, volume, tmp_path)
    assert (found.engine, found.names) == (SEVERAL, ("mysql in /a", "mysql in /b"))


def test_a_link_leads_nowhere(path: str, volume: pathlib.Path, tmp_path: pathlib.Path) -> None:
    outside = tmp_path / "outside"
    put(outside, ibdata1="x")
    (volume / "data").symlink_to(outside)
    found = look(path, volume, tmp_path)
    assert (found.engine, found.files, found.names) == (UNKNOWN, 0, ("data",))
    assert read(run(path, script.WIPE, volume))["left"] == "0"
    assert (outside / "ibdata1").read_text() == "x"
    assert list(volume.iterdir()) == []


def test_wiping_removes_everything_but_what_is_of_the_file_system(path: str, volume: pathlib.Path) -> None:
    put(volume, **{"a__b__c": "x", ".hidden": "x", "..odd": "x", "with space__-rf": "x", "lost+found__1": "x"})
    assert read(run(path, script.WIPE, volume)) == {"left": "0", "said": ""}
    assert [one.name for one in volume.iterdir()] == ["lost+found"]


# Configurations of a replica set in the bytes of a file


@given(st.binary(max_size=300), st.integers(0, 200), st.text("abcxyz-", min_size=1, max_size=20))
def test_a_configuration_is_found_anywhere_and_only_whole(around: bytes, cut: int, name: str) -> None:
    whole = configuration(name)
    assert (name, SET_ID) in replica_sets(around + whole + around)
    assert replica_sets(whole[: len(whole) - 1 - cut]) == set()


@given(st.binary(max_size=2000))
def test_bytes_without_meaning_are_no_configuration(data: bytes) -> None:
    assert replica_sets(data + b"\x02_id\0" + data) == set()


# Who reads


@pytest.mark.parametrize(
    ("said", "reader"),
    [
        ({"uid": "999"}, None),
        ({"uid": "999", "blocked": "1000 1001"}, (1000, 1001)),
        ({"uid": "999", "unreadable": "0 0", "blocked": "5 5"}, (0, 0)),
        # A server that lets nobody be himself: the owner himself may not read it.
        ({"uid": "999", "blocked": "999 999"}, None),
    ],
)
def test_the_owner_of_what_is_closed_reads_it(said: dict[str, str], reader: t.Optional[tuple[int, int]]) -> None:
    assert next_user(said) == reader


def test_what_nobody_may_read_is_not_called_empty() -> None:
    found = judge("uid\t999\nroot\tdrwx------ 5 5\nblocked\t5 5\n", "files\t0\nbytes\t0\nnewest\t0\nunread\t1\n")
    assert (found.engine, found.files) == ("", None)
    assert found.problem == "user 999 may not read all of it (its top folder is drwx------ 5 5)"
    assert differs(Expected("pv", "mongodb"), found) == found.problem


def test_a_folder_that_hangs_is_told() -> None:
    assert judge("", "").problem == "the folder gave no answer in time"


# What was expected

SHOP = Inside("mongodb", identity={"replica_set": "shop", "replica_set_id": SET_ID})


@pytest.mark.parametrize(
    ("expected", "inside", "says"),
    [
        (Expected("pv", "mongodb", {"replica_set": "shop", "replica_set_id": SET_ID}), SHOP, ""),
        (Expected("pv", identity={"replica_set": "shop"}), SHOP, ""),
        (Expected("pv", "mongodb", {"replica_set": "other"}), SHOP, "it holds MongoDB, replica set shop"),
        (Expected("pv", identity={"replica_set_id": "0" * 24}), SHOP, f"replica set id {SET_ID}"),
        (Expected("pv", "mysql"), SHOP, "it holds MongoDB"),
        (Expected("pv", identity={"server_uuid": "a"}), SHOP, "its server uuid cannot be told"),
        (
            Expected("pv", identity={"replica_set": "shop"}),
            Inside("mongodb", problem="no checkpoint"),
            "its replica set cannot be told (no checkpoint)",
        ),
        (Expected("pv", "mongodb"), Inside(EMPTY), "it holds nothing"),
        (Expected("pv", "mongodb"), Inside(SEVERAL, names=("mongodb in /a",)), "it holds several engines"),
    ],
)
def test_only_the_expected_content_is_accepted(expected: Expected, inside: Inside, says: str) -> None:
    told = differs(expected, inside)
    assert says in told
    assert bool(told) is bool(says)


def test_every_identity_can_be_expected() -> None:
    options = t.cast("dict[str, t.Any]", SPECIFICATION["argument_spec"])["expect"]["options"]
    assert set(options) == {"volume", "engine", *IDENTITY}


# Which volumes are looked into

AFFINITY = {"nodeAffinity": {"required": {}}}


@pytest.mark.parametrize(
    ("spec", "kind", "tied", "hosts", "says"),
    [
        ({"nfs": {}}, "nfs", (), None, ""),
        ({"nfs": {}}, "nfs", (), ("a", "b"), ""),
        ({"local": {}, **AFFINITY}, "local", ("a",), ("a", "b"), ""),
        ({"local": {}, **AFFINITY}, "local", ("a",), ("b",), "no node has the host name a"),
        ({"local": {"fsType": "xfs"}, **AFFINITY}, "local", ("a",), ("a",), "might be attached twice"),
        ({"local": {}, "volumeMode": "Block", **AFFINITY}, "local", ("a",), ("a",), "might be attached twice"),
        ({"hostPath": {}}, "hostPath", (), ("a",), ""),
        ({"hostPath": {}}, "hostPath", (), ("a", "b"), "another folder on each node"),
        ({"hostPath": {}}, "hostPath", (), None, "another folder on each node"),
        ({"hostPath": {}, **AFFINITY}, "hostPath", ("a",), ("a", "b"), ""),
        ({"csi": {"driver": "ebs.csi.aws.com"}}, "csi", (), ("a",), "csi (ebs.csi.aws.com) is a device"),
        ({"iscsi": {}}, "iscsi", (), ("a",), "might be attached twice"),
        ({"cephfs": {}}, "", (), ("a",), "this kind is a device"),
    ],
)
def test_only_folders_are_looked_into(spec: dict[str, t.Any], kind: str, tied: t.Any, hosts: t.Any, says: str) -> None:
    told = why_not({"metadata": {}, "spec": spec}, kind, tied, hosts)
    assert says in told
    assert bool(told) is bool(says)


def test_what_is_being_deleted_is_not_looked_into() -> None:
    leaving = {"metadata": {"deletionTimestamp": "now"}, "spec": {"nfs": {}}}
    assert why_not(leaving, "nfs", (), None) == "the volume is being deleted"


@pytest.mark.parametrize("folder", ["", "/data"])
def test_the_sentence_has_no_gaps(folder: str) -> None:
    for clean, problem, files in itertools.product((None, False), ("", "why"), (None, 3)):
        told = Inside("mongodb", folder, clean=clean, files=files, bytes=1 << 20, problem=problem).sentence()
        assert told.startswith("Inside is MongoDB")
        assert told.endswith(".")
        assert "  " not in told
        assert "None" not in told

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shell around the server's programs, run on this machine with others in their place."""

from __future__ import annotations

import contextlib
import gzip
import os
import pathlib
import sys
import time
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _programs as programs
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._pipe import (
    Alive,
    Ended,
    Gone,
    Pods,
    unpacked,
)

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "cluster"))
from local_pod import LocalPod

PASSWORD = "pw'\\x\"1 $HOME"  # noqa: S105


class Idle:
    """A task whose parent lives, or not."""

    def __init__(self) -> None:
        self.gone = False
        self.lines: list[str] = []

    def abandoned(self) -> bool:
        return self.gone

    def progress(self, line: str) -> None:
        self.lines.append(line)


class Machine:
    """Programs by name, and a pod that has them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.task = Idle()
        self.pod = LocalPod({"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "OUT": str(folder / "out")})
        self.pods = Pods(self.pod.cluster, "shop", PASSWORD, Alive(t.cast("t.Any", self.task), "shop/shop"))

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text()

    def dump(self, flavour: str = "mysql") -> bytes:
        return b"".join(unpacked(self.pods.run("shop-0", programs.dump(flavour, "root", ["shop"]))))

    def load(self, text: bytes, size: int = 0) -> None:
        packed = gzip.compress(text)
        self.pods.feed("shop-0", programs.load("mysql", "root", size or len(packed)), [packed])

    def replay(self, text: str, flavour: str, until: str = "", after: str = "") -> str:
        packed = gzip.compress(text.encode())
        self.pods.feed("shop-0", programs.replay(flavour, "root", until, after, len(packed)), [packed])
        return self.out


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    made = Machine(tmp_path)
    made.program("mysql", 'echo "$MYSQL_PWD" >"$OUT.pw"; cat >"$OUT"')
    made.program("mariadb", 'cat >"$OUT"')
    # What a binary log says is here what is given.
    made.program("mysqlbinlog", 'echo "$@" >"$OUT.words"; cat')
    made.program("mariadb-binlog", 'echo "$@" >"$OUT.words"; cat')
    return made


def test_a_dump_comes_whole_and_the_password_is_on_no_command_line(machine: Machine) -> None:
    machine.program("mysqldump", 'echo "$MYSQL_PWD"; head -c 3000000 /dev/zero | tr "\\0" x; echo "$@" >"$OUT"')
    found = machine.dump()
    assert found == PASSWORD.encode() + b"\n" + b"x" * 3_000_000
    assert "--single-transaction" in machine.out
    assert PASSWORD not in machine.out
    assert not any(PASSWORD in word for process in machine.pod.processes for word in t.cast("t.Any", process.args))


def test_a_dump_whose_program_ends_with_an_error_is_none(machine: Machine) -> None:
    machine.program("mariadb-dump", "echo data; echo 'mariadb-dump: Error 1146: no such table' >&2; exit 2")
    with pytest.raises(Ended, match=r"mariadb-dump with 2: mariadb-dump: Error 1146"):
        machine.dump("mariadb")


def test_a_server_that_went_away_is_worth_another_try(machine: Machine) -> None:
    machine.program("mysqldump", "echo 'mysqldump: Error 2013: Lost connection to server during query' >&2; exit 3")
    with pytest.raises(Gone):
        machine.dump()


def test_a_connection_that_breaks_ends_the_dump_and_its_program(machine: Machine) -> None:
    machine.program("mysqldump", 'echo $$ >"$OUT"; head -c 500000 /dev/urandom; exec sleep 600')
    machine.pod.breaks_after = 100_000
    with pytest.raises(Gone):
        machine.dump()
    _await_end(int(machine.out))


def test_a_run_that_is_stopped_ends_a_dump_that_waits(machine: Machine) -> None:
    machine.program("mysqldump", 'echo $$ >"$OUT"; exec sleep 600')
    machine.task.gone = True
    with pytest.raises(Failure, match="the process that started this run is gone"):
        machine.dump()
    _await_end(int(machine.out or 0)) if (machine.folder / "out").exists() else None
    assert machine.pod.processes[0].wait(timeout=30) is not None


def _await_end(process: int) -> None:
    for _try in range(300):
        if not pathlib.Path(f"/proc/{process}").exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{process} goes on")


def test_what_is_loaded_is_what_was_given_and_no_more(machine: Machine) -> None:
    machine.load(b"SELECT 1;\n" * 100_000)
    assert machine.out == "DO GET_LOCK('stateful_kube_restore', 0);\n" + "SELECT 1;\n" * 100_000
    assert (machine.folder / "out.pw").read_text() == f"{PASSWORD}\n"


def test_a_server_that_refuses_what_is_loaded_is_told_in_its_own_words(machine: Machine) -> None:
    said = "ERROR 1064 (42000) at line 3: You have an error"
    machine.program("mysql", f"head -c 100 >/dev/null; echo '{said}' >&2; exit 1")
    with pytest.raises(Ended, match=r"the last one with 1: ERROR 1064 \(42000\) at line 3"):
        machine.load(os.urandom(3_000_000))


@pytest.mark.parametrize("status", [0, 1])
def test_however_a_load_ends_it_is_said_how_far_the_server_is(machine: Machine, status: int) -> None:
    """By the pod, because nobody else may be there any more."""
    said = programs.far("mysql", "this")
    machine.program("mysql", f'echo "$MYSQL_PWD" >>"$OUT.pw"; cat >>"$OUT"; echo END >>"$OUT"; exit {status}')
    packed = gzip.compress(b"SELECT 1;\n")
    for program in (
        programs.load("mysql", "root", len(packed), said),
        programs.replay("mysql", "root", "", "", len(packed), said),
    ):
        (machine.folder / "out").unlink(missing_ok=True)
        (machine.folder / "out.pw").unlink(missing_ok=True)
        with pytest.raises(Ended, match="the last one with 1") if status else contextlib.nullcontext():
            machine.pods.feed("shop-0", program, [packed])
        first, second = machine.out.split("END\n")[:2]
        assert first.endswith("SELECT 1;\n")
        assert second == f"SET SESSION sql_log_bin = 0; {said}\n"
        assert (machine.folder / "out.pw").read_text() == f"{PASSWORD}\n" * 2
    assert "@@GLOBAL.gtid_executed" in said
    assert "@@GLOBAL.gtid_binlog_state" in programs.far("mariadb", "this")


def test_a_file_that_is_damaged_is_told(machine: Machine) -> None:
    with pytest.raises(Ended, match="gzip with 1"):
        machine.pods.feed("shop-0", programs.load("mysql", "root", 200), [b"no gzip at all" * 100])


TEXT = """DELIMITER /*!*/;
# at 4
BINLOG '
3CQDaw9kAAAA
'/*!*/;
/*M!100001 SET @@session.gtid_domain_id=0*//*!*/;
/*M!100001 SET @@session.server_id=101*//*!*/;
/*!100001 SET @@session.gtid_seq_no=24*//*!*/;
SET TIMESTAMP=1/*!*/;
create table shop.later (id int comment '
GRANT nothing to nobody
')
/*!*/;
# at 5
CREATE USER 'a'@'%' IDENTIFIED WITH 'caching_sha2_password' AS 'x'
/*!*/;
SET TIMESTAMP=2/*!*/;
 grant select on *.*
  to a
/*!*/;
create or replace user b
/*!*/;
SET PASSWORD FOR 'root'@'%'='y'
/*!*/;
alter user root identified by 'x'
/*!*/;
DROP ROLE r
/*!*/;
REVOKE ALL ON *.* FROM a
/*!*/;
SET DEFAULT ROLE r FOR a
/*!*/;
DROP TABLE user
/*!*/;
alter table users add b int
/*!*/;
DELIMITER ;
"""


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_statements_about_accounts_and_whose_they_were_are_left_out(machine: Machine, flavour: str) -> None:
    found = machine.replay(TEXT, flavour)
    for left_out in ("server_id", "gtid_seq_no", "'a'@'%'", "grant select", "  to a", "user b", "PASSWORD"):
        assert left_out not in found
    for left_out in ("identified", "ROLE", "REVOKE"):
        assert left_out not in found
    for kept in ("gtid_domain_id=0", "GRANT nothing to nobody\n')\n/*!*/;", "DROP TABLE user\n", "alter table users"):
        assert kept in found
    assert found.count("SET TIMESTAMP") == 2
    assert "BINLOG '\n3CQDaw9kAAAA\n'/*!*/;\n" in found


def test_what_is_applied_is_behind_and_before_something(machine: Machine) -> None:
    machine.replay(TEXT, "mysql", "2026-11-22T10:00:00Z", "uuid:1-5")
    words = (machine.folder / "out.words").read_text()
    assert "--stop-datetime=2026-11-22 10:00:00 -" in words
    assert "--skip-gtids" in words
    assert "--exclude-gtids=uuid:1-5" in words
    machine.replay(TEXT, "mariadb", after="0-100-5")
    words = (machine.folder / "out.words").read_text()
    assert "--start-position=0-100-5" in words
    assert "stop-datetime" not in words


def test_a_binary_log_that_cannot_be_read_is_told(machine: Machine) -> None:
    machine.program("mysqlbinlog", "cat >/dev/null; echo 'ERROR: Could not read entry at offset 4' >&2; exit 1")
    with pytest.raises(Ended, match=r"mysqlbinlog with 1: ERROR: Could not read"):
        machine.replay(TEXT, "mysql")


def test_a_file_is_fetched(machine: Machine) -> None:
    (machine.folder / "binlog.000001").write_bytes(b"\xfebin" * 50_000)
    path = str(machine.folder / "binlog.000001")
    assert b"".join(unpacked(machine.pods.run("shop-0", programs.fetch(path)))) == b"\xfebin" * 50_000
    with pytest.raises(Ended, match=r"cat with 1: cat: .*No such file"):
        b"".join(unpacked(machine.pods.run("shop-0", programs.fetch(f"{path}9"))))


@pytest.mark.parametrize("data", [b"", gzip.compress(b"x" * 1000)[:-1], gzip.compress(b"x") + b"y", b"no gzip"])
def test_what_comes_has_to_be_whole(data: bytes) -> None:
    with pytest.raises(Ended):
        list(unpacked([data]))

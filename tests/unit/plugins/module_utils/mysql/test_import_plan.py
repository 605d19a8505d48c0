# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Credentials
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Desired
from ansible_collections.stateful.kube.plugins.module_utils._mysql._facts import problems
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import Wish as Failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import plan_failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import import _check as check
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import import _scripts as scripts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._plan import plan_import
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._state import (
    Local,
    Marker,
    Outside,
    Seen,
    Wish,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mysql._record import RESTORING, parse
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Record, Snapshot, Source
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import Wish as Switchover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import plan_switchover
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from three_servers import SILENT, TARGET, primary, replica, snapshot, with_pod

WISH = Wish("old", 3306, "old-login")
CUT_OVER = dataclasses.replace(WISH, cut_over=True, stop_writes=True)
STOP = "SYSTEM_VARIABLES_ADMIN"
RIGHTS = frozenset(
    ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "RELOAD", "REPLICATION SLAVE", "REPLICATION CLIENT", STOP]
)
OUTSIDE = Outside(
    variables={
        "version": "8.4.5",
        "server_id": "1",
        "log_bin": "ON",
        "binlog_format": "ROW",
        "gtid_mode": "ON",
        "gtid_executed": "",
        "read_only": "OFF",
        "lower_case_table_names": "0",
    },
    rights=RIGHTS,
    databases=("shop",),
    tables=("`shop`.`orders`",),
    encrypted=True,
)
LOCAL = Local("9.7.0", 100, accounts=("root@%",))
FRESH = snapshot([primary()])


def recorded(seen: Snapshot, **more: t.Any) -> Snapshot:
    return dataclasses.replace(seen, record=dataclasses.replace(t.cast(Record, seen.record), **more))


def server(source: t.Optional[Source] = None, **more: t.Any) -> Snapshot:
    """One server that takes no writes, while an import is on."""
    answer = dataclasses.replace(replica(0, None), source=source, **more)
    return recorded(snapshot([answer]), importing=WISH.source)


LOADED = dataclasses.replace(LOCAL, databases=("shop",), marker=Marker("old:3306", loaded=True))
FOLLOWS = server(Source("old", lag=2.0))


def planned(seen: Seen, wish: Wish = WISH) -> list[str]:
    found = plan_import(TARGET, wish, seen)
    assert isinstance(found, Plan), found
    return [step.action for step in found.steps]


def refused(seen: Seen, wish: Wish = WISH) -> str:
    found = plan_import(TARGET, wish, seen)
    assert isinstance(found, Refusal), found
    return found.sentence()


def outside(**variables: str) -> Outside:
    return dataclasses.replace(OUTSIDE, variables={**OUTSIDE.variables, **variables})


# In order

ALL = ["begin_import", "fence", "load", "wait", "follow", "wait"]


def test_the_whole_way_is_shown_before_anything_moves() -> None:
    assert planned(Seen(FRESH, LOCAL, OUTSIDE)) == ALL
    assert planned(Seen(FRESH, LOCAL, OUTSIDE), CUT_OVER) == [*ALL, "wait", "cut_over", "tidy", "promote"]


def test_a_killed_run_is_continued_where_it_was() -> None:
    writable = recorded(FRESH, importing=WISH.source)
    assert planned(Seen(writable, LOCAL, OUTSIDE)) == ALL[1:]
    assert planned(Seen(server(), LOCAL, OUTSIDE)) == ALL[2:]
    assert planned(Seen(server(), dataclasses.replace(LOCAL, loader=7), OUTSIDE)) == ALL[3:]
    half = dataclasses.replace(LOCAL, databases=("shop",), marker=Marker("old:3306", loaded=False))
    assert planned(Seen(server(), half, OUTSIDE)) == ALL[2:]
    assert planned(Seen(server(), LOADED, OUTSIDE)) == ALL[4:]
    assert planned(Seen(FOLLOWS, LOADED, OUTSIDE)) == []
    assert planned(Seen(FOLLOWS, LOADED, OUTSIDE), CUT_OVER) == ["cut_over", "tidy", "promote"]


def test_a_primary_that_still_has_its_own_row_is_fenced_although_it_is_read_only() -> None:
    assert planned(Seen(server(own=("shop-0", 1)), LOCAL, OUTSIDE))[0] == "fence"


def test_after_the_cut_over_what_it_left_is_done_and_then_nothing() -> None:
    over = recorded(FOLLOWS, importing="", imported=WISH.source)
    assert planned(Seen(over, LOADED), CUT_OVER)[:2] == ["tidy", "promote"]
    done = recorded(FRESH, imported=WISH.source)
    assert planned(Seen(done, dataclasses.replace(LOCAL, databases=("shop",))), CUT_OVER) == []
    assert planned(Seen(done, dataclasses.replace(LOCAL, databases=("shop",)))) == []


def test_a_load_of_another_source_is_none() -> None:
    other = dataclasses.replace(LOADED, marker=Marker("other:3306", loaded=True))
    assert planned(Seen(server(), other, OUTSIDE))[0] == "load"


def test_what_clients_wrote_before_the_server_took_no_writes_is_never_dropped() -> None:
    theirs = dataclasses.replace(LOCAL, databases=("mine",))
    absent = dataclasses.replace(WISH, present=False)
    for seen in (recorded(FRESH, importing=WISH.source), server()):
        said = refused(Seen(seen, theirs, OUTSIDE))
        assert "databases that are not of the import" in said
        assert "its databases: mine" in said
        assert "drop" not in planned(Seen(seen, theirs), absent)
    # What a load has begun is another matter.
    half = dataclasses.replace(theirs, marker=Marker("old:3306", loaded=False))
    assert planned(Seen(server(), half), absent)[0] == "drop"


def test_the_marker_of_an_earlier_import_is_removed_before_another_begins() -> None:
    former = dataclasses.replace(LOCAL, marker=Marker("older:3306", loaded=True))
    assert planned(Seen(recorded(FRESH, imported="older:3306"), former, OUTSIDE)) == ["tidy", *ALL]


def test_who_does_not_answer_is_waited_for() -> None:
    gone = recorded(snapshot([SILENT]), importing=WISH.source)
    assert planned(Seen(gone))[0] == "wait"


# What is refused


def test_an_application_with_data_replicas_or_old_claims_is_left_alone() -> None:
    full = dataclasses.replace(LOCAL, databases=("mine",))
    assert "its databases: mine" in refused(Seen(FRESH, full, OUTSIDE))
    three = snapshot([primary(), replica(1), replica(2)])
    assert "has more than one server" in refused(Seen(three, LOCAL, OUTSIDE))
    halfway = recorded(FRESH, restoring="shop-20261122T181141Z")
    assert "the backup: shop-20261122T181141Z" in refused(Seen(halfway, LOCAL, OUTSIDE))
    claims = dataclasses.replace(FRESH, claims={0: ("data-shop-0",), 1: ("data-shop-1",)})
    assert "the claims: data-shop-1" in refused(Seen(claims, LOCAL, OUTSIDE))


def test_nobody_who_takes_no_writes_is_begun_with() -> None:
    assert "takes no writes. Nothing was changed" in refused(Seen(snapshot([replica(0, None)]), LOCAL, OUTSIDE))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"log_bin": "OFF"}, "log_bin is OFF"),
        ({"binlog_format": "MIXED"}, "binlog_format is MIXED"),
        ({"gtid_mode": "ON_PERMISSIVE"}, "gtid_mode is ON_PERMISSIVE"),
        ({"server_id": "100"}, "server_id is 100"),
        ({"server_id": "101"}, "server_id is 101"),
        ({"server_id": "7101"}, "server_id is 7101"),
        ({"lower_case_table_names": "1"}, "lower_case_table_names is 1, and 0 here"),
        ({"version": "9.8.0"}, "is newer than shop"),
        ({"version": "10.11.6-MariaDB"}, "of another flavour"),
    ],
)
def test_a_source_that_cannot_be_followed_is_refused(variables: dict[str, str], words: str) -> None:
    assert words in refused(Seen(FRESH, LOCAL, outside(**variables)))


def test_a_source_of_the_same_or_an_older_version_is_taken() -> None:
    for version in ("9.7.1", "8.0.36", "5.7.44"):
        assert planned(Seen(FRESH, LOCAL, outside(version=version))) == ALL


def test_one_that_does_not_answer_is_named_with_what_it_said() -> None:
    assert "Access denied" in refused(Seen(FRESH, LOCAL, Outside(silence="ERROR 1045: Access denied")))


@pytest.mark.parametrize("right", sorted(RIGHTS - {STOP}))
def test_a_missing_right_is_named(right: str) -> None:
    less = dataclasses.replace(OUTSIDE, rights=RIGHTS - {right})
    assert f"it has no {right} on *.*" in refused(Seen(FRESH, LOCAL, less))


def test_rights_of_mariadb_go_by_their_own_names() -> None:
    mariadb = Outside(variables={"version": "10.11.6-MariaDB"}, rights=RIGHTS - {STOP})
    assert check.lacks(CUT_OVER, mariadb) == ["READ ONLY ADMIN"]
    assert check.lacks(CUT_OVER, dataclasses.replace(mariadb, rights=frozenset({"ALL PRIVILEGES"}))) == []


def test_tables_without_transactions_are_refused_unless_all_are_locked() -> None:
    other = dataclasses.replace(OUTSIDE, other_engines=("shop.log",))
    assert "the tables: shop.log" in refused(Seen(FRESH, LOCAL, other))
    assert planned(Seen(FRESH, LOCAL, other), dataclasses.replace(WISH, lock_tables=True)) == ALL


def test_another_source_meanwhile_is_refused() -> None:
    assert "imports from old:3306, and not from new:3306" in refused(
        Seen(FOLLOWS, LOADED, OUTSIDE), dataclasses.replace(WISH, host="new")
    )


def test_a_load_that_ended_with_an_error_is_not_begun_again_by_the_same_run() -> None:
    assert "mysqldump: gone" in refused(Seen(server(), LOCAL, OUTSIDE, load_error="mysqldump: gone"))


def test_replication_that_stopped_goes_on_once_and_is_named_then() -> None:
    stopped = server(Source("old", receiver="No", applier="Yes", lag=None, error="error 1236"))
    assert planned(Seen(stopped, LOADED, OUTSIDE))[0] == "resume"
    assert "error 1236" in refused(Seen(stopped, LOADED, OUTSIDE, resumed=True))
    broken = server(Source("old", applier="No", lag=None, error="error 1062", apply_error="error 1062"))
    assert planned(Seen(broken, LOADED, OUTSIDE))[0] == "resume"
    assert "cannot apply" in refused(Seen(broken, LOADED, OUTSIDE, resumed=True), CUT_OVER)


def test_nothing_is_cut_over_while_the_source_takes_writes_or_the_server_is_behind() -> None:
    alone = dataclasses.replace(CUT_OVER, stop_writes=False)
    assert "takes writes still" in refused(Seen(FOLLOWS, LOADED, OUTSIDE), alone)
    assert planned(Seen(FOLLOWS, LOADED, outside(read_only="ON")), alone)[0] == "cut_over"
    less = dataclasses.replace(OUTSIDE, rights=RIGHTS - {STOP})
    assert "no SYSTEM_VARIABLES_ADMIN" in refused(Seen(FOLLOWS, LOADED, less), CUT_OVER)
    behind = server(Source("old", lag=11.0))
    assert planned(Seen(behind, LOADED, OUTSIDE), CUT_OVER)[0] == "wait"
    unknown = server(Source("old", receiver="Connecting", lag=None))
    assert planned(Seen(unknown, LOADED, OUTSIDE), CUT_OVER)[0] == "wait"


# Without replication


def test_without_replication_the_source_is_read_only_from_the_beginning() -> None:
    once = dataclasses.replace(CUT_OVER, replicate=False, stop_writes=False)
    assert "takes writes still" in refused(Seen(FRESH, LOCAL, OUTSIDE), once)
    read_only = outside(read_only="ON")
    assert planned(Seen(FRESH, LOCAL, read_only), once) == [*ALL[:4], "cut_over", "tidy", "promote"]
    assert planned(Seen(server(), LOADED, read_only), once) == ["cut_over", "tidy", "promote"]


def params(**more: t.Any) -> dict[str, t.Any]:
    return {
        "source_host": "old",
        "source_port": 3306,
        "source_secret": "login",
        "state": "present",
        "lag_limit": 10,
        "cut_over": False,
        "stop_writes": False,
        "replicate": True,
        "lock_tables": False,
        "require_tls": False,
        "compare_rows": True,
        **more,
    }


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"source_host": "a b"}, "source_host: expected"),
        ({"source_port": 0}, "source_port: expected 1 to 65535, found 0"),
        ({"lag_limit": -1}, "lag_limit: expected 0 or more"),
        ({"replicate": False}, "needs cut_over: true"),
    ],
)
def test_options_are_checked(option: dict[str, t.Any], words: str) -> None:
    with pytest.raises(Failure, match=words):
        Wish.of(params(**option))
    assert Wish.of(params()).source == "old:3306"


# To give it up


def test_an_import_is_given_up_with_what_was_loaded() -> None:
    absent = dataclasses.replace(WISH, present=False)
    assert planned(Seen(FOLLOWS, LOADED), absent) == ["drop", "forget_import", "promote"]
    assert planned(Seen(server(), LOCAL), absent) == ["forget_import", "promote"]
    assert planned(Seen(FRESH, LOCAL), absent) == []


def test_what_was_cut_over_is_never_dropped() -> None:
    absent = dataclasses.replace(WISH, present=False)
    over = recorded(FOLLOWS, importing="", imported=WISH.source)
    assert "drop" not in planned(Seen(over, LOADED), absent)


# What others do meanwhile


def test_the_application_as_it_is_declared_is_left_alone() -> None:
    found = plan(TARGET, Desired(1), FOLLOWS)
    assert isinstance(found, Plan)
    assert found.steps == ()
    assert "takes no writes until the cut-over" in found.warnings[0]
    assert "is replaced" not in found.warnings[0]
    older = plan(TARGET, Desired(1), with_pod(FOLLOWS, 0, revision="old"))
    assert isinstance(older, Plan)
    assert older.steps == ()
    assert "Its pod is replaced by the first run after that" in older.warnings[0]


def test_replicas_another_primary_and_a_failover_are_refused() -> None:
    more = plan(TARGET, Desired(3), FOLLOWS)
    assert isinstance(more, Refusal)
    assert "has one server" in more.reason
    copies = recorded(snapshot([SILENT, replica(1)]), importing=WISH.source)
    assert isinstance(plan_failover(TARGET, Failover(without=("shop-0",)), copies), Refusal)
    assert isinstance(plan_switchover(TARGET, Switchover(), FOLLOWS), Refusal)


def test_status_names_the_import() -> None:
    assert "takes no writes until the import from old:3306" in problems(TARGET, FOLLOWS)[0]


def test_the_record_keeps_who_is_imported() -> None:
    data = {"epoch": "1", "primary": "shop-0", "members": "1", "importing": "old:3306", "imported": "older:3306"}
    record = parse({"metadata": {"resourceVersion": "1"}, "data": data}, TARGET)
    assert record
    assert (record.importing, record.imported, record.restoring) == ("old:3306", "older:3306", "")
    note = {"resourceVersion": "1", "annotations": {RESTORING: '{"backup": "shop-1"}'}}
    record = parse({"metadata": note, "data": data}, TARGET)
    assert record
    assert record.restoring == "shop-1"


# What is asked, and what is loaded


SAID = (
    "#variables\nversion\t8.4.5\ngtid_executed\ta:1-2,\\nb:3\n#grants\n"
    "GRANT SELECT, REPLICATION SLAVE ON *.* TO `i`@`%` IDENTIFIED BY PASSWORD '*AB'\n"
    "GRANT ALL PRIVILEGES ON `x`.* TO `i`@`%`\n"
    "#databases\nshop\n#mysql50#odd\n#tables\n`shop`.`t`\n"
    "#objects\nviews\t1\nroutines\t0\ntriggers\t0\nevents\t0\n#engines\nshop.z\nshop.log\n.\n#definers\n"
    "#accounts\ni@%\napp@%\n#encrypted\nSsl_cipher\tAES\n#log\nbinlog.1\t157\t\t\n#end\n"
)


def test_an_answer_is_read() -> None:
    seen = scripts.parse_look(SAID, "ERROR 1193: gtid_binlog_state", "i")
    assert seen.answers
    assert seen.variables["gtid_executed"] == "a:1-2,b:3"
    assert seen.rights == {"SELECT", "REPLICATION SLAVE"}
    assert seen.databases == ("shop", "#mysql50#odd")
    assert seen.accounts == ("app@%",)
    assert seen.objects == {"views": 1, "routines": 0, "triggers": 0, "events": 0}
    assert seen.other_engines == ("shop.log", "shop.z")
    assert seen.encrypted
    assert (seen.gtids, seen.position) == (False, "binlog.1:157")


def test_no_answer_says_why() -> None:
    said = scripts.parse_look("", "mysql: [Warning] x\nERROR 2003: Can't connect\n", "i")
    assert said.silence == "ERROR 2003: Can't connect"
    assert scripts.parse_look("#variables\nversion\t8\n", "", "i").silence


@pytest.mark.parametrize(
    ("without", "instead", "lacks"),
    [
        ("views\t1\nroutines\t0\ntriggers\t0\nevents\t0\n", "", "views, routines"),
        ("triggers\t0\n", "", "views, routines"),
        ("version\t8.4.5\n", "", "lacks version"),
        ("shop.z\nshop.log\n.\n", "", "not of InnoDB"),
        ("#engines\nshop.z\nshop.log\n.\n", "", "breaks off"),
        ("#objects\n", "", "breaks off"),
        ("gtid_executed\ta:1-2,\\nb:3\n", "gtid_mode\tON\n", "gtid_executed"),
        ("8.4.5\n", "11.4.2-MariaDB\ngtid_binlog_pos\t\n", "gtid_binlog_state"),
        ("8.4.5\n", "11.4.2-MariaDB\ngtid_binlog_state\t\n", "gtid_binlog_pos"),
    ],
)
def test_what_failed_is_not_taken_for_nothing(without: str, instead: str, lacks: str) -> None:
    assert without in SAID
    assert lacks in scripts.parse_look(SAID.replace(without, instead), "", "i").silence


def test_sets_of_transactions_are_asked_for_in_full() -> None:
    shown = next(line for line in scripts.LOOK.splitlines() if line.startswith("SHOW GLOBAL VARIABLES"))
    for name in ("gtid_executed", "gtid_binlog_state", "gtid_binlog_pos"):
        assert name not in shown
        assert f"\nSELECT '{name}', @@GLOBAL.{name};\n" in scripts.LOOK


def test_secrets_come_by_standard_input_alone() -> None:
    login, root = Credentials("i", 'a"b\\c'), Credentials("root", "rootpw")
    for flavour in ("mysql", "mariadb"):
        commands = [*scripts.ask_command(flavour), *scripts.load_command(flavour, WISH, OUTSIDE)]
        assert not any("rootpw" in word or 'a"b' in word for word in commands)
        given = scripts.load_input(flavour, WISH, login, root)
        assert 'password="a\\"b\\\\c"\n' in given
        assert 'password="rootpw"\n' in given


def test_the_load_says_that_it_is_whole_only_where_the_dump_was(tmp_path: pathlib.Path) -> None:
    for ended, last in ((0, True), (3, False)):
        for name, text in (
            ("dump", f'cat "${{1#*=}}" >"{tmp_path}/dumped"; echo "$2"; exit {ended}'),
            ("mysql", f'cat "${{1#*=}}" >"{tmp_path}/local"; cat >"{tmp_path}/loaded"'),
        ):
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        script = scripts.LOAD.replace(scripts.SAID, f"{tmp_path}/said")
        subprocess.run(
            ["sh", "-c", f"{script}wait", "load", "mysql", "dump", "--defaults-extra-file=/dev/fd/3", "DUMP"],
            input=scripts.load_input("mysql", WISH, Credentials("i", "p"), Credentials("root", "r")),
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            text=True,
            check=True,
            timeout=60,
        )
        loaded = (tmp_path / "loaded").read_text()
        assert loaded.index("sql_log_bin = 0") < loaded.index("DUMP")
        assert ("SET loaded = 1" in loaded) is last
        assert 'host="old"' in (tmp_path / "dumped").read_text()
        assert 'user="root"' in (tmp_path / "local").read_text()
        assert (tmp_path / "said").read_text() == "ended with 0\n"

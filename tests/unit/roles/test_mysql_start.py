# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server is started with, and which statements it is given; what real servers make of them is in the scenarios
mysql_single and mysql."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._statements import IGNORED

SCRIPT = pathlib.Path(__file__).parents[3] / "roles" / "mysql" / "files" / "start.sh"


def started(
    root: pathlib.Path,
    flavour: str,
    epoch: str = "4",
    primary: str = "shop-12",
    importing: str = "",
    cut_off: str = "",
    swap: str = "",
    **more: str,
) -> tuple[list[str], list[str]]:
    (root / "record").mkdir()
    (root / "mysqld").mkdir()
    (root / "record" / "epoch").write_text(epoch)
    (root / "record" / "primary").write_text(primary)
    (root / "record" / "importing").write_text(importing)
    (root / "record" / "cut_off").write_text(cut_off)
    (root / "record" / "swap").write_text(swap)
    for server in ("mysqld", "mariadbd"):
        (root / f"bin-{server}").mkdir()
        program = root / f"bin-{server}" / server
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
        program.chmod(0o755)
    script = root / "start.sh"
    script.write_text(
        SCRIPT.read_text(encoding="utf-8").replace("/run/", f"{root}/").replace("/var/lib/mysql", str(root))
    )
    done = subprocess.run(
        ["sh", str(script), flavour],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={
            "PATH": f"{root}/bin-mysqld:{root}/bin-mariadbd:{os.environ['PATH']}",
            "POD_NAME": "shop-12",
            "POD_NAMESPACE": "ns",
            "SERVICE": "shop",
            "CLUSTER_DOMAIN": "local",
            **more,
        },
    )
    return done.stdout.splitlines(), (root / "mysqld" / "start.sql").read_text().splitlines()


@pytest.mark.parametrize(("flavour", "server"), [("mysql", "mysqld"), ("mariadb", "mariadbd")])
def test_a_server_is_told_who_it_is(tmp_path: pathlib.Path, flavour: str, server: str) -> None:
    command, _statements = started(tmp_path, flavour)
    assert command[0].endswith(f"/{server}")
    assert command[1:] == [
        "--defaults-file=/etc/stateful/my.cnf",
        f"--init-file={tmp_path}/mysqld/start.sql",
        "--server-id=112",
        "--report-host=shop-12.shop.ns.svc.local",
    ]


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
@pytest.mark.parametrize(
    ("swap", "primary", "sleeps"),
    [("4.abc", "shop-12", True), ("3.abc", "shop-12", False), ("4.abc", "shop-1", False), ("", "shop-12", False)],
)
def test_no_event_runs_on_restored_files_before_the_restore_says_so(
    tmp_path: pathlib.Path, flavour: str, swap: str, primary: str, sleeps: bool
) -> None:
    command, _statements = started(tmp_path, flavour, primary=primary, swap=swap)
    assert ("--event-scheduler=OFF" in command) is sleeps


@pytest.mark.parametrize("folder", ["data", "mysql"])
def test_one_that_has_another_id_keeps_it(tmp_path: pathlib.Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "stateful_server_id").write_text("7112\n")
    more = {} if folder == "data" else {"DATA_FOLDER": folder}
    assert "--server-id=7112" in started(tmp_path, "mysql", **more)[0]


def test_an_adopted_replica_goes_on_with_its_relay_logs(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shop-12-relay-bin.index").touch()
    assert "--relay-log=shop-12-relay-bin" in started(tmp_path, "mysql")[0]


@pytest.mark.parametrize(
    ("flavour", "writable"),
    [("mysql", "SET GLOBAL super_read_only = 0, read_only = 0"), ("mariadb", "SET GLOBAL read_only = 0")],
)
def test_the_recorded_primary_looks_at_its_own_data_for_the_same_epoch(
    tmp_path: pathlib.Path, flavour: str, writable: str
) -> None:
    _command, statements = started(tmp_path, flavour)
    # A server reads one statement from each line.
    assert all(line.endswith(";") for line in statements)
    assert "pod = ''shop-12'' AND epoch = 4'" in statements[0]
    assert f"IF(@own = 1, '{writable}', 'DO 0')" in statements[3]


def test_every_other_server_stays_read_only(tmp_path: pathlib.Path) -> None:
    assert started(tmp_path, "mysql", primary="shop-1")[1] == ["DO 0;"]


@pytest.mark.parametrize("epoch", ["", "x", "1; SET GLOBAL read_only = 0"])
def test_a_record_that_is_none_starts_no_server(tmp_path: pathlib.Path, epoch: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as raised:
        started(tmp_path, "mysql", epoch=epoch)
    assert "where the number of its epoch belongs" in raised.value.stderr


# A server that says by which signal it ends, and a client that says what it is told to.
SERVER = '#!/bin/sh\ntrap "echo orderly; exit 0" TERM\necho up\nwhile :; do sleep 0.05; done\n'


# One that hangs is not waited for, although it heeds no TERM.
HANGS = "#!/bin/sh\nexec sleep 60\n"


# A primary without replicas, which takes no writes any more where it is told that before it is asked.
TAKES = """#!/bin/sh
super=0
IFS= read -r first
case "$first $*" in "CALL stateful_kube.take_no_writes(); "*" --force"*) super=1 ;; esac
cat >/dev/null
printf 'super_read_only\\t%s\\nRpl_semi_sync_source_clients\\t0\\nRpl_semi_sync_source_wait_sessions\\t0\\n' "$super"
"""


# One that is read_only, which whoever is privileged writes to, and such a commit waits.
HALFWAY = """#!/bin/sh
while IFS= read -r line; do
    case $line in
    CALL*) echo 'ERROR 1205 (HY000) at line 1: Lock wait timeout exceeded; try restarting transaction' ;;
    *@@GLOBAL.super_read_only*) printf 'super_read_only\\t0\\n' ;;
    *@@GLOBAL.read_only*) printf 'read_only\\t1\\n' ;;
    *_wait_sessions*) printf 'Rpl_semi_sync_source_wait_sessions\\t1\\n' ;;
    *) printf 'Rpl_semi_sync_source_clients\\t0\\n' ;;
    esac
done
"""
CLIENTS = {"hangs": HANGS, "takes": TAKES, "halfway": HALFWAY}


def stopped(root: pathlib.Path, said: str, semi_sync: bool = True, flavour: str = "mysql") -> tuple[str, int]:
    """What the server said and how it ended when its container was told to stop."""
    (root / "record").mkdir()
    (root / "mysqld").mkdir()
    (root / "record" / "epoch").write_text("4")
    (root / "record" / "primary").write_text("shop-12")
    (root / "my.cnf").write_text("[mysqld]\n" + "rpl_semi_sync_replica_enabled = ON\n" * semi_sync)
    (root / "said").write_text(said)
    (root / "bin").mkdir()
    client = CLIENTS.get(said, f"#!/bin/sh\ncat {root}/said\n")
    for name, text in (("mysqld", SERVER), ("mariadbd", SERVER), ("mysql", client)):
        (root / "bin" / name).write_text(text)
        (root / "bin" / name).chmod(0o755)
    script = root / "start.sh"
    text = SCRIPT.read_text(encoding="utf-8").replace("/etc/stateful/", f"{root}/").replace("/run/", f"{root}/")
    # As long as a client may hang, so long does this take.
    text = text.replace("timeout -s KILL 4 ", "timeout -s KILL 0.2 ")
    script.write_text(text.replace("/var/lib/mysql/data", str(root)))
    environment = {
        "PATH": f"{root}/bin:{os.environ['PATH']}",
        "POD_NAME": "shop-12",
        "POD_NAMESPACE": "ns",
        "SERVICE": "shop",
        "CLUSTER_DOMAIN": "local",
    }
    with subprocess.Popen(
        ["sh", str(script), flavour], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.terminate()
        rest = process.stdout.read()
    return rest, process.returncode


def told(super_read_only: int, clients: int, waiting: int) -> str:
    """As the client writes it."""
    names = ("Rpl_semi_sync_source_clients", "Rpl_semi_sync_source_wait_sessions")
    return f"super_read_only\t{super_read_only}\n{names[0]}\t{clients}\n{names[1]}\t{waiting}\n"


@pytest.mark.parametrize(
    "said",
    [
        told(0, 0, 0),
        told(0, 0, 3),
        told(0, 2, 1),
        f"ERROR 1205 (HY000) at line 1: Lock wait timeout exceeded; try restarting transaction\n{told(0, 2, 1)}",
        "ERROR 1040 (HY000): Too many connections\n",
        "ERROR 1045 (28000): Access denied for user 'stateful_health'@'localhost' (using password: NO)\n",
        "ERROR 2002 (HY000): Can't connect to local MySQL server through socket '/run/mysqld/mysqld.sock' (11)\n",
        "",
        "hangs",
        "halfway",
    ],
)
def test_a_primary_whose_commits_may_wait_acknowledges_none_when_it_stops(tmp_path: pathlib.Path, said: str) -> None:
    assert stopped(tmp_path, said) == ("", 137)


@pytest.mark.parametrize(
    "said",
    [
        told(1, 0, 0),
        told(0, 2, 0),
        told(0, 10, 0),
        "takes",
        # One of an older version of the role has no such procedure.
        f"ERROR 1305 (42000) at line 1: PROCEDURE stateful_kube.take_no_writes does not exist\n{told(0, 2, 0)}",
        "ERROR 2002 (HY000): Can't connect to local MySQL server through socket '/run/mysqld/mysqld.sock' (2)\n",
    ],
)
def test_every_other_server_stops_in_an_orderly_way(tmp_path: pathlib.Path, said: str) -> None:
    assert stopped(tmp_path, said) == ("orderly\n", 0)


@pytest.mark.parametrize(("semi_sync", "flavour"), [(False, "mysql"), (True, "mariadb")])
def test_one_that_tells_nobody_is_not_asked(tmp_path: pathlib.Path, semi_sync: bool, flavour: str) -> None:
    """Commits that wait for nobody, and a MariaDB, which ends the connection of whoever waits."""
    assert stopped(tmp_path, told(0, 0, 3), semi_sync, flavour) == ("orderly\n", 0)


@pytest.mark.parametrize(("flavour", "word"), [("mysql", "--skip-replica-start"), ("mariadb", "--skip-slave-start")])
def test_nobody_goes_back_by_itself_to_a_primary_that_was_cut_off(
    tmp_path: pathlib.Path, flavour: str, word: str
) -> None:
    # The epoch is 4: a line of another one was left by somebody who does not know that key.
    for number, (cut_off, told) in enumerate((("4 true\n", True), ("3 true", False), ("true", False), ("", False))):
        (tmp_path / str(number)).mkdir()
        command, _statements = started(tmp_path / str(number), flavour, primary="shop-1", cut_off=cut_off)
        assert (word in command) is told
    (tmp_path / "own").mkdir()
    assert word not in started(tmp_path / "own", flavour, cut_off="4 true")[0]


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_while_data_is_imported_only_the_users_databases_come_and_no_event_runs(
    tmp_path: pathlib.Path, flavour: str
) -> None:
    command, _statements = started(tmp_path, flavour, importing="old:3306")
    assert "--event-scheduler=OFF" in command
    ignored = [word.partition("=")[2] for word in command if word.startswith("--replicate-wild-ignore-table=")]
    assert sorted(ignored) == sorted(IGNORED)

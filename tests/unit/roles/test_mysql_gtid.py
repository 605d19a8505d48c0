# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the copy of a MariaDB server continues, from what mariadb-backup noted, what the copy holds, and the state of
the donor's binary log from before. Run by this machine's shell and awk."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[3] / "roles" / "mysql" / "files" / "finish_mariadb.sh"
# One more than a floating-point number can tell from its neighbour.
LARGE = 2**53 + 1


def called(function: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-euc", f'. "$0"; {function} "$@"', str(SCRIPT), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("noted", "applied", "expected"),
    [
        ("", "", ""),
        ("0-100-5", "", "0-100-5"),
        ("", "0-100-5", "0-100-5"),
        ("0-100-5", "0-100-6", "0-100-6"),
        ("0-100-6", "0-100-5", "0-100-6"),
        ("0-100-9", "0-101-10", "0-101-10"),
        ("0-101-10", "0-100-9", "0-101-10"),
        ("0-100-5,7-1-3", "0-100-4,7-1-4", "0-100-5,7-1-4"),
        ("7-1-3, 0-100-5", "3-1-1", "7-1-3,0-100-5,3-1-1"),
        (f"0-1-{LARGE - 1}", f"0-1-{LARGE}", f"0-1-{LARGE}"),
    ],
)
def test_of_two_positions_the_later_counts_domain_by_domain(noted: str, applied: str, expected: str) -> None:
    done = called("gtid_later", noted, applied)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{expected}\n", "")


@pytest.mark.parametrize(
    ("before", "position", "expected"),
    [
        ("", "", ""),
        ("", "0-100-1", "0-100-1"),
        ("0-100-5", "0-100-5", "0-100-5"),
        ("0-100-5", "0-100-8", "0-100-8"),
        # Another server became the primary at some time, or while the copy was made.
        ("0-100-50,0-101-60", "0-101-80", "0-100-50,0-101-80"),
        ("0-101-60,0-100-70", "0-101-80", "0-100-70,0-101-80"),
        ("0-100-50", "0-102-51", "0-100-50,0-102-51"),
        # A server takes the last one of a domain for its end, wherever the others stand.
        ("0-100-50,0-101-30,7-1-2", "0-101-51", "0-100-50,7-1-2,0-101-51"),
        ("7-1-2", "0-100-1", "7-1-2,0-100-1"),
        (f"0-1-{LARGE - 1},0-2-{LARGE - 2}", f"0-1-{LARGE}", f"0-2-{LARGE - 2},0-1-{LARGE}"),
    ],
)
def test_the_state_of_a_binary_log_keeps_every_server_and_ends_at_the_position(
    before: str, position: str, expected: str
) -> None:
    done = called("gtid_state", before, position)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{expected}\n", "")


@pytest.mark.parametrize(
    ("before", "position"), [("0-100-5", "0-100-4"), ("0-101-5", "0-100-4"), (f"0-1-{LARGE}", f"0-1-{LARGE - 1}")]
)
def test_a_log_that_went_back_is_no_state(before: str, position: str) -> None:
    done = called("gtid_state", before, position)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_copy_continues_where_its_data_end_and_not_where_the_note_does(tmp_path: pathlib.Path) -> None:
    copy = tmp_path / "cloning.one"
    (tmp_path / "cloning.one.gtid").write_text("0-101-80\n")
    (tmp_path / "cloning.one.gtid_binlog_state").write_text("0-100-50,0-101-60\n")
    done = called("continue_from", str(copy), "0-101-81")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == [
        "RESET MASTER;",
        "SET GLOBAL gtid_binlog_state = '0-100-50,0-101-81';",
        "SET GLOBAL gtid_slave_pos = '0-101-81';",
        "",
    ]


@pytest.mark.parametrize(
    ("before", "position", "known"),
    [
        ("", "0-100-5", True),
        ("0-100-5", "0-100-9", True),
        ("0-100-50,0-101-60", "0-101-80", True),
        # The donor's state lists the former primary, and nobody has written since.
        ("0-101-60,0-100-50", "0-101-60", True),
        ("7-1-2,0-100-50", "0-100-60,7-1-3", True),
        ("0-100-50", "0-101-55", False),
        ("0-101-60,0-100-70", "0-101-80", False),
        ("7-1-2,0-100-50", "0-100-60,7-2-3", False),
        (f"0-1-{LARGE - 1}", f"0-2-{LARGE}", False),
    ],
)
def test_a_copy_is_not_used_where_another_server_became_the_primary_meanwhile(
    tmp_path: pathlib.Path, before: str, position: str, known: bool
) -> None:
    """The former primary may have written up to 0-100-53: a copy whose state says 0-100-50 seems to have parted."""
    (tmp_path / "copy.gtid").write_text(f"{position}\n")
    (tmp_path / "copy.gtid_binlog_state").write_text(f"{before}\n")
    done = called("continue_from", str(tmp_path / "copy"), "")
    assert (done.returncode == 0) is known
    assert ("Another server became the primary while the copy was made" in done.stdout) is not known


@pytest.mark.parametrize("left_out", ["gtid", "gtid_binlog_state"])
def test_a_copy_without_its_place_continues_nowhere(tmp_path: pathlib.Path, left_out: str) -> None:
    for name in {"gtid", "gtid_binlog_state"} - {left_out}:
        (tmp_path / f"copy.{name}").write_text("0-1-1\n")
    done = called("continue_from", str(tmp_path / "copy"), "")
    assert done.returncode != 0
    assert "SET GLOBAL" not in done.stdout


def test_a_copy_of_a_log_that_began_anew_is_not_used(tmp_path: pathlib.Path) -> None:
    (tmp_path / "copy.gtid").write_text("0-1-2\n")
    (tmp_path / "copy.gtid_binlog_state").write_text("0-1-9\n")
    done = called("continue_from", str(tmp_path / "copy"), "")
    assert done.returncode == 1
    assert done.stdout == (
        "The binary log of the donor began anew while the copy was made: it was at 0-1-9 before, and the copy is at "
        "0-1-2. The copy is not used.\n"
    )

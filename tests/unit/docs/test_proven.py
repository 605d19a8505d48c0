# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/proven.md names tests that are there: each path, and each name of a task or test beside it."""

from __future__ import annotations

import functools
import pathlib
import re
import typing as t

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "proven.md"
# Where tests are.
FOLDERS = ("tests/", "molecule/")
# What a row says in place of a test.
NOT_RUN = "Not run"
LINK = re.compile(r'\[`([^`]+)`\]\(([^)]+)\)(?:, ("[^"]+"(?:, "[^"]+")*))?')
QUOTED = re.compile(r'"([^"]+)"')


class Proof(t.NamedTuple):
    path: str
    target: str
    names: tuple[str, ...]


def table_rows(text: str) -> list[tuple[str, str]]:
    """What may be relied on, and how it is shown, of every row of the page."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 2 and not set(cells[0]) <= {"-"} and cells[1] != "how it is shown":
            found.append((cells[0], cells[1]))
    return found


def proofs(cell: str) -> list[Proof]:
    found = []
    for path, target, names in LINK.findall(cell):
        found.append(Proof(path, target, tuple(QUOTED.findall(names))))
    return found


@functools.cache
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


ROWS = table_rows(page())


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:60] for row in ROWS])
def test_every_row_names_a_test_that_is_there_or_says_why_it_has_none(row: tuple[str, str]) -> None:
    cell = row[1]
    assert proofs(cell) or NOT_RUN in cell, f"neither a test nor the words {NOT_RUN!r}"
    for proof in proofs(cell):
        path = ROOT / proof.path
        assert path.is_file(), f"{proof.path} is not there"
        assert (PAGE.parent / proof.target).resolve() == path, f"the link leads to {proof.target}"
        assert proof.path.startswith(FOLDERS)
        content = path.read_text(encoding="utf-8")
        assert proof.names, f"which test of {proof.path}?"
        for name in proof.names:
            assert stated(name, content), f"{proof.path} has no test or task named '{name}'"


def stated(name: str, content: str) -> bool:
    """Whether a task or a test of that very name is in a file."""
    word = re.escape(name)
    forms = (rf'^\s*- name: "?{word}"?$', rf"^\s*- what: {word}$", rf"^(\s*def|func) {word}\(")
    return any(re.search(form, content, re.MULTILINE) for form in forms)


def test_what_is_quoted_is_part_of_a_proof() -> None:
    """A name that the pattern of links does not reach would never be looked for."""
    for what, cell in ROWS:
        reached = [name for proof in proofs(cell) for name in proof.names]
        assert QUOTED.findall(cell) == reached, what


def test_the_page_has_its_rows() -> None:
    lines = [line for line in page().splitlines() if line.startswith("| ")]
    tables = page().count("how it is shown |")
    assert len(lines) == len(ROWS) + 2 * tables, "a line of a table was not understood"
    assert tables > 0


@pytest.mark.parametrize(
    ("name", "there"),
    [("A task", True), ("A tas", False), ("test_one", True), ("test_on", False), ("TestOne", True), ("A thing", True)],
)
def test_names_are_compared_whole(name: str, there: bool) -> None:
    content = "- name: A task\n    - what: A thing\ndef test_one() -> None:\nfunc TestOne(t *testing.T) {\n"
    assert stated(name, content) is there

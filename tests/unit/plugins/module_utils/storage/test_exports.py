# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading and writing files of exports, held against what exportfs of nfs-utils 2.6.2 made of such lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._storage._exports import (
    Client,
    Export,
    SyntaxProblem,
    only_comments,
    parse,
    rendered,
    replaced,
)

RW = ("rw", "sync")


def export(path: str, **clients: tuple[str, ...]) -> Export:
    return Export(path, tuple(Client(host, options) for host, options in clients.items()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("# nothing\n\n   # more\n", ()),
        ("/a h(rw,sync)\n", (export("/a", h=RW),)),
        ("/a h(rw,sync)", (export("/a", h=RW),)),
        ("/a h(rw,sync) # why\n", (export("/a", h=RW),)),
        ("/a  h(rw)\tg(ro)\n/b h\n", (export("/a", h=("rw",), g=("ro",)), export("/b", h=()))),
        ("/a -ro,sync h g(rw)\n", (export("/a", h=("ro", "sync"), g=("ro", "sync", "rw")),)),
        ("/a -ro\n", (Export("/a", (Client("*", ("ro",)),)),)),
        ("/a\n", (Export("/a", (Client("*"),)),)),
        ("/a (rw)\n", (Export("/a", (Client("*", ("rw",)),)),)),
        ("/a \\\n  h(rw)\n/b g\n", (export("/a", h=("rw",)), export("/b", g=()))),
        ("# a comment that goes on \\\n/a h(rw)\n/b g\n", (export("/b", g=()),)),
        ('"/a b" h(rw)\n', (export("/a b", h=("rw",)),)),
        ('/a" b"/c h(rw)\n', (export("/a b/c", h=("rw",)),)),
        ("/a\\040b h(rw)\n", (export("/a b", h=("rw",)),)),
        ("/a\\303\\244 h(rw)\n", (export("/aä", h=("rw",)),)),
        ("/a#b h(rw)\n", (export("/a#b", h=("rw",)),)),
        ("/a fd00::/8(rw) @nodes(ro) *.example.org(rw)\n",
         (Export("/a", (Client("fd00::/8", ("rw",)), Client("@nodes", ("ro",)), Client("*.example.org", ("rw",)))),)),
    ],
)  # fmt: skip
def test_a_file_is_read_as_nfs_utils_reads_it(text: str, expected: tuple[Export, ...]) -> None:
    assert parse(text) == expected


def test_lines_are_remembered() -> None:
    found = parse("# one\n/a \\\n  h(rw) \\\n  g\n\n/b h\n")
    assert [(each.first, each.last) for each in found] == [(1, 3), (5, 5)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n/a h(rw,sync\n", "line 2: the options of client 'h'"),
        ("/a h(rw, sync)\n", "line 1: the options of client 'h'"),
        ("/a (rw)x\n", "line 1: the options of client '*'"),
        ('/a h\n"/b h(rw)\n', "line 2: a quotation mark"),
    ],
)
def test_what_cannot_be_read_is_told_by_its_line(text: str, words: str) -> None:
    with pytest.raises(SyntaxProblem, match=words.replace("(", r"\(").replace("*", r"\*")):
        parse(text)


# Everything that a folder may be called, with what is special in this file more often than by chance.
names = st.text(
    st.one_of(st.sampled_from(" \t\"#\\(),-0147'*ä"), st.characters(codec="utf-8", exclude_characters="/\0\n")),
    min_size=1,
    max_size=12,
)
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
hosts = st.from_regex(r"@?[a-z0-9][a-z0-9.:*?/-]{0,12}", fullmatch=True)
options = st.from_regex(r"[a-z_]{1,8}(=[a-z0-9/:]{1,5})?", fullmatch=True)
clients = st.lists(st.builds(Client, hosts, st.lists(options, max_size=4).map(tuple)), min_size=1, max_size=4)
exports = st.builds(Export, paths, clients.map(tuple))
comments = st.sampled_from(["", "# a comment", "   ", "#"])


@given(exports)
def test_what_is_written_is_read_back(wanted: Export) -> None:
    assert parse(rendered(wanted) + "\n") == (wanted,)


@pytest.mark.parametrize("path", ["/a\\040b", "/a\\\\101", "/\\1\\07", "/\\", '/"a"', "/#", "/a\tb", "/ä"])
def test_a_path_that_looks_like_a_code_is_read_back(path: str) -> None:
    assert parse(rendered(export(path, h=RW))) == (export(path, h=RW),)


@given(st.lists(st.tuples(exports, comments), max_size=5), st.data())
def test_a_line_is_replaced_and_the_others_stay(parts: list[tuple[Export, str]], data: st.DataObject) -> None:
    text = "".join(f"{comment}\n{rendered(each)}\n" for each, comment in parts)
    found = parse(text)
    new = data.draw(exports)
    old = data.draw(st.lists(st.sampled_from(found), unique_by=lambda each: each.first)) if found else []
    old.sort(key=lambda each: each.first)
    after = replaced(text, old, new)
    expected = [each for each in found if each.first not in {one.first for one in old}]
    place = len([each for each in expected if not old or each.first < old[0].first])
    assert list(parse(after)) == [*expected[:place], new, *expected[place:]]
    assert [line for line in after.splitlines() if line.startswith("#")] == [
        line for line in text.splitlines() if line.startswith("#")
    ]
    assert list(parse(replaced(text, old, None))) == expected


@given(st.text(max_size=60))
def test_no_text_ends_in_anything_but_exports_or_a_problem(text: str) -> None:
    try:
        found = parse(text)
    except SyntaxProblem:
        return
    assert [each.path for each in parse("".join(rendered(each) + "\n" for each in found) if found else "")] == [
        each.path for each in found
    ]


def test_a_file_without_an_end_of_line_gets_one() -> None:
    assert replaced("/a h", (), export("/b", h=RW)) == "/a h\n/b h(rw,sync)\n"


def test_an_export_of_several_lines_is_replaced_whole() -> None:
    text = "# one\n/a \\\n  h(rw) \\\n  g # why\n# two\n/b h\n"
    assert replaced(text, parse(text)[:1], export("/c", h=RW)) == "# one\n/c h(rw,sync)\n# two\n/b h\n"


def test_only_comments() -> None:
    assert only_comments("# a\n\n  # b\n")
    assert not only_comments("# a\n/b\n")

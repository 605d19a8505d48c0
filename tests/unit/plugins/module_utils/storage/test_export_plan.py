# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written for a declaration, and what is refused."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal
from ansible_collections.stateful.kube.plugins.module_utils._storage import _export_options as options
from ansible_collections.stateful.kube.plugins.module_utils._storage._export_plan import (
    HEADER,
    Observed,
    Wish,
    plan,
    wish_of,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._exports import Client, parse

FILE = "/etc/exports.d/a.exports"
OTHER = "/etc/exports.d/other.exports"
WISH = Wish("/srv/a", FILE, clients=(Client("10.0.0.0/24", ("rw", "sync")),))
LINE = "/srv/a 10.0.0.0/24(rw,sync)\n"
SEEN = Observed({"/etc/exports": ""}, "folder", {}, ("/",), interrupted=False, exportfs=True)


def seen(files: t.Optional[dict[str, str]] = None, **others: t.Any) -> Observed:
    return dataclasses.replace(SEEN, files=files or {}, **others)


def wish(*words: str, host: str = "10.0.0.0/24", **others: t.Any) -> Wish:
    return dataclasses.replace(WISH, clients=(Client(host, words),), **others)


def steps(wanted: Wish, observed: Observed) -> list[tuple[str, str]]:
    found = plan(wanted, observed)
    assert isinstance(found, Plan), found
    return [(step.action, step.data.get("text", "")) for step in found.steps]


def refused(wanted: Wish, observed: Observed = SEEN) -> str:
    found = plan(wanted, observed)
    assert isinstance(found, Refusal), found
    return found.sentence()


def test_a_new_export_is_written_and_read() -> None:
    assert steps(WISH, seen()) == [("write", HEADER + LINE), ("export", "")]


def test_what_is_there_is_left_alone() -> None:
    assert steps(WISH, seen({FILE: LINE})) == []


def test_a_run_that_was_broken_off_is_completed() -> None:
    assert steps(WISH, seen({FILE: LINE}, interrupted=True)) == [("export", "")]


def test_other_lines_of_the_file_stay() -> None:
    text = f"# mine\n/srv/b h(ro)\n{LINE.replace('rw', 'ro')}/srv/c h(ro)\n"
    assert steps(WISH, seen({FILE: text})) == [("write", f"# mine\n/srv/b h(ro)\n{LINE}/srv/c h(ro)\n"), ("export", "")]


def test_two_lines_of_one_path_become_one() -> None:
    text = "/srv/a h(ro)\n/srv/b h(ro)\n/srv/a g(ro)\n"
    assert steps(WISH, seen({FILE: text}))[0] == ("write", f"{LINE}/srv/b h(ro)\n")


def test_a_line_is_taken_out() -> None:
    gone = dataclasses.replace(WISH, present=False, clients=())
    assert steps(gone, seen({FILE: f"{LINE}/srv/b h(ro)\n"})) == [("write", "/srv/b h(ro)\n"), ("export", "")]
    assert [action for action, _text in steps(gone, seen({FILE: HEADER + LINE}))] == ["delete", "export"]
    # Somebody wrote a comment into it.
    assert steps(gone, seen({FILE: f"# mine\n{LINE}"}))[0] == ("write", "# mine\n")
    assert steps(gone, seen({FILE: "/srv/b h(ro)\n"})) == []
    assert steps(gone, seen(path_is="nothing")) == []


def test_removal_of_what_stands_elsewhere_is_refused() -> None:
    gone = dataclasses.replace(WISH, present=False, clients=())
    text = refused(gone, seen({"/etc/exports": LINE}))
    assert "also exported by another file" in text
    assert "/etc/exports, line 1" in text
    assert "set file to" not in text  # no file of the folder


def test_the_same_path_in_another_file_is_refused_also_by_a_link() -> None:
    assert "set file to other.exports" in refused(WISH, seen({OTHER: LINE}))
    linked = seen({OTHER: "/data h(ro)\n"}, real={"/data": "/srv/a", "/srv/a": "/srv/a"})
    assert "also exported by another file" in refused(WISH, linked)


@pytest.mark.parametrize("what", ["nothing", "a file"])
def test_a_path_that_is_no_folder_is_refused(what: str) -> None:
    assert f"expected a folder on this host, found {what}" in refused(WISH, seen(path_is=what))


def test_in_check_mode_what_is_missing_is_told() -> None:
    found = plan(dataclasses.replace(WISH, trial=True), seen(path_is="nothing", exportfs=False))
    assert isinstance(found, Plan)
    assert [step.action for step in found.steps] == ["write", "export"]
    assert len(found.warnings) == 2
    assert "expected a folder" in refused(dataclasses.replace(WISH, trial=True), seen(path_is="a file"))


def test_without_exportfs_nothing_is_begun() -> None:
    assert "exportfs is not on this host" in refused(WISH, seen(exportfs=False))


@pytest.mark.parametrize("outer", ["/srv", "/"])
@pytest.mark.parametrize("place", ["/etc/exports", OTHER, FILE])
def test_nested_exports_with_other_rights_are_refused_wherever_they_stand(outer: str, place: str) -> None:
    files = {place: f"{outer} 10.0.0.0/24(ro,sync)\n"}
    text = refused(WISH, seen(files))
    assert "on one file system" in text
    assert f"{place}, line 1: {outer} 10.0.0.0/24(ro,sync)" in text
    inner = dataclasses.replace(WISH, path=outer)
    assert "on one file system" in refused(inner, seen({place: "/srv/a 10.0.0.0/24(ro,sync)\n"}))
    assert steps(dataclasses.replace(WISH, allow_nested=True), seen(files))


@pytest.mark.parametrize(
    ("line", "mounts"),
    [
        ("/srv 10.0.0.0/24(sync,rw,hide,fsid=7)\n", ("/",)),  # the same in other words
        ("/srv -ro 10.0.0.0/24(rw)\n", ("/",)),
        ("/srv 10.0.0.0/24(ro,sync)\n", ("/", "/srv/a")),  # another file system
        ("/srv/ab 10.0.0.0/24(ro,sync)\n", ("/",)),  # beside it
    ],
)
def test_exports_that_do_not_disagree_are_not_refused(line: str, mounts: tuple[str, ...]) -> None:
    assert steps(WISH, seen({OTHER: line}, mounts=mounts))


def test_other_clients_are_other_rights() -> None:
    assert "on one file system" in refused(WISH, seen({OTHER: "/srv 10.0.9.0/24(rw,sync)\n"}))


def test_a_file_system_below_both_does_not_part_them() -> None:
    files = {OTHER: "/srv 10.0.0.0/24(ro)\n"}
    assert "on one file system" in refused(WISH, seen(files, mounts=("/", "/srv", "/srv/a/b")))


def test_an_fsid_belongs_to_one_path() -> None:
    assert "fsid=0 of /srv/a is that of another" in refused(
        wish("rw", "fsid=root"), seen({OTHER: "/elsewhere h(fsid=0)\n"})
    )
    assert steps(wish("rw", "fsid=1"), seen({OTHER: "/elsewhere h(fsid=0)\n"}))


@pytest.mark.parametrize("host", ["*", "0.0.0.0/0", "::/0", "*.*", "0.0.0.0/0.0.0.0"])
def test_root_for_everybody_takes_a_word_more(host: str) -> None:
    assert "is everybody" in refused(wish("rw", "no_root_squash", host=host))
    assert steps(wish("rw", "no_root_squash", host=host, allow_world_root=True), SEEN)
    assert steps(wish("rw", host=host), SEEN)


def test_root_for_a_network_is_the_users_own_choice() -> None:
    assert steps(wish("rw", "no_root_squash"), SEEN)
    assert steps(wish("rw", "no_root_squash", host="*.example.org"), SEEN)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rx",), "'rx', which exports(5) does not know"),
        (("rw", "ro"), "'rw' and 'ro', which contradict"),
        (("sync", "async"), "which contradict"),
        (("secure_locks", "no_auth_nlm"), "which contradict"),
        (("no_root_squash", "all_squash"), "root is among all users"),
        (("sec=krb5", "rw", "ro"), "which contradict"),
        (("anonuid=1", "anonuid=2"), "'anonuid' twice, with the values 1 and 2"),
        (("anonuid=me",), "takes a number"),
        (("anonuid",), "needs a value, as in anonuid=1000"),
        (("rw=1",), "takes no value"),
        (("fsid=abc",), "takes root, a number"),
        (("fsid=4294967296",), "takes root, a number"),
        (("sec=kerberos",), "'sec' takes some of"),
        (("mp=here",), "takes an absolute path"),
        (("r w",), "ends an option"),
        (("rw)",), "ends an option"),
    ],
)
def test_wrong_options_are_refused(words: tuple[str, ...], said: str) -> None:
    text = refused(wish(*words))
    assert said in text
    assert "10.0.0.0/24" in text


@pytest.mark.parametrize(
    "words",
    [
        ("rw", "sync", "no_subtree_check", "no_wdelay", "insecure", "crossmnt", "no_acl", "pnfs", "nordirplus"),
        ("all_squash", "anonuid=1000", "anongid=-2", "mountpoint", "security_label"),
        ("sec=krb5p:krb5i", "rw", "sec=sys", "ro"),
        ("rw", "sec=krb5", "ro"),
        ("rw", "rw"),
        ("fsid=6ba7b810-9dad-11d1-80b4-00c04fd430c8", "mp=/srv", "refer=/a@h", "squash_uids=0-15"),
    ],
)
def test_right_options_are_not_refused(words: tuple[str, ...]) -> None:
    assert steps(wish(*words), SEEN)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("", "is empty"),
        ("10.0.0.0/33", "is no network"),
        ("10.0.0.256", "is no address"),
        ("fd00::zz", "is no address"),
        ("a b", "holds a character"),
        ("a(rw)", "holds a character"),
        ("-ro", "holds a character"),
        ("@", "names no netgroup"),
        ("gss/krb5", "old way"),
        ("shop_é", "is no host name"),
    ],
)
def test_wrong_clients_are_refused(host: str, said: str) -> None:
    assert said in refused(wish("rw", host=host))


@pytest.mark.parametrize(
    "host", ["node1", "n.example.org", "10.0.0.1", "10.0.0.0/255.255.255.0", "fd00::1", "fd00::/64", "@nodes", "n[1-3]"]
)  # fmt: skip
def test_right_clients_are_not_refused(host: str) -> None:
    assert steps(wish("rw", host=host), SEEN)


def test_wrong_declarations() -> None:
    twice = dataclasses.replace(WISH, clients=(*WISH.clients, *WISH.clients))
    assert "declared twice" in refused(twice)
    assert "clients is empty" in refused(dataclasses.replace(WISH, clients=()))
    assert "write it as /srv/a" in refused(dataclasses.replace(WISH, path="srv/b/../a"))
    assert "control character" in refused(dataclasses.replace(WISH, path="/srv\na"))
    assert "name it a.exports" in refused(dataclasses.replace(WISH, file="/etc/exports.d/a"))
    assert "begins with no dot" in refused(dataclasses.replace(WISH, file="/etc/exports.d/.a.exports"))
    differing = (Client("g", ("fsid=1",)), Client("h", ("fsid=2",)))
    assert "different fsids" in refused(dataclasses.replace(WISH, clients=differing))


def test_a_host_whose_exports_cannot_be_read_is_not_touched() -> None:
    text = refused(WISH, seen({"/etc/exports": "/a h(rw\n", OTHER: "/b h\n"}))
    assert "cannot be read" in text
    assert "/etc/exports, line 1" in text


def test_async_is_told() -> None:
    found = plan(wish("rw", "async"), SEEN)
    assert isinstance(found, Plan)
    assert "lost when this host fails" in found.warnings[0]


def params(**given: t.Any) -> dict[str, t.Any]:
    defaults = {"state": "present", "clients": [], "options": [], "fsid": None, "file": None}
    return {**defaults, "allow_world_root": False, "allow_nested": False, "path": "/srv/nfs/a", **given}


def test_a_task_becomes_a_declaration() -> None:
    found = wish_of(
        params(
            path="/srv/nfs/a/",
            options=["rw,sync", "all_squash"],
            fsid="7",
            clients=[{"host": "g", "options": ["ro"]}, {"host": " h ", "options": ["no_root_squash"]}],
        ),
        trial=False,
    )
    assert (found.path, found.file) == ("/srv/nfs/a", "srv-nfs-a.exports")
    assert found.clients == (
        Client("g", ("sync", "all_squash", "fsid=7", "ro")),
        Client("h", ("rw", "sync", "fsid=7", "no_root_squash")),
    )
    assert wish_of(params(path="/"), trial=True).file == "root.exports"


words = st.sampled_from([word for pair in options.PAIRS for word in pair] + ["anonuid=1", "anonuid=2", "sec=krb5"])


@given(st.lists(words, max_size=6, unique=True), st.lists(words, max_size=6, unique=True))
def test_a_clients_own_options_always_win(common: list[str], own: list[str]) -> None:
    if options.problem(common) or options.problem(own) or "sec=krb5" in common + own:
        return
    together = options.combined(common, own)
    assert options.problem(together) is None
    assert set(own) <= set(together)
    # Nothing but what the own options speak about is taken away.
    about = {options.name_of(word) for word in own} | {options.OPPOSITE.get(word, word) for word in own}
    dropped = set(common) - set(together)
    assert dropped <= {word for word in common if options.name_of(word) in about | {"all_squash", "no_root_squash"}}


@given(st.permutations(["rw", "insecure", "no_root_squash", "async", "anonuid=5", "crossmnt"]))
def test_rights_do_not_depend_on_order_or_defaults(shuffled: list[str]) -> None:
    assert options.rights(shuffled) == options.rights([*sorted(shuffled), "acl", "hide", "sec=sys"])
    assert options.rights(shuffled) != options.rights(shuffled[1:])


def test_rights_by_flavour() -> None:
    assert options.rights(["rw", "sec=krb5"]) == options.rights(["sec=krb5", "rw"])
    assert options.rights(["rw", "sec=krb5", "ro"]) == options.rights(["sec=krb5"])
    assert options.rights(["sec=krb5", "rw", "sec=sys"]) != options.rights(["sec=krb5", "sec=sys"])
    assert options.rights(["sec=krb5", "rw"]) != options.rights(["rw"])


lines = st.lists(
    st.tuples(st.sampled_from(["/srv/a", "/srv/b", "/x"]), st.sampled_from(["g(ro)", "10.0.0.0/24(rw,sync)", "h(rw)"])),
    max_size=5,
).map(lambda parts: "".join(f"{path} {client}\n" for path, client in parts))


@given(lines, lines, st.booleans(), st.booleans())
def test_every_plan_leads_to_a_host_with_nothing_to_do(mine: str, theirs: str, present: bool, broken_off: bool) -> None:
    wanted = dataclasses.replace(WISH, present=present)
    files = {FILE: mine, OTHER: theirs}
    found = plan(wanted, seen(files, interrupted=broken_off))
    if isinstance(found, Refusal):
        assert "/srv/a" in theirs
        return
    others = [each for each in parse(mine) if each.path != "/srv/a"]
    for step in found.steps:
        if step.action == "write":
            files[step.target] = step.data["text"]
        elif step.action == "delete":
            del files[step.target]
    assert [each for each in parse(files.get(FILE, "")) if each.path != "/srv/a"] == others
    assert files[OTHER] == theirs
    assert steps(wanted, seen(files)) == []
    assert bool(found.steps) == (broken_off or files.get(FILE, "") != mine)

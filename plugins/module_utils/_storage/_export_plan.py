# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What has to be written so that one path is exported as declared, or why it will not be. Nothing here does I/O."""

from __future__ import annotations

import dataclasses
import posixpath
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._storage import _export_options as options
from ansible_collections.stateful.kube.plugins.module_utils._storage._exports import (
    Client,
    Export,
    SyntaxProblem,
    only_comments,
    parse,
    rendered,
    replaced,
)

HEADER = "# Written by stateful.kube.nfs_export. Lines that it did not write are kept.\n"
WRITE, DELETE, EXPORT = "write", "delete", "export"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is declared. Without clients the path is not to be exported at all."""

    path: str
    file: str
    present: bool = True
    clients: tuple[Client, ...] = ()
    allow_world_root: bool = False
    allow_nested: bool = False
    #: in check mode an earlier task may not have made what is missing, so that is no reason to refuse
    trial: bool = False

    @property
    def export(self) -> Export:
        return Export(self.path, self.clients)


@dataclasses.dataclass(frozen=True)
class Observed:
    """One look at the host."""

    #: the text of /etc/exports and of every file under /etc/exports.d that exportfs reads
    files: t.Mapping[str, str]
    #: what the path is: folder, something else, or nothing
    path_is: str
    #: paths without symbolic links; one that is not in here has none
    real: t.Mapping[str, str]
    #: where file systems are mounted
    mounts: tuple[str, ...]
    #: whether a run was broken off between writing and exporting
    interrupted: bool
    #: whether there is an exportfs
    exportfs: bool

    def really(self, path: str) -> str:
        return self.real.get(path, posixpath.normpath(path))


@dataclasses.dataclass(frozen=True)
class Other:
    """An export that somebody else declares, or this module in another line."""

    file: str
    export: Export

    @property
    def place(self) -> str:
        return f"{self.file}, line {self.export.first + 1}"


def wish_of(params: t.Mapping[str, t.Any], trial: bool) -> Wish:
    """The declaration in the options of a task."""
    common = _words(params["options"])
    if params["fsid"] is not None:
        common = (*common, f"fsid={params['fsid']}")
    clients = []
    for client in params["clients"] or ():
        own = _words(client["options"])
        clients.append(Client(client["host"].strip(), options.combined(common, own)))
    path = params["path"]
    name = params["file"] or f"{path.strip('/').replace('/', '-') or 'root'}.exports"
    return Wish(
        path=path if path == "/" else path.rstrip("/"),
        file=name,
        present=params["state"] == "present",
        clients=tuple(clients),
        allow_world_root=params["allow_world_root"],
        allow_nested=params["allow_nested"],
        trial=trial,
    )


def _words(given: t.Optional[t.Iterable[str]]) -> tuple[str, ...]:
    """Options one by one, also where a text holds several with commas between them."""
    return tuple(word.strip() for text in given or () for word in str(text).split(",") if word.strip())


def declaration_problem(wish: Wish) -> t.Optional[Refusal]:
    """What is wrong with the declaration as such, whatever the host has."""
    if not wish.path.startswith("/") or posixpath.normpath(wish.path) != wish.path:
        return Refusal(
            f"path is '{wish.path}': expected an absolute path without '..' and without doubled slashes.",
            choices=(f"write it as {posixpath.normpath('/' + wish.path.lstrip('/'))}",),
        )
    if any(ord(character) < 32 for character in wish.path):
        return Refusal("path holds a control character: expected one that a person can type.")
    name = posixpath.basename(wish.file)
    if not wish.file.endswith(".exports") or name.startswith(".") or len(name) > 255:
        return Refusal(
            f"file is '{name}': expected a name that ends with .exports and begins with no dot, because exportfs reads "
            "no other files of its folder.",
            choices=(f"name it {(name.lstrip('.') or 'nfs')[:200]}.exports",),
        )
    if not wish.present:
        return None
    if not wish.clients:
        return Refusal(
            "clients is empty: expected at least one, because a path without clients is exported to everybody.",
            choices=("name the networks or hosts that may mount it", "set state to absent"),
        )
    return _clients_problem(wish)


def _clients_problem(wish: Wish) -> t.Optional[Refusal]:
    seen = set()
    for client in wish.clients:
        if reason := options.host_problem(client.host):
            return Refusal(
                f"The client '{client.host}' of {wish.path} {reason}.",
                choices=(
                    "give a host name, an address, a network such as 10.0.0.0/24, a netgroup such as @nodes, or a "
                    "wildcard such as *.example.org",
                ),
            )
        if client.host in seen:
            return Refusal(
                f"The client '{client.host}' of {wish.path} is declared twice, and exportfs ignores one of the two.",
                choices=("put its options into one entry",),
            )
        seen.add(client.host)
        if found := options.problem(client.options):
            return Refusal(
                f"The client '{client.host}' of {wish.path} has {found}.",
                evidence=(f"its options together are {','.join(client.options)}",),
                choices=("correct the options of the task or of this client: exports(5) describes each",),
            )
        if options.is_everybody(client.host) and "no_root_squash" in client.options and not wish.allow_world_root:
            return Refusal(
                f"The client '{client.host}' of {wish.path} is everybody, and no_root_squash makes root of any machine "
                "that reaches this host root of these files.",
                choices=(
                    "name the networks or hosts that need it",
                    "leave no_root_squash out",
                    "set allow_world_root if that is what you want",
                ),
            )
    fsids = {canonical for client in wish.clients if (canonical := fsid_of(client.options))}
    if len(fsids) > 1:
        return Refusal(
            f"The clients of {wish.path} have different fsids: expected one, because it names the file system.",
            evidence=(", ".join(sorted(fsids)),),
            choices=("give it by the option fsid of the task",),
        )
    return None


def fsid_of(words: t.Iterable[str]) -> str:
    """The fsid among these options, or nothing."""
    found = [options.canonical(word) for word in words if word.startswith("fsid=")]
    return found[-1] if found else ""


def plan(wish: Wish, observed: Observed) -> t.Union[Plan, Refusal]:
    """The steps to what is declared, or why they will not be taken."""
    if refusal := declaration_problem(wish):
        return refusal
    try:
        exports = {name: parse(text) for name, text in observed.files.items()}
    except SyntaxProblem:
        return _unreadable(observed)
    own = [export for export in exports.get(wish.file, ()) if _same(wish.path, export.path, observed)]
    others = [
        Other(name, export)
        for name in sorted(exports)
        for export in exports[name]
        if name != wish.file or export not in own
    ]
    if refusal := _declared_elsewhere(wish, observed, others):
        return refusal
    warnings: list[str] = []
    if wish.present:
        for check in (_path_problem, _fsid_problem, _nested_problem):
            if refusal := check(wish, observed, others):
                return refusal
        warnings += _warnings(wish, observed)
    steps = _writing(wish, observed, own)
    if not steps and not observed.interrupted:
        return Plan(warnings=tuple(warnings))
    if not observed.exportfs:
        if not wish.trial:
            return Refusal(
                "The program exportfs is not on this host.",
                choices=("install the NFS server first: nfs-kernel-server on Debian, nfs-utils on Red Hat",),
            )
        warnings.append("exportfs is not on this host yet: a run that is no trial needs it.")
    # A run that was broken off has written and not exported: then only this is left.
    return Plan((*steps, Step(EXPORT, "exportfs", "run exportfs -ra")), tuple(warnings))


def _same(path: str, other: str, observed: Observed) -> bool:
    return path == other or observed.really(path) == observed.really(other)


def _unreadable(observed: Observed) -> Refusal:
    evidence = []
    for name, text in sorted(observed.files.items()):
        try:
            parse(text)
        except SyntaxProblem as problem:
            evidence.append(f"{name}, {problem}")
    return Refusal(
        "The exports of this host cannot be read, and exportfs would leave out what stands there.",
        evidence=tuple(evidence),
        choices=("correct the file",),
    )


def _declared_elsewhere(wish: Wish, observed: Observed, others: t.Sequence[Other]) -> t.Optional[Refusal]:
    found = [other for other in others if _same(wish.path, other.export.path, observed)]
    if not found:
        return None
    choices = ["take it out there"]
    if posixpath.dirname(found[0].file) == posixpath.dirname(wish.file):
        choices.append(f"set file to {posixpath.basename(found[0].file)}")
    return Refusal(
        f"{wish.path} is also exported by another file than {wish.file}, and exportfs would mix the two.",
        evidence=tuple(f"{other.place}: {rendered(other.export)}" for other in found),
        choices=tuple(choices),
    )


def _path_problem(wish: Wish, observed: Observed, others: t.Sequence[Other]) -> t.Optional[Refusal]:
    if observed.path_is == "folder" or (wish.trial and observed.path_is == "nothing"):
        return None
    return Refusal(
        f"path is {wish.path}: expected a folder on this host, found {observed.path_is}.",
        choices=("make the folder with the owner and mode that the clients need", "correct the path"),
    )


def _fsid_problem(wish: Wish, observed: Observed, others: t.Sequence[Other]) -> t.Optional[Refusal]:
    wanted = next(filter(None, (fsid_of(client.options) for client in wish.clients)), "")
    if not wanted:
        return None
    found = [other for other in others if any(fsid_of(client.options) == wanted for client in other.export.clients)]
    if not found:
        return None
    return Refusal(
        f"The {wanted} of {wish.path} is that of another path too: clients would get files of the one for the other.",
        evidence=tuple(f"{other.place}: {rendered(other.export)}" for other in found),
        choices=("give each exported path an fsid of its own",),
    )


def _nested_problem(wish: Wish, observed: Observed, others: t.Sequence[Other]) -> t.Optional[Refusal]:
    """Below an exported folder clients have the rights of that one, whatever a line for the inner one says."""
    if wish.allow_nested:
        return None
    mine, rights = observed.really(wish.path), _rights(wish.clients)
    found = [
        other
        for other in others
        if _nested(mine, observed.really(other.export.path), observed.mounts)
        and _rights(other.export.clients) != rights
    ]
    if not found:
        return None
    return Refusal(
        f"{wish.path} and an export above or below it are on one file system and differ in clients or options. Whoever "
        "may mount the outer folder reaches the inner one with the rights of the outer one.",
        evidence=(
            f"declared: {rendered(wish.export)}",
            *(f"{other.place}: {rendered(other.export)}" for other in found),
        ),
        choices=(
            "export the outer folder alone",
            "give both the same clients and options",
            "put the inner folder on a file system of its own",
            "set allow_nested if this is what you want",
        ),
    )


def _nested(one: str, other: str, mounts: t.Sequence[str]) -> bool:
    return (
        one != other and (_within(one, other) or _within(other, one)) and _mount(one, mounts) == _mount(other, mounts)
    )


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def _mount(path: str, mounts: t.Sequence[str]) -> str:
    return max((mount for mount in mounts if _within(path, mount)), key=len, default="/")


def _rights(clients: t.Sequence[Client]) -> frozenset[tuple[str, frozenset[tuple[str, str]]]]:
    return frozenset((client.host, options.rights(client.options)) for client in clients)


def _warnings(wish: Wish, observed: Observed) -> t.Iterator[str]:
    if observed.path_is == "nothing":
        yield f"{wish.path} is not there yet: a run that is no trial needs the folder."
    loose = [client.host for client in wish.clients if "async" in client.options]
    if loose:
        yield (
            f"{wish.path} is exported with async to {', '.join(loose)}: what a database has been told is on disk is "
            "lost when this host fails."
        )


def _writing(wish: Wish, observed: Observed, own: t.Sequence[Export]) -> tuple[Step, ...]:
    text = observed.files.get(wish.file, "")
    if not wish.present:
        if not own:
            return ()
        left = replaced(text, own, None)
        if only_comments(left.replace(HEADER, "")) and not left.replace(HEADER, "").strip():
            return (Step(DELETE, wish.file, f"delete {wish.file}, which exports nothing but {wish.path}"),)
        return (Step(WRITE, wish.file, f"take {wish.path} out of {wish.file}", data={"text": left}),)
    if len(own) == 1 and own[0] == wish.export:
        return ()
    new = replaced(text or HEADER, own, wish.export)
    return (Step(WRITE, wish.file, f"write '{rendered(wish.export)}' to {wish.file}", data={"text": new}),)

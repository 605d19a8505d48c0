# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the options of exports(5) mean, which exclude each other, and who a client is."""

from __future__ import annotations

import ipaddress
import re
import typing as t

# Each with its opposite. The first of a pair is what exportfs assumes when neither is given.
PAIRS = (
    ("ro", "rw"),
    ("sync", "async"),
    ("secure", "insecure"),
    ("hide", "nohide"),
    ("wdelay", "no_wdelay"),
    ("root_squash", "no_root_squash"),
    ("no_all_squash", "all_squash"),
    ("no_subtree_check", "subtree_check"),
    ("auth_nlm", "no_auth_nlm"),
    ("acl", "no_acl"),
    ("no_pnfs", "pnfs"),
    ("nocrossmnt", "crossmnt"),
)
OTHER_NAMES = {"secure_locks": "auth_nlm", "insecure_locks": "no_auth_nlm", "mountpoint": "mp"}
OPPOSITE = {**dict(PAIRS), **{second: first for first, second in PAIRS}}
# Without an opposite, and without a value.
FLAGS = frozenset(("nordirplus", "security_label", "mp"))
# With a value. The last two are known to nfs-utils 2.6.3 and newer only, so exportfs has the last word.
VALUES = frozenset(("anonuid", "anongid", "fsid", "mp", "refer", "replicas", "sec", "squash_uids", "squash_gids"))
VALUES |= {"xprtsec", "reexport"}
FLAVOURS = frozenset(("sys", "none", "krb5", "krb5i", "krb5p", "null", "unix"))
# What may differ from one security flavour to the next: it counts for the sec= before it.
BY_FLAVOUR = frozenset(
    ("ro", "rw", "root_squash", "no_root_squash", "all_squash", "no_all_squash", "secure", "insecure")
)
# They say which file system is meant, and nothing of who may do what.
NO_RIGHTS = frozenset(("fsid", "mp"))
EVERYBODY = frozenset(("0.0.0.0/0", "0.0.0.0/0.0.0.0", "::/0"))


def name_of(option: str) -> str:
    name = option.partition("=")[0]
    return OTHER_NAMES.get(name, name)


def canonical(option: str) -> str:
    """The option under its usual name, with the values that mean the same made equal."""
    _name, equals, value = option.partition("=")
    name = name_of(option)
    if name == "fsid":
        value = "0" if value == "root" else value.lower()
    return f"{name}{equals}{value}"


def problem(options: t.Sequence[str]) -> t.Optional[str]:
    """What is wrong with one client's options, as the words behind `has`, or None."""
    for option in options:
        if found := _problem_of_one(option):
            return found
    seen: set[tuple[str, str]] = set()
    values: dict[str, str] = {}
    for flavour, option in by_flavour([canonical(option) for option in options]):
        name, equals, value = option.partition("=")
        group = flavour if name in BY_FLAVOUR else ""
        if (group, OPPOSITE.get(name, "")) in seen:
            return f"the options '{OPPOSITE[name]}' and '{name}', which contradict each other"
        if equals and name != "sec" and values.setdefault(name, value) != value:
            return f"the option '{name}' twice, with the values {values[name]} and {value}"
        seen.add((group, name))
        if {(group, "all_squash"), (group, "no_root_squash")} <= seen:
            return "the options 'all_squash' and 'no_root_squash', which contradict each other: root is among all users"
    return None


def _problem_of_one(option: str) -> t.Optional[str]:
    """What is wrong with one option by itself."""
    if re.search(r"[\s()\",#\\]", option):
        return f"the option '{option}', which holds a character that ends an option in a file of exports"
    name, equals, value = canonical(option).partition("=")
    if equals and name not in VALUES and (name in OPPOSITE or name in FLAGS):
        return f"the option '{option}', and '{name}' takes no value"
    if name not in OPPOSITE and name not in FLAGS and name not in VALUES:
        return f"the option '{option}', which exports(5) does not know"
    if name in VALUES and name not in FLAGS and not value:
        return f"the option '{option}', and '{name}' needs a value, as in {name}={_example(name)}"
    if name in ("anonuid", "anongid") and not re.fullmatch(r"-?[0-9]{1,10}", value):
        return f"the option '{option}', and '{name}' takes a number"
    if name == "fsid" and not _is_fsid(value):
        return f"the option '{option}', and 'fsid' takes root, a number below 4294967296 or a UUID"
    if name == "sec" and not FLAVOURS.issuperset(value.split(":")):
        return f"the option '{option}', and 'sec' takes some of {', '.join(sorted(FLAVOURS))} with colons between them"
    if name == "mp" and equals and not value.startswith("/"):
        return f"the option '{option}', and '{name}' takes an absolute path"
    return None


def _example(name: str) -> str:
    return {"sec": "krb5p", "refer": "/path@host", "replicas": "/path@host"}.get(name, "1000")


def _is_fsid(value: str) -> bool:
    if value.isdecimal():
        return int(value) < 2**32
    return len(re.findall(r"[0-9a-f]", value)) == 32 and not re.search(r"[^0-9a-f:.-]", value)


def by_flavour(options: t.Sequence[str]) -> t.Iterator[tuple[str, str]]:
    """Each option with the sec= that it stands behind, or nothing: then it counts for every flavour."""
    flavour = ""
    for option in options:
        if option.startswith("sec="):
            flavour = option.partition("=")[2]
        yield flavour, option


def combined(common: t.Sequence[str], own: t.Sequence[str]) -> tuple[str, ...]:
    """The common options with a client's own behind them, which win where the two contradict each other."""
    names = {name_of(option) for option in own}
    against = {OPPOSITE.get(name, name) for name in names}
    if "no_root_squash" in names:
        against.add("all_squash")
    if "all_squash" in names:
        against.add("no_root_squash")
    kept = [option for option in common if name_of(option) not in names | against]
    return tuple(dict.fromkeys([*kept, *own]))


def rights(options: t.Sequence[str]) -> frozenset[tuple[str, str]]:
    """What these options come to, however they are written: equal for two lists that mean the same."""
    listed = [canonical(option) for option in options]
    flavours = [option.partition("=")[2] for option in listed if option.startswith("sec=")] or ["sys"]
    settled = {}
    for first, _second in PAIRS:
        settled.update({(group, first): first for group in (flavours if first in BY_FLAVOUR else [""])})
    for flavour, option in by_flavour(listed):
        name = option.partition("=")[0]
        if name == "sec" or name in NO_RIGHTS:
            continue
        first = name if name in dict(PAIRS) else OPPOSITE.get(name, name)
        groups = ([flavour] if flavour else flavours) if name in BY_FLAVOUR else [""]
        settled.update({(group, first): option for group in groups})
    return frozenset((group, option) for (group, _first), option in settled.items())


def is_everybody(host: str) -> bool:
    return host in EVERYBODY or (bool(host) and not host.strip("*?."))


def host_problem(host: str) -> t.Optional[str]:
    """What is wrong with the name of a client, as a clause, or None."""
    if not host:
        return "is empty"
    if re.search(r"[\s()\"#,\\]", host) or host.startswith("-"):
        return "holds a character that no client has"
    if host.startswith("gss/"):
        return "is the old way to ask for Kerberos: name the hosts, and give them the option sec=krb5"
    if host.startswith("@"):
        return None if len(host) > 1 else "names no netgroup"
    if "/" in host:
        try:
            ipaddress.ip_network(host, strict=False)
        except ValueError as error:
            return f"is no network ({error})"
    elif ":" in host or re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            return f"is no address ({error})"
    elif not re.fullmatch(r"[A-Za-z0-9._*?\[\]-]+", host):
        return "is no host name, address, network, netgroup or wildcard"
    return None

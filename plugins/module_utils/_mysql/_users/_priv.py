# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Privileges: as they are declared, as SHOW GRANTS tells them, and the statements from the one to the other. Pure.

A set of privileges belongs to a level, which is written as a statement wants it: *.*, `db`.*, `db`.`table` or
PROCEDURE `db`.`name`. A privilege on columns is one for each column. Roles, and the right to be a proxy, are no part of
this.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

Grants = t.Mapping[str, frozenset[str]]
# A statement, and what takes the place of %s in it.
Statement = tuple[str, tuple[t.Any, ...]]

EVERYTHING = "*.*"
ALL, GRANT_OPTION, USAGE = "ALL PRIVILEGES", "GRANT OPTION", "USAGE"
NONE: frozenset[str] = frozenset()

_SHORT = {"ALL": ALL, "GRANT": GRANT_OPTION, "WITH GRANT OPTION": GRANT_OPTION}
# Other names that MariaDB takes for what SHOW GRANTS calls by these.
_MARIADB = {
    "REPLICATION CLIENT": "BINLOG MONITOR",
    "REPLICA MONITOR": "SLAVE MONITOR",
    "REPLICATION REPLICA": "REPLICATION SLAVE",
    "REPLICATION REPLICA ADMIN": "REPLICATION SLAVE ADMIN",
    "READ ONLY ADMIN": "READ_ONLY ADMIN",
    "DELETE VERSIONING ROWS": "DELETE HISTORY",
}


# As declared.


def declared(given: t.Any, user: str) -> dict[str, frozenset[str]]:
    """``db.table:PRIV,PRIV/db.table:PRIV``, a list of such, or a dictionary. Raises Failure."""
    if isinstance(given, dict):
        pairs = [(str(level), value) for level, value in given.items()]
    else:
        texts = given if isinstance(given, list) else _split(str(given), "/")
        pairs = []
        for text in texts:
            level, colon, value = str(text).strip().rpartition(":")
            if not colon:
                raise _wrong(user, str(text))
            pairs.append((level, value))
    found: dict[str, frozenset[str]] = {}
    for level, value in pairs:
        names = value if isinstance(value, list) else _split(str(value), ",")
        privileges = frozenset(one for name in names for one in _privilege(str(name), user))
        if not privileges:
            raise _wrong(user, f"{level}:{value}")
        place = _level(level, user)
        found[place] = found.get(place, NONE) | privileges
    return {level: _plain(privileges) for level, privileges in found.items()}


def _wrong(user: str, text: str) -> Failure:
    return Failure(
        f"users: {user}: expected priv to be DATABASE.TABLE:PRIVILEGE,PRIVILEGE, several of them with / between them, "
        f"or a dictionary of the two, such as *.*:PROCESS/shop.*:SELECT,INSERT; found {text!r}. Correct it."
    )


def _level(text: str, user: str) -> str:
    kind, name = "", text.strip()
    found = re.match(r"(TABLE|FUNCTION|PROCEDURE|PACKAGE BODY|PACKAGE)\s+(.*)", name, re.IGNORECASE | re.DOTALL)
    if found and "." in found[2]:
        kind, name = found[1].upper(), found[2]
    parts = _split(name, ".")
    if len(parts) != 2 or not all(parts):
        raise _wrong(user, text)
    before = f"{kind} " if kind not in ("", "TABLE") else ""
    return before + ".".join("*" if part == "*" else _quoted(_unquoted(part)) for part in parts)


def _privilege(text: str, user: str) -> list[str]:
    name, bracket, rest = " ".join(text.split()).partition("(")
    name = name.strip().upper()
    if not re.fullmatch(r"[A-Z][A-Z_ ]*", name) or (bracket and not rest.endswith(")")):
        raise _wrong(user, text)
    if not bracket:
        return [_SHORT.get(name, name)]
    return [f"{name} ({_quoted(_unquoted(column))})" for column in _split(rest[:-1], ",")]


def _plain(privileges: frozenset[str]) -> frozenset[str]:
    """Without what adds nothing."""
    if ALL in privileges:
        return privileges & {ALL, GRANT_OPTION}
    return privileges - {USAGE}


def of_flavour(grants: Grants, mariadb: bool) -> dict[str, frozenset[str]]:
    """By the names that the server tells them by."""
    names = _MARIADB if mariadb else {}
    return {level: frozenset(names.get(one, one) for one in privileges) for level, privileges in grants.items()}


# As told.


def told(lines: t.Iterable[str], user: str, host: str) -> tuple[dict[str, frozenset[str]], bool]:
    """What SHOW GRANTS says of this user, and whether a part of it was revoked again (MySQL's partial revokes)."""
    found: dict[str, frozenset[str]] = {}
    partly = False
    for line in lines:
        partly = partly or line.startswith("REVOKE ")
        parts = _told_line(line)
        if parts is None or parts[2:4] != (user, host):
            continue
        names, level, _user, _host, rest = parts
        privileges = frozenset(one for name in _split(names, ",") for one in _privilege(name, user))
        if re.search(r"\bGRANT OPTION\b", rest):
            privileges |= {GRANT_OPTION}
        found[level] = found.get(level, NONE) | privileges
    return {level: plain for level, privileges in found.items() if (plain := _plain(privileges))}, partly


_NAME = r"(?:`(?:[^`]|``)*`|\*)"
_GRANT = re.compile(
    rf"GRANT (?P<names>(?:[^`]|`(?:[^`]|``)*`)+?) ON (?P<level>(?:[A-Z ]+ )?{_NAME}\.{_NAME}) "
    r"TO (?P<user>`(?:[^`]|``)*`)@(?P<host>`(?:[^`]|``)*`)(?P<rest>.*)",
    re.DOTALL,
)


def _told_line(line: str) -> t.Optional[tuple[str, str, str, str, str]]:
    """None of a role, of a proxy, and of what is revoked."""
    found = _GRANT.fullmatch(line)
    if found is None or found["names"].startswith("PROXY"):
        return None
    return found["names"], found["level"], _unquoted(found["user"]), _unquoted(found["host"]), found["rest"]


def named(grants: Grants, every: t.Collection[str]) -> dict[str, frozenset[str]]:
    """MySQL tells all global privileges one by one: with the names of all there are they are told as declared."""
    found = dict(grants)
    if every and found.get(EVERYTHING, NONE) >= frozenset(every):
        found[EVERYTHING] = found[EVERYTHING] & {GRANT_OPTION} | {ALL}
    return found


# From the one to the other.


def missing(wanted: Grants, has: Grants) -> dict[str, frozenset[str]]:
    """What is wanted and not there."""
    found: dict[str, frozenset[str]] = {}
    for level, privileges in wanted.items():
        there = has.get(level, NONE)
        covered = privileges - {GRANT_OPTION} if ALL in there else NONE
        if lacks := privileges - there - covered:
            found[level] = lacks
    return found


def excess(wanted: Grants, has: Grants) -> dict[str, frozenset[str]]:
    """What is there and not wanted."""
    found: dict[str, frozenset[str]] = {}
    for level, privileges in has.items():
        want = wanted.get(level, NONE)
        more = privileges - want
        # All the others may have been told one by one.
        if more := more & {GRANT_OPTION} if ALL in want else more:
            found[level] = more
    return found


def difference(wanted: Grants, has: Grants) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """What is to be granted, and what revoked: of ALL nothing can be taken, so the rest is granted anew."""
    grants, revokes = missing(wanted, has), excess(wanted, has)
    for level, more in revokes.items():
        if ALL in more and (rest := wanted.get(level, NONE) - {GRANT_OPTION}):
            grants[level] = grants.get(level, NONE) | rest
    return grants, revokes


def statements(wanted: Grants, has: Grants, user: str, host: str, append: bool) -> list[Statement]:
    """What is granted comes before what is revoked, so that nobody is without what stays; ALL goes first."""
    grants, revokes = (missing(wanted, has), {}) if append else difference(wanted, has)
    everything = [level for level, privileges in revokes.items() if ALL in privileges]
    result = [_revoke(level, frozenset((ALL,)), user, host) for level in everything]
    result += [_grant(level, privileges, user, host) for level, privileges in sorted(grants.items())]
    for level, privileges in sorted(revokes.items()):
        for some in (privileges & {GRANT_OPTION}, privileges - {GRANT_OPTION, ALL}):
            if some:
                result.append(_revoke(level, some, user, host))
    return result


def _grant(level: str, privileges: frozenset[str], user: str, host: str) -> Statement:
    names = ", ".join(sorted(privileges - {GRANT_OPTION})) or USAGE
    option = " WITH GRANT OPTION" if GRANT_OPTION in privileges else ""
    return f"GRANT {_literal(names)} ON {_literal(level)} TO %s@%s{option}", (user, host)


def _revoke(level: str, privileges: frozenset[str], user: str, host: str) -> Statement:
    return f"REVOKE {_literal(', '.join(sorted(privileges)))} ON {_literal(level)} FROM %s@%s", (user, host)


def lines(grants: Grants) -> list[str]:
    """For people."""
    return [f"{', '.join(sorted(privileges))} on {level}" for level, privileges in sorted(grants.items())]


# Names in backticks.


def _split(text: str, separator: str) -> list[str]:
    """At separators that are in no backticks and no brackets."""
    parts, part, quoted, depth = [], "", False, 0
    for letter in text:
        quoted ^= letter == "`"
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if letter == separator and not quoted and not depth:
            parts.append(part.strip())
            part = ""
        else:
            part += letter
    return [each for each in [*parts, part.strip()] if each]


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _unquoted(name: str) -> str:
    name = name.strip()
    return name[1:-1].replace("``", "`") if len(name) > 1 and name[0] == name[-1] == "`" else name


def _literal(text: str) -> str:
    """In a statement that values are put into, a per cent sign stands for itself when it is doubled."""
    return text.replace("%", "%%")

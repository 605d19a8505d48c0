# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The syntax of exports(5): reading what a file exports, and writing lines that exportfs reads as they are meant.

Read as nfs-utils reads it: blanks separate, a backslash before the end of a line joins two lines, quotes keep blanks
together, three octal digits behind a backslash are a byte, and a comment begins only where a word could.
"""

from __future__ import annotations

import dataclasses
import typing as t

BLANK = " \t\n\v\f\r"
OCTAL = frozenset("01234567")


class SyntaxProblem(Exception):
    """What a file of exports cannot be read for; the message names the line."""


@dataclasses.dataclass(frozen=True)
class Client:
    """Who may mount, and how. The options are those of the line's default list with the client's own behind them."""

    host: str
    options: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Export:
    """One path with its clients, and the lines of the file (from 0, the last one included) that say so."""

    path: str
    clients: tuple[Client, ...]
    first: int = dataclasses.field(default=0, compare=False)
    last: int = dataclasses.field(default=0, compare=False)


def parse(text: str) -> tuple[Export, ...]:
    """Every export of a file. Raises SyntaxProblem."""
    reader = _Reader(text)
    found: list[Export] = []
    while True:
        reader.skip(BLANK)
        if reader.at_end():
            return tuple(found)
        first = reader.line
        path = reader.word()
        words = []
        while not reader.at_end_of_line():
            words.append(reader.word())
        found.append(Export(path, _clients(words, first), first, reader.line))


def _clients(words: t.Sequence[str], line: int) -> tuple[Client, ...]:
    default: tuple[str, ...] = ()
    clients = []
    for number, word in enumerate(words):
        # Only the first word is a list of default options; later ones are clients, whatever they look like.
        if number == 0 and word.startswith("-"):
            default = split_options(word[1:])
            continue
        host, bracket, rest = word.partition("(")
        if bracket and (")" not in rest or rest.index(")") != len(rest) - 1):
            raise SyntaxProblem(f"line {line + 1}: the options of client '{host or '*'}' do not end with a bracket")
        clients.append(Client(host or "*", default + split_options(rest[:-1])))
    # A path alone is exported to everybody.
    return tuple(clients) or (Client("*", default),)


def split_options(text: str) -> tuple[str, ...]:
    return tuple(word.strip(" \t") for word in text.split(",") if word.strip(" \t"))


class _Reader:
    """The characters of a file, with lines joined where a backslash stands before their end."""

    def __init__(self, text: str) -> None:
        self._characters: list[tuple[str, int]] = []
        self._next = 0
        line = position = 0
        while position < len(text):
            character = text[position]
            if text.startswith("\\\n", position):
                self._characters.append((" ", line))
                line, position = line + 1, position + 2
                continue
            self._characters.append((character, line))
            line, position = line + (character == "\n"), position + 1

    @property
    def line(self) -> int:
        """The line of the next character, or of the last one."""
        if not self._characters:
            return 0
        return self._characters[min(self._next, len(self._characters) - 1)][1]

    def at_end(self) -> bool:
        return self._next >= len(self._characters)

    def _peek(self) -> str:
        return "" if self.at_end() else self._characters[self._next][0]

    def skip(self, blanks: str) -> None:
        """Go to the next word, past comments."""
        while (character := self._peek()) and (character in blanks or character == "#"):
            if character == "#":
                while self._peek() not in ("", "\n"):
                    self._next += 1
            else:
                self._next += 1

    def at_end_of_line(self) -> bool:
        self.skip(" \t\v\f\r")
        return self._peek() in ("", "\n")

    def word(self) -> str:
        line, quoted = self.line, False
        found: list[str] = []
        while (character := self._peek()) and (quoted or character not in BLANK):
            self._next += 1
            if character == '"':
                quoted = not quoted
                continue
            found.append(character)
            if len(found) >= 4 and found[-4] == "\\" and OCTAL.issuperset(found[-3:]):
                code = int("".join(found[-3:]), 8)
                if code < 256:
                    found[-4:] = [chr(code) if code < 128 else chr(0xDC00 + code)]
        if quoted:
            raise SyntaxProblem(f"line {line + 1}: a quotation mark is not closed")
        # Bytes that were written as octal digits are put together to characters.
        return "".join(found).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def escaped(word: str) -> str:
    """A word in the form that is read back as this word."""
    written = []
    for number, character in enumerate(word):
        # Digits behind a backslash are written as codes too, or they would be taken for a code together with it.
        behind_backslash = "\\" in word[max(0, number - 3) : number]
        if (
            character in BLANK
            or character in '"#\\'
            or ord(character) < 32
            or (behind_backslash and character in OCTAL)
        ):
            written.append(f"\\{ord(character):03o}")
        else:
            written.append(character)
    return "".join(written)


def rendered(export: Export) -> str:
    """The line for one path, without its end."""
    clients = (f"{client.host}({','.join(client.options)})" for client in export.clients)
    return " ".join([escaped(export.path), *clients])


def replaced(text: str, old: t.Sequence[Export], new: t.Optional[Export]) -> str:
    """The text of a file without these exports, and with a new one in the place of the first of them or at the end."""
    lines = [f"{line}\n" for line in text.removesuffix("\n").split("\n")] if text else []
    place = old[0].first if old else len(lines)
    gone = {line for export in old for line in range(export.first, export.last + 1)}
    kept = [(number, line) for number, line in enumerate(lines) if number not in gone]
    before = [line for number, line in kept if number < place]
    behind = [line for number, line in kept if number >= place]
    return "".join([*before, *([rendered(new) + "\n"] if new else []), *behind])


def only_comments(text: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines())

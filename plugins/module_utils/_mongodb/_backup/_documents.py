# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The BSON documents of a file of a backup."""

from __future__ import annotations

import contextlib
import gzip
import struct
import typing as t

# Bytes.
SMALLEST_DOCUMENT = 5
LARGEST_DOCUMENT = 17 * 1024 * 1024
_LENGTH = struct.Struct("<i")


class Damaged(Exception):
    """A file of a backup is not what its manifest says."""


def documents(raw: t.BinaryIO, name: str) -> t.Iterator[bytes]:
    """The BSON documents of a file of that name, one after the other. Raises Damaged."""
    with gzip.open(raw) if name.endswith(".gz") else contextlib.nullcontext(raw) as file:
        while True:
            head = file.read(_LENGTH.size)
            if not head:
                return
            if len(head) < _LENGTH.size:
                raise Damaged(f"{name} ends in the middle of a document")
            length = _LENGTH.unpack(head)[0]
            if not SMALLEST_DOCUMENT <= length <= LARGEST_DOCUMENT:
                raise Damaged(f"{name} holds something else than BSON documents")
            body = file.read(length - _LENGTH.size)
            if len(body) < length - _LENGTH.size:
                raise Damaged(f"{name} ends in the middle of a document")
            yield head + body

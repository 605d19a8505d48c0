# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The one question that needs neither a login nor the driver, whose import alone costs a third of an empty play.

https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/ describes the message.
"""

from __future__ import annotations

import socket
import struct
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import READ_TIMEOUT, NoAnswer

_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013
# Flags (none), and the kind of the only section: one document.
_START = struct.pack("<IB", 0, 0)
_LARGEST = 1024 * 1024


def hello(path: str) -> dict[str, t.Any]:
    """What the member behind this unix socket says of itself. Raises NoAnswer, and ImportError without ``bson``."""
    import bson

    body = _START + bson.encode({"hello": 1, "$db": "admin"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(READ_TIMEOUT)
        try:
            channel.connect(path)
            channel.sendall(_HEADER.pack(_HEADER.size + len(body), 1, 0, _OP_MSG) + body)
            length, _request, _answered, code = _HEADER.unpack(_read(channel, _HEADER.size))
            if code != _OP_MSG or not 0 < length <= _LARGEST:
                raise NoAnswer("its answer is none of this protocol")
            answer = _read(channel, length - _HEADER.size)
            found: dict[str, t.Any] = bson.decode(answer[len(_START) :], bson.CodecOptions(tz_aware=True))
        except (OSError, bson.errors.BSONError) as exc:
            raise NoAnswer(str(exc)) from exc
    if found.get("ok") != 1:
        raise NoAnswer(str(found.get("errmsg", "it refused to answer")))
    return found


def _read(channel: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        part = channel.recv(size - len(found))
        if not part:
            raise NoAnswer("the connection ended in the middle of an answer")
        found += part
    return bytes(found)

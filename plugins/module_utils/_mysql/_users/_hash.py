# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What MySQL and MariaDB keep in the place of a password: whether a password fits it, and what it is for one. Pure.

Sources: for caching_sha2_password and sha256_password the algorithm of https://www.akkadia.org/drepper/SHA-crypt.txt
with a salt of 20 bytes; for ed25519 RFC 8032, with the SHA-512 of the password in the place of that of a seed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import typing as t

CACHING_SHA2, SHA256, NATIVE, ED25519 = (
    "caching_sha2_password",
    "sha256_password",
    "mysql_native_password",
    "ed25519",
)
PLUGINS = (CACHING_SHA2, ED25519, NATIVE, SHA256)


def fits(plugin: str, kept: str, password: str) -> t.Optional[bool]:
    """Whether this password is the one that was kept like this; None where nobody here can tell."""
    if plugin not in PLUGINS:
        return None
    if not kept:
        return False
    if plugin == NATIVE and re.fullmatch(r"\*[0-9A-Fa-f]{40}", kept):
        return hmac.compare_digest(native(password), kept.upper())
    if plugin == ED25519 and re.fullmatch(r"[A-Za-z0-9+/]{43}", kept):
        return hmac.compare_digest(ed25519(password), kept)
    # $A$ROUNDS$, where a thousand rounds are 1 in hexadecimal, 20 bytes of salt that may be any, and the digest.
    found = re.fullmatch(r"\$A\$([0-9A-Fa-f]{3})\$(.{20})(.{43})", kept, re.DOTALL)
    if plugin == CACHING_SHA2 and found:
        return hmac.compare_digest(_sha_crypt(password, found[2], int(found[1], 16) * 1000), found[3])
    found = re.fullmatch(r"\$5\$(?:rounds=([0-9]+)\$)?(.{20})\$(.{43})", kept, re.DOTALL)
    if plugin == SHA256 and found:
        return hmac.compare_digest(_sha_crypt(password, found[2], int(found[1] or 5000)), found[3])
    return None


def native(password: str) -> str:
    """What mysql_native_password keeps."""
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return f"*{hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()}"


def ed25519(password: str) -> str:
    """What ed25519 keeps: the public key of a secret one that is made of the password."""
    digest = bytearray(hashlib.sha512(password.encode()).digest()[:32])
    digest[0] &= 248
    digest[31] = (digest[31] & 63) | 64
    x, y = _times(int.from_bytes(digest, "little"))
    key = (y | ((x & 1) << 255)).to_bytes(32, "little")
    return base64.b64encode(key).decode().rstrip("=")


# What a password is kept as, for the plugins of which a statement may say that in the place of the password.
KEPT_AS: t.Mapping[str, t.Callable[[str], str]] = {NATIVE: native, ED25519: ed25519}


# In the order of three bytes that are written as four letters.
_ORDER = tuple((i * 21 % 30, (i * 21 + 10) % 30, (i * 21 + 20) % 30) for i in range(10))
_LETTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _sha_crypt(password: str, salt: str, rounds: int) -> str:
    key, salted = password.encode(), salt.encode("latin-1")
    other = hashlib.sha256(key + salted + key).digest()
    first = key + salted + _stretched(other, len(key))
    length = len(key)
    while length:
        first += other if length & 1 else key
        length >>= 1
    digest = hashlib.sha256(first).digest()
    key = _stretched(hashlib.sha256(key * len(key)).digest(), len(key))
    salted = _stretched(hashlib.sha256(salted * (16 + digest[0])).digest(), len(salted))
    for turn in range(rounds):
        mixed = key if turn & 1 else digest
        if turn % 3:
            mixed += salted
        if turn % 7:
            mixed += key
        digest = hashlib.sha256(mixed + (digest if turn & 1 else key)).digest()
    groups = [(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in _ORDER]
    groups.append((digest[31] << 8 | digest[30], 3))
    return "".join(_LETTERS[value >> (6 * place) & 63] for value, letters in groups for place in range(letters))


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


# The curve, with points as x and y.
_P = 2**255 - 19
_D = -121665 * pow(121666, _P - 2, _P) % _P
_BASE = (
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    46316835694926478169428394003475163141307993866256225615783033603165251855960,
)


def _times(scalar: int) -> tuple[int, int]:
    """So many times the base point, without a division until the end."""
    result, point = (0, 1, 1, 0), (*_BASE, 1, _BASE[0] * _BASE[1] % _P)
    while scalar:
        if scalar & 1:
            result = _sum(result, point)
        point = _sum(point, point)
        scalar >>= 1
    inverse = pow(result[2], _P - 2, _P)
    return result[0] * inverse % _P, result[1] * inverse % _P


_Point = tuple[int, int, int, int]


def _sum(one: _Point, other: _Point) -> _Point:
    """RFC 8032, 5.1.4."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P

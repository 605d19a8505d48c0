# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Whether a password is the one that a user has, told from what the server keeps of it. Pure.

A server keeps no password, but a key that is derived from it (RFC 5802, RFC 7677), which the login of the root user may
read. To derive it again answers the question without a login: so nothing stands in the server's log as a failed one,
and a user whom restrictions keep from this way in is judged like any other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import typing as t

# The stronger one first.
_HASHES = (("SCRAM-SHA-256", "sha256"), ("SCRAM-SHA-1", "sha1"))


def matches(credentials: t.Mapping[str, t.Any], username: str, password: str) -> bool:
    """Whether these credentials, as usersInfo shows them, were made of this password."""
    for mechanism, name in _HASHES:
        kept = credentials.get(mechanism)
        if kept:
            secret = _prepared(username, password, mechanism)
            if secret is None:
                return False
            salted = hashlib.pbkdf2_hmac(name, secret, base64.b64decode(kept["salt"]), int(kept["iterationCount"]))
            stored = hashlib.new(name, hmac.digest(salted, b"Client Key", name)).digest()
            return hmac.compare_digest(stored, base64.b64decode(kept["storedKey"]))
    return False


def _prepared(username: str, password: str, mechanism: str) -> t.Optional[bytes]:
    """What the key is derived from; None where no password can be written so."""
    if mechanism == "SCRAM-SHA-1":
        # The mechanism wants it; nothing is kept safe by it.
        digest = hashlib.md5(f"{username}:mongo:{password}".encode(), usedforsecurity=False)
        return digest.hexdigest().encode()
    from pymongo.saslprep import saslprep

    try:
        return str(saslprep(password)).encode()
    except ValueError:
        return None

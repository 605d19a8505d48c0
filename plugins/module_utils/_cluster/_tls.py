# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""TLS inside a tunnel: what goes into the tunnel is plain, what the server in the pod gets is not."""

from __future__ import annotations

import dataclasses
import ssl
import typing as t

CHUNK = 64 * 1024
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which the ssl module has no name.
NO_CHECK_TIME = 0x200000


@dataclasses.dataclass(frozen=True)
class ServerTls:
    """How to speak TLS to a server, and the name that its certificate has to have."""

    context: ssl.SSLContext
    hostname: str


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What a server showed of itself. Times are seconds since the epoch."""

    der: bytes
    not_before: float
    not_after: float


def context_for(authorities: str) -> ssl.SSLContext:
    """One that trusts these authorities (PEM) and nobody else. Raises ssl.SSLError.

    Chain and name are checked, the dates are not: a certificate that has run out must not lock out whoever comes to
    replace it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=authorities)
    context.verify_flags |= t.cast("ssl.VerifyFlags", NO_CHECK_TIME)
    return context


class Layer:
    """Turns plain bytes into those of one TLS connection and back. Raises ssl.SSLError."""

    def __init__(self, tls: ServerTls, shown: t.Callable[[Certificate], None]) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.context.wrap_bio(self._in, self._out, server_hostname=tls.hostname)
        self._unsent = bytearray()
        self._tell = shown
        self._connected = False
        self._go_on()

    def put(self, plain: bytes) -> None:
        """Bytes for the server; they wait until there is a connection."""
        self._unsent += plain
        self._go_on()

    def take(self) -> bytes:
        """What is to be sent to the server now."""
        return self._out.read()

    def receive(self, data: bytes) -> bytes:
        """The plain bytes in what the server sent."""
        self._in.write(data)
        self._go_on()
        found = bytearray()
        while self._connected:
            try:
                part = self._tls.read(CHUNK)
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                break
            if not part:
                break
            found += part
        return bytes(found)

    def _go_on(self) -> None:
        try:
            if not self._connected:
                self._tls.do_handshake()
                self._connected = True
                self._tell(self._shown())
            while self._unsent:
                del self._unsent[: self._tls.write(self._unsent)]
        except ssl.SSLWantReadError:
            return

    def _shown(self) -> Certificate:
        told = t.cast("dict[str, str]", self._tls.getpeercert())
        return Certificate(
            self._tls.getpeercert(binary_form=True) or b"",
            float(ssl.cert_time_to_seconds(told["notBefore"])),
            float(ssl.cert_time_to_seconds(told["notAfter"])),
        )

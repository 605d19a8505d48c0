# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Certificates: what is in one, and an authority that issues them. No I/O.

The names of a set's certificate are those of every member there may ever be, so one certificate serves all, and a set
that grows needs no other one.
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import re
import ssl
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, MissingLibrary
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._facts import RENEW_AT

# Days that an authority of our own holds.
AUTHORITY_DAYS = 3650
DAY = 86400.0
# Clocks of members may be behind ours.
EARLIER = datetime.timedelta(minutes=10)

USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)

_BLOCK = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A certificate, with those of its chain behind it, and its private key: both PEM."""

    certificate: str
    key: str = dataclasses.field(repr=False)

    @property
    def text(self) -> str:
        """Both in one file, as mongod reads them."""
        return f"{self.certificate.strip()}\n{self.key.strip()}\n"


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is in a certificate. Times are seconds since the epoch."""

    fingerprint: str
    not_before: float
    not_after: float
    names: frozenset[str]
    issuer: str

    def days_left(self, now: float) -> int:
        return int((self.not_after - now) // DAY)

    def due(self, now: float) -> bool:
        return self.not_after - now < (self.not_after - self.not_before) * RENEW_AT


def require_cryptography() -> None:
    try:
        import cryptography.x509  # noqa: F401
    except ImportError as exc:
        raise MissingLibrary("cryptography", str(exc)) from exc


def blocks(text: str) -> tuple[str, ...]:
    """The certificates in a text, one each."""
    return tuple(f"{block}\n" for block in _BLOCK.findall(text))


def fingerprint(der: bytes) -> str:
    import hashlib

    return hashlib.sha256(der).hexdigest()


def fingerprints(text: str) -> frozenset[str]:
    """Those of all certificates in a text. Raises ValueError."""
    return frozenset(fingerprint(ssl.PEM_cert_to_DER_cert(block)) for block in blocks(text))


def names_of(target: Target, service: str, more: t.Iterable[str] = ()) -> tuple[str, ...]:
    """The names under which clients and members reach the members of a set."""
    forms = ("", f".{target.namespace}", f".{target.namespace}.svc", f".{target.namespace}.svc.{target.cluster_domain}")
    names = ["localhost", "127.0.0.1"]
    names += [f"*.{service}{form}" for form in forms]
    names += [f"{name}{form}" for name in dict.fromkeys((service, f"{target.name}-client")) for form in forms]
    return tuple(dict.fromkeys([*names, *more]))


def check_names(names: t.Iterable[str]) -> None:
    """Raises Failure where a certificate cannot have one of these."""
    for name in names:
        _name(name)


def covers(names: t.Collection[str], host: str) -> bool:
    """Whether a certificate with these names is one for this host."""
    return host in names or f"*.{host.partition('.')[2]}" in names


def read(text: str) -> Facts:
    """The first certificate in a text. Raises ValueError where there is none."""
    from cryptography import x509

    found = blocks(text)
    if not found:
        raise ValueError("there is no certificate in PEM")
    certificate = x509.load_pem_x509_certificate(found[0].encode())
    names: set[str] = set()
    try:
        listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        names.update(listed.get_values_for_type(x509.DNSName))
        names.update(str(address) for address in listed.get_values_for_type(x509.IPAddress))
    return Facts(
        fingerprint(ssl.PEM_cert_to_DER_cert(found[0])),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
        frozenset(names),
        certificate.issuer.rfc4514_string(),
    )


def belongs(pair: Pair, authorities: str) -> t.Optional[str]:
    """Why members could not use this pair with these authorities, or None."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        chain = [x509.load_pem_x509_certificate(block.encode()) for block in blocks(pair.certificate)]
        roots = [x509.load_pem_x509_certificate(block.encode()) for block in blocks(authorities)]
        key = serialization.load_pem_private_key(pair.key.encode(), None)
    except (TypeError, ValueError) as exc:
        return f"it cannot be read ({exc})"
    if not chain or not roots:
        return "it lacks a certificate in PEM" if not chain else "it lacks the certificate of its authority"
    kind = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*kind) != chain[0].public_key().public_bytes(*kind):
        return "its key belongs to another certificate"
    last = chain[0]
    for above in (*chain[1:], None):
        if any(_issued(last, root) for root in roots):
            return None
        if above is None or not _issued(last, above):
            break
        last = above
    return "it was not issued by the authority beside it"


def _issued(certificate: t.Any, by: t.Any) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except Exception:  # the signature's own kinds of errors, none of which they share
        return False
    return True


def authority(title: str, now: float) -> Pair:
    """A new authority."""
    from cryptography import x509

    key = _key()
    subject = _subject(f"{title[:40]} CA", "stateful.kube")
    extensions: list[tuple[t.Any, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_usage(key_cert_sign=True, crl_sign=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ]
    return _signed(subject, subject, key, key, extensions, now, AUTHORITY_DAYS)


def issue(by: Pair, target: Target, names: t.Sequence[str], days: int, now: float) -> Pair:
    """A certificate for every member: they show it to clients, and to each other from both sides."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    root = x509.load_pem_x509_certificate(by.certificate.encode())
    signer: t.Any = serialization.load_pem_private_key(by.key.encode(), None)
    key = _key()
    usages = [x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    extensions: list[tuple[t.Any, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(digital_signature=True), True),
        (x509.ExtendedKeyUsage(usages), False),
        (x509.SubjectAlternativeName([_name(name) for name in names]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
    ]
    subject = _subject(target.name, target.namespace, "mongodb")
    return _signed(subject, root.subject, key, signer, extensions, now, days)


def _signed(
    subject: t.Any,
    issuer: t.Any,
    key: t.Any,
    signer: t.Any,
    extensions: t.Sequence[tuple[t.Any, bool]],
    now: float,
    days: int,
) -> Pair:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    begin = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - EARLIER)
        .not_valid_after(begin + datetime.timedelta(days=days))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    certificate = builder.sign(signer, hashes.SHA256())
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


def _key() -> t.Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _subject(common: str, organisation: str, unit: str = "") -> t.Any:
    from cryptography import x509

    # X.509 allows 64 characters for each.
    parts = [(x509.NameOID.ORGANIZATION_NAME, organisation), (x509.NameOID.ORGANIZATIONAL_UNIT_NAME, unit)]
    parts.append((x509.NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(kind, text[:64]) for kind, text in parts if text])


def _usage(**allowed: bool) -> t.Any:
    from cryptography import x509

    return x509.KeyUsage(**{name: allowed.get(name, False) for name in USAGES})


def _name(name: str) -> t.Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as exc:
        raise Failure(f"extra_names: {name} is no name that a certificate can have: {exc}.") from exc

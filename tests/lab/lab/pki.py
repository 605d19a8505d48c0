# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Keys and certificates, and the kubeconfig files that carry them.

Python 3.13 checks certificates strictly (RFC 5280): without basic constraints, key usage and key identifiers every
Python client of the API server would refuse them, although kubectl does not mind.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab import files
from lab.settings import (
    CLUSTER_DOMAIN,
    CLUSTER_NAME,
    CONTROL_PLANE_ADDRESS,
    KUBERNETES_SERVICE,
    Settings,
)

VALIDITY = timedelta(days=3650)
RENEWAL = timedelta(days=30)


@dataclass(frozen=True)
class Identity:
    """Whom a certificate is for."""

    name: str
    common_name: str
    organization: str | None = None
    dns_names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()
    server: bool = False
    client: bool = True


# Requests that the API server passes on to an extension carry a certificate of an authority of their own.
FRONT_PROXY = Identity("front-proxy-client", "front-proxy-client")


def identities(settings: Settings) -> list[Identity]:
    loopback = IPv4Address("127.0.0.1")
    service = "kubernetes.default.svc"
    return [
        Identity(
            "kube-apiserver",
            "kube-apiserver",
            dns_names=("localhost", "kubernetes", "kubernetes.default", service, f"{service}.{CLUSTER_DOMAIN}"),
            addresses=(loopback, CONTROL_PLANE_ADDRESS, KUBERNETES_SERVICE),
            server=True,
            client=False,
        ),
        Identity("kube-apiserver-kubelet-client", "kube-apiserver-kubelet-client"),
        Identity("admin", f"{CLUSTER_NAME}-admin", "system:masters"),
        Identity("kube-controller-manager", "system:kube-controller-manager"),
        Identity("kube-scheduler", "system:kube-scheduler"),
        Identity("kube-proxy", "system:kube-proxy"),
        Identity("csi", f"{CLUSTER_NAME}-csi"),
        *[
            Identity(
                f"kubelet-{node.name}",
                f"system:node:{node.name}",
                "system:nodes",
                dns_names=(node.name,),
                addresses=(node.address, loopback),
                server=True,
            )
            for node in settings.nodes
        ],
    ]


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def builder(subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    # An hour back, for clocks that differ a little.
    start = datetime.now(UTC) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + VALIDITY)
    )


def make_authority(common_name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        builder(name, name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def subject(identity: Identity) -> x509.Name:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, identity.common_name)]
    if identity.organization:
        names.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.organization))
    return x509.Name(names)


def alternatives(identity: Identity) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in identity.dns_names or (identity.name,)]
    return names + [x509.IPAddress(address) for address in identity.addresses]


def use(identity: Identity) -> list[x509.ObjectIdentifier]:
    purposes = []
    if identity.server:
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    if identity.client:
        purposes.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    return purposes


def make_certificate(
    identity: Identity, authority_key: ec.EllipticCurvePrivateKey, authority: x509.Certificate
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        builder(subject(identity), authority.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(use(identity)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_identifier), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(alternatives(identity)), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return key, certificate


def write_pair(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    files.write(folder / f"{name}.key", pem(key), 0o600)
    files.write(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def copy_pair(folder: Path, name: str, old: Path) -> None:
    for ending in ("key", "crt"):
        shutil.copy2(old / f"{name}.{ending}", folder / f"{name}.{ending}")


def kubeconfig(server: str, user: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    def text(data: bytes) -> str:
        return base64.b64encode(data).decode()

    # JSON is YAML, and every client reads it.
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": CLUSTER_NAME, "cluster": {"server": server, "certificate-authority-data": text(authority)}}
            ],
            "users": [
                {"name": user, "user": {"client-certificate-data": text(certificate), "client-key-data": text(key)}}
            ],
            "contexts": [{"name": CLUSTER_NAME, "context": {"cluster": CLUSTER_NAME, "user": user}}],
            "current-context": CLUSTER_NAME,
        },
        indent=2,
    )


def plan(settings: Settings) -> str:
    """What the folder must hold; another plan (a further node, another name) makes new certificates."""
    return repr((identities(settings), settings.api_url, settings.node_api_url, 2))


def expires_soon(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - datetime.now(UTC) <= RENEWAL


def fits(identity: Identity, path: Path) -> bool:
    """Whether there is a certificate for exactly this identity that lasts.

    A process whose certificate stays need not be started anew when the lab gets one more node.
    """
    if not path.exists() or not path.with_suffix(".key").exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return (
        certificate.subject == subject(identity)
        and list(names) == alternatives(identity)
        and list(purposes) == use(identity)
        and not expires_soon(certificate)
    )


def is_current(settings: Settings) -> bool:
    """Whether the folder holds the certificates of this plan, not about to end."""
    made = settings.pki / "plan"
    if not made.exists() or made.read_text() != plan(settings):
        return False
    certificate = x509.load_pem_x509_certificate((settings.pki / "kube-apiserver.crt").read_bytes())
    return not expires_soon(certificate)


def ensure(settings: Settings) -> None:
    """Make whatever certificates are missing, all of them or none: the folder is put in place as a whole."""
    if not is_current(settings):
        unfinished = settings.pki.with_name(".pki.new")
        files.remove(unfinished)
        unfinished.mkdir(mode=0o700, parents=True)
        make_all(settings, unfinished)
        replaced = settings.pki.with_name(".pki.old")
        files.remove(replaced)
        if settings.pki.exists():
            settings.pki.rename(replaced)
        unfinished.rename(settings.pki)
        files.remove(replaced)
    files.write(settings.kubeconfig, (settings.pki / "admin.conf").read_bytes(), 0o600)
    hand_over(settings.kubeconfig)


def hand_over(path: Path) -> None:
    """Whoever called the lab through sudo is to read the kubeconfig, too."""
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdigit():
        os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1")))


def make_all(settings: Settings, folder: Path) -> None:
    old = settings.pki if settings.pki.exists() else settings.pki.with_name(".pki.old")
    kept = ("ca.key", "ca.crt", "service-accounts.key", "service-accounts.pub")
    has_authority = all((old / name).exists() for name in kept)
    if has_authority:
        # Tokens and certificates that are in use stay valid when there is one more node.
        for name in kept:
            shutil.copy2(old / name, folder / name)
        authority_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    else:
        authority_key, authority = make_authority(f"{CLUSTER_NAME}-ca")
        write_pair(folder, "ca", authority_key, authority)
        tokens = rsa.generate_private_key(65537, 2048)
        public = tokens.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        files.write(folder / "service-accounts.key", pem(tokens), 0o600)
        files.write(folder / "service-accounts.pub", public)
    authority_text = (folder / "ca.crt").read_bytes()
    if has_authority and fits(FRONT_PROXY, old / f"{FRONT_PROXY.name}.crt"):
        for name in ("front-proxy-ca", FRONT_PROXY.name):
            copy_pair(folder, name, old)
    else:
        proxy_key, proxy_authority = make_authority(f"{CLUSTER_NAME}-front-proxy-ca")
        write_pair(folder, "front-proxy-ca", proxy_key, proxy_authority)
        write_pair(folder, FRONT_PROXY.name, *make_certificate(FRONT_PROXY, proxy_key, proxy_authority))
    for identity in identities(settings):
        if has_authority and fits(identity, old / f"{identity.name}.crt"):
            copy_pair(folder, identity.name, old)
        else:
            write_pair(folder, identity.name, *make_certificate(identity, authority_key, authority))
        if identity.client:
            server = settings.api_url if identity.name == "admin" else settings.node_api_url
            content = kubeconfig(
                server,
                identity.common_name,
                authority_text,
                (folder / f"{identity.name}.crt").read_bytes(),
                (folder / f"{identity.name}.key").read_bytes(),
            )
            files.write(folder / f"{identity.name}.conf", content, 0o600)
    files.write(folder / "plan", plan(settings))

# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Certificates: made as RFC 5280 wants them, whole or not at all, and renewed without losing the authority."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from lab import pki
from lab.settings import Settings


def strict(purpose: ssl.Purpose, folder: Path) -> ssl.SSLContext:
    """A context as Python 3.13 makes it by default."""
    context = ssl.create_default_context(purpose, cafile=str(folder / "ca.crt"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def handshake(folder: Path, server_name: str, client: str) -> dict[str, object]:
    """Let a server with the API server's certificate and a client meet; what the server saw of the client."""
    server = strict(ssl.Purpose.CLIENT_AUTH, folder)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(folder / "kube-apiserver.crt", folder / "kube-apiserver.key")
    caller = strict(ssl.Purpose.SERVER_AUTH, folder)
    caller.load_cert_chain(folder / f"{client}.crt", folder / f"{client}.key")
    left, right = socket.socketpair()
    seen: list[object] = []

    def serve() -> None:
        try:
            with server.wrap_socket(left, server_side=True) as connection:
                seen.append(connection.getpeercert())
                connection.recv(1)
        except OSError as error:
            seen.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    with caller.wrap_socket(right, server_hostname=server_name) as connection:
        connection.send(b"x")
    thread.join(10)
    assert isinstance(seen[0], dict), seen
    return seen[0]


@pytest.mark.parametrize("server_name", ["127.0.0.1", "10.200.0.1", "10.96.0.1", "kubernetes.default.svc"])
def test_strict_clients_accept_the_api_server(settings: Settings, server_name: str) -> None:
    pki.ensure(settings)
    seen = handshake(settings.pki, server_name, "admin")
    assert seen["subject"] == ((("organizationName", "system:masters"),), (("commonName", "stateful-lab-admin"),))


def test_a_name_that_is_not_the_servers_is_refused(settings: Settings) -> None:
    pki.ensure(settings)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(settings.pki, "example.org", "admin")


def test_every_certificate_has_the_extensions_that_strict_clients_want(settings: Settings) -> None:
    pki.ensure(settings)
    authorities = {"ca.crt", "front-proxy-ca.crt"}
    found = sorted(settings.pki.glob("*.crt"))
    assert authorities < {path.name for path in found}
    for path in found:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        assert constraints.critical
        assert usage.critical
        assert constraints.value.ca == usage.value.key_cert_sign == (path.name in authorities)
        extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
        if path.name not in authorities:
            assert list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def test_a_server_is_no_client(settings: Settings) -> None:
    pki.ensure(settings)
    server = x509.load_pem_x509_certificate((settings.pki / "kube-apiserver.crt").read_bytes())
    purposes = list(server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert purposes == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_keys_are_private(settings: Settings) -> None:
    pki.ensure(settings)
    secrets = [*settings.pki.glob("*.key"), *settings.pki.glob("*.conf"), settings.kubeconfig]
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    assert settings.pki.stat().st_mode & 0o777 == 0o700


def test_what_is_current_stays(settings: Settings) -> None:
    pki.ensure(settings)
    before = {path.name: path.read_bytes() for path in settings.pki.iterdir()}
    pki.ensure(settings)
    assert before == {path.name: path.read_bytes() for path in settings.pki.iterdir()}


def test_another_node_gets_a_certificate_of_the_same_authority(settings: Settings) -> None:
    pki.ensure(settings)
    before = {path.name: path.read_bytes() for path in settings.pki.iterdir()}
    pki.ensure(replace(settings, node_count=2))
    after = {path.name: path.read_bytes() for path in settings.pki.iterdir()}
    assert set(after) - set(before) == {f"kubelet-node2.{ending}" for ending in ("key", "crt", "conf")}
    # Everybody else's stay as they were: what is in use is not to be started anew for a neighbour.
    assert {name for name in before if after[name] != before[name]} == {"plan"}


def test_a_certificate_that_is_about_to_end_is_made_anew(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    pki.ensure(settings)
    before = (settings.pki / "admin.crt").read_bytes()
    authority = (settings.pki / "ca.crt").read_bytes()
    monkeypatch.setattr(pki, "RENEWAL", pki.VALIDITY)
    pki.ensure(settings)
    assert (settings.pki / "admin.crt").read_bytes() != before
    assert (settings.pki / "ca.crt").read_bytes() == authority


def test_a_certificate_for_other_names_is_made_anew(settings: Settings) -> None:
    pki.ensure(settings)
    server = pki.identities(settings)[0]
    path = settings.pki / f"{server.name}.crt"
    assert pki.fits(server, path)
    assert not pki.fits(replace(server, dns_names=("localhost",)), path)
    assert not pki.fits(replace(server, client=True), path)
    assert not pki.fits(replace(server, common_name="other"), path)
    path.with_suffix(".key").unlink()
    assert not pki.fits(server, path)


def test_a_half_made_folder_is_made_anew(settings: Settings) -> None:
    pki.ensure(settings)
    settings.pki.rename(settings.pki.with_name(".pki.new"))
    (settings.pki.with_name(".pki.new") / "admin.key").unlink()
    pki.ensure(settings)
    assert (settings.pki / "admin.key").exists()
    assert not settings.pki.with_name(".pki.new").exists()


def test_killed_between_the_two_renames(settings: Settings) -> None:
    pki.ensure(settings)
    authority = (settings.pki / "ca.crt").read_bytes()
    shutil.move(settings.pki, settings.pki.with_name(".pki.old"))
    pki.ensure(settings)
    assert (settings.pki / "ca.crt").read_bytes() == authority
    assert not settings.pki.with_name(".pki.old").exists()


def test_the_kubeconfig_names_the_lab(settings: Settings) -> None:
    pki.ensure(settings)
    content = json.loads(settings.kubeconfig.read_text())
    assert content["current-context"] == "stateful-lab"
    assert content["contexts"][0] == {
        "name": "stateful-lab",
        "context": {"cluster": "stateful-lab", "user": "stateful-lab-admin"},
    }
    assert content["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"

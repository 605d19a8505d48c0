# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CronJob's script with a real shell and a real curl, against a server of this test that speaks TLS.

The integration tests run it with GNU wget, which is what their image has.
"""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import pathlib
import shutil
import ssl
import subprocess
import threading
import typing as t

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.stateful.kube.plugins.module_utils._external._ask import ALWAYS

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
PATH = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/db-ipv4"
BEARER = "a-secret-token"
BODY = '{"ends":["@0@","@1@"],"version":"@version@"}'
# Serves for addresses that end in 1. What asks an address for real is in the integration tests.
NC = """#!/bin/sh
case $1 in --help) echo '-e PROG' ;; -w) case $3 in *1) echo up ;; *) echo 'refused' ;; esac ;; esac
"""
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")


class Server(http.server.ThreadingHTTPServer):
    """One EndpointSlice, and what was asked of it."""

    declared = "as-known"
    refuses = False

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, str, str, str]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.crt", folder / "key")
        self.socket = context.wrap_socket(self.socket, server_side=True)


class Answer(http.server.BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length).decode()
        self.server.asked.append((self.command, self.path, self.headers.get("Content-Type") or "", content))
        allowed = self.headers.get("Authorization") == f"Bearer {BEARER}"
        refused = not allowed or (self.command == "PATCH" and self.server.refuses)
        annotations = {"stateful.kube/declared": self.server.declared}
        metadata = {"annotations": annotations, "resourceVersion": "4711"}
        said = {"message": "not like this"} if refused else {"metadata": metadata}
        self.send_response(409 if refused else 200)
        self.end_headers()
        self.wfile.write(json.dumps(said, separators=(",", ":")).encode())

    def do_GET(self) -> None:
        self.answer()

    def do_PATCH(self) -> None:
        self.answer()

    def log_message(self, *args: t.Any) -> None:
        pass


def _certificate(folder: pathlib.Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    (folder / "ca.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))


@pytest.fixture
def server(tmp_path: pathlib.Path) -> t.Iterator[Server]:
    _certificate(tmp_path)
    (tmp_path / "token").write_text(BEARER)
    with Server(tmp_path) as made:
        worker = threading.Thread(target=made.serve_forever, args=(0.05,))
        worker.start()
        yield made
        made.shutdown()
        worker.join()


def run(server: Server, folder: pathlib.Path, addresses: str = "10.0.0.1 10.0.0.2") -> subprocess.CompletedProcess[str]:
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    # No wget, so that only curl can have done it.
    for tool in ("sh", "cat", "sed", "tail", "curl"):
        found = shutil.which(tool)
        assert found
        if not (tools / tool).exists():
            (tools / tool).symlink_to(found)
    (tools / "nc").write_text(NC)
    (tools / "nc").chmod(0o755)
    environment = {
        "PATH": str(tools),
        "ADDRESSES": addresses,
        "PORT": "3306",
        "LIMIT": "1",
        "TALK": "",
        "SLICES": "0",
        "BODY_0": BODY,
        "PATH_0": PATH,
        "DECLARED": "as-known",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(server.server_port),
    }
    assert ACCOUNT in ALWAYS
    script = ALWAYS.replace(ACCOUNT, str(folder))
    return subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@needs_curl
def test_with_curl_the_slice_is_written_as_it_was_read(server: Server, tmp_path: pathlib.Path) -> None:
    done = run(server, tmp_path)
    assert done.returncode == 0, done
    assert sorted(done.stdout.splitlines()[:2]) == ["0 up", "1 refused"]
    read, written = server.asked
    assert read[:2] == ("GET", f"{PATH}?pretty=false")
    assert written[0] == "PATCH"
    assert written[1] == f"{PATH}?fieldManager=stateful.kube&force=true&fieldValidation=Strict"
    assert written[2] == "application/apply-patch+yaml"
    assert json.loads(written[3]) == {"ends": [True, False], "version": "4711"}
    assert BEARER not in done.stdout + done.stderr


@needs_curl
def test_with_curl_nothing_is_written_that_is_declared_anew(server: Server, tmp_path: pathlib.Path) -> None:
    server.declared = "otherwise"
    done = run(server, tmp_path)
    assert done.returncode == 0, done
    assert "Declared anew meanwhile" in done.stdout
    assert [asked[0] for asked in server.asked] == ["GET"]


@needs_curl
def test_with_curl_all_stay_in_where_nobody_serves_and_the_job_fails(server: Server, tmp_path: pathlib.Path) -> None:
    done = run(server, tmp_path, "10.0.0.2 10.0.0.3")
    assert done.returncode == 1, done
    assert json.loads(server.asked[-1][3])["ends"] == [True, True]


@needs_curl
def test_with_curl_a_refusal_is_told_in_the_server_s_words(server: Server, tmp_path: pathlib.Path) -> None:
    server.refuses = True
    done = run(server, tmp_path)
    assert done.returncode == 1, done
    assert "not like this" in done.stdout


@needs_curl
def test_with_curl_a_server_of_another_authority_is_not_believed(server: Server, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    _certificate(other)
    (other / "token").write_text(BEARER)
    done = run(server, other)
    assert done.returncode == 1, done
    assert server.asked == []

# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""etcd, the API server, the controller manager and the scheduler."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from lab import files, processes
from lab.errors import LabError
from lab.processes import Process
from lab.settings import (
    API_PORT,
    CONTROL_PLANE_ADDRESS,
    ETCD_PEER_PORT,
    ETCD_PORT,
    POD_NETWORK,
    SERVICE_NETWORK,
    Settings,
)
from lab.shell import program

ETCD_URL = f"http://127.0.0.1:{ETCD_PORT}"
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    users: [system:apiserver, system:kube-controller-manager, system:kube-scheduler, system:kube-proxy]
  - level: None
    userGroups: [system:nodes, "system:serviceaccounts:kube-system"]
  - level: Metadata
"""


def audit_log(settings: Settings) -> Path:
    return settings.logs / "audit.jsonl"


def etcd(settings: Settings) -> Process:
    peer = f"http://127.0.0.1:{ETCD_PEER_PORT}"
    return Process(
        "etcd",
        [
            program("etcd"),
            "--name=lab",
            f"--data-dir={settings.etcd}",
            f"--listen-client-urls={ETCD_URL}",
            f"--advertise-client-urls={ETCD_URL}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=lab={peer}",
            # A lab is made anew after a power failure; waiting for the disk at every write is not worth it.
            "--unsafe-no-fsync",
            "--auto-compaction-retention=1h",
            "--log-level=warn",
        ],
        settings.logs / "etcd.log",
        port=ETCD_PORT,
    )


def api_server(settings: Settings, kubernetes: Path) -> Process:
    pki = settings.pki
    command: list[str | Path] = [
        kubernetes / "kube-apiserver",
        f"--etcd-servers={ETCD_URL}",
        f"--secure-port={API_PORT}",
        f"--advertise-address={CONTROL_PLANE_ADDRESS}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        f"--tls-cert-file={pki}/kube-apiserver.crt",
        f"--tls-private-key-file={pki}/kube-apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        f"--service-account-key-file={pki}/service-accounts.pub",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--anonymous-auth=false",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
        f"--kubelet-client-certificate={pki}/kube-apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/kube-apiserver-kubelet-client.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged",
        # Its own endpoint would go and come back at every restart, and kube-proxy then leaves the Service without a
        # rule: a chain that is flushed as stale and wanted again at once stays empty. The addons declare the endpoint.
        "--endpoint-reconciler-type=none",
        # With one API server there is nobody to hand over to, and stopping may be quick.
        "--shutdown-delay-duration=0s",
    ]
    if settings.audit:
        policy = settings.run / "audit-policy.yaml"
        files.write(policy, AUDIT_POLICY)
        command += [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={audit_log(settings)}",
            "--audit-log-maxsize=50",
            "--audit-log-maxbackup=1",
        ]
    return Process(
        "kube-apiserver",
        command,
        settings.logs / "kube-apiserver.log",
        configuration=[pki / "kube-apiserver.crt", pki / "ca.crt", pki / "front-proxy-ca.crt"],
        port=API_PORT,
    )


def controller_manager(settings: Settings, kubernetes: Path) -> Process:
    pki = settings.pki
    kubeconfig = pki / "kube-controller-manager.conf"
    return Process(
        "kube-controller-manager",
        [
            kubernetes / "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--service-account-private-key-file={pki}/service-accounts.key",
            f"--root-ca-file={pki}/ca.crt",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            f"--cluster-cidr={POD_NETWORK}",
            # The nodes' containerd knows its pod subnet from its own configuration.
            "--allocate-node-cidrs=false",
            f"--flex-volume-plugin-dir={settings.run}/volume-plugins",
            "--use-service-account-credentials",
            "--leader-elect=false",
        ],
        settings.logs / "kube-controller-manager.log",
        configuration=[kubeconfig],
        port=10257,
    )


def scheduler(settings: Settings, kubernetes: Path) -> Process:
    kubeconfig = settings.pki / "kube-scheduler.conf"
    return Process(
        "kube-scheduler",
        [
            kubernetes / "kube-scheduler",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
        settings.logs / "kube-scheduler.log",
        configuration=[kubeconfig],
        port=10259,
    )


def get(settings: Settings, path: str, timeout: float = 5.0) -> tuple[int, bytes]:
    """Ask the API server as the administrator; (0, why) when it does not answer."""
    pki = settings.pki
    try:
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        connection = HTTPSConnection("127.0.0.1", API_PORT, timeout=timeout, context=context)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
    except (OSError, HTTPException) as error:
        return 0, str(error).encode()


def get_object(settings: Settings, path: str) -> dict[str, Any] | None:
    status, body = get(settings, path)
    if status == 404:
        return None
    if status != 200:
        raise LabError(f"The API server answered {status} to {path}: {body.decode(errors='replace')[:300]}")
    result: dict[str, Any] = json.loads(body)
    return result


def is_ready(settings: Settings) -> bool:
    return get(settings, "/readyz")[0] == 200


def ensure(settings: Settings, kubernetes: Path) -> list[str]:
    """Start the control plane and wait until the API server answers; the names of what had to be started."""
    settings.etcd.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = api_server(settings, kubernetes)
    store = etcd(settings)
    started = processes.ensure([store, server], settings.home)
    processes.wait_until(
        "the API server to be ready",
        lambda: is_ready(settings),
        timeout=90,
        needs=[store, server],
        home=settings.home,
    )
    rest = [controller_manager(settings, kubernetes), scheduler(settings, kubernetes)]
    return started + processes.ensure(rest, settings.home)

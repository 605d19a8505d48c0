# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fill a private data directory of ansible-runner: ``private_data.py KUBECONFIG NAMESPACE ACCOUNT DIRECTORY``.

Files come as JSON on standard input, by name. The environment of the jobs is the credential "OpenShift or Kubernetes
API Bearer Token" with a short-lived token, as `kubectl create token` makes it; the token is printed.
"""

from __future__ import annotations

import base64
import json
import pathlib
import sys

import kubernetes.client
import kubernetes.config
import yaml


def main(kubeconfig: str, namespace: str, account: str, directory: str) -> None:
    api = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(kubeconfig))
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = api.create_namespaced_service_account_token(account, namespace, wanted).status.token
    with open(kubeconfig, encoding="utf-8") as file:
        cluster = yaml.safe_load(file)["clusters"][0]["cluster"]
    private = pathlib.Path(directory)
    credential = {
        "K8S_AUTH_HOST": cluster["server"],
        "K8S_AUTH_API_KEY": token,
        "K8S_AUTH_VERIFY_SSL": "True",
        "K8S_AUTH_SSL_CA_CERT": f"{private}/env/ca.crt",
    }
    files = {
        **json.load(sys.stdin),
        "env/envvars": json.dumps(credential),
        "env/ca.crt": base64.b64decode(cluster["certificate-authority-data"]).decode(),
    }
    (private / "home").mkdir(parents=True, mode=0o700)
    for name, content in files.items():
        (private / name).parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        (private / name).write_text(content, encoding="utf-8")
    print(token)


if __name__ == "__main__":
    main(*sys.argv[1:])

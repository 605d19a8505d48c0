# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a removal makes of a Certificate that it cannot see, by the task itself and an API server's answers."""

from __future__ import annotations

import http.server
import json
import pathlib
import subprocess
import sys
import threading
import typing as t

import pytest
import yaml

ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "mongodb"
TASK = "Find the Certificate that cert-manager was asked for"
KINDS = {"resources": [{"kind": "Certificate", "name": "certificates", "namespaced": True}]}
NOT_FOUND = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"}
FORBIDDEN = {
    "kind": "Status",
    "status": "Failure",
    "reason": "Forbidden",
    "code": 403,
    "message": "shop-issued is forbidden",
}


def played(tmp_path: pathlib.Path, kinds: dict[str, t.Any], certificate: dict[str, t.Any]) -> tuple[int, str]:
    """The task against a server that answers with these."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = certificate if "/namespaces/" in self.path else kinds
            body = json.dumps(answer).encode()
            self.send_response(answer.get("code", 200))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_what: t.Any) -> None:
            pass

    (task,) = [one for one in yaml.safe_load((ROLE / "tasks" / "before.yml").read_text()) if one["name"] == TASK]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        task["stateful.kube.objects_info"]["kubeconfig"] = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "test", "user": {}}],
        }
        names = {"mongodb_state": "absent", "mongodb_name": "shop", "mongodb_namespace": "web"}
        play = {"hosts": "localhost", "gather_facts": False, "vars": {**names, "mongodb_delete_data_of": "shop"}}
        (tmp_path / "play.yml").write_text(yaml.safe_dump([{**play, "tasks": [task]}]), encoding="utf-8")
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", "play.yml"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        server.shutdown()
    return done.returncode, done.stdout + done.stderr


def test_without_cert_manager_there_is_none(tmp_path: pathlib.Path) -> None:
    code, said = played(tmp_path, NOT_FOUND, NOT_FOUND)
    assert code == 0, said


def test_with_it_there_may_be_none(tmp_path: pathlib.Path) -> None:
    code, said = played(tmp_path, KINDS, NOT_FOUND)
    assert code == 0, said


@pytest.mark.parametrize("kinds", [KINDS, FORBIDDEN])
def test_what_may_not_be_seen_may_be_there(tmp_path: pathlib.Path, kinds: dict[str, t.Any]) -> None:
    code, said = played(tmp_path, kinds, FORBIDDEN)
    assert code == 2, said
    assert "shop-issued is forbidden" in said

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The four ways to deploy the application, written as files that can be read and run by hand (build/bench).

Where there was a choice, it was made in favour of the others: the objects stand in the playbooks as they are, their
secrets were made beforehand, waits look each second, tunnels to the database are kept open beside the runs.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import pathlib
import typing as t

import yaml
from members import PORT
from objects import Object

NAME = "bench"
MEMBERS = 3
PODS = [f"{NAME}-{ordinal}" for ordinal in range(MEMBERS)]


@dataclasses.dataclass(frozen=True)
class Way:
    key: str
    title: str
    #: needs `kubectl port-forward` to the first pod, as the root user can be made from its localhost only
    tunnel: bool = False


OURS = Way("ours", "stateful.kube")
OBJECTS = Way("objects", "kubernetes.core, a task each object, + community.mongodb", tunnel=True)
TEMPLATE = Way("template", "kubernetes.core, one task for all, + community.mongodb", tunnel=True)
KUBECTL = Way("kubectl", "kubectl apply --server-side + mongosh")
WAYS = (OURS, OBJECTS, TEMPLATE, KUBECTL)


class Deployment:
    """One way in one namespace. `run` deploys, and deploys again."""

    def __init__(self, way: Way, namespace: str, folder: pathlib.Path, port: int, variables: t.Mapping[str, t.Any]):
        self.way = way
        self.namespace = namespace
        self.folder = folder / namespace
        self.port = port
        self._variables = {"mongodb_name": NAME, "mongodb_namespace": namespace, "mongodb_members": MEMBERS} | dict(
            variables
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "root-made").unlink(missing_ok=True)  # the marker of mongodb_user
        self._write("vars.yml", self._variables)

    def prepare(self, objects: t.Sequence[Object]) -> None:
        """Write what the other ways need. This collection needs nothing."""
        root = next(obj for obj in objects if obj["kind"] == "Secret" and obj["metadata"]["name"] == f"{NAME}-root")
        user, password = (base64.b64decode(root["data"][key]).decode() for key in ("username", "password"))
        mongodb = mongodb_tasks(self.hosts(), self.port, user, password, str(self.folder / "root-made"))
        (self.folder / "objects.yml").write_text(yaml.safe_dump_all(objects, sort_keys=False), encoding="utf-8")
        self._write("objects-play.yml", play([object_task(obj) for obj in objects] + mongodb))
        self._write("template-play.yml", play([template_task(str(self.folder / "objects.yml")), *mongodb]))
        self._write("initiate-play.yml", play(mongodb[:1]))
        (self.folder / "form.js").write_text(mongosh_script(self.hosts(), user, password), encoding="utf-8")
        (self.folder / "initiate.js").write_text(mongosh_initiate(self.hosts()), encoding="utf-8")

    def hosts(self) -> list[str]:
        return [f"{pod}.{NAME}.{self.namespace}.svc.cluster.local:{PORT}" for pod in PODS]

    def run(self) -> list[str]:
        """The command that deploys the application and ends when every member serves."""
        if self.way == OURS:
            return ["ansible-playbook", "stateful.kube.mongodb", "-e", f"@{self.folder}/vars.yml"]
        if self.way == KUBECTL:
            apply = f"kubectl apply --server-side --field-manager=bench -f {self.folder}/objects.yml"
            return ["bash", "-euc", f"{apply}\n{self._mongosh('form.js')}"]
        return ["ansible-playbook", f"{self.folder}/{self.way.key}-play.yml"]

    def form(self) -> list[str]:
        """The command that makes a replica set of members that wait for it, and no more."""
        if self.way == OURS:
            self._write("form-play.yml", play([ours_task(self.namespace)]))
            return ["ansible-playbook", f"{self.folder}/form-play.yml"]
        if self.way == KUBECTL:
            return ["bash", "-euc", self._mongosh("initiate.js")]
        return ["ansible-playbook", f"{self.folder}/initiate-play.yml"]

    def _mongosh(self, script: str) -> str:
        mongosh = "mongosh --quiet --norc --nodb --file /dev/stdin"
        one = f"kubectl exec -i -n {self.namespace} {PODS[0]} -c mongodb -- {mongosh} <{self.folder}/{script}"
        return f"for try in $(seq 90); do if {one}; then exit 0; fi; sleep 1; done; exit 1"

    def _write(self, name: str, content: t.Any) -> None:
        (self.folder / name).write_text(f"---\n{yaml.safe_dump(content, sort_keys=False, width=120)}", encoding="utf-8")


def play(tasks: t.Sequence[Object]) -> list[Object]:
    return [{"name": "Bench", "hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}]


def object_task(obj: Object) -> Object:
    options = {"apply": True, "server_side_apply": {"field_manager": "bench"}, "definition": obj}
    return {"name": f"{obj['kind']} {obj['metadata']['name']}", "kubernetes.core.k8s": options | _wait(obj["kind"])}


def template_task(path: str) -> Object:
    options = {"apply": True, "server_side_apply": {"field_manager": "bench"}, "template": path}
    return {"name": "Every object", "kubernetes.core.k8s": options | _wait("StatefulSet")}


def _wait(kind: str) -> Object:
    return {"wait": True, "wait_sleep": 1, "wait_timeout": 120} if kind == "StatefulSet" else {}


def mongodb_tasks(hosts: t.Sequence[str], port: int, user: str, password: str, marker: str) -> list[Object]:
    where = {"login_host": "127.0.0.1", "login_port": port}
    # Until the pods run, and until there is a primary, there is nothing to do but to try again.
    again = {"register": "attempt", "until": "attempt is succeeded", "retries": 90, "delay": 1}
    return [
        {
            "name": "Initiate the replica set",
            "community.mongodb.mongodb_replicaset": {**where, "replica_set": NAME, "members": list(hosts)},
            **again,
        },
        {
            "name": "Make the root user",
            "community.mongodb.mongodb_user": {
                **where,
                "database": "admin",
                "name": user,
                "password": password,
                "roles": "root",
                "create_for_localhost_exception": marker,
            },
            **again,
        },
        {
            "name": "Wait until every member serves",
            "community.mongodb.mongodb_status": {
                **where,
                "login_user": user,
                "login_password": password,
                "replica_set": NAME,
                "poll": 120,
                "interval": 1,
            },
        },
    ]


def ours_task(namespace: str) -> Object:
    options = {"name": NAME, "namespace": namespace, "members": MEMBERS, "root_secret": f"{NAME}-root"}
    return {"name": "Form the replica set", "stateful.kube.mongodb_replica_set": options}


def _configuration(hosts: t.Sequence[str]) -> str:
    return json.dumps({"_id": NAME, "members": [{"_id": number, "host": host} for number, host in enumerate(hosts)]})


def mongosh_initiate(hosts: t.Sequence[str]) -> str:
    return f"""
const admin = new Mongo("mongodb://127.0.0.1:{PORT}/?directConnection=true").getDB("admin");
if (!admin.hello().setName && !admin.runCommand({{ replSetInitiate: {_configuration(hosts)} }}).ok) quit(1);
"""


def mongosh_script(hosts: t.Sequence[str], user: str, password: str) -> str:
    return f"""{mongosh_initiate(hosts)}
while (!admin.hello().primary) sleep(100);
const login = {{ user: {json.dumps(user)}, pwd: {json.dumps(password)} }};
try {{
  admin.auth({{ ...login }}); // a copy, because auth writes into what it is given
}} catch (refused) {{
  admin.createUser({{ ...login, roles: ["root"] }});
  admin.auth({{ ...login }});
}}
const serves = (member) => [1, 2].includes(member.state);
while (!admin.runCommand({{ replSetGetStatus: 1 }}).members.every(serves)) sleep(100);
"""

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make bench ARGS=--mysql``: a run of the role mysql with nothing to do, and another replica for much data.

What is done by hand ends with the data on a server that answers. What the role does ends with a replica that follows.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shlex
import typing as t

import yaml
from objects import Object, moved, read
from proxy import CountingProxy
from rounds import aligned, figure, ratios, turned
from ways import object_task, play

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster

Run = t.Callable[..., tuple[float, str]]

NAME = "bench"
SPACE, OTHERS, HAND = "bench-mysql", "bench-mysql-objects", "bench-mysql-hand"
MEMBERS = 3
SMALL = {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}}
SOCKET = "/run/mysqld/mysqld.sock"
# Seconds for one command: a dump of 2 GB is read in slowly.
PATIENCE = 1500


@dataclasses.dataclass(frozen=True)
class Flavour:
    key: str
    image: str
    client: str
    dump: str
    #: makes an empty data directory
    initialise: str
    server: str
    #: copies files while the server runs, and makes them usable; empty where there is no such program
    backup: str = ""
    container: str = "mysql"


MYSQL = Flavour(
    "mysql",
    "docker.io/library/mysql:9.7",
    "mysql",
    "mysqldump --no-defaults",
    "mysqld --no-defaults --initialize-insecure --datadir=/data/d",
    "mysqld --no-defaults --mysqlx=OFF --secure-file-priv=NULL",
)
MARIADB = Flavour(
    "mariadb",
    "docker.io/library/mariadb:distribution",
    "mariadb",
    "mariadb-dump --no-defaults --skip-ssl",
    "mariadb-install-db --no-defaults --datadir=/data/d --auth-root-authentication-method=normal",
    "mariadbd --no-defaults",
    "mariadb-backup",
)


class Servers:
    def __init__(self, api: Cluster, run: Run, environment: t.Mapping[str, str], folder: pathlib.Path, megabytes: int):
        self.api = api
        self._run = run
        self.environment = environment
        self.folder = folder
        self.megabytes = megabytes
        self.rerun: dict[str, list[float]] = {}
        self.requests: dict[str, int] = {}
        self.copies: dict[str, dict[str, list[float]]] = {}

    def run(self, name: str, command: t.Sequence[str], environment: t.Optional[t.Mapping[str, str]] = None) -> float:
        return self._run(name, command, environment or self.environment, PATIENCE)[0]

    def measure(self, rounds: int, say: t.Callable[[str], None]) -> None:
        self.clean()
        try:
            self._reruns(rounds, say)
            for flavour in (MYSQL, MARIADB):
                self.clean()
                self._copies(flavour, max(1, rounds // 2), say)
        finally:
            self.clean()

    # With nothing to do

    def _reruns(self, rounds: int, say: t.Callable[[str], None]) -> None:
        ours = self._ours(MYSQL, MEMBERS, "1Gi")
        self.run("mysql-create", ours)
        objects = moved(read(self.api, SPACE), OTHERS)
        for obj in objects:
            if obj["kind"] == "StatefulSet":
                # No pods: what they would need is made by the operation. The requests for the objects are the same.
                obj["spec"]["replicas"] = 0
        others = self._write("mysql-objects.yml", play([_unwaited(obj) for obj in objects]))
        empty = self._write("empty.yml", play([]))
        self.run("mysql-objects-create", others)
        ways = {"empty": empty, "ours": ours, "objects": others}
        for number in range(rounds):
            line = []
            for way in turned(list(ways), number):
                seconds = self.run(f"mysql-rerun-{way}", ways[way])
                self.rerun.setdefault(way, []).append(seconds)
                line.append(f"{way} {seconds:.2f}")
            say(f"mysql, re-run {number + 1}/{rounds}: {', '.join(line)} s")
        with CountingProxy(self.environment) as counting:
            through = {**self.environment, "KUBECONFIG": str(counting.kubeconfig)}
            for way in ("ours", "objects"):
                for _fills_the_caches in range(2):
                    counting.take()
                    self.run(f"mysql-count-{way}", ways[way], through)
                    count = counting.take()
                self.requests[way] = count.requests

    # One replica more

    def _copies(self, flavour: Flavour, rounds: int, say: t.Callable[[str], None]) -> None:
        size = f"{3 * self.megabytes // 1024 + 2}Gi"
        self.run(f"{flavour.key}-one", self._ours(flavour, 1, size))
        self._fill(flavour)
        say(f"{flavour.key}: {self.megabytes} MB are there")
        ways: dict[str, t.Callable[[], float]] = {
            "ours": lambda: self._replica(flavour, size),
            "dump": lambda: self._by_hand(flavour, "dump", self._dump(flavour)),
        }
        if flavour.backup:
            ways["backup"] = lambda: self._by_hand(flavour, "backup", self._backup(flavour))
        for number in range(rounds):
            for way in turned(list(ways), number):
                seconds = ways[way]()
                self.copies.setdefault(flavour.key, {}).setdefault(way, []).append(seconds)
                say(f"{flavour.key}, another server {number + 1}/{rounds}: {way} {seconds:.1f} s")

    def _replica(self, flavour: Flavour, size: str) -> float:
        seconds = self.run(f"{flavour.key}-replica", self._ours(flavour, 2, size))
        self.run(f"{flavour.key}-one-again", self._ours(flavour, 1, size))
        self._kubectl("delete", "pvc", "-n", SPACE, f"data-{NAME}-1", "--timeout=120s")
        return seconds

    def _by_hand(self, flavour: Flavour, way: str, command: str) -> float:
        """A pod of its own for each try: what was written before may not be in its way."""
        self._apply(_hand(flavour))
        self._kubectl("wait", "-n", HAND, "pod/hand", "--for=condition=Ready", "--timeout=120s")
        if way == "dump":
            self._shell(f"{flavour.key}-empty", f"{_in_hand(flavour.initialise)}\n{_in_hand(_serve(flavour))}")
        seconds = self._shell(f"{flavour.key}-{way}", command)
        self._kubectl("delete", "namespace", HAND, "--timeout=120s")
        return seconds

    def _dump(self, flavour: Flavour) -> str:
        # Over the network: of a stream through kubectl exec that is read slower than it is written, the end gets lost.
        where = f"--host={NAME}-0.{NAME}.{SPACE} --user=by_hand"
        dump = f"{flavour.dump} {where} --single-transaction --databases big"
        load = f"{flavour.client} --no-defaults --socket=/data/s --user=root"
        return _in_hand(f"{dump} | {load}", "bash -o pipefail")

    def _backup(self, flavour: Flavour) -> str:
        # An account that needs no password: mariadb-backup reads its files of options more than once.
        where = f"--socket={SOCKET} --user=stateful_donor --datadir=/var/lib/mysql/data --target-dir=/tmp/by-hand"
        quiet = "2>/tmp/log || { tail /tmp/log >&2; exit 1; }"
        backup = f"{flavour.backup} --no-defaults --backup --stream=mbstream {where} {quiet}"
        # What is on its way when a command ends may not arrive.
        backup = f"{backup}; sleep 1"
        copied = f"{self._in_source(flavour, backup)} | {_in_hand('mbstream -x -C /data/d')}"
        prepare = _in_hand(f"{flavour.backup} --no-defaults --prepare --target-dir=/data/d {quiet}")
        return "\n".join(("set -o pipefail", _in_hand("mkdir /data/d"), copied, prepare, _in_hand(_serve(flavour))))

    def _fill(self, flavour: Flavour) -> None:
        """Text, in rows of the size that rows have: mysqldump writes bytes so that not every client reads them."""
        statements = (
            "CREATE USER by_hand@'%'; GRANT ALL ON *.* TO by_hand@'%'; "
            "CREATE DATABASE big;"
            "CREATE TABLE big.rows_of_it (id INT AUTO_INCREMENT PRIMARY KEY, "
            "content VARCHAR(1024) CHARACTER SET ascii NOT NULL);"
            "INSERT INTO big.rows_of_it (content) VALUES (HEX(RANDOM_BYTES(512)));"
        )
        insert = "INSERT INTO big.rows_of_it (content) SELECT HEX(RANDOM_BYTES(512)) FROM big.rows_of_it LIMIT {};"
        there = 1
        while there < self.megabytes * 1000:
            more = min(there, self.megabytes * 1000 - there, 64_000)
            statements += insert.format(more)
            there += more
        client = f'{flavour.client} --defaults-extra-file=/dev/fd/3 --socket={SOCKET} 3<<< "$login"'
        path = self.folder / "fill.sql"
        path.write_text(statements, encoding="utf-8")
        # The login comes first, and then what is to be done.
        inner = f'read -r a; read -r b; read -r c; login=$(printf "%s\\n" "$a" "$b" "$c"); {client}'
        command = f"{{ {self._login()}; cat {path}; }} | {self._in_source(flavour, inner, 'bash')}"
        self._shell(f"{flavour.key}-fill", command)

    def _login(self) -> str:
        path = "{.data.password}"
        password = f"$(kubectl get secret -n {SPACE} {NAME}-root -o jsonpath='{path}' | base64 -d)"
        return f"printf '[client]\\nuser=root\\npassword=%s\\n' \"{password}\""

    @staticmethod
    def _in_source(flavour: Flavour, command: str, shell: str = "sh") -> str:
        return f"kubectl exec -i -n {SPACE} {NAME}-0 -c {flavour.container} -- {shell} -c {shlex.quote(command)}"

    # Means

    def _ours(self, flavour: Flavour, members: int, size: str) -> list[str]:
        variables = {
            "mysql_name": NAME,
            "mysql_namespace": SPACE,
            "mysql_image": flavour.image,
            "mysql_members": members,
            "mysql_storage_size": size,
            "mysql_access_modes": ["ReadWriteOnce"],
            "mysql_resources": SMALL,
            # Who makes a copy by hand comes from another namespace.
            "mysql_network_policy_from": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": HAND}}}
            ],
            # Namespaces wait for half of it.
            "mysql_termination_grace_period": 30,
            "mysql_wait_timeout": PATIENCE,
        }
        path = self.folder / f"mysql-{flavour.key}-{members}.yml"
        path.write_text(f"---\n{yaml.safe_dump(variables)}", encoding="utf-8")
        return ["ansible-playbook", "stateful.kube.mysql", "-e", f"@{path}"]

    def _write(self, name: str, content: t.Any) -> list[str]:
        path = self.folder / name
        path.write_text(f"---\n{yaml.safe_dump(content, sort_keys=False, width=120)}", encoding="utf-8")
        return ["ansible-playbook", str(path)]

    def _shell(self, name: str, script: str) -> float:
        return self.run(name, ["bash", "-euo", "pipefail", "-c", script])

    def _kubectl(self, *arguments: str) -> None:
        self.run("kubectl", ["kubectl", *arguments])

    def _apply(self, objects: t.Sequence[Object]) -> None:
        path = self.folder / "hand.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}), encoding="utf-8")
        self._kubectl("apply", "-f", str(path))

    def clean(self) -> None:
        there = [space for space in (SPACE, OTHERS, HAND) if self.api.get("v1", "Namespace", space)]
        if there:
            self._kubectl("delete", "namespace", *there, "--timeout=180s")

    def table(self) -> str:
        rerun, heads = self.rerun, {"empty": "an empty play", "ours": "stateful.kube", "objects": "kubernetes.core"}
        cells = [["a run with nothing to do", *heads.values()]]
        cells.append(["seconds", *(figure(rerun[way]) for way in heads)])
        cells.append(["  as ratio to ours", *(f"{figure(ratios(rerun[way], rerun['ours']))} x" for way in heads)])
        cells.append(["  requests", "0", *(str(self.requests[way]) for way in ("ours", "objects"))])
        names = {"ours": "stateful.kube", "dump": "a dump by hand", "backup": "mariadb-backup by hand"}
        for flavour, taken in self.copies.items():
            cells.append([f"{flavour}: {self.megabytes} MB more", *(names[way] for way in names if way in taken)])
            cells.append(["seconds", *(figure(taken[way]) for way in names if way in taken)])
            others = [f"{figure(ratios(taken[way], taken['ours']))} x" for way in names if way in taken]
            cells.append(["  as ratio to ours", *others])
        return aligned([[*line, *[""] * (4 - len(line))] for line in cells])

    def report(self, result: pathlib.Path, load: tuple[float, float, float], title: str) -> None:
        print(f"\n{title}; load before and after: {load[0]:.1f}, {os.getloadavg()[0]:.1f}\n\n{self.table()}\n")
        print("median (lowest-highest); ratios are taken round by round")
        print(f"ours beside an empty play: {figure(ratios(self.rerun['ours'], self.rerun['empty']))} x (wanted: 2)")
        content = {"rerun": self.rerun, "requests": self.requests, "copies": self.copies, "megabytes": self.megabytes}
        result.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _unwaited(obj: Object) -> Object:
    task = object_task(obj)
    for key in ("wait", "wait_sleep", "wait_timeout"):
        task["kubernetes.core.k8s"].pop(key, None)
    return task


def _serve(flavour: Flavour) -> str:
    """Start the server beside what else runs in the pod, and wait until it answers."""
    start = f"{flavour.server} --datadir=/data/d --socket=/data/s --pid-file=/data/p --port=3399"
    ask = f"{flavour.client} --no-defaults --socket=/data/s --user=root --execute='SELECT 1'"
    # With a copied directory the root user has a password; that it is asked for is an answer.
    answers = f"said=$({ask} 2>&1) || case $said in *denied*) ;; *) false ;; esac"
    return (
        f"nohup {start} >/data/log 2>&1 </dev/null & for try in $(seq 600); do if {answers}; then exit 0; fi; "
        "sleep 0.2; done; tail /data/log; exit 1"
    )


def _in_hand(command: str, shell: str = "sh") -> str:
    return f"kubectl exec -i -n {HAND} hand -- {shell} -c {shlex.quote(command)}"


def _hand(flavour: Flavour) -> list[Object]:
    container = {
        "name": "hand",
        "image": flavour.image,
        "command": ["sleep", "3600"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
        "securityContext": {"runAsUser": 999, "runAsGroup": 999},
    }
    spec = {
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"fsGroup": 999},
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HAND}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hand", "namespace": HAND}, "spec": spec},
    ]

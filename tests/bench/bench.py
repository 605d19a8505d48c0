# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make bench``: one application deployed and run again in four ways, side by side.

A machine is never quiet, so every way takes its turn in every round, in changing order, and ratios are taken round by
round. ``--quick`` compares with kubernetes.core, a task each object, alone.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import typing as t

import cluster
import rivals
import tree
import ways
import yaml
from members import Watcher
from mysql import Servers
from objects import Object, moved, read
from proxy import Count, CountingProxy, NoProxy
from rounds import aligned, figure, ratios, turned
from storage import Storage
from ways import KUBECTL, OBJECTS, OURS, TEMPLATE, Deployment, Way

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, connect
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

FOLDER = tree.ROOT / "build" / "bench"
VENV = rivals.VENV
RESULT = tree.ROOT / "build" / "bench.json"
STARTED = time.monotonic()
# Seconds. Twice what the slowest way took on a loaded machine with two processors.
PATIENCE = 180
# Three members of each of four sets have to fit on a small node.
SMALL = {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}


class BenchFailed(Exception):
    """The measuring failed; the message says what to do."""


@dataclasses.dataclass
class Figures:
    """Everything that was measured, in the order of the rounds: seconds, by way."""

    empty: list[float] = dataclasses.field(default_factory=list)
    create: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    rerun: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    #: from the start of the command until every member serves
    form: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    #: the part of it after the first member had a configuration
    grow: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    requests_create: dict[str, Count] = dataclasses.field(default_factory=dict)
    requests_rerun: dict[str, list[Count]] = dataclasses.field(default_factory=dict)
    #: what a run said that it changed although there was nothing to do
    changed: dict[str, int] = dataclasses.field(default_factory=dict)


class Bench:
    def __init__(self, target: cluster.Target, api: Cluster, quick: bool, variables: t.Mapping[str, t.Any]) -> None:
        self.api = api
        self.ways: t.Sequence[Way] = (OURS, OBJECTS) if quick else ways.WAYS
        self.rounds = {"create": 1, "rerun": 3 if quick else 5, "form": 1 if quick else 2}
        self.quick = quick
        self.figures = Figures()
        self.variables = {"mongodb_resources": SMALL} | target.variables | dict(variables)
        self.environment = _environment(target)
        self.objects: list[Object] = []
        self._logs = 0
        (FOLDER / "empty.yml").write_text("---\n" + yaml.safe_dump(ways.play([])), encoding="utf-8")

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self.clean)
            self.clean()
            counting = stack.enter_context(CountingProxy(self.environment))
            standing = [self.deployment(way, f"bench-{way.key}") for way in self.ways]
            self.first_creates(standing, counting)
            tunnels = [stack.enter_context(Forward(one, self.environment)) for one in standing if one.way.tunnel]
            for tunnel in tunnels:
                tunnel.ready()
            self.reruns(standing, counting)
            for tunnel in tunnels:
                tunnel.close()
            self.clean()
            if not self.quick:
                self.creates()
            self.formations()

    # Phases

    def first_creates(self, standing: t.Sequence[Deployment], counting: CountingProxy) -> None:
        """Deploy what the re-runs need. In a full run the requests of it are counted, and its time is not."""
        for one in standing:
            if self.objects:
                one.prepare(moved(self.objects, one.namespace))
            seconds, count = self.create(one, None if self.quick else counting)
            if self.quick:
                self.figures.create.setdefault(one.way.key, []).append(seconds)
                say(f"create: {one.way.key} {seconds:.1f} s")
            else:
                self.figures.requests_create[one.way.key] = count
                say(f"create, counted: {one.way.key} {count.requests} requests, {count.tunnels} tunnels")
            if not self.objects:
                self.objects = read(self.api, one.namespace)

    def creates(self) -> None:
        for number in range(self.rounds["create"]):
            for way in turned(self.ways, number):
                one = self.deployment(way, f"bench-{way.key}")
                one.prepare(moved(self.objects, one.namespace))
                seconds, _count = self.create(one, None)
                self.figures.create.setdefault(way.key, []).append(seconds)
                say(f"create {number + 1}/{self.rounds['create']}: {way.key} {seconds:.1f} s")
                self.clean()

    def create(self, one: Deployment, counting: t.Optional[CountingProxy]) -> tuple[float, Count]:
        environment = self.through(counting)
        with contextlib.ExitStack() as stack:
            if counting:
                counting.take()
            if one.way.tunnel:
                stack.enter_context(Forward(one, environment, self.api))
            seconds, _output = self.command(f"create-{one.way.key}", one.run(), environment)
            return seconds, counting.take() if counting else Count(0, 0, 0, {})

    def reruns(self, standing: t.Sequence[Deployment], counting: CountingProxy) -> None:
        for one in () if self.quick else standing:  # the creates were counted: caches of discovery know that way only
            self.command(f"warm-{one.way.key}", one.run(), self.environment)
        for number in range(self.rounds["rerun"]):
            line = []
            turns: list[t.Optional[Deployment]] = [None, *standing]
            for turn in turned(turns, number):
                if turn is None:
                    seconds, _output = self.command("empty", ["ansible-playbook", f"{FOLDER}/empty.yml"])
                    self.figures.empty.append(seconds)
                    line.append(f"empty play {seconds:.2f}")
                    continue
                seconds, output = self.command(f"rerun-{turn.way.key}", turn.run(), self.environment)
                self.figures.rerun.setdefault(turn.way.key, []).append(seconds)
                self.figures.changed[turn.way.key] = _changed(output)
                line.append(f"{turn.way.key} {seconds:.2f}")
            say(f"re-run {number + 1}/{self.rounds['rerun']}: {', '.join(line)} s")
        for one in standing[:1] if self.quick else standing:
            # The first fills the caches for this address.
            for number in range(2):
                counting.take()
                with contextlib.ExitStack() as stack:
                    if one.way.tunnel:
                        other = Deployment(one.way, one.namespace, FOLDER / "counted", _free_port(), self.variables)
                        other.prepare(moved(self.objects, one.namespace))
                        (other.folder / "root-made").touch()
                        stack.enter_context(Forward(other, self.through(counting))).ready()
                        command = other.run()
                    else:
                        command = one.run()
                    self.command(f"count-{one.way.key}", command, self.through(counting))
                    count = counting.take()
                if number:
                    self.figures.requests_rerun.setdefault(one.way.key, []).append(count)
                    say(f"re-run, counted: {one.way.key} {count.requests} requests, {count.tunnels} tunnels")

    def formations(self) -> None:
        """Members that wait, and a command that makes them a set; in between, new pods with empty disks."""
        one = self.deployment(OURS, "bench-form")
        one.prepare(_without_claims(moved(self.objects, one.namespace)))
        self.kubectl("apply", "--server-side", "-f", f"{one.folder}/objects.yml")
        contenders = (OURS, OBJECTS) if self.quick else (OURS, OBJECTS, KUBECTL)
        for number in range(self.rounds["form"]):
            for way in turned(contenders, number):
                seconds, growing = self.formation(way, one)
                self.figures.form.setdefault(way.key, []).append(seconds)
                self.figures.grow.setdefault(way.key, []).append(growing)
                say(
                    f"formation {number + 1}/{self.rounds['form']}: {way.key} {seconds:.1f} s, "
                    f"of which {growing:.1f} s after the first member had a configuration"
                )
                self.replace_pods(one.namespace)
                self.kubectl("annotate", "statefulset", "-n", one.namespace, ways.NAME, f"{SET_ID}-")

    def replace_pods(self, namespace: str) -> None:
        """Not left to kubectl, which has been seen to wait for pods that had long been replaced."""
        before = self.pods(namespace)
        self.kubectl("delete", "pod", "-n", namespace, *ways.PODS, "--grace-period=1", "--wait=false")
        until = time.monotonic() + PATIENCE
        while len(now := self.pods(namespace)) < len(ways.PODS) or now & before:
            if time.monotonic() > until:
                raise BenchFailed(
                    f"Pods in {namespace} were not replaced within {PATIENCE} s: kubectl get pods says why."
                )
            time.sleep(0.5)

    def pods(self, namespace: str) -> set[str]:
        return {pod["metadata"]["uid"] for pod in self.api.list("v1", "Pod", namespace)}

    def formation(self, way: Way, place: Deployment) -> tuple[float, float]:
        one = Deployment(way, place.namespace, FOLDER, place.port, self.variables)
        with contextlib.ExitStack() as stack:
            watcher = stack.enter_context(Watcher(self.api, one.namespace, ways.PODS))
            watcher.wait(watcher.all_answer, PATIENCE, "an answer of every member")
            if way.tunnel:
                stack.enter_context(Forward(one, self.environment)).ready()
            time.sleep(1)  # let the start of the pods pass
            begun = time.monotonic()
            self.command(f"form-{way.key}", one.form(), self.environment)
            watcher.wait(watcher.formed, PATIENCE, "a set of which every member serves")
            formed, first = watcher.formed(), watcher.first_in_set()
            if formed is None or first is None:
                raise BenchFailed("A member left its set while it was measured: run `make bench` again.")
            return formed - begun, formed - first

    # Means

    def deployment(self, way: Way, namespace: str) -> Deployment:
        return Deployment(way, namespace, FOLDER, _free_port(), self.variables)

    def through(self, counting: t.Optional[CountingProxy]) -> dict[str, str]:
        return {**self.environment, "KUBECONFIG": str(counting.kubeconfig)} if counting else self.environment

    def command(
        self,
        name: str,
        command: t.Sequence[str],
        environment: t.Optional[t.Mapping[str, str]] = None,
        patience: float = PATIENCE,
    ) -> tuple[float, str]:
        """Run to the end, log it, return the seconds and the output."""
        self._logs += 1
        log = FOLDER / "log" / f"{self._logs:03}-{name}.log"
        begun = time.monotonic()
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                env=dict(environment or self.environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(patience)
            except BaseException as exc:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(exc, subprocess.TimeoutExpired):
                    raise BenchFailed(f"`{name}` did not end within {patience:.0f} s: see {log}.") from exc
                raise
        seconds = time.monotonic() - begun
        output = log.read_text(encoding="utf-8", errors="replace")
        if status:
            raise BenchFailed(f"`{name}` failed. Its last lines, of {log}:\n{output[-1500:]}")
        return seconds, output

    def kubectl(self, *arguments: str) -> None:
        self.command("kubectl", ["kubectl", *arguments])

    def clean(self) -> None:
        """Take away the namespaces, and wait: what ends would disturb what is measured next."""
        spaces = [f"bench-{key}" for key in ("form", *(way.key for way in ways.WAYS))]
        there = [space for space in spaces if self.api.get("v1", "Namespace", space)]
        for space in there:
            self.kubectl("delete", "statefulset,pod", "--all", "-n", space, "--grace-period=1", "--wait=false")
        if there:
            self.kubectl("delete", "namespace", *there, "--timeout=120s")


class Forward:
    """`kubectl port-forward` to the first member, kept open as a user would in a second terminal."""

    def __init__(self, one: Deployment, environment: t.Mapping[str, str], wait_with: t.Optional[Cluster] = None):
        self._one = one
        self._environment = dict(environment)
        self._wait_with = wait_with
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Forward:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        self._closed.set()
        self._thread.join(20)

    def ready(self) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._one.port), 1):
                return
            time.sleep(0.05)
        raise BenchFailed(f"`kubectl port-forward` to {self._one.namespace}/{ways.PODS[0]} did not open within 30 s.")

    def _keep(self) -> None:
        if self._wait_with:
            with Watcher(self._wait_with, self._one.namespace, ways.PODS[:1]) as watcher:
                while not watcher.all_answer() and not self._closed.wait(0.05):
                    pass
        pod = f"pod/{ways.PODS[0]}"
        command = ["kubectl", "port-forward", "-n", self._one.namespace, pod, f"{self._one.port}:{ways.PORT}"]
        while not self._closed.is_set():
            process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while process.poll() is None and not self._closed.wait(0.1):
                pass
            process.terminate()
            process.wait()


SET_ID = "stateful.kube/mongodb-replica-set-id"


def _without_claims(objects: list[Object]) -> list[Object]:
    """Data that goes with the pod, so that a new pod is a new member."""
    spec = next(obj["spec"] for obj in objects if obj["kind"] == "StatefulSet")
    for claim in spec.pop("volumeClaimTemplates"):
        spec["template"]["spec"].setdefault("volumes", []).append({"name": claim["metadata"]["name"], "emptyDir": {}})
    return objects


def _changed(output: str) -> int:
    found = re.search(r"changed=(\d+)", output)
    return int(found[1]) if found else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(target: cluster.Target) -> dict[str, str]:
    """One ansible-core, one Python, one inventory for all ways; caches of kubectl that belong to this bench."""
    python = VENV / "bin" / "python"
    host = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
    inventory = FOLDER / "inventory.yml"
    inventory.write_text("---\n" + yaml.safe_dump({"all": {"hosts": {"localhost": host}}}), encoding="utf-8")
    return {
        **{key: value for key, value in target.environment.items() if not key.startswith(("ANSIBLE_", "PYTHON"))},
        "PATH": f"{VENV / 'bin'}{os.pathsep}{target.environment['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(tree.link()),
        "ANSIBLE_INVENTORY": str(inventory),
        "ANSIBLE_HOME": str(FOLDER / "ansible-home"),
        "ANSIBLE_NOCOLOR": "1",
        "KUBECACHEDIR": str(FOLDER / "kube-cache"),
    }


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", flush=True)


# What comes out


class Goal(t.NamedTuple):
    text: str
    measured: str
    met: bool


def goals(figures: Figures, kinds: int) -> list[Goal]:
    empty = ratios(figures.rerun[OURS.key], figures.empty)
    objects = ratios(figures.rerun[OBJECTS.key], figures.rerun[OURS.key])
    # Against the faster of those who initiate all members at once.
    rival = min((key for key in figures.form if key != OURS.key), key=lambda key: statistics.median(figures.form[key]))
    form = ratios(figures.form[rival], figures.form[OURS.key])
    requests = max(count.requests for count in figures.requests_rerun[OURS.key])
    return [
        Goal("re-run <= 2 x an empty play", f"{figure(empty)} x", statistics.median(empty) <= 2),
        Goal("re-run >= 5 x faster than a task each object", f"{figure(objects)} x", statistics.median(objects) >= 5),
        Goal(
            f"formation >= 4 x faster than one initiate of all ({rival})",
            f"{figure(form)} x",
            statistics.median(form) >= 4,
        ),
        Goal(f"requests of a re-run <= kinds + 5 = {kinds + 5}", str(requests), requests <= kinds + 5),
    ]


def table(figures: Figures, shown: t.Sequence[Way]) -> str:
    def counted(counts: t.Sequence[Count]) -> str:
        if not counts:
            return "-"
        requests, tunnels = [count.requests for count in counts], [count.tunnels for count in counts]
        return f"{_span(requests)} + {_span(tunnels)} tunnels"

    def against(values: t.Mapping[str, t.Sequence[float]], way: Way) -> str:
        have = values.get(way.key)
        return "-" if not have or way == OURS else f"{figure(ratios(have, values[OURS.key]))} x"

    rows: list[tuple[str, t.Callable[[Way], str]]] = [
        ("create, s", lambda way: figure(figures.create.get(way.key, []))),
        ("  as ratio to ours", lambda way: against(figures.create, way)),
        ("re-run, nothing to do, s", lambda way: figure(figures.rerun.get(way.key, []))),
        ("  as ratio to ours", lambda way: against(figures.rerun, way)),
        ("  as ratio to an empty play", lambda way: f"{figure(ratios(figures.rerun[way.key], figures.empty))} x"),
        ("  tasks that say changed", lambda way: "-" if way == KUBECTL else str(figures.changed[way.key])),
        ("formation, whole command, s", lambda way: figure(figures.form.get(_former(way), []))),
        ("  as ratio to ours", lambda way: against(figures.form, dataclasses.replace(way, key=_former(way)))),
        ("  from the first configuration, s", lambda way: figure(figures.grow.get(_former(way), []))),
        (
            "requests of a create",
            lambda way: counted([figures.requests_create[way.key]] if figures.requests_create else []),
        ),
        ("requests of a re-run", lambda way: counted(figures.requests_rerun.get(way.key, []))),
    ]
    heads = {OURS: OURS.title, OBJECTS: "a task each object", TEMPLATE: "one template", KUBECTL: "kubectl"}
    cells = [["", *(heads[way] for way in shown)], *([name, *(cell(way) for way in shown)] for name, cell in rows)]
    return aligned(cells)


def _span(values: t.Sequence[int]) -> str:
    return "-".join(str(value) for value in sorted({min(values), max(values)}))


def _former(way: Way) -> str:
    """Both ways with community.mongodb form the set by the same task."""
    return OBJECTS.key if way == TEMPLATE else way.key


NOTES = """\
median (lowest-highest); ratios are taken round by round
a task each object, one template: kubernetes.core with server-side apply, then community.mongodb through a
`kubectl port-forward` that is opened and kept open outside the time measured; their passwords are ready made
kubectl: apply --server-side, then mongosh in the first pod; `kubectl rollout status` has no place in it, because it
refuses the update strategy OnDelete, and no member is ready before the set is formed
formation: pods wait; until every member's own hello says that it serves, asked each 50 ms through the API server
requests: at the API server, watches included; connections that become tunnels (port-forward, exec) apart"""


def report(bench: Bench, versions: t.Mapping[str, str], title: str) -> None:
    figures = bench.figures
    reached = goals(figures, len({obj["kind"] for obj in bench.objects}))
    print(f"\n{title}; {', '.join(f'{name} {version}' for name, version in versions.items())}")
    print(f"empty play: {figure(figures.empty, ' s')}\n\n{table(figures, bench.ways)}\n\n{NOTES}\n")
    for goal in reached:
        print(f"{'met    ' if goal.met else 'NOT MET'}  {goal.text}: {goal.measured}")
    content = {
        "cluster": title,
        "quick": bench.quick,
        "versions": versions,
        "processors": os.cpu_count(),
        "seconds": round(time.monotonic() - STARTED),
        "figures": {field.name: _plain(getattr(figures, field.name)) for field in dataclasses.fields(figures)},
        "goals": [goal._asdict() for goal in reached],
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"\nEvery figure: {RESULT.relative_to(tree.ROOT)}. Playbooks and logs: {FOLDER.relative_to(tree.ROOT)}.")
    say("Measured.")


def _plain(value: t.Any) -> t.Any:
    if isinstance(value, Count):
        return value._asdict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def versions() -> dict[str, str]:
    """What is compared, by its own word."""
    ask = "import importlib.metadata as m; print(*(m.version(p) for p in ('ansible-core', 'kubernetes', 'pymongo')))"
    core, client, driver = subprocess.run(
        [VENV / "bin" / "python", "-c", ask], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    found = {"ansible-core": core, "kubernetes": client, "pymongo": driver}
    for name in ("kubernetes.core", "community.mongodb"):
        (manifest,) = VENV.glob(f"lib/python*/site-packages/ansible_collections/{name.replace('.', '/')}/MANIFEST.json")
        found[name] = json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"]
    return found


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, found {text}")
    return name, value


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two minutes: two ways, fewer rounds")
    parser.add_argument("--storage", action="store_true", help="claims and volumes instead; needs the lab's driver")
    parser.add_argument("--mysql", action="store_true", help="replicated MySQL and MariaDB instead; needs the lab")
    parser.add_argument(
        "--megabytes", type=int, default=2048, help="how much data another replica of --mysql gets (2048)"
    )
    parser.add_argument(
        "-e",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_pair,
        help="a variable of the role, such as mongodb_image",
    )
    chosen = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(143))
    (FOLDER / "log").mkdir(parents=True, exist_ok=True)
    target = cluster.choose()
    say(f"Cluster: {target.title}.")
    if not shutil.which("kubectl", path=target.environment["PATH"]):
        raise BenchFailed("kubectl is not on PATH: it is one of the ways that are compared. Install it.")
    rivals.install(say)
    os.environ.update(target.environment)
    with connect({}) as api:
        bench = Bench(target, api, chosen.quick, dict(chosen.e))
        if chosen.storage:
            load = os.getloadavg()
            storage = Storage(api, bench.command, bench.environment, FOLDER)
            storage.measure(2 if chosen.quick else 5, say)
            storage.report(RESULT.with_name("bench-storage.json"), load, target.title)
            return
        if chosen.mysql:
            load = os.getloadavg()
            servers = Servers(api, bench.command, bench.environment, FOLDER, chosen.megabytes)
            servers.measure(2 if chosen.quick else 4, say)
            servers.report(RESULT.with_name("bench-mysql.json"), load, target.title)
            return
        bench.run()
        report(bench, versions(), target.title)


if __name__ == "__main__":
    try:
        main()
    except (cluster.NoCluster, BenchFailed, rivals.NotInstalled, NoProxy, Failure, TimeoutError) as problem:
        sys.exit(f"\nmake bench: {problem}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted.")

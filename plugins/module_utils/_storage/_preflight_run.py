# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Looks at a class or a claim, and has short-lived pods try its volume out. Everything that it makes goes again."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._access import allowed
from ansible_collections.stateful.kube.plugins.module_utils._cluster._claims import claim_names, unbound
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, list_if_allowed
from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import last_word
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.module_utils._storage import _preflight_script as script
from ansible_collections.stateful.kube.plugins.module_utils._storage._classes import class_of
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight import (
    UNFIT,
    Finding,
    Lock,
    Object,
    Outcome,
    Second,
    Volume,
    Wanted,
    access_finding,
    by_hand,
    choose_class,
    class_findings,
    is_nfs,
    judge_all,
    lines,
    lock_finding,
    network_finding,
    root_finding,
    second_place,
    solo_findings,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_objects import (
    APPLICATION,
    SELECTOR,
    Run,
    anchor,
    claim,
    pod,
    volume_of,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_wish import Wish
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import LATE, RWOP
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_pods import (
    PATIENCE,
    ProbePods,
    remove,
    remove_all,
)

# Seconds after which pods, claim and all end by themselves, on top of what the waits may take.
MARGIN = 300


@dataclasses.dataclass(frozen=True)
class _Surveyed:
    """What is known before any pod runs."""

    chosen: t.Optional[Object]
    findings: tuple[Finding, ...]
    #: whether volumes of each CSI driver are attached to a node
    drivers: t.Mapping[str, bool]
    claim: t.Optional[Object] = None
    #: nodes on which running pods use the claim
    used_on: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether no pod could find out any more."""
        return any(finding.outcome is Outcome.FAILED for finding in self.findings)


def preflight(cluster: Cluster, task: Task, wish: Wish) -> dict[str, t.Any]:
    """The result of the task. Raises Failure."""
    surveyed = _survey(cluster, wish)
    provisioner = str((surveyed.chosen or {}).get("provisioner", ""))
    if wish.only_nfs and not is_nfs(provisioner):
        why = f"provisioner {provisioner} is not one of NFS" if provisioner else "its class is not known"
        return {**_report(wish, (), ()), "skipped_because": why, "lines": [f"{wish.title}: not done, because {why}"]}
    if not wish.claim and not surveyed.settled:
        _require_removable(cluster, wish, surveyed.chosen)
    plan = () if surveyed.settled else _plan(wish, surveyed)
    if task.check_mode and not surveyed.settled:
        for number, sentence in enumerate(plan, 1):
            task.progress(f"{wish.title}: would {number}. {sentence}")
        return {**_report(wish, surveyed.findings, plan), "verdicts": {}}
    findings, changed = surveyed.findings, False
    if not surveyed.settled:
        changed = _ensure_namespace(cluster, wish)
        findings += _try_out(cluster, task, wish, surveyed)
    result = {**_report(wish, findings, plan), "changed": changed}
    for line in result["lines"]:
        task.progress(line)
    unfit = [kind for kind in wish.require if result["verdicts"][kind]["verdict"] == UNFIT]
    if unfit and not task.check_mode:
        reasons = "; ".join(f"{kind}: {'; '.join(result['verdicts'][kind]['reasons'])}" for kind in unfit)
        raise Failure(
            f"{wish.title}: this storage is unfit for {', '.join(unfit)}. {reasons}. Correct the storage, or choose "
            "another class or claim.",
            **result,
        )
    return result


def _report(wish: Wish, findings: t.Sequence[Finding], plan: t.Sequence[str]) -> dict[str, t.Any]:
    verdicts = judge_all(findings) if findings else ()
    return {
        "changed": False,
        "plan": [{"action": "preflight", "target": wish.title, "step": sentence} for sentence in plan],
        "findings": [finding.report() for finding in findings],
        "verdicts": {verdict.kind: verdict.report() for verdict in verdicts},
        "lines": lines(wish.title, findings, verdicts) if findings else [],
    }


def _plan(wish: Wish, surveyed: _Surveyed) -> tuple[str, ...]:
    user = "the user that the platform chooses" if wish.pods.user is None else f"user {wish.pods.user}"
    modes = surveyed.claim["spec"].get("accessModes") if surveyed.claim else wish.access_modes
    if surveyed.claim:
        where = f"claim {wish.claim}, in a folder of its own"
        first = f"run a pod as {user} on {where}"
    else:
        where = str((surveyed.chosen or {"metadata": {"name": wish.storage_class}})["metadata"]["name"])
        first = f"make a throw-away claim of {wish.size} ({', '.join(wish.access_modes)}) of class {where}, and a pod "
        first += f"as {user} on it"
    second = "see that a second pod is kept away" if RWOP in (modes or ()) else "see a second pod share"
    return (
        first,
        f"write, replace, link and fsync files ({wish.fsyncs} times), and look at owner and free space",
        f"{second} the volume, and try locks",
        "try chown as root, where admission allows such a pod",
        "remove everything again",
    )


# Before any pod


def _survey(cluster: Cluster, wish: Wish) -> _Surveyed:
    used_on: tuple[str, ...] = ()
    found: t.Optional[Object] = None
    name = wish.storage_class
    if wish.claim:
        found = cluster.get("v1", "PersistentVolumeClaim", wish.claim, wish.namespace)
        if found is None:
            raise Failure(
                f"claim: there is no PersistentVolumeClaim {wish.claim} in namespace {wish.namespace}. Correct the "
                "name, or leave claim out to have a throw-away claim of storage_class made."
            )
        if found["spec"].get("volumeMode") == "Block":
            raise Failure(
                f"claim: {wish.claim} has volumeMode Block, and a preflight tries files. Name a claim with a file "
                "system."
            )
        if (found.get("status") or {}).get("phase") == "Lost":
            gone = Finding("volume", Outcome.FAILED, "the volume of the claim is gone (phase Lost)")
            return _Surveyed(None, (gone,), {}, found)
        used_on = _used_on(cluster, wish)
        name = class_of(found) or ""
    drivers = _drivers(cluster)
    chosen: t.Optional[Object]
    classes = list_if_allowed(cluster, "storage.k8s.io/v1", "StorageClass")
    if wish.claim and (not name or (found or {})["spec"].get("volumeName")):
        # A volume that is there needs no class any more, and may have been made by hand without one.
        chosen = next((one for one in classes or () if one["metadata"]["name"] == name), None)
        words = f"{name or 'none'}; the claim has volume {(found or {})['spec'].get('volumeName') or 'none'}"
        finding = Finding("class", Outcome.PASSED, words)
        findings = class_findings(chosen, finding, None) if chosen and not by_hand(chosen) else (finding,)
        return _Surveyed(chosen, findings, drivers or {}, found, used_on)
    if classes is None:
        finding = Finding("class", Outcome.UNPROVEN, "the account may not list StorageClasses")
        return _Surveyed(None, (finding,), drivers or {}, found, used_on)
    chosen, finding = choose_class(name, classes)
    if chosen is None:
        return _Surveyed(None, (finding,), {}, found, used_on)
    findings = class_findings(chosen, finding, None if drivers is None else set(drivers))
    return _Surveyed(chosen, findings, drivers or {}, found, used_on)


def _used_on(cluster: Cluster, wish: Wish) -> tuple[str, ...]:
    """Nodes on which running pods have the claim."""
    pods = cluster.list("v1", "Pod", wish.namespace)
    nodes = {
        str(one["spec"]["nodeName"])
        for one in pods
        if wish.claim in claim_names(one)
        and one["spec"].get("nodeName")
        and (one.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        and (one["metadata"].get("labels") or {}).get("app.kubernetes.io/name") != APPLICATION
    }
    return tuple(sorted(nodes))


def _drivers(cluster: Cluster) -> t.Optional[dict[str, bool]]:
    found = list_if_allowed(cluster, "storage.k8s.io/v1", "CSIDriver")
    if found is None:
        return None
    return {one["metadata"]["name"]: (one.get("spec") or {}).get("attachRequired", True) for one in found}


def _require_removable(cluster: Cluster, wish: Wish, chosen: t.Optional[Object]) -> None:
    """Refuse a class whose volumes a throw-away claim would use up or leave behind."""
    if chosen is None:
        return
    name = chosen["metadata"]["name"]
    if by_hand(chosen):
        raise Failure(
            f"storage_class: the volumes of class {name} are made by hand, and a throw-away claim would use one of "
            "them up. Make a claim, and name it with claim."
        )
    if chosen.get("reclaimPolicy", "Delete") == "Delete":
        return
    if not allowed(cluster, "patch", "persistentvolumes"):
        raise Failure(
            f"storage_class: class {name} keeps the volumes of deleted claims (reclaimPolicy "
            f"{chosen['reclaimPolicy']}), and the account may not patch persistentvolumes, so the volume of a "
            "throw-away claim would stay behind. Give it that right, or name an existing claim with claim."
        )


def _ensure_namespace(cluster: Cluster, wish: Wish) -> bool:
    """Make the namespace where it is missing and may be made; True where it was."""
    try:
        if cluster.get("v1", "Namespace", wish.namespace) is not None:
            return False
    except ApiError as error:
        if not error.forbidden:
            raise
        return False  # an account confined to its namespace may not read it; using it will tell
    if not wish.create_namespace:
        raise Failure(
            f"namespace: {wish.namespace} does not exist in the cluster. Create it first, correct the name, or set "
            "create_namespace to true."
        )
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": wish.namespace}})
    return True


# With pods


def _try_out(cluster: Cluster, task: Task, wish: Wish, surveyed: _Surveyed) -> tuple[Finding, ...]:
    """Make everything, look, and remove everything, whatever happens."""
    lock = Lease(cluster, wish.namespace, APPLICATION)
    lock.acquire(task, wish.title, wish.wait_timeout)
    try:
        # Whoever holds the Lease is alone here: what is there was left by a run that was killed.
        left = cluster.list("batch/v1", "Job", wish.namespace, labels=SELECTOR)
        for one in left:
            task.warn(f"{wish.title}: removed what a run that was killed left: {one['metadata']['name']}.")
            remove(cluster, wish.namespace, APPLICATION, one["metadata"]["name"], wish.wait_timeout)
        probe = _Probe(cluster, task, wish, surveyed)
        try:
            return tuple(probe.findings())
        finally:
            probe.close()
    finally:
        lock.release()


class _Probe:
    """One run: its anchor, its claim, its pods."""

    def __init__(self, cluster: Cluster, task: Task, wish: Wish, surveyed: _Surveyed) -> None:
        self.cluster = cluster
        self.task = task
        self.wish = wish
        self.surveyed = surveyed
        name = f"{APPLICATION}-{secrets.token_hex(3)}"
        # Three pods and the first one's program, each within wait_timeout, and the small programs.
        deadline = int(4 * wish.wait_timeout) + MARGIN
        self.run = Run(name, wish.namespace, wish.claim or name, deadline, wish.pods)
        self.pods = ProbePods(
            cluster, task, wish.title, wish.namespace, self.run.selector, wish.pods.image, wish.wait_timeout
        )
        self._first = ""

    def findings(self) -> t.Iterator[Finding]:
        owner = self.cluster.create(anchor(self.run))
        if not self.wish.claim:
            # The default class is named too: what was looked at is what is tried.
            name = (self.surveyed.chosen or {"metadata": {"name": self.wish.storage_class}})["metadata"]["name"]
            made = claim(self.run, owner, self.wish.size, self.wish.access_modes, name)
            self.cluster.create(made)
        on = self.surveyed.used_on[0] if self.surveyed.used_on else ""
        problem = self._await_claim()
        first = "" if problem else self._start(owner, "first", on=on)
        problem = problem or self.pods.await_ready(first)
        if problem:
            yield Finding("volume", Outcome.FAILED, problem)
            return
        self._first = first
        node = self.pods.node(first)
        volume = self._volume()
        source = f", source {volume.source}" if volume.source else ""
        yield Finding("volume", Outcome.PASSED, f"mounted on {node}{source}")
        yield network_finding(volume)
        if self.wish.claim:
            self._require_empty(first)
        self.pods.say("write, replace, link and fsync files")
        said = self._run(first, script.BEGIN, script.VOLUME, self.run.folder, patience=self._patience)
        begun = solo_findings(said, self._wanted())
        if any(finding.check == "write" and finding.outcome is Outcome.FAILED for finding in begun):
            yield from begun
            return
        yield from self._with_others(owner, first, node, volume, said)

    @property
    def _patience(self) -> float:
        return max(PATIENCE, self.wish.wait_timeout)

    def _wanted(self) -> Wanted:
        size = self.wish.size
        if self.surveyed.claim:
            size = self.surveyed.claim["spec"]["resources"]["requests"]["storage"]
        return Wanted(self.wish.pods.user, int(quantity(size)), self.wish.count, self.wish.max_fsync_ms)

    # The others

    def _with_others(
        self, owner: Object, first: str, node: str, volume: Volume, said: dict[str, str]
    ) -> t.Iterator[Finding]:
        place = second_place(volume)
        self.pods.say("try a second pod")
        second = self._start(owner, "second", on=node if place == "same" else "", away_from=node)
        root = "" if place == "refused" else self._start_root(owner, node)
        # The first one works while the others start; fsync is timed when all of them stand still.
        alone = self._run(first, script.SOLO, self.run.folder, patience=self._patience)
        said.update(script.answered(alone, script.ALONE))
        problem = self.pods.await_ready(second, refused=place == "refused")
        root_problem = "" if not root or root.startswith("not tried") else self.pods.await_ready(root)
        timed = self._run(first, script.FSYNC, self.run.folder, self.wish.fsyncs, patience=self._patience)
        said.update(script.answered(timed, ("fsync",)))
        yield from solo_findings(said, self._wanted())
        fate = self._second(second, problem, first, node)
        yield access_finding(volume, fate)
        other = second if fate.fate == "ran" else first
        for check in ("fcntl_lock", "flock"):
            yield lock_finding(check, self._lock(check, first, other), volume, fate)
        if root.startswith("not tried"):
            yield Finding("chown", Outcome.UNPROVEN, root)
        elif root:
            if root_problem:
                yield Finding("chown", Outcome.UNPROVEN, f"not tried: the pod that runs as root: {root_problem}")
            else:
                user = self.wish.pods.user or 1
                yield root_finding(self._run(root, script.ROOT, self.run.folder, user), user)
        else:
            yield Finding("chown", Outcome.UNPROVEN, "not tried: only one pod may have the volume")

    def _second(self, second: str, problem: str, first: str, node: str) -> Second:
        if problem:
            return Second("refused" if problem == "refused" else "absent", (node, ""), problem)
        nodes = (node, self.pods.node(second))
        folder = self.run.folder
        sees = "failed nothing was written"
        for writer, reader, name in ((first, second, "first"), (second, first, "second")):
            wrote = self._run(writer, script.WRITE, folder, name).get("wrote", "")
            sees = self._run(reader, script.SEE, folder, name).get("saw", "") if wrote == "ok" else wrote
            if sees != "ok":
                break
        return Second("ran", nodes, "", sees)

    def _lock(self, check: str, first: str, other: str) -> Lock:
        file = f"{self.run.folder}/{check}"
        held = self._run(first, script.HOLD, check, file, script.SCRATCH).get("lock", "")
        if held != "held":
            return Lock(held)
        meanwhile = self._run(other, script.TRY, check, file).get("lock", "")
        self._run(first, script.RELEASE, script.SCRATCH)
        deadline = time.monotonic() + 5
        while True:
            afterwards = self._run(other, script.TRY, check, file).get("lock", "")
            if afterwards == "held" or time.monotonic() > deadline:
                return Lock(held, meanwhile, afterwards)
            time.sleep(0.2)

    def _start_root(self, owner: Object, node: str) -> str:
        """The pod that runs as root, or why admission does not allow it."""
        name, why = self.pods.start_if_admitted(pod(self.run, owner, "root", on=node, root=True))
        return name or f"not tried: admission lets no pod run as root here ({why})"

    # Pods

    def _start(self, owner: Object, role: str, **where: t.Any) -> str:
        return self.pods.start(pod(self.run, owner, role, **where))

    def _await_claim(self) -> str:
        """Wait until the claim has a volume, where it gets one before a pod asks. Returns why it does not, or nothing.

        The scheduler would find a pod that comes earlier no node, and might look again only after five minutes.
        """
        chosen = self.surveyed.chosen
        named = self.surveyed.claim and (self.surveyed.claim["spec"].get("volumeName") or not chosen)
        if not named and (chosen is None or chosen.get("volumeBindingMode") == LATE):
            return ""
        begun = time.monotonic()
        while True:
            self.pods.require_parent()
            found = self.cluster.get("v1", "PersistentVolumeClaim", self.run.claim, self.wish.namespace)
            if found is None:
                raise self.pods.deleted(f"claim {self.run.claim}")
            if (found.get("status") or {}).get("phase") == "Bound":
                return ""
            if time.monotonic() - begun > self.wish.wait_timeout:
                event = last_word(self.cluster, self.wish.namespace, "PersistentVolumeClaim", self.run.claim)
                return f"no volume within {self.wish.wait_timeout:.0f} s: {event or unbound(found, '', None, ())}"
            time.sleep(0.2)

    def _volume(self) -> Volume:
        """The volume that the claim has got. One that would stay when the claim goes is told to go with it."""
        found = self.cluster.get("v1", "PersistentVolumeClaim", self.run.claim, self.wish.namespace)
        if found is None:
            raise self.pods.deleted(f"claim {self.run.claim}")
        name = found["spec"].get("volumeName", "")
        try:
            volume = self.cluster.get("v1", "PersistentVolume", name) if name else None
        except ApiError as error:
            if not error.forbidden:
                raise
            volume = None
        policy = (volume or {"spec": {}})["spec"].get("persistentVolumeReclaimPolicy", "Delete")
        if not self.wish.claim and policy != "Delete":
            self.cluster.merge(
                "v1", "PersistentVolume", name, None, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}
            )
        return volume_of(found, volume, self.surveyed.drivers)

    def _require_empty(self, first: str) -> None:
        """Refuse a volume that holds something, unless that was allowed. Clear away what killed runs left."""
        text = self.pods.execute(first, script.shell(script.LOOK, script.VOLUME), PATIENCE)
        theirs = [
            name for name in script.entries(text) if name != "lost+found" and not name.startswith(script.FOLDER_PREFIX)
        ]
        if theirs and not self.wish.allow_data:
            more = f", and {len(theirs) - 5} more" if len(theirs) > 5 else ""
            raise Failure(
                f"claim: {self.wish.claim} is not empty ({', '.join(theirs[:5])}{more}), and nothing was written to "
                "it. Set allow_data to true to work in a folder of its own beside what is there."
            )
        self._run(first, script.CLEAN, script.VOLUME)

    def _run(self, name: str, program: str, *arguments: object, patience: float = PATIENCE) -> dict[str, str]:
        """What a program in a pod said; nothing where it gave no answer in time."""
        return script.read(self.pods.execute(name, script.shell(program, *arguments), patience))

    def close(self) -> None:
        """Remove everything."""
        self.pods.close()
        if self.wish.claim and self._first:
            # Where this fails, the pods take their folder along when they end.
            with contextlib.suppress(Failure):
                self._run(self._first, script.CLEAN, script.VOLUME)
        self.pods.say("remove everything again")
        remove_all(self.pods, self.run.name, self.run.deadline, self.wish.wait_timeout, APPLICATION)

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A deployment that is killed at every one of its changes, and one whose API server goes away at any of them."""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import itertools
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from harness import objects
from harness.api_server import ApiServer
from harness.interruptions import AFTER, BEFORE, WAYS, At, Kill, Point
from harness.proxy import Change, Proxy
from harness.trial import RUN_MAY_TAKE, Trial
from harness.verdict import check
from mongodb.replica_set import MEMBERS, ReplicaSet

# Seconds.
AWAY = 5.0
ENDS_WHEN_KILLED = 60

OBJECTS, INITIATION, LAST_MEMBER = (
    Point("APPLY statefulsets/shop", 1),
    Point("replSetInitiate", 1),
    Point("replSetReconfig", MEMBERS - 1),
)


class Reference(t.NamedTuple):
    """A deployment that nobody disturbed."""

    changes: tuple[str, ...]
    end_state: t.Any

    @property
    def points(self) -> tuple[Point, ...]:
        """Its changes, without those that it had to try twice: another run may have to try others twice."""
        seen: collections.Counter[str] = collections.Counter()
        points = []
        for what in self.changes:
            seen[what] += 1
            most = MEMBERS - 1 if what == LAST_MEMBER.what else len(self.changes) if what.startswith("POST ") else 1
            if seen[what] <= most:
                points.append(Point(what, seen[what]))
        return tuple(points)


def interrupted(trial: Trial) -> None:
    with trial.proxy(ReplicaSet) as proxy:
        reference = _undisturbed(trial, proxy)
        killed = 0
        for point, (moment, whom) in _kills(trial, reference.points):
            _killed(trial, proxy, reference, point, moment, whom)
            killed += 1
        trial.note(f"killed {killed} times, at {len(reference.points)} changes of a deployment")
        _cut_off(trial, proxy, reference)


def _kills(trial: Trial, points: t.Sequence[Point]) -> t.Iterator[tuple[Point, tuple[str, str]]]:
    """At which change, and how."""
    if trial.options.thorough:
        yield from itertools.product(points, WAYS)
    elif trial.options.short:
        yield from zip((OBJECTS, INITIATION, LAST_MEMBER), WAYS[1:4], strict=True)
    else:
        yield from zip(points, itertools.cycle(WAYS), strict=False)


def _undisturbed(trial: Trial, proxy: Proxy) -> Reference:
    with trial.namespace() as namespace:
        application = ReplicaSet(trial.api, namespace)
        proxy.watch()
        with trial.writing(application):
            trial.play(application, proxy).expect_success("The deployment that nobody disturbed")
        changes = tuple(change.what.replace(namespace, "NAMESPACE") for change in proxy.changes)
        trial.say(f"undisturbed, a deployment makes {len(changes)} changes: {', '.join(changes)}")
        return Reference(changes, application.end_state())


def _killed(trial: Trial, proxy: Proxy, reference: Reference, point: Point, moment: str, whom: str) -> None:
    with trial.namespace() as namespace:
        application = ReplicaSet(trial.api, namespace)
        with trial.writing(application):
            gate = Kill(point.what.replace("NAMESPACE", namespace), moment, whom, point.nth)
            proxy.watch(gate)
            run = trial.start(application, proxy)
            gate.attach(run)
            change = gate.wait()
            run.wait(ENDS_WHEN_KILLED)
            run.wait_for_orphans(gate.workers)
            made = [each for each in proxy.changes if moment == AFTER or each != change]
            title = f"killed {whom} {moment} {point}"
            check(run.status, f"{title}: the run ended well all the same.")
            again = _converges(trial, application, proxy, reference, title)
            _nothing_twice(reference, made, again, namespace, title)
            check(application.initiations() == 1, f"{title}: initiated {application.initiations()} times.")
        trial.say(f"{title}: the next run made {len(again)} changes, the third none")


def _converges(
    trial: Trial, application: ReplicaSet, proxy: Proxy, reference: Reference, title: str
) -> tuple[Change, ...]:
    """The next run ends well and leaves what an undisturbed one does; the one after it changes nothing."""
    proxy.watch()
    trial.play(application, proxy).expect_success(f"{title}: the run after it")
    again = tuple(proxy.changes)
    proxy.watch()
    trial.play(application, proxy).expect_success(f"{title}: the third run", changed=0)
    extra = [change.what for change in proxy.changes]
    check(not extra, f"{title}: the third run had nothing to do, and sent {', '.join(extra)}.")
    differs = objects.differences(reference.end_state, application.end_state())
    check(not differs, f"{title}: what is left differs from an undisturbed deployment in {', '.join(differs)}.")
    return again


def _nothing_twice(
    reference: Reference, made: t.Iterable[Change], again: t.Iterable[Change], namespace: str, title: str
) -> None:
    """The killed run and the one after it make what one run makes, and no object is made by both.

    Within a run a request may be sent again, when its answer was lost or another change came between.
    """
    first, second = ({each.what.replace(namespace, "NAMESPACE") for each in run} for run in (made, again))
    differs = (first | second) ^ set(reference.changes)
    check(not differs, f"{title}: made besides, or never made: {', '.join(sorted(differs))}.")
    twice = {what for what in first & second if what.startswith("APPLY ")}
    check(not twice, f"{title}: made again: {', '.join(sorted(twice))}.")


def _cut_off(trial: Trial, proxy: Proxy, reference: Reference) -> None:
    """The connection to the API server breaks at a change and is back some seconds later; then the server itself."""
    every = 1 if trial.options.thorough else 4
    points = (LAST_MEMBER,) if trial.options.short else reference.points[1::every]
    for point, moment in zip(points, itertools.cycle((AFTER, BEFORE)), strict=False):

        def cut() -> bool:
            proxy.go_away(AWAY)
            return False

        _without_server(trial, proxy, reference, point, moment, cut, f"API server out of reach for {AWAY:.0f} s")
    kills = () if trial.options.short else ((OBJECTS, AFTER), (INITIATION, BEFORE), (LAST_MEMBER, AFTER))
    for point, moment in kills:
        server = ApiServer.find()
        if server is None:
            trial.note("no API server of the lab on this machine, so none was killed")
            return
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
            restarts: list[concurrent.futures.Future[None]] = []
            kill = functools.partial(_kill_server, server, trial.api, pool, restarts)
            _without_server(trial, proxy, reference, point, moment, kill, "API server killed and started again")
            restarts[0].result()


def _kill_server(
    server: ApiServer, api: Cluster, pool: concurrent.futures.Executor, restarts: list[concurrent.futures.Future[None]]
) -> bool:
    restarts.append(pool.submit(server.restart, api, AWAY))
    server.wait_until_gone()
    return False


def _without_server(
    trial: Trial,
    proxy: Proxy,
    reference: Reference,
    point: Point,
    moment: str,
    happen: t.Callable[[], bool],
    what: str,
) -> None:
    with trial.namespace() as namespace:
        application = ReplicaSet(trial.api, namespace)
        with trial.writing(application):
            gate = At(point.what.replace("NAMESPACE", namespace), moment, happen, point.nth)
            proxy.watch(gate)
            run = trial.start(application, proxy)
            gate.wait()
            run.wait(RUN_MAY_TAKE)
            title = f"{what} {moment} {point}"
            if run.status:
                check("API server" in run.message, f"{title}: the message does not say it: {run.message}")
            again = _converges(trial, application, proxy, reference, title)
        how = f"the run failed with a message ({run.message[:120]})" if run.status else "the run sat it out"
        trial.note(f"{title}: {how}, the next one made {len(again)} changes, the third none")

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A deployment that is killed at every one of its changes, and one whose API server goes away at any of them."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import typing as t

from harness import objects
from harness.api_server import ApiServer
from harness.interruptions import AFTER, BEFORE, At, Kill
from harness.playbook import BOTH, PLAYBOOK, WORKER
from harness.proxy import Change, Proxy
from harness.trial import RUN_MAY_TAKE, Trial
from harness.verdict import check
from mongodb.replica_set import ReplicaSet

# Seconds.
AWAY = 5.0
ENDS_WHEN_KILLED = 60
# The ways to be killed, in an order in which each point meets another one.
WAYS = ((BEFORE, BOTH), (AFTER, WORKER), (BEFORE, PLAYBOOK), (AFTER, BOTH), (BEFORE, WORKER), (AFTER, PLAYBOOK))


class Reference(t.NamedTuple):
    """A deployment that nobody disturbed."""

    changes: tuple[str, ...]
    end_state: t.Any


def interrupted(trial: Trial) -> None:
    with trial.proxy(ReplicaSet) as proxy:
        reference = _undisturbed(trial, proxy)
        killed = 0
        for number, (moment, whom) in _kills(trial, len(reference.changes)):
            _killed(trial, proxy, reference, number, moment, whom)
            killed += 1
        trial.note(f"killed {killed} times at {len(reference.changes)} changes of a deployment")
        _cut_off(trial, proxy, reference)


def _kills(trial: Trial, count: int) -> t.Iterator[tuple[int, tuple[str, str]]]:
    """At which change, and how."""
    if trial.options.thorough:
        yield from itertools.product(range(1, count + 1), WAYS)
    elif trial.options.short:
        # An object, the set's initiation, the last member: the three that leave the most behind.
        yield from zip((3, count - 4, count), WAYS[1:4], strict=True)
    else:
        yield from zip(range(1, count + 1), itertools.cycle(WAYS), strict=False)


def _undisturbed(trial: Trial, proxy: Proxy) -> Reference:
    with trial.namespace() as namespace:
        application = ReplicaSet(trial.api, namespace)
        proxy.watch()
        with trial.writing(application):
            trial.play(application, proxy).expect_success("The deployment that nobody disturbed")
        changes = tuple(change.what.replace(namespace, "NAMESPACE") for change in proxy.changes)
        trial.say(f"undisturbed, a deployment makes {len(changes)} changes: {', '.join(changes)}")
        return Reference(changes, application.end_state())


def _killed(trial: Trial, proxy: Proxy, reference: Reference, number: int, moment: str, whom: str) -> None:
    with trial.namespace() as namespace:
        application = ReplicaSet(trial.api, namespace)
        with trial.writing(application):
            gate = Kill(number, moment, whom)
            proxy.watch(gate)
            run = trial.start(application, proxy)
            gate.attach(run)
            change = gate.wait()
            run.wait(ENDS_WHEN_KILLED)
            run.wait_for_orphans(gate.workers)
            made = [each for each in proxy.changes if moment == AFTER or each.number != number]
            title = f"killed {whom} {moment} change {number} ({change.what})"
            check(run.status, f"{title}: the run ended well all the same.")
            again = _converges(trial, application, proxy, reference, title)
            _nothing_twice(reference, [*made, *again], namespace, title)
        trial.say(f"{title}: the next run made the other {len(again)} changes, the third none")


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


def _nothing_twice(reference: Reference, made: t.Iterable[Change], namespace: str, title: str) -> None:
    """The killed run and the one after it together made what one run makes.

    A reconfiguration may be sent again: a server that has not yet committed the one before it refuses.
    """
    wanted = collections.Counter(reference.changes)
    found = collections.Counter(change.what.replace(namespace, "NAMESPACE") for change in made)
    more, less = found - wanted, wanted - found
    for counter in (more, less):
        counter.pop("replSetReconfig", None)
    check(not more and not less, f"{title}: made besides: {dict(more)}, never made: {dict(less)}.")


def _cut_off(trial: Trial, proxy: Proxy, reference: Reference) -> None:
    """The connection to the API server breaks at a change and is back some seconds later; then the server itself."""
    count = len(reference.changes)
    points = (count,) if trial.options.short else range(2, count + 1, 1 if trial.options.thorough else 4)
    for number, moment in zip(points, itertools.cycle((AFTER, BEFORE)), strict=False):

        def cut() -> bool:
            proxy.go_away(AWAY)
            return False

        _without_server(trial, proxy, reference, number, moment, cut, f"API server out of reach for {AWAY:.0f} s")
    for number, moment in () if trial.options.short else ((3, AFTER), (count - 4, BEFORE), (count, AFTER)):
        server = ApiServer.find()
        if server is None:
            trial.note("no API server of the lab on this machine, so none was killed")
            return
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
            restarts: list[concurrent.futures.Future[None]] = []

            def kill(
                server: ApiServer = server,
                pool: concurrent.futures.Executor = pool,
                restarts: list[concurrent.futures.Future[None]] = restarts,
            ) -> bool:
                restarts.append(pool.submit(server.restart, trial.api, AWAY))
                server.wait_until_gone()
                return False

            _without_server(trial, proxy, reference, number, moment, kill, "API server killed and started again")
            restarts[0].result()


def _without_server(
    trial: Trial,
    proxy: Proxy,
    reference: Reference,
    number: int,
    moment: str,
    happen: t.Callable[[], bool],
    what: str,
) -> None:
    with trial.namespace() as namespace:
        application = ReplicaSet(trial.api, namespace)
        with trial.writing(application):
            gate = At(number, moment, happen)
            proxy.watch(gate)
            run = trial.start(application, proxy)
            change = gate.wait()
            run.wait(RUN_MAY_TAKE)
            title = f"{what} {moment} change {number} ({change.what})"
            if run.status:
                check("API server" in run.message, f"{title}: the message does not say it: {run.message}")
            again = _converges(trial, application, proxy, reference, title)
        how = f"the run failed with a message ({run.message[:120]})" if run.status else "the run sat it out"
        trial.note(f"{title}: {how}, the next one made {len(again)} changes, the third none")

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tool is killed at every change that it makes, while it forms, changes and shrinks a set."""

from __future__ import annotations

import collections
import itertools
import typing as t

from harness.interruptions import WAYS, Kill, Point
from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import Failed, check
from mysql.primaries import OTHER
from mysql.servers import MYSQL, NAME, Servers, images, pod_of

BEFORE, AFTER = 3, 2
# Seconds.
ENDS_WHEN_KILLED = 90
TRIES = 3
# Of its changes an undisturbed run may have made one in so many that no other one makes.
SHARE = 6


def killed_operations(trial: Trial) -> None:
    made = images(trial)
    image = made.get(MYSQL) or next(iter(made.values()))
    with trial.namespace() as namespace, trial.proxy(Servers) as proxy:
        application = Servers(trial.api, namespace, image)
        trial.play(application, proxy).expect_success("The deployment")
        application.create()
        points = _undisturbed(trial, application, proxy)
        missed = []
        for point, (moment, whom) in zip(points, itertools.cycle(WAYS), strict=False):
            for _try in range(TRIES):
                _from_the_start(trial, application, proxy)
                if _killed(trial, application, proxy, Kill(point.what, moment, whom, point.nth)):
                    break
                trial.say(f"the run went another way than by {point}")
            else:
                missed.append(str(point))
        met = len(points) - len(missed)
        trial.note(f"killed {met} times, at {met} changes of a set that shrinks and gets other pods")
        if missed:
            trial.note(f"never met in {TRIES} runs: {', '.join(missed)}")
        check(
            len(missed) <= len(points) // SHARE, f"Too few of {len(points)} changes were met for this to say anything."
        )


def _killed(trial: Trial, application: Servers, proxy: Proxy, gate: Kill) -> bool:
    """Whether the run came to that change: which of two equal replicas becomes primary is chance."""
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        proxy.watch(gate)
        run = _change(trial, application, proxy, wait=False)
        gate.attach(run)
        try:
            gate.wait()
        except Failed:
            run.wait(ENDS_WHEN_KILLED)
            application.members = AFTER
            if run.status:
                raise
            proxy.watch()
            return False
        run.wait(ENDS_WHEN_KILLED)
        run.wait_for_orphans(gate.workers)
        check(run.status, f"{gate}: the run ended well all the same.")
        proxy.watch()
        _change(trial, application, proxy).expect_success(f"{gate}: the run after it")
        again = len(proxy.changes)
        _change(trial, application, proxy).expect_success(f"{gate}: the third run", changed=0)
        application.members = AFTER
        check(application.primary() < AFTER, f"{gate}: the primary left.")
        writer.wait_for(20, 60)
    trial.say(f"{gate}: the next run made {again} changes, the third none")
    return True


def _from_the_start(trial: Trial, application: Servers, proxy: Proxy) -> None:
    """All members with the old settings, and a primary that is going to leave."""
    application.members = BEFORE
    trial.play(application, proxy).expect_success("All members with the old settings")
    given = {"app": NAME, "app_namespace": application.namespace, "to": pod_of(BEFORE - 1)}
    trial.play_playbook("switchover", given, proxy).expect_success("The switchover")


def _change(trial: Trial, application: Servers, proxy: Proxy, wait: bool = True) -> t.Any:
    given = {"mysql_config": OTHER, "mysql_members": AFTER}
    return trial.play(application, proxy, **given) if wait else trial.start(application, proxy, **given)


def _undisturbed(trial: Trial, application: Servers, proxy: Proxy) -> list[Point]:
    _from_the_start(trial, application, proxy)
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        proxy.watch()
        _change(trial, application, proxy).expect_success("The change that nobody disturbed")
        changes = [change.what for change in proxy.changes if "leases" not in change.what]
        application.members = AFTER
    trial.say(f"undisturbed it makes {len(changes)} changes: {', '.join(changes)}")
    seen: collections.Counter[str] = collections.Counter()
    points = []
    for what in changes:
        seen[what] += 1
        points.append(Point(what, seen[what]))
    return points[:3] if trial.options.short else points

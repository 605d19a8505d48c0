# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two runs at the same moment, over and over: one set id, and both end well."""

from __future__ import annotations

import time

from harness.interruptions import Meet
from harness.playbook import Run
from harness.proxy import Gate
from harness.trial import RUN_MAY_TAKE, Trial
from harness.verdict import Failed
from mongodb.replica_set import NAME, NOTE_ANNOTATION, SET_ID_ANNOTATION, ReplicaSet

# Seconds between the starts of two runs, at most: about as long as forming a set takes.
APART = 3.0


def two_runs(trial: Trial) -> None:
    options = trial.options
    pairs = options.pairs or (2 if options.short else 50 if options.thorough else 5)
    met = 0
    set_ids = set()
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace)
        for pair in range(1, pairs + 1):
            # The first two find no namespace; those that follow find the objects, and members without data.
            if pair > 1:
                _forget(trial, application)
            gate = Meet("replSetInitiate") if pair % 2 else Gate()
            apart = 0.0 if pair % 2 else trial.random.uniform(0, APART)
            proxy.watch(gate)
            with trial.writing(application):
                first = trial.start(application, proxy)
                time.sleep(apart)
                second = trial.start(application, proxy)
                for run in (first, second):
                    run.wait(RUN_MAY_TAKE)
                _both_end_well(pair, first, second)
            met += isinstance(gate, Meet) and gate.met
            set_ids.add(application.recorded())
            tried = proxy.made("replSetInitiate")
            trial.say(
                f"pair {pair} of {pairs}, {apart:.2f} s apart: one set, {tried} attempts to initiate it, "
                f"changed={first.recap('changed')} and {second.recap('changed')}"
            )
    if len(set_ids) != pairs:
        raise Failed(f"{pairs} pairs made {len(set_ids)} sets: members were not new each time, and nothing was tested.")
    trial.note(f"{pairs} pairs, one set id after each; in {met} both sent replSetInitiate at the same moment")


def _both_end_well(pair: int, first: Run, second: Run) -> None:
    first.expect_success(f"The first run of pair {pair}")
    second.expect_success(f"The second run of pair {pair}")


def _forget(trial: Trial, application: ReplicaSet) -> None:
    """Members without data, and nothing recorded: as it was before the first run, but for the objects."""
    patch = {"metadata": {"annotations": {SET_ID_ANNOTATION: None, NOTE_ANNOTATION: None}}}
    trial.api.merge("apps/v1", "StatefulSet", NAME, application.namespace, patch)
    trial.delete_pods(application.namespace, ())

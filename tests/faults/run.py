# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make faults``: real faults, a continuous writer, and a count of what was lost.

``run.py [--short] [--thorough] [--pairs N] [--seed N] [--keep] [APPLICATION [SCENARIO…]]``
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import random
import shutil
import sys
import time
import traceback
import typing as t

import cluster
import mongodb
import mysql
import side_by_side
import storage
import tree

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from harness.lab import Lab
from harness.trial import Trial
from harness.verdict import Failed, Skipped

APPLICATIONS = {
    "mongodb": mongodb.SCENARIOS,
    "mysql": mysql.SCENARIOS,
    "side-by-side": side_by_side.SCENARIOS,
    "storage": storage.SCENARIOS,
}
RESULTS = tree.ROOT / "build" / "faults.json"
LOGS = tree.ROOT / "build" / "faults"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("make faults", description="Faults, a continuous writer, and a count.")
    parser.add_argument("application", nargs="?", choices=sorted(APPLICATIONS), help="all without it")
    parser.add_argument("scenario", nargs="*", type=int, help="numbers; all without them")
    parser.add_argument("--short", action="store_true", help="a few points of each scenario: what make test runs")
    parser.add_argument("--thorough", action="store_true", help="every point in every way; more than half an hour")
    parser.add_argument("--pairs", type=int, default=0, help="how many pairs of runs scenario 2 starts")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the random delays")
    parser.add_argument("--keep", action="store_true", help="leave the namespaces for a look")
    options = parser.parse_args(arguments)
    known = APPLICATIONS.get(options.application, {})
    if unknown := [number for number in options.scenario if number not in known]:
        parser.error(f"{options.application} has no scenario {unknown[0]}; it has {', '.join(map(str, sorted(known)))}")
    return options


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    os.environ.pop("PYTHONPATH", None)  # only this program needs it, not the playbooks it runs
    target = cluster.choose()
    os.environ.update(target.environment)
    print(f"Cluster: {target.title}. Random delays by --seed {options.seed}.", flush=True)
    shutil.rmtree(LOGS, ignore_errors=True)
    results = []
    for name in [options.application] if options.application else sorted(APPLICATIONS):
        known = APPLICATIONS[name]
        for number in options.scenario or sorted(n for n in known if known[n].in_short or not options.short):
            results.append(examine(name, number, options, target))
            RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return close(results)


def examine(name: str, number: int, options: argparse.Namespace, target: cluster.Target) -> dict[str, t.Any]:
    scenario = APPLICATIONS[name][number]
    print(f"\n--- {name} {number}: {scenario.title}", flush=True)
    begun = time.monotonic()
    folder = LOGS / f"{name}-{number}"
    folder.mkdir(parents=True)
    with connect({}) as api:
        trial = Trial(
            api,
            target.environment,
            cluster.BIN / "ansible-playbook",
            folder,
            options,
            random.Random(options.seed + number),
            Lab(target.environment, target.variables) if target.is_lab else None,
        )
        passed, skipped = True, ""
        try:
            scenario.run(trial)
        except Skipped as why:
            skipped = str(why)
            trial.say(f"SKIPPED: {why}")
        except Exception as problem:
            # Whatever breaks here is a failure of this scenario, and the others are run all the same.
            passed = False
            trial.note(f"FAILED: {problem}")
            if not isinstance(problem, (Failed, Failure)):
                traceback.print_exc()
    took = time.monotonic() - begun
    verdict = "skipped" if skipped else "ok" if passed else "FAILED"
    print(f"--- {name} {number}: {verdict} after {took:.0f} s", flush=True)
    return {
        "scenario": number,
        "app": name,
        "passed": passed and not skipped and not trial.lost,
        "skipped": skipped,
        "acknowledged": trial.acknowledged,
        "lost": trial.lost,
        "longest_gap_s": round(trial.longest_gap, 2),
        "notes": "; ".join(trial.notes),
    }


def close(results: list[dict[str, t.Any]]) -> int:
    print(f"\n{'scenario':<16}{'verdict':<9}{'acknowledged':>13}{'lost':>6}{'longest gap':>13}")
    for result in results:
        verdict = "skipped" if result["skipped"] else "ok" if result["passed"] else "FAILED"
        name = f"{result['app']} {result['scenario']}"
        print(
            f"{name:<16}{verdict:<9}{result['acknowledged']:>13}{result['lost']:>6}{result['longest_gap_s']:>11.2f} s"
        )
    skipped = sum(bool(result["skipped"]) for result in results)
    failed = sum(not result["passed"] for result in results) - skipped
    print(f"Results: {_shown(RESULTS)}. Output of every run: {_shown(LOGS)}.")
    print(f"fault scenarios: {len(results) - failed - skipped} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


def _shown(path: pathlib.Path) -> str:
    return str(path.relative_to(tree.ROOT))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except cluster.NoCluster as problem:
        sys.exit(f"make faults: {problem}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted: namespaces that begin with faults- may be left.")

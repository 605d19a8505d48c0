# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module and, at the start of a certain call, die or take a pod away.

Usage: die_in.py MODULE PLACE NUMBER WHAT OPTIONS. PLACE is FILE:CLASS.METHOD below module_utils, NUMBER which
call of it, WHAT is "die" (the exit code is 9 then), "delete" (the pod that is read) or "write" (a hundred documents,
and then "delete"), and OPTIONS is a JSON object.
"""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "setup_namespace" / "files"))
import die

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _dump


def write(reading, options):
    """Documents of a collection that is not in the catalog of what is being read; the member that is read has them."""
    outside = str(pathlib.Path(__file__).with_name("outside.py"))
    argv = [sys.executable, outside, options["kubeconfig"], options["namespace"], "more", options["name"]]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    count = {"count": "more", "readConcern": {"level": "majority"}}
    while reading.bulk().command("base", count)["n"] < 100:
        time.sleep(0.1)


def take_away(pod, options):
    """At once, and until it is gone: a member that is told to end serves those who read for 15 seconds more."""
    with connect({"kubeconfig": options["kubeconfig"]}) as cluster:
        uid = cluster.get("v1", "Pod", pod, options["namespace"])["metadata"]["uid"]
        path = cluster.resource("v1", "Pod").path(options["namespace"], pod)
        cluster.connection.request("DELETE", path, body={"gracePeriodSeconds": 1})
        while (live := cluster.get("v1", "Pod", pod, options["namespace"])) and live["metadata"]["uid"] == uid:
            time.sleep(0.1)


def main():
    module, place, number, what, options = sys.argv[1:]
    file, _colon, where = place.partition(":")
    owner, _dot, name = where.partition(".")
    cls = getattr(importlib.import_module(f"ansible_collections.stateful.kube.plugins.module_utils.{file}"), owner)
    original, calls = getattr(cls, name), []

    def call(*args, **kwargs):
        calls.append(1)
        if len(calls) == int(number):
            if what == "die":
                os._exit(9)
            if what == "write":
                write(readings[-1], json.loads(options))
            take_away(readings[-1].members[-1], json.loads(options))
        return original(*args, **kwargs)

    bulk = _dump.Reading.bulk
    readings = []

    def read(reading):
        readings.append(reading)
        return bulk(reading)

    _dump.Reading.bulk = read
    setattr(cls, name, call)
    sys.argv = ["die.py", module, "before change 0", options]
    die.main()
    if len(calls) < int(number):
        sys.exit(f"{place} was called {len(calls)} times only")


if __name__ == "__main__":
    main()

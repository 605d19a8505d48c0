# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Whether the volumes of running pods answer: asked in the pods, because no object of Kubernetes tells it.

A process that waits for an NFS server which is gone waits without end. Its pod stays ready all the while, where the
readiness probe needs nothing of the volume.
"""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import execute
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

# Seconds: for the volume, and besides for the way into the pod.
ANSWERS_WITHIN = 4
WAY = 6.0
# What timeout gives back when it had to kill; nothing else ends a process that waits for a server.
_KILLED = "137"
# The first word proves that commands run in this container at all: without it silence says nothing of a volume.
_ASK = f"""\
echo asked
for place do
  command -v timeout >/dev/null 2>&1 && limit="timeout -s KILL {ANSWERS_WITHIN}" || limit=
  said=$($limit stat -f "$place" 2>&1 >/dev/null); echo "$? $place $said"
done
"""


class Place(t.NamedTuple):
    """Where a container has a volume that may lie on another machine."""

    container: str
    path: str
    title: str


def unanswered(cluster: Cluster, namespace: str, pods: t.Sequence[Object]) -> dict[str, str]:
    """By the name of the pod a sentence for each of these that has a volume which gives no answer, or an error.

    Never raises: where nobody can be asked, nothing is said.
    """
    # Here, because most runs ask nobody, and threads cost milliseconds to load.
    from ansible_collections.stateful.kube.plugins.module_utils._cluster._parallel import in_parallel

    asked = [(pod, places) for pod in pods if (places := places_of(pod))]
    told = in_parallel(lambda one: (one[0]["metadata"]["name"], _ask(cluster, namespace, *one)), asked)
    return {name: text for name, text in told if text}


def places_of(pod: Object) -> list[Place]:
    """The claims and NFS shares of a pod's running containers, each once."""
    sources: dict[t.Optional[str], str] = {}
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            sources[volume.get("name")] = f"claim {volume['persistentVolumeClaim']['claimName']}"
        elif "nfs" in volume:
            sources[volume.get("name")] = f"nfs {volume['nfs']['server']}:{volume['nfs']['path']}"
    states = (pod.get("status") or {}).get("containerStatuses") or ()
    running = {one["name"] for one in states if "running" in (one.get("state") or {})}
    found: dict[str, Place] = {}
    for container in (pod.get("spec") or {}).get("containers") or ():
        for mount in (container.get("volumeMounts") or ()) if container["name"] in running else ():
            if mount["name"] in sources:
                place = Place(container["name"], mount["mountPath"], sources[mount["name"]])
                found.setdefault(mount["name"], place)
    return list(found.values())


def _ask(cluster: Cluster, namespace: str, pod: Object, places: t.Sequence[Place]) -> str:
    """A sentence on what is wrong with these, or nothing."""
    wrong = []
    for container in sorted({place.container for place in places}):
        mine = [place for place in places if place.container == container]
        command = ["sh", "-c", _ASK, "sh", *(place.path for place in mine)]
        patience = WAY + ANSWERS_WITHIN * len(mine)
        try:
            said = execute(cluster, namespace, pod["metadata"]["name"], command, container, timeout=patience).stdout
        except Failure as failure:
            said = str(failure.facts.get("stdout", ""))
        wrong += judge(said, mine)
    if not wrong:
        return ""
    return (
        f"storage: {'; '.join(wrong)}. Its server, or the way there, is away: bring that back, and what waits for it "
        "goes on by itself. Deleting pods, claims or volumes does not help"
    )


def judge(said: str, places: t.Sequence[Place]) -> list[str]:
    """What is wrong with each of these places, from the lines of the program. Pure."""
    lines = said.splitlines()
    if lines[:1] != ["asked"]:
        return []
    found = []
    for place in places:
        answers = [line for line in lines[1:] if f"{line} ".partition(" ")[2].startswith(f"{place.path} ")]
        code, _blank, rest = (answers or [" "])[0].partition(" ")
        detail = rest[len(place.path) :].strip()
        if not answers or code == _KILLED:
            found.append(f"{place.title} at {place.path} gives no answer")
        elif code == "1" and place.path in detail:
            found.append(f"{place.title} at {place.path} cannot be read ({detail})")
    return found

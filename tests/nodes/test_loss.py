# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica set that loses the node of its primary, in each of the ways that the lab knows."""

from __future__ import annotations

import functools
import json

import pytest
import three

# Asks the member that is cut off: what it is, and whether a majority takes a write of it. It reads this from its input,
# where the password shows to nobody.
FORSAKEN = """
const login = %s;
db.getSiblingDB("admin").auth(login.username, login.password);
const wanted = {w: "majority", wtimeout: 3000};
let acknowledged = true;
try {
  db.getSiblingDB("nodes").documents.insertOne({_id: "written by the forsaken"}, {writeConcern: wanted});
} catch (error) {
  acknowledged = false;
}
// Its own word comes last: a primary steps down ten seconds after it has lost the majority.
for (let left = 60; left && db.hello().isWritablePrimary; left--) { sleep(500); }
print("ANSWER " + JSON.stringify({acknowledged, primary: db.hello().isWritablePrimary}));
"""


def forsake(trio: three.ReplicaSet) -> tuple[str, str, list[str]]:
    """The primary, moved off node1 if need be, its node, and the other members."""
    primary = trio.step_off("node1")
    return primary, three.node_of(primary), [pod for pod in three.MEMBERS if pod != primary]


def check_reunited(trio: three.ReplicaSet, names: list[str]) -> None:
    """One set again, in which every member has what a majority was told to have."""
    three.wait_for("the set to be whole", trio.is_whole, seconds=120)
    for pod in three.MEMBERS:
        for name in names:
            three.wait_for(f"{pod} to have {name!r}", functools.partial(trio.has, pod, name), seconds=30)


def test_a_cut_leaves_one_side_that_writes(trio: three.ReplicaSet) -> None:
    primary, node, others = forsake(trio)
    trio.write(primary, "before the cut")
    three.lab("node", "cut", node)

    login = json.dumps({"username": trio.username, "password": trio.password})
    told = three.lab(
        "console",
        f"{three.NAMESPACE}/{primary}",
        "mongosh",
        "--quiet",
        "--norc",
        "--file=/dev/stdin",
        text=FORSAKEN % login,
    )
    [line] = [line for line in told.stdout.splitlines() if line.startswith("ANSWER ")]
    assert json.loads(line.removeprefix("ANSWER ")) == {"acknowledged": False, "primary": False}

    new = three.wait_for("the majority to elect a primary", lambda: trio.primary(others))
    trio.write(new, "during the cut")

    three.lab("node", "heal", node)
    check_reunited(trio, ["before the cut", "during the cut"])
    for pod in three.MEMBERS:
        assert not trio.has(pod, "written by the forsaken"), f"{pod} kept what no majority had taken"


@pytest.mark.parametrize(("fault", "remedy"), [("freeze", "thaw"), ("kill", "start")])
def test_the_loss_of_the_primarys_node(trio: three.ReplicaSet, fault: str, remedy: str) -> None:
    primary, node, others = forsake(trio)
    trio.write(primary, f"before the {fault}")
    uid = three.get("pod", primary)["metadata"]["uid"]

    three.lab("node", fault, node)
    states = three.run(*three.LAB, "status", check=False)
    assert states.returncode == 1
    wrong = {"freeze": "frozen"}.get(fault, "stopped")
    assert [line.split(maxsplit=1)[1] for line in states.stdout.splitlines() if line.startswith(node)] == [wrong]
    new = three.wait_for("the others to elect a primary", lambda: trio.primary(others))
    trio.write(new, f"during the {fault}")
    with pytest.raises(three.Unanswered), trio.member(primary) as client:
        client.admin.command("hello")

    three.lab("node", remedy, node)
    check_reunited(trio, [f"before the {fault}", f"during the {fault}"])
    assert three.get("pod", primary)["metadata"]["uid"] == uid, "the pod was replaced, and should have come back"

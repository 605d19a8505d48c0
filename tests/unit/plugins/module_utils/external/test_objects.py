# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objects of an external service, and the answers of its probe."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._external._ask import (
    TALK,
    Answer,
    read_answers,
    variables,
)
from ansible_collections.stateful.kube.plugins.module_utils._external._objects import (
    KINDS,
    objects_of,
    probe_job,
)
from ansible_collections.stateful.kube.plugins.module_utils._external._wish import Port, Probe, Wish

BOTH = ("10.0.0.1", "10.0.0.2", "2001:db8::1")
PORTS = (Port(3306, 13306, "mysql"), Port(33060, 33060, "x", "TCP", "mysqlx"))
PROBE = Probe("mysql", 13306, "busybox", schedule="* * * * *")


def made(wish: Wish, out: t.Collection[str] = ()) -> dict[tuple[str, str], dict[str, t.Any]]:
    return {(one["kind"], one["metadata"]["name"]): one for one in objects_of(wish, out)}


def test_each_family_has_a_slice_with_the_ports_of_the_servers() -> None:
    objects = made(Wish("db", "shop", addresses=BOTH, ports=PORTS), {"10.0.0.2"})
    assert set(objects) == {("Service", "db"), ("EndpointSlice", "db-ipv4"), ("EndpointSlice", "db-ipv6")}
    four, six = objects["EndpointSlice", "db-ipv4"], objects["EndpointSlice", "db-ipv6"]
    assert (four["addressType"], six["addressType"]) == ("IPv4", "IPv6")
    assert [(one["addresses"], one["conditions"]["ready"]) for one in four["endpoints"]] == [
        (["10.0.0.1"], True),
        (["10.0.0.2"], False),
    ]
    assert [one["addresses"] for one in six["endpoints"]] == [["2001:db8::1"]]
    for one in (four, six):
        assert one["ports"] == [
            {"name": "mysql", "port": 13306, "protocol": "TCP"},
            {"name": "x", "port": 33060, "protocol": "TCP", "appProtocol": "mysqlx"},
        ]
        assert one["metadata"]["labels"]["kubernetes.io/service-name"] == "db"
    service = objects["Service", "db"]["spec"]
    assert [(port["name"], port["port"], port["targetPort"]) for port in service["ports"]] == [
        ("mysql", 3306, 13306),
        ("x", 33060, 33060),
    ]
    assert service["ipFamilyPolicy"] == "PreferDualStack"
    assert "selector" not in service


@pytest.mark.parametrize(("addresses", "families"), [(("10.0.0.1",), ["IPv4"]), (("2001:db8::1",), ["IPv6"])])
def test_a_virtual_address_is_of_the_family_of_the_servers(addresses: tuple[str, ...], families: list[str]) -> None:
    spec = made(Wish("db", "shop", addresses=addresses, ports=PORTS))["Service", "db"]["spec"]
    assert spec["ipFamilies"] == families
    assert "clusterIP" not in spec


def test_a_headless_service_has_no_virtual_address() -> None:
    spec = made(Wish("db", "shop", addresses=BOTH, headless=True))["Service", "db"]["spec"]
    assert spec == {"type": "ClusterIP", "clusterIP": "None"}


def test_a_name_has_no_slices() -> None:
    objects = made(Wish("db", "shop", external_name="db.example.com", config_map=("config", "host")))
    assert set(objects) == {("Service", "db"), ("ConfigMap", "config")}
    assert objects["Service", "db"]["spec"] == {"type": "ExternalName", "externalName": "db.example.com"}
    assert objects["ConfigMap", "config"]["data"] == {"host": "db.example.com"}


def test_the_config_map_lists_addresses_that_are_out_as_well() -> None:
    objects = made(Wish("db", "shop", addresses=BOTH, ports=PORTS, config_map=("config", "ips")), {"10.0.0.1"})
    assert objects["ConfigMap", "config"]["data"] == {"ips": "10.0.0.1,10.0.0.2,2001:db8::1"}


def test_labels_of_the_user_stand_beside_ours_and_never_in_their_place() -> None:
    wish = Wish("db", "shop", "db.example.com", labels={"a": "b", "app.kubernetes.io/instance": "x"})
    labels = made(wish)["Service", "db"]["metadata"]["labels"]
    assert labels["a"] == "b"
    assert labels["app.kubernetes.io/instance"] == "db"


def test_the_account_of_the_cron_job_may_touch_its_slices_and_nothing_else() -> None:
    objects = made(Wish("db", "shop", addresses=BOTH, ports=PORTS, probe=PROBE))
    assert objects["Role", "db-probe"]["rules"] == [
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "resourceNames": ["db-ipv4", "db-ipv6"],
            "verbs": ["get", "patch"],
        }
    ]
    assert objects["RoleBinding", "db-probe"]["subjects"] == [
        {"kind": "ServiceAccount", "name": "db-probe", "namespace": "shop"}
    ]
    pod = objects["CronJob", "db-probe"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("db-probe", True)
    assert {(one["apiVersion"], one["kind"]) for one in objects.values()} <= set(KINDS)


def test_the_cron_job_writes_the_very_slices_that_are_declared() -> None:
    wish = Wish("db", "shop", addresses=BOTH, ports=PORTS, probe=PROBE)
    objects = made(wish, {"10.0.0.2"})
    pod = objects["CronJob", "db-probe"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    environment = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}
    assert environment["ADDRESSES"].split() == list(BOTH)
    for family in environment["SLICES"].split():
        text = environment[f"BODY_{family}"]
        for number, address in enumerate(BOTH):
            text = text.replace(f'"@{number}@"', json.dumps(address != "10.0.0.2"))
        body = json.loads(text)
        assert body["metadata"].pop("resourceVersion") == "@version@"
        assert body == objects["EndpointSlice", f"db-{family.lower()}"]
        assert f'"stateful.kube/declared":"{environment["DECLARED"]}"' in text


def test_a_cron_job_that_began_before_a_change_knows_another_declaration() -> None:
    def declared(wish: Wish) -> str:
        return str(made(wish)["EndpointSlice", "db-ipv4"]["metadata"]["annotations"]["stateful.kube/declared"])

    wish = Wish("db", "shop", addresses=("10.0.0.1",), ports=PORTS)
    others = (
        Wish("db", "shop", addresses=("10.0.0.1", "10.0.0.2"), ports=PORTS),
        Wish("db", "shop", addresses=("10.0.0.1",), ports=PORTS[:1]),
    )
    assert declared(wish) not in map(declared, others)


@pytest.mark.parametrize("schedule", ["", "* * * * *"])
def test_pods_are_restricted(schedule: str) -> None:
    probe = Probe("tcp", 1, "busybox", schedule=schedule)
    wish = Wish("db", "shop", addresses=BOTH, ports=PORTS, probe=probe)
    job = probe_job(wish, probe, "db-probe-x", 60)["spec"]
    if schedule:
        job = made(wish)["CronJob", "db-probe"]["spec"]["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert pod["automountServiceAccountToken"] == bool(schedule)
    assert job["activeDeadlineSeconds"] > 0


def test_a_job_of_a_killed_run_takes_itself_away() -> None:
    wish = Wish("db", "shop", "db.example.com")
    job = probe_job(wish, Probe("tcp", 1, "busybox"), "db-probe-x", 60)
    assert job["spec"]["ttlSecondsAfterFinished"] == 60
    environment = {one["name"]: one["value"] for one in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert environment["ADDRESSES"] == "db.example.com"


def test_nothing_of_a_user_is_part_of_a_script() -> None:
    evil = "/$(reboot)';`reboot`"
    wish = Wish("db", "shop", addresses=BOTH, ports=PORTS, probe=Probe("http", 1, "i", evil, 3, "* * * * *"))
    assert wish.probe
    pods = [probe_job(wish, wish.probe, "j", 1)["spec"]["template"]["spec"]]
    pods.append(made(wish)["CronJob", "db-probe"]["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    for pod in pods:
        assert not [word for word in pod["containers"][0]["command"] if "reboot" in word]
    assert variables(wish.probe, BOTH)["ASK"] == evil
    assert set(TALK) == {"tcp", "mysql", "mongodb", "http"}


def test_answers_are_read_by_number() -> None:
    text = "1 Connection refused\n0 up\n2 status 503\n"
    assert read_answers(text, BOTH) == (
        Answer("10.0.0.1"),
        Answer("10.0.0.2", "Connection refused"),
        Answer("2001:db8::1", "status 503"),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "0 answers for 3 addresses"),
        ("0 up\n1 up\n", "2 answers for 3 addresses"),
        ("0 up\n1 up\n7 up\n", "3 answers for 3 addresses"),
        ("unusable no busybox with nc -e\n", "no busybox with nc -e"),
    ],
)
def test_too_few_answers_are_none(text: str, says: str) -> None:
    found = read_answers(text, BOTH)
    assert isinstance(found, str)
    assert says in found


@given(st.text())
def test_no_text_of_a_pod_breaks_the_reader(text: str) -> None:
    found = read_answers(text, BOTH)
    assert isinstance(found, str) or [answer.address for answer in found] == list(BOTH)

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wanted of an external service, checked before anything is asked of a cluster."""

from __future__ import annotations

import ipaddress
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._external._wish import wish_of
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

PORT = {"port": 3306}
PROBE = {"type": "tcp", "timeout": 3, "image": "busybox"}


def wished(**params: t.Any) -> t.Any:
    given_params = {"name": "db", "ports": [PORT], **params}
    return wish_of(given_params, "shop")


def refused(**params: t.Any) -> str:
    with pytest.raises(Failure) as failure:
        wished(**params)
    return failure.value.message


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("127.0.0.1", "a loopback address"),
        ("127.8.0.1", "a loopback address"),
        ("::1", "a loopback address"),
        ("169.254.169.254", "a link-local address"),
        ("fe80::1", "a link-local address"),
        (str(ipaddress.IPv4Address(0)), "the unspecified address"),
        ("::", "the unspecified address"),
        ("224.0.0.1", "a multicast address"),
        ("239.1.2.3", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("255.255.255.255", "the broadcast address"),
        ("2001:db8::1%eth0", "bound to a network interface"),
        ("::ffff:10.0.0.1", "in the clothes of IPv6"),
        ("10.0.0.1:3306", "without port or mask"),
        ("10.0.0.0/24", "without port or mask"),
        ("010.0.0.1", "without port or mask"),
        ("db.example.com", "A DNS name belongs into external_name"),
    ],
)
def test_an_address_that_no_service_can_lead_to_is_refused(address: str, what: str) -> None:
    message = refused(addresses=["10.0.0.2", address])
    assert message.startswith("addresses: ")
    assert what in message
    assert address in message


def test_an_address_is_there_once_however_it_is_written() -> None:
    assert "2001:db8::1 is there twice" in refused(addresses=["2001:db8::1", "2001:DB8:0::1"])


def test_the_order_of_addresses_does_not_matter() -> None:
    one = wished(addresses=["10.0.0.10", "2001:db8::1", "10.0.0.9"])
    assert one.addresses == ("10.0.0.9", "10.0.0.10", "2001:db8::1")
    assert one == wished(addresses=["2001:db8::1", "10.0.0.9", "10.0.0.10"])
    assert one.families == ("IPv4", "IPv6")


@given(st.lists(st.ip_addresses().map(str), min_size=1, max_size=8))
def test_any_addresses_are_kept_as_they_are_or_refused_by_name(addresses: list[str]) -> None:
    numbers = [ipaddress.ip_address(one) for one in addresses]
    wrong = [one for one in numbers if is_wrong(one) or numbers.count(one) > 1]
    if wrong:
        message = refused(addresses=addresses)
        assert any(str(one) in message for one in wrong)
    else:
        assert sorted(map(str, numbers)) == sorted(wished(addresses=addresses).addresses)


def is_wrong(one: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    kinds = (one.is_loopback, one.is_link_local, one.is_multicast, one.is_unspecified)
    return any(kinds) or getattr(one, "ipv4_mapped", None) is not None or int(one) == 2**32 - 1


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("10.0.0.1", "Write it into addresses"),
        ("2001:db8::1", "Write it into addresses"),
        ("[2001:db8::1]", "Write it into addresses"),
        ("https://db.example.com", "Leave out scheme, port and path"),
        ("db.example.com:3306", "Leave out scheme, port and path"),
        ("DB.example.com", "in lower case"),
        ("db_1.example.com", "in lower case"),
        ("db..example.com", "in lower case"),
        (".".join(["a" * 60] * 5), "in lower case"),
        ("db", "is the Service shop/db itself"),
        ("db.shop", "is the Service shop/db itself"),
        ("db.shop.svc", "is the Service shop/db itself"),
        ("db.shop.svc.cluster.local.", "is the Service shop/db itself"),
    ],
)
def test_an_external_name_is_the_dns_name_of_something_else(host: str, what: str) -> None:
    message = refused(external_name=host)
    assert message.startswith("external_name: ")
    assert what in message


@pytest.mark.parametrize(
    "host", ["db.example.com", "db.example.com.", "db.prod.svc.cluster.local", "db.shop.svcs.example"]
)
def test_an_external_name_loses_nothing_but_its_last_dot(host: str) -> None:
    assert wished(external_name=host).external_name == host.rstrip(".")


@pytest.mark.parametrize(
    ("params", "begins"),
    [
        ({}, "external_name, addresses: expected exactly one"),
        ({"external_name": "db.example.com", "addresses": ["10.0.0.1"]}, "external_name, addresses: expected exactly"),
        ({"addresses": ["10.0.0.1"], "ports": []}, "ports: expected at least one port"),
        ({"external_name": "db.example.com", "headless": True}, "headless: expected false"),
        ({"name": "DB", "addresses": ["10.0.0.1"]}, "name: expected the name of a Service"),
        ({"name": "1db", "addresses": ["10.0.0.1"]}, "name: expected the name of a Service"),
        ({"name": "d" * 64, "addresses": ["10.0.0.1"]}, "name: expected the name of a Service"),
        ({"addresses": [f"10.0.1.{n}" for n in range(1, 102)]}, "addresses: expected at most 100"),
        ({"addresses": ["10.0.0.1"], "ports": [{"port": 0}]}, "ports: port: expected a number"),
        ({"addresses": ["10.0.0.1"], "ports": [{"port": 1, "target_port": 65536}]}, "ports: target_port: expected"),
        ({"addresses": ["10.0.0.1"], "ports": [{"port": 1}, {"port": 2}]}, "ports: port 1 has no name"),
        ({"addresses": ["10.0.0.1"], "ports": [{"port": 1, "name": "My"}]}, "ports: expected a name of at most 63"),
        (
            {"addresses": ["10.0.0.1"], "ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]},
            "ports: two ports have the same name",
        ),
        (
            {"addresses": ["10.0.0.1"], "ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]},
            "ports: two ports have the same port and protocol",
        ),
        (
            {"external_name": "db.example.com", "ports": [{"port": 1, "target_port": 2}]},
            "ports: target_port is 2 and port is 1",
        ),
        ({"addresses": ["10.0.0.1"], "labels": {"a": 1}}, "labels: expected a text for a"),
        ({"addresses": ["10.0.0.1"], "annotations": {"a": True}}, "annotations: expected a text for a"),
        ({"addresses": ["10.0.0.1"], "config_map": {"name": "A", "key": "k"}}, "config_map: expected the name"),
        ({"addresses": ["10.0.0.1"], "config_map": {"name": "a", "key": "k k"}}, "config_map: key: expected letters"),
        ({"external_name": "db.example.com", "ports": [], "probe": PROBE}, "probe: port: expected the TCP port"),
        (
            {"addresses": ["10.0.0.1"], "ports": [{"port": 1, "protocol": "UDP"}], "probe": PROBE},
            "probe: port: expected",
        ),
        ({"addresses": ["10.0.0.1"], "probe": {**PROBE, "port": 70000}}, "probe: port: expected a number"),
        ({"addresses": ["10.0.0.1"], "probe": {**PROBE, "timeout": 31}}, "probe: timeout: expected 1 to 30"),
        ({"addresses": ["10.0.0.1"], "probe": {**PROBE, "path": "/x"}}, "probe: path: it belongs to type http"),
        (
            {"addresses": ["10.0.0.1"], "probe": {**PROBE, "type": "http", "path": "/ x"}},
            "probe: path: expected a path",
        ),
        ({"addresses": ["10.0.0.1"], "probe": {**PROBE, "type": "http", "path": "x"}}, "probe: path: expected a path"),
        ({"addresses": ["10.0.0.1"], "probe": {**PROBE, "image": "a b"}}, "probe: image: expected the name"),
        ({"external_name": "db.example.com", "probe": {**PROBE, "schedule": "* * * * *"}}, "probe: schedule: expected"),
        (
            {"name": "d" * 47, "addresses": ["10.0.0.1"], "probe": {**PROBE, "schedule": "* * * * *"}},
            "name: expected at most 46",
        ),
    ],
)
def test_what_cannot_work_is_refused_by_the_name_of_its_option(params: dict[str, t.Any], begins: str) -> None:
    assert refused(**params).startswith(begins)


def test_the_same_port_may_be_there_for_two_protocols() -> None:
    ports = [{"port": 53, "name": "dns", "protocol": "UDP"}, {"port": 53, "name": "dns-tcp", "target_port": 5353}]
    wish = wished(addresses=["10.0.0.1"], ports=ports, probe=PROBE)
    assert [(port.port, port.target, port.protocol) for port in wish.ports] == [(53, 53, "UDP"), (53, 5353, "TCP")]
    assert wish.probe.port == 5353  # the first that can be asked


def test_a_headless_service_needs_no_port() -> None:
    assert wished(addresses=["10.0.0.1"], ports=[], headless=True).ports == ()

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the user wants of one external service: checked before anything is asked of a cluster."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

PROTOCOLS = ("TCP", "UDP", "SCTP")
PROBES = ("tcp", "mysql", "mongodb", "http")

# Enough for any database, and few enough that the outcome of a probe fits into the status of a pod.
MOST_ADDRESSES = 100
# A CronJob's name has at most 52 characters, and "-probe" is put behind the name of the Service.
LONGEST_PROBED = 46

_LABEL = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
_PORT_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_DNS_NAME = rf"{_PORT_NAME}(\.{_PORT_NAME})*"
_KEY = r"[-._a-zA-Z0-9]{1,253}"
_PATH = r"/[!-~]*"


@dataclasses.dataclass(frozen=True)
class Port:
    """A port of the Service (``port``) and the one behind it (``target``)."""

    port: int
    target: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str = ""


@dataclasses.dataclass(frozen=True)
class Probe:
    """How an address is asked whether it serves; ``schedule`` is empty where each run asks, and nobody between."""

    type: str
    port: int
    image: str
    path: str = "/"
    #: seconds that an address may take to connect, and again to speak
    timeout: int = 3
    schedule: str = ""


@dataclasses.dataclass(frozen=True)
class Wish:
    """One Service name in one namespace, and what stands behind it: a DNS name or addresses, never both."""

    name: str
    namespace: str
    external_name: str = ""
    #: in the order of their numbers, IPv4 first
    addresses: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    headless: bool = False
    labels: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    annotations: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: name and key of a ConfigMap that holds the addresses as text
    config_map: t.Optional[tuple[str, str]] = None
    probe: t.Optional[Probe] = None

    @property
    def families(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(family(address) for address in self.addresses))


def family(address: str) -> str:
    """The address type of an EndpointSlice."""
    return "IPv6" if ":" in address else "IPv4"


def wish_of(params: t.Mapping[str, t.Any], namespace: str) -> Wish:
    """The options of the module as a Wish. Raises Failure."""
    name = checked_name(params["name"])
    external, addresses = params.get("external_name") or "", params.get("addresses") or []
    if bool(external) == bool(addresses):
        raise Failure(
            f"external_name, addresses: expected exactly one of the two for the Service {name}, found "
            f"{'both' if external else 'neither'}. Name the host in external_name, or its numbers in addresses."
        )
    headless = bool(params.get("headless"))
    ports = _ports(params.get("ports") or (), bool(external))
    if addresses and not ports and not headless:
        raise Failure(
            f"ports: expected at least one port for the Service {name}, because a virtual address leads to ports only, "
            "found none. Name the port, or set headless to true."
        )
    if external and headless:
        raise Failure(
            "headless: expected false with external_name, found true: a name has no virtual address that could be left "
            "out. Remove headless."
        )
    if external:
        _check_host(external, name, namespace)
    return Wish(
        name=name,
        namespace=namespace,
        external_name=external.rstrip("."),
        addresses=_addresses(addresses),
        ports=ports,
        headless=headless,
        labels=_texts("labels", params.get("labels")),
        annotations=_texts("annotations", params.get("annotations")),
        config_map=_config_map(params.get("config_map")),
        probe=_probe(params.get("probe"), ports, bool(external), name),
    )


def checked_name(name: str) -> str:
    """The name of the Service. Raises Failure."""
    if not re.fullmatch(_LABEL, name):
        raise Failure(
            f"name: expected the name of a Service (1 to 63 lower-case letters, digits and '-', with a letter in front "
            f"and a letter or digit at the end), found {name!r}."
        )
    return name


def _check_host(host: str, name: str, namespace: str) -> None:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    else:
        raise Failure(
            f"external_name: expected a DNS name, found the address {host}: the cluster's DNS would answer with a name "
            "that nobody can look up. Write it into addresses."
        )
    bare = host.rstrip(".")
    if not re.fullmatch(_DNS_NAME, bare) or len(bare) > 253:
        raise Failure(
            f"external_name: expected a DNS name in lower case such as db.example.com, found {host!r}. Leave out "
            "scheme, port and path: a name maps to a name and to nothing else."
        )
    itself = f"{name}.{namespace}.svc"
    if bare in (name, f"{name}.{namespace}", itself) or bare.startswith(f"{itself}."):
        raise Failure(
            f"external_name: {host} is the Service {namespace}/{name} itself, so that looking it up would never end. "
            "Name the host outside."
        )


def _addresses(texts: t.Sequence[t.Any]) -> tuple[str, ...]:
    found = [_address(str(text).strip()) for text in texts]
    for one in found:
        if found.count(one) > 1:
            raise Failure(f"addresses: {one} is there twice. Keep one of the two.")
    if len(found) > MOST_ADDRESSES:
        raise Failure(f"addresses: expected at most {MOST_ADDRESSES} addresses, found {len(found)}.")
    return tuple(str(one) for one in sorted(found, key=lambda one: (one.version, int(one))))


def _address(text: str) -> t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]:
    try:
        one = ipaddress.ip_address(text)
    except ValueError:
        raise Failure(
            f"addresses: expected an IPv4 or IPv6 address without port or mask, found {text!r}. A DNS name belongs "
            "into external_name."
        ) from None
    mapped = getattr(one, "ipv4_mapped", None)
    if mapped:
        raise Failure(f"addresses: {text} is the IPv4 address {mapped} in the clothes of IPv6. Write {mapped}.")
    for wrong, what in (
        (one.is_unspecified, "the unspecified address"),
        (one.is_loopback, "a loopback address, which is another machine on every node"),
        (one.is_link_local, "a link-local address, which is valid on one network link only"),
        (one.is_multicast, "a multicast address"),
        (str(one) == "255.255.255.255", "the broadcast address"),
        (getattr(one, "scope_id", None), "bound to a network interface"),
    ):
        if wrong:
            raise Failure(
                f"addresses: {text} is {what}: no Service can lead there. Name an address that every node reaches."
            )
    return one


def _ports(entries: t.Sequence[t.Mapping[str, t.Any]], external: bool) -> tuple[Port, ...]:
    ports = []
    for entry in entries:
        port, name = entry["port"], entry.get("name") or ""
        target = entry.get("target_port") or port
        for option, number in (("port", port), ("target_port", target)):
            if not 0 < number < 65536:
                raise Failure(f"ports: {option}: expected a number from 1 to 65535, found {number}.")
        if name and not re.fullmatch(_PORT_NAME, name):
            raise Failure(
                f"ports: expected a name of at most 63 lower-case letters, digits and '-' for port {port}, found "
                f"{name!r}."
            )
        if not name and len(entries) > 1:
            raise Failure(
                f"ports: port {port} has no name. With more than one port each needs a name, by which Service and "
                "EndpointSlice find each other."
            )
        if external and target != port:
            raise Failure(
                f"ports: target_port is {target} and port is {port}, but with external_name nothing is translated: "
                "clients connect to the host itself. Leave target_port out, or name the host by addresses."
            )
        ports.append(Port(port, target, name, entry.get("protocol") or "TCP", entry.get("app_protocol") or ""))
    for what, keys in (
        ("name", [port.name for port in ports]),
        ("port and protocol", [(port.port, port.protocol) for port in ports]),
    ):
        if len(set(keys)) < len(keys):
            raise Failure(f"ports: two ports have the same {what}. Each needs its own.")
    return tuple(ports)


def _texts(option: str, given: t.Any) -> dict[str, str]:
    given = given or {}
    for key, value in given.items():
        if not isinstance(value, str):
            raise Failure(f"{option}: expected a text for {key}, found {value!r}. Put it into quotes.")
    return dict(given)


def _config_map(given: t.Any) -> t.Optional[tuple[str, str]]:
    if not given:
        return None
    name, key = given["name"], given["key"]
    if not re.fullmatch(_DNS_NAME, name) or len(name) > 253:
        raise Failure(f"config_map: expected the name of a ConfigMap, found {name!r}.")
    if not re.fullmatch(_KEY, key):
        raise Failure(
            f"config_map: key: expected letters, digits, '-', '_' and '.', as a key of a ConfigMap has, found {key!r}."
        )
    return name, key


def _probe(given: t.Any, ports: t.Sequence[Port], external: bool, name: str) -> t.Optional[Probe]:
    if not given:
        return None
    port = given.get("port") or next((one.target for one in ports if one.protocol == "TCP"), None)
    if port is None:
        raise Failure(
            "probe: port: expected the TCP port to ask, because ports names none, found nothing. Name it; what speaks "
            "UDP only cannot be asked."
        )
    if not 0 < port < 65536:
        raise Failure(f"probe: port: expected a number from 1 to 65535, found {port}.")
    if not 0 < given["timeout"] <= 30:
        raise Failure(f"probe: timeout: expected 1 to 30 seconds, found {given['timeout']}.")
    path = given.get("path")
    if path is not None and given["type"] != "http":
        raise Failure(f"probe: path: it belongs to type http, and type is {given['type']}. Leave it out.")
    if path is not None and not re.fullmatch(_PATH, path):
        raise Failure(f"probe: path: expected a path that begins with '/' and has no spaces, found {path!r}.")
    schedule = given.get("schedule") or ""
    if schedule and external:
        raise Failure(
            "probe: schedule: expected addresses, because a CronJob takes addresses out and puts them back, found "
            "external_name. Leave schedule out: each run still says whether the name answers."
        )
    if schedule and len(name) > LONGEST_PROBED:
        raise Failure(
            f"name: expected at most {LONGEST_PROBED} characters with a schedule, because a CronJob is named after it, "
            f"found {len(name)}."
        )
    image = given.get("image") or ""
    if not re.fullmatch(r"[A-Za-z0-9][^\s]*", image):
        raise Failure(f"probe: image: expected the name of an image, found {image!r}.")
    return Probe(given["type"], port, image, path or "/", given["timeout"], schedule)

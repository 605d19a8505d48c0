# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The Secrets of a set's TLS: the one that the members read, that of the authority, and one that was given. Pure."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._certificates import (
    Facts,
    Pair,
    belongs,
    blocks,
    covers,
    fingerprints,
    read,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._plan import MODES, Held, Source, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._trust import AUTHORITIES

Object = dict[str, t.Any]

MOUNT = "/run/mongodb-tls"
CONFIGURATION = "mongod.conf"
CERTIFICATE = "certificate.pem"
#: short for all the others, so that a pod can be asked what it has without reading a key
VERSION = "version"
# On a Secret that was made here: whose it is.
OWNER = "stateful.kube/mongodb-tls"
#: on the Secret of the members: which authorities all of them have loaded
TRUSTED = "stateful.kube/tls-trusted"

_MODE = "    mode: "


@dataclasses.dataclass(frozen=True)
class Content:
    """What the members read."""

    mode: str
    pair: Pair
    authorities: str

    @property
    def trust(self) -> str:
        return _short(self.authorities)

    @property
    def version(self) -> str:
        return f"{self.mode} {_short(self.pair.text)} {self.trust}"

    def data(self) -> dict[str, str]:
        texts = {
            CONFIGURATION: configuration(self.mode),
            CERTIFICATE: self.pair.text,
            AUTHORITIES: self.authorities,
            VERSION: self.version,
        }
        return {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}


def configuration(mode: str) -> str:
    """mongod reads it when it starts; what is beyond TLS stays on its command line."""
    return (
        "# Written by stateful.kube.mongodb_tls, and read by mongod when it starts.\n"
        "net:\n"
        "  tls:\n"
        f"{_MODE}{mode}\n"
        f"    certificateKeyFile: {MOUNT}/{CERTIFICATE}\n"
        f"    CAFile: {MOUNT}/{AUTHORITIES}\n"
        "    allowConnectionsWithoutCertificates: true\n"
        "setParameter:\n"
        "  suppressNoTLSPeerCertificateWarning: true\n"
    )


def content_of(secret: t.Optional[Object]) -> t.Optional[Content]:
    """What such a Secret has, or None where it is none of them."""
    texts = _texts(secret)
    mode = next(
        (
            line[len(_MODE) :].strip()
            for line in texts.get(CONFIGURATION, "").splitlines()
            if line.startswith(_MODE) and line[len(_MODE) :].strip() in MODES
        ),
        "",
    )
    pair = texts.get(CERTIFICATE, "")
    certificates = "".join(blocks(pair))
    if not (mode and certificates and texts.get(AUTHORITIES)):
        return None
    key = pair[pair.rfind("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----") :].strip()
    return Content(mode, Pair(certificates, f"{key}\n"), texts[AUTHORITIES])


def held_of(secret: t.Optional[Object], now: float) -> t.Optional[Held]:
    content = content_of(secret)
    if secret is None or content is None:
        return None
    facts = read(content.pair.certificate)
    return Held(
        content.mode,
        facts.fingerprint,
        fingerprints(content.authorities),
        (secret["metadata"].get("annotations") or {}).get(TRUSTED) == content.trust,
        _texts(secret).get(VERSION, ""),
        facts.days_left(now),
    )


def pair_of(secret: t.Optional[Object]) -> t.Optional[Pair]:
    """Certificate and key under the names that Kubernetes has for them."""
    texts = _texts(secret)
    if not (texts.get("tls.crt") and texts.get("tls.key")):
        return None
    return Pair(texts["tls.crt"], texts["tls.key"])


def given(
    secret: t.Optional[Object], wish: Wish, target: Target, hosts: t.Iterable[str], now: float, where: str = ""
) -> Content:
    """What a given Secret would give the members. Raises Failure where they could not use it."""
    where = where or f"secret: the Secret {target.namespace}/{wish.secret}"
    if secret is None:
        raise Failure(
            f"{where} does not exist. Create it with the keys tls.crt, tls.key and ca.crt, as cert-manager does for a "
            "Certificate, or leave the option out for an authority of the set's own."
        )
    pair, authorities = pair_of(secret), _texts(secret).get("ca.crt", "")
    missing = [key for key in ("tls.crt", "tls.key", "ca.crt") if not _texts(secret).get(key)]
    if pair is None or missing:
        raise Failure(f"{where} must have the keys tls.crt, tls.key and ca.crt; found no {' and no '.join(missing)}.")
    wrong = belongs(pair, authorities)
    if wrong:
        raise Failure(f"{where} is of no use to the members: {wrong}. Correct the Secret.")
    facts = read(pair.certificate)
    if facts.not_after <= now:
        raise Failure(f"{where} has a certificate that ran out {-facts.days_left(now)} days ago. Renew it first.")
    strange = [host for host in hosts if not covers(facts.names, host)]
    if strange:
        raise Failure(
            f"{where} has a certificate for {', '.join(sorted(facts.names)) or 'no name at all'}, and members would "
            f"refuse each other by it: expected {', '.join(strange)} among its DNS names, or a wildcard for them. "
            "Issue another one."
        )
    return Content(wish.mode, pair, "".join(blocks(authorities)))


def own(
    wish: Wish, held: t.Optional[Content], authority: t.Optional[Object], names: t.Sequence[str], now: float
) -> Source:
    """What is to become of a certificate of the set's own authority."""
    root = pair_of(authority)
    if root is None:
        return Source(why="there is none yet" if held is None else "", why_authority="there is none yet")
    about = read(root.certificate)
    roots = fingerprints(root.certificate)
    if about.due(now) and OWNER in ((authority or {})["metadata"].get("annotations") or {}):
        days = about.days_left(now)
        return Source(why="the authority is another one", why_authority=f"it holds for {days} more days")
    if held is None:
        return Source(roots, "", "there is none yet")
    facts = read(held.pair.certificate)
    return Source(roots, *_kept_or_why(held, facts, root, names, now))


def _kept_or_why(held: Content, facts: Facts, root: Pair, names: t.Sequence[str], now: float) -> tuple[str, str]:
    missing = [name for name in names if name not in facts.names]
    if facts.due(now):
        days = facts.days_left(now)
        return (
            "",
            f"the one in use holds for {days} more days" if days >= 0 else f"the one in use ran out {-days} days ago",
        )
    if missing:
        return "", f"the one in use is not for {', '.join(missing)}"
    if belongs(held.pair, root.certificate):
        return "", "the authority is another one"
    return facts.fingerprint, ""


def document(target: Target, name: str, data: t.Mapping[str, str], annotations: t.Mapping[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": target.namespace,
            "labels": {
                "app.kubernetes.io/name": "mongodb",
                "app.kubernetes.io/instance": target.name,
                "app.kubernetes.io/managed-by": "stateful.kube",
            },
            "annotations": {OWNER: target.name, **annotations},
        },
        "type": "Opaque",
        "data": dict(data),
    }


def patch(secret: Object, content: Content, trusted: t.Optional[str] = None) -> Object:
    """The patch that gives this very version of the Secret another content, or notes whom all members trust."""
    metadata = secret["metadata"]
    found: Object = {"metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}}
    if trusted is None:
        found["data"] = content.data()
    else:
        found["metadata"]["annotations"] = {TRUSTED: trusted}
    return found


def _texts(secret: t.Optional[Object]) -> dict[str, str]:
    found = {}
    for key, value in ((secret or {}).get("data") or {}).items():
        try:
            found[key] = base64.b64decode(value).decode()
        except ValueError:
            continue
    return found


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

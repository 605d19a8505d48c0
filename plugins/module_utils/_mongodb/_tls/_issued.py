# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""A certificate that cert-manager issues: the object that asks for it, and what has become of it. Pure.

cert-manager keeps it renewed in a Secret of its own, whose content is copied like that of any given Secret.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._plan import Issuer, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._secrets import OWNER, document

Object = dict[str, t.Any]

GROUP = "cert-manager.io"
API_VERSION = f"{GROUP}/v1"
KIND = "Certificate"
REQUEST = "CertificateRequest"
# On a CertificateRequest: whose it is, and which one in turn.
OF = f"{GROUP}/certificate-name"
REVISION = f"{GROUP}/certificate-revision"
# Parts of its spec that not every declaration has.
OPTIONAL = ("commonName", "ipAddresses")
# Characters that X.509 allows in a common name.
COMMON_NAME = 64


def issuer_of(found: t.Optional[t.Mapping[str, t.Any]]) -> t.Optional[Issuer]:
    """The option as it was given; none where nothing was. Raises Failure."""
    if not found:
        return None
    issuer = Issuer(found["name"], found["kind"], found["group"])
    if not issuer.name:
        raise Failure("issuer: its name is empty. Name an Issuer or ClusterIssuer of cert-manager.")
    if issuer.group == GROUP and issuer.kind not in ("Issuer", "ClusterIssuer"):
        raise Failure(
            f"issuer: in the group {GROUP} there are the kinds Issuer and ClusterIssuer; found {issuer.kind}. Correct "
            "kind, or give the group that it is of."
        )
    return issuer


def certificate(wish: Wish, target: Target, issuer: Issuer, names: t.Sequence[str]) -> Object:
    """The declaration, of everything that one of our own authority would have."""
    name = issued_name(target.name)
    made = document(target, name, {}, {})
    labels, annotations = made["metadata"]["labels"], made["metadata"]["annotations"]
    common = f"{target.name}.{target.namespace}.svc.{target.cluster_domain}"
    addresses = [each for each in names if _is_address(each)]
    spec: Object = {
        "secretName": name,
        # By these a removal finds the Secret.
        "secretTemplate": {"labels": labels, "annotations": annotations},
        "issuerRef": {"name": issuer.name, "kind": issuer.kind, "group": issuer.group},
        "subject": {"organizations": [target.namespace[:64]], "organizationalUnits": ["mongodb"]},
        "dnsNames": [each for each in names if each not in addresses],
        # As cert-manager itself writes durations.
        "duration": f"{24 * wish.days}h0m0s",
        # Earlier than what we call due: that warning then says that the playbook does not run, or the issuer does not.
        "renewBefore": f"{12 * wish.days}h0m0s",
        "usages": ["digital signature", "server auth", "client auth"],
        "privateKey": {"algorithm": "ECDSA", "size": 256, "encoding": "PKCS8", "rotationPolicy": "Always"},
    }
    if len(common) <= COMMON_NAME and common in names:
        # Some issuers take none that is not among the names as well.
        spec["commonName"] = common
    if addresses:
        spec["ipAddresses"] = addresses
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": made["metadata"], "spec": spec}


def issued_name(name: str) -> str:
    """The Certificate, and the Secret that cert-manager keeps it in."""
    return f"{name}-issued"


def require_own(target: Target, kind: str, found: t.Optional[Object]) -> None:
    """What has the name and was not declared here belongs to somebody. Raises Failure."""
    if found is None:
        return
    whose = _annotations(found).get(OWNER)
    if whose != target.name:
        raise Failure(
            f"issuer: the {kind} {target.namespace}/{found['metadata']['name']} is not of this set: expected the "
            f"annotation {OWNER}: {target.name}, found {whose or 'none'}. Nothing was changed. Rename or delete it, or "
            "give the set another name."
        )


def differs(wanted: Object, found: t.Optional[Object]) -> str:
    """Which parts of a Certificate are to be written; empty for none."""
    if found is None:
        return "there is none yet"
    spec, before = wanted["spec"], found.get("spec") or {}
    parts = [part for part, value in spec.items() if not _holds(value, before.get(part))]
    # What was declared before and is no more.
    parts += [part for part in OPTIONAL if part in before and part not in spec]
    return f"it has other {', '.join(parts)}" if parts else ""


def waits_for(found: Object, requests: t.Iterable[Object]) -> str:
    """Why this very version of a Certificate is not issued yet, in cert-manager's words; empty where it is."""
    metadata = found["metadata"]
    conditions = (found.get("status") or {}).get("conditions") or []
    ready = next((each for each in conditions if each.get("type") == "Ready"), None)
    # Until cert-manager has looked at a change its conditions speak of what was declared before.
    seen = ready is not None and int(ready.get("observedGeneration") or 0) >= int(metadata.get("generation") or 0)
    if ready is not None and seen and ready.get("status") == "True":
        return ""
    said = [_said(each) for each in conditions] if seen else []
    mine = [each for each in requests if _annotations(each).get(OF) == metadata["name"]]
    last = max(mine, key=lambda each: int(_annotations(each).get(REVISION) or 0), default=None)
    if last is not None:
        asked = (last.get("status") or {}).get("conditions") or []
        said += [f"{REQUEST} {last['metadata']['name']}: {_said(each)}" for each in asked]
    return "; ".join(said) or "cert-manager has not looked at it yet; does it run?"


def _said(condition: t.Mapping[str, t.Any]) -> str:
    parts = [f"{condition.get('type')} is {condition.get('status')}", *filter(None, [condition.get("reason")])]
    message = str(condition.get("message") or "").strip().rstrip(".")
    return f"{', '.join(parts)}" + (f" ({message})" if message else "")


def _annotations(found: Object) -> t.Mapping[str, str]:
    return found["metadata"].get("annotations") or {}


def _holds(wanted: t.Any, found: t.Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_holds(value, found.get(key)) for key, value in wanted.items())
    return bool(wanted == found)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

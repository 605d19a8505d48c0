# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cert-manager is asked for, and what its answers mean."""

from __future__ import annotations

import copy
import typing as t
from types import SimpleNamespace

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls import _issued as issued
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._certificates import names_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._operate import Tls
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._plan import REQUIRE, Issuer, Wish

TARGET = Target("shop", "web", "shop", "shop")
ISSUER = Issuer("corp", "ClusterIssuer", "cert-manager.io")
WISH = Wish(REQUIRE, days=90, issuer=ISSUER)


def declared(*more: str, target: Target = TARGET, wish: Wish = WISH) -> dict[str, t.Any]:
    return issued.certificate(wish, target, ISSUER, names_of(target, "shop", more))


def test_it_has_the_names_that_one_of_our_own_has() -> None:
    spec = declared("db.example.com", "10.0.0.1")["spec"]
    assert {*spec["dnsNames"], *spec["ipAddresses"]} == {*names_of(TARGET, "shop"), "db.example.com", "10.0.0.1"}
    assert spec["ipAddresses"] == ["127.0.0.1", "10.0.0.1"]
    assert spec["commonName"] == "shop.web.svc.cluster.local"
    assert spec["issuerRef"] == {"name": "corp", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    assert spec["usages"] == ["digital signature", "server auth", "client auth"]
    assert (spec["duration"], spec["renewBefore"]) == ("2160h0m0s", "1080h0m0s")
    # By these a removal finds the Secret that cert-manager makes.
    assert spec["secretTemplate"]["labels"]["app.kubernetes.io/instance"] == "shop"
    assert spec["secretTemplate"]["annotations"] == {"stateful.kube/mongodb-tls": "shop"}
    long = declared(target=Target("shop", "n" * 63, "shop", "shop"))["spec"]
    assert "commonName" not in long
    assert issued.certificate(WISH, TARGET, ISSUER, ["localhost"])["spec"].get("ipAddresses") is None


def test_what_others_have_under_its_name_is_left_alone() -> None:
    class FakeCluster:
        found: t.Optional[dict[str, t.Any]] = None

        def get(self, _version: str, _kind: str, _name: str, _namespace: str) -> t.Optional[dict[str, t.Any]]:
            return self.found

    cluster = FakeCluster()
    observer: t.Any = SimpleNamespace(cluster=cluster, target=TARGET)
    tls = Tls(observer, WISH, 1.0)
    tls._names = names_of(TARGET, "shop")
    others: dict[str, t.Any] = {"metadata": {"name": "shop-issued", "annotations": {}}}
    # A removal looks for this on the Certificate, too.
    ours = declared()
    assert ours["metadata"]["annotations"] == {"stateful.kube/mongodb-tls": "shop"}
    for found, secret, kind in ((others, None, "Certificate"), (others, ours, "Certificate"), (None, others, "Secret")):
        cluster.found = found
        with pytest.raises(Failure, match=rf"the {kind} web/shop-issued is not of this set: .* found none\. Nothing"):
            tls._asked(ISSUER, secret)
    cluster.found = {"metadata": {"name": "shop-issued", "annotations": {"stateful.kube/mongodb-tls": "cart"}}}
    with pytest.raises(Failure, match=r"expected the annotation stateful.kube/mongodb-tls: shop, found cart"):
        tls._asked(ISSUER, None)
    cluster.found = None
    for secret in (None, ours):
        first = tls._asked(ISSUER, secret)
        assert first
        assert first.why_declare == "there is none yet"
    # cert-manager keeps the Secret of one of ours, annotations and all.
    cluster.found = live(ours, condition("Ready", "True"))
    assert tls._asked(ISSUER, others) is None


def live(made: dict[str, t.Any], *conditions: dict[str, t.Any], generation: int = 1) -> dict[str, t.Any]:
    found = copy.deepcopy(made)
    found["metadata"]["generation"] = generation
    found["status"] = {"conditions": list(conditions)}
    return found


def condition(kind: str, status: str, generation: int = 1, **more: str) -> dict[str, t.Any]:
    return {"type": kind, "status": status, "observedGeneration": generation, **more}


def test_only_what_was_declared_counts() -> None:
    assert issued.differs(declared(), None) == "there is none yet"
    found = live(declared())
    found["spec"]["revisionHistoryLimit"] = 1
    found["spec"]["secretTemplate"]["labels"]["more"] = "of others"
    assert not issued.differs(declared(), found)
    assert issued.differs(declared("db.example.com"), found) == "it has other dnsNames"
    addresses = live(issued.certificate(WISH, TARGET, ISSUER, ["localhost", "127.0.0.1"]))
    assert "ipAddresses" in issued.differs(issued.certificate(WISH, TARGET, ISSUER, ["localhost"]), addresses)


def test_it_is_issued_when_cert_manager_says_so_of_this_version() -> None:
    made = declared()
    assert not issued.waits_for(live(made, condition("Ready", "True")), ())
    assert "does it run?" in issued.waits_for(live(made), ())
    # The word of before a change is none on the change.
    assert "does it run?" in issued.waits_for(live(made, condition("Ready", "True"), generation=2), ())
    told = issued.waits_for(
        live(made, condition("Ready", "False", reason="DoesNotExist", message="Secret does not exist.")), ()
    )
    assert told == "Ready is False, DoesNotExist (Secret does not exist)"


def test_the_last_request_tells_more() -> None:
    def request(revision: int, of: str, message: str) -> dict[str, t.Any]:
        return {
            "metadata": {
                "name": f"{of}-{revision}",
                "annotations": {issued.OF: of, issued.REVISION: str(revision)},
            },
            "status": {"conditions": [condition("Ready", "False", message=message)]},
        }

    found = live(declared(), condition("Ready", "False"))
    requests = [
        request(10, "shop-issued", "no issuer corp"),
        request(9, "shop-issued", "older"),
        request(11, "other", "of another one"),
    ]
    assert (
        issued.waits_for(found, requests)
        == "Ready is False; CertificateRequest shop-issued-10: Ready is False (no issuer corp)"
    )


def test_an_issuer_that_cannot_be() -> None:
    assert issued.issuer_of(None) is None
    wanted = {"name": "corp", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    assert issued.issuer_of(wanted) == ISSUER
    assert issued.issuer_of({**wanted, "kind": "AWSPCAIssuer", "group": "awspca.cert-manager.io"})
    with pytest.raises(Failure, match="found Clusterissuer"):
        issued.issuer_of({**wanted, "kind": "Clusterissuer"})
    with pytest.raises(Failure, match="name is empty"):
        issued.issuer_of({**wanted, "name": ""})

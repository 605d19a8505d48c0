# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates that real TLS accepts, the Secrets they are in, and a conversation through the layer of a tunnel."""

from __future__ import annotations

import base64
import dataclasses
import pathlib
import ssl
import time
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._tls import (
    Certificate,
    Layer,
    ServerTls,
    context_for,
)
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls import _certificates as certificates
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._certificates import Pair
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._plan import REQUIRE, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._secrets import (
    TRUSTED,
    Content,
    content_of,
    document,
    given,
    held_of,
    own,
)

DAY = 86400
TARGET = Target("shop", "web", "shop", "shop")
HOST = "shop-0.shop.web.svc.cluster.local"
NAMES = certificates.names_of(TARGET, "shop")
NOW = time.time()


@pytest.fixture(scope="module")
def root() -> Pair:
    return certificates.authority("web shop", NOW)


@pytest.fixture(scope="module")
def other() -> Pair:
    return certificates.authority("another", NOW)


@pytest.fixture(scope="module")
def pair(root: Pair) -> Pair:
    return certificates.issue(root, TARGET, NAMES, 90, NOW)


def strict(authorities: str) -> ssl.SSLContext:
    """As Python is from 3.13 on."""
    context = context_for(authorities)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def talk(tmp_path: pathlib.Path, client: ssl.SSLContext, server: Pair, hostname: str = HOST) -> list[Certificate]:
    """One question and its answer through the layer; raises what the layer raises."""
    (tmp_path / "server.pem").write_text(server.text, encoding="utf-8")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    far = context.wrap_bio(inward, outward, server_side=True)
    shown: list[Certificate] = []
    layer = Layer(ServerTls(client, hostname), shown.append)
    layer.put(b"question")
    answer = b""
    asked = False
    for _turn in range(10):
        inward.write(layer.take())
        try:
            if not asked:
                far.do_handshake()
                asked = far.read(100) == b"question"
                far.write(b"answer")
        except ssl.SSLWantReadError:
            pass
        answer += layer.receive(outward.read())
    assert answer == b"answer"
    return shown


def test_a_real_conversation_by_the_strictest_rules(tmp_path: pathlib.Path, root: Pair, pair: Pair) -> None:
    (shown,) = talk(tmp_path, strict(root.certificate), pair)
    assert certificates.fingerprint(shown.der) == certificates.read(pair.certificate).fingerprint
    assert 89 * DAY < shown.not_after - NOW < 91 * DAY


def test_another_authority_and_another_name_are_not_trusted(
    tmp_path: pathlib.Path, root: Pair, other: Pair, pair: Pair
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get"):
        talk(tmp_path, context_for(other.certificate), pair)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        talk(tmp_path, context_for(root.certificate), pair, "shop-0.shop.elsewhere.svc.cluster.local")


def test_one_that_has_run_out_still_lets_in_whoever_renews_it(tmp_path: pathlib.Path, root: Pair) -> None:
    old = certificates.issue(root, TARGET, NAMES, 10, NOW - 20 * DAY)
    (shown,) = talk(tmp_path, context_for(root.certificate), old)
    assert shown.not_after < NOW


def secret(content: Content, **annotations: str) -> dict[str, t.Any]:
    return document(TARGET, "shop-tls", content.data(), annotations)


def kubernetes(pair: Pair, authorities: str = "") -> dict[str, t.Any]:
    texts = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authorities}
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    return document(TARGET, "given", data, {"stateful.kube/mongodb-tls": "shop"})


def test_what_is_written_is_read_again(root: Pair, pair: Pair) -> None:
    content = Content(REQUIRE, Pair(pair.certificate, pair.key), root.certificate)
    found = content_of(secret(content))
    assert found is not None
    assert found.version == content.version
    assert found.data() == content.data()
    held = held_of(secret(content, **{TRUSTED: content.trust}), NOW)
    assert held is not None
    assert held.trusted
    assert (held.mode, held.version, held.days_left) == (REQUIRE, content.version, 89)
    untrusted = held_of(secret(content), NOW)
    assert untrusted is not None
    assert not untrusted.trusted
    assert content_of(None) is None
    assert content_of(kubernetes(pair)) is None
    assert pair.key.splitlines()[1] not in repr(content)


@pytest.mark.parametrize(
    ("later", "names", "why"),
    [
        (0, NAMES, ""),
        (59, NAMES, ""),
        (61, NAMES, "the one in use holds for 28 more days"),
        (91, NAMES, "the one in use ran out 2 days ago"),
        (0, (*NAMES, "db.example.com"), "the one in use is not for db.example.com"),
    ],
)
def test_when_one_of_our_own_is_issued_anew(
    root: Pair, pair: Pair, later: int, names: tuple[str, ...], why: str
) -> None:
    content = Content(REQUIRE, pair, root.certificate)
    found = own(Wish(REQUIRE), content, kubernetes(root), names, NOW + later * DAY)
    assert found.why == why
    assert found.certificate == ("" if why else certificates.read(pair.certificate).fingerprint)
    assert found.authorities == certificates.fingerprints(root.certificate)


def test_another_authority_of_our_own(root: Pair, other: Pair, pair: Pair) -> None:
    content = Content(REQUIRE, pair, root.certificate)
    assert own(Wish(REQUIRE), content, kubernetes(other), NAMES, NOW).why == "the authority is another one"
    late = own(Wish(REQUIRE), content, kubernetes(root), NAMES, NOW + 3000 * DAY)
    assert late.why_authority == "it holds for 649 more days"
    # One that somebody else put there is theirs to renew.
    foreign = kubernetes(root)
    foreign["metadata"]["annotations"] = {}
    assert not own(Wish(REQUIRE), content, foreign, NAMES, NOW + 3000 * DAY).why_authority
    assert own(Wish(REQUIRE), None, None, NAMES, NOW).why_authority == "there is none yet"


def test_a_given_one_is_checked_before_members_have_it(root: Pair, other: Pair, pair: Pair) -> None:
    wish = Wish(REQUIRE, secret="given")  # noqa: S106 (a name)

    def wrong(found: t.Optional[dict[str, t.Any]], host: str = HOST, now: float = NOW) -> str:
        with pytest.raises(Failure) as failure:
            given(found, wish, TARGET, [host], now)
        assert pair.key not in str(failure.value)
        return failure.value.message

    assert given(kubernetes(pair, root.certificate), wish, TARGET, [HOST], NOW).pair == pair
    assert "does not exist" in wrong(None)
    assert "found no ca.crt" in wrong(kubernetes(pair))
    assert "not issued by the authority" in wrong(kubernetes(pair, other.certificate))
    swapped = dataclasses.replace(pair, key=other.key)
    assert "its key belongs to another certificate" in wrong(kubernetes(swapped, root.certificate))
    assert "ran out 11 days ago" in wrong(kubernetes(pair, root.certificate), now=NOW + 100.5 * DAY)
    assert "expected shop-0.db" in wrong(kubernetes(pair, root.certificate), "shop-0.db.web.svc.cluster.local")


def test_a_chain_counts(root: Pair, pair: Pair, other: Pair) -> None:
    assert certificates.belongs(pair, root.certificate) is None
    assert certificates.belongs(pair, other.certificate + root.certificate) is None
    assert "cannot be read" in str(certificates.belongs(Pair(pair.certificate, "nothing"), root.certificate))
    assert "lacks a certificate" in str(certificates.belongs(Pair("", pair.key), root.certificate))

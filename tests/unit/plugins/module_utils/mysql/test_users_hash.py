# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a password is the one that a server keeps something of. The values are those of real servers."""

from __future__ import annotations

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._hash import ed25519, fits, native

KEPT = [
    (
        "caching_sha2_password",
        "$A$00A$\n\x02a\x10juJ\x11&X\x04<h.do\ry\x10\x11OBhn7BycUi1r8BnH6tMRufDw0TRo/B2xeiQXBAQ.M52",
        "a",
    ),
    (
        "caching_sha2_password",
        "$A$00A$\x1402}\x17V73)\x1f\t7\x07\x11SE\x0bQ?1JQA.QaWMKlwWnssvRc42cdSFjDpygDlmiW2cYvFhLZD",
        "pässwörd of 1",
    ),
    (
        "caching_sha2_password",
        "$A$00A$2\rx4\x12%c/\x0e[\x13@0\x0b|\x1di&:\rsh1g9uSBTQwpJnvlyP7uxVRmC1KhYpUls4mRgSZsM66",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ),
    (
        "sha256_password",
        "$5$\x0e\n\x0789\x1fs2\x1f.7\x19vINo,\x1db{$rjHcTmiXdFiiboCb29TDLLufP0ggFkwwJmGCG8ssDX.",
        "short one",
    ),
    ("mysql_native_password", "*EF84F55A4DE4462C7A84EA58BEC72FB21532F098", "eins"),
    ("ed25519", "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY", "secret"),
]


@pytest.mark.parametrize(("plugin", "kept", "password"), KEPT)
def test_a_password_fits_what_a_server_keeps_of_it_and_no_other_does(plugin: str, kept: str, password: str) -> None:
    assert fits(plugin, kept, password) is True
    assert fits(plugin, kept, password + "x") is False
    assert fits(plugin, kept, password[:-1]) is False


def test_no_password_is_none_that_fits() -> None:
    assert fits("caching_sha2_password", "", "any") is False


@pytest.mark.parametrize(
    ("plugin", "kept"),
    [("unix_socket", ""), ("auth_socket", "x"), ("caching_sha2_password", "$B$another form"), ("ed25519", "short")],
)
def test_what_nobody_can_tell_is_not_told(plugin: str, kept: str) -> None:
    assert fits(plugin, kept, "any") is None


def test_what_mariadb_is_told_is_what_it_keeps() -> None:
    assert native("eins") == "*EF84F55A4DE4462C7A84EA58BEC72FB21532F098"
    # Of the documentation of MariaDB.
    assert ed25519("secret") == "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"

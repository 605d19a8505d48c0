# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is masked in messages, and what is not."""

from __future__ import annotations

from ansible_collections.stateful.kube.plugins.module_utils._task import harmless


def test_a_path_is_no_secret() -> None:
    assert harmless({"kubeconfig": "/home/me/config", "api_key": "sesame"}) == {"/home/me/config"}
    assert harmless({"kubeconfig": None}) == set()


def test_the_secrets_inside_a_kubeconfig_stay_masked() -> None:
    user = {"token": "sesame", "client-key-data": "a2V5", "exec": {"env": [{"name": "WHO", "value": "open"}]}}
    content = {"current-context": "lab", "users": [{"name": "me", "user": user}]}
    assert harmless({"kubeconfig": content}) == {"lab", "me", "WHO"}

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a preflight and die, without a word to anybody, as soon as it says a certain thing.

Usage: die.py WORDS KUBECONFIG NAMESPACE IMAGE.
"""

from __future__ import annotations

import os
import sys

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()

from ansible_collections.stateful.kube.plugins.modules import storage_preflight  # noqa: E402


class Task:
    check_mode = diff_mode = False

    def __init__(self, params, words):
        self.params = params
        self.words = words

    def progress(self, line):
        if self.words in line:
            os._exit(9)

    def warn(self, text):
        pass

    conceal = warn

    def abandoned(self):
        return False


def main():
    words, kubeconfig, namespace, image = sys.argv[1:]
    given = {"kubeconfig": kubeconfig, "namespace": namespace, "image": image, "size": "16Mi"}
    specification = {
        key: value for key, value in storage_preflight.SPECIFICATION.items() if key != "supports_check_mode"
    }
    checked = ArgumentSpecValidator(**specification).validate(given)
    if checked.error_messages:
        sys.exit("; ".join(checked.error_messages))
    storage_preflight.run(Task(checked.validated_parameters, words))


if __name__ == "__main__":
    main()

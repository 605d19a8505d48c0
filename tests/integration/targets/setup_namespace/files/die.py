# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module and die, without a word to anybody, as soon as it says a certain thing.

Usage: die.py MODULE WORDS OPTIONS, where OPTIONS is a JSON object.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()


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
    name, words, options = sys.argv[1:]
    module = importlib.import_module(f"ansible_collections.stateful.kube.plugins.modules.{name}")
    specification = {key: value for key, value in module.SPECIFICATION.items() if key != "supports_check_mode"}
    checked = ArgumentSpecValidator(**specification).validate(json.loads(options))
    if checked.error_messages:
        sys.exit("; ".join(checked.error_messages))
    module.run(Task(checked.validated_parameters, words))


if __name__ == "__main__":
    main()

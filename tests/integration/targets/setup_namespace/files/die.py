# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module and die, without a word to anybody, at a certain moment. The exit code is 9 then.

Usage: die.py MODULE MOMENT OPTIONS, where OPTIONS is a JSON object and MOMENT one of

- ``says WORDS``: as soon as its progress has these words;
- ``before REGEX``: just before it sends a request that is no dry run, where the pattern is of "METHOD path";
- ``before change N``: just before it sends its n-th request that writes. The request is printed; with 0 the run goes to
  its end, and how many requests it sent is printed.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()

from ansible_collections.stateful.kube.plugins.module_utils._cluster._connection import Connection  # noqa: E402


class Task:
    check_mode = diff_mode = False

    def __init__(self, params, words):
        self.params = params
        self.words = words

    def progress(self, line):
        if self.words and self.words in line:
            os._exit(9)

    def warn(self, text):
        pass

    conceal = warn

    def abandoned(self):
        return False


def watch_requests(pattern, number):
    """Die before a request; the paths of all that are sent."""
    send, written, sent = Connection.request, [], []

    def request(self, method, path, query=(), *others, **more):
        sent.append(path)
        name, dry = f"{method} {path}", "dryRun" in dict(query)
        if pattern and not dry and re.fullmatch(pattern, name):
            os._exit(9)
        if method != "GET" and not dry:
            written.append(name)
            if len(written) == number:
                print(name, flush=True)
                os._exit(9)
        return send(self, method, path, query, *others, **more)

    Connection.request = request
    return sent


def main():
    name, moment, options = sys.argv[1:]
    count = re.fullmatch(r"before change (\d+)", moment)
    pattern = "" if count else moment.partition("before ")[2]
    words = moment.partition("says ")[2]
    if not (count or pattern or words):
        sys.exit(f"MOMENT: see the head of this file; found {moment!r}.")
    sent = watch_requests(pattern, int(count[1]) if count else 0)
    module = importlib.import_module(f"ansible_collections.stateful.kube.plugins.modules.{name}")
    specification = {key: value for key, value in module.SPECIFICATION.items() if key != "supports_check_mode"}
    checked = ArgumentSpecValidator(**specification).validate(json.loads(options))
    if checked.error_messages:
        sys.exit("; ".join(checked.error_messages))
    module.run(Task(checked.validated_parameters, words))
    print(len(sent))


if __name__ == "__main__":
    main()

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Move the claims of the StatefulSet web and die, without a word to anybody, before a certain request.

Usage: die_before.py KUBECONFIG NAMESPACE OPTIONS PATTERN, where the pattern is of "METHOD path". It
ends with 9 then.
"""

from __future__ import annotations

import json
import os
import re
import sys

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()

from ansible_collections.stateful.kube.plugins.module_utils._cluster._connection import Connection  # noqa: E402
from ansible_collections.stateful.kube.plugins.modules import claim_migrate  # noqa: E402


class Task:
    check_mode = diff_mode = False

    def __init__(self, params):
        self.params = params

    def progress(self, line):
        print(line, flush=True)

    warn = conceal = progress

    def abandoned(self):
        return False


def main():
    kubeconfig, namespace, options, pattern = sys.argv[1:]
    send = Connection.request

    def request(self, method, path, query=(), *others, **more):
        if "dryRun" not in dict(query) and re.fullmatch(pattern, f"{method} {path}"):
            os._exit(9)
        return send(self, method, path, query, *others, **more)

    Connection.request = request
    given = {"kubeconfig": kubeconfig, "namespace": namespace, "name": "web", "wait_timeout": 180}
    given.update(json.loads(options))
    specification = {key: value for key, value in claim_migrate.SPECIFICATION.items() if key != "supports_check_mode"}
    checked = ArgumentSpecValidator(**specification).validate(given)
    if checked.error_messages:
        sys.exit("; ".join(checked.error_messages))
    claim_migrate.run(Task(checked.validated_parameters))


if __name__ == "__main__":
    main()

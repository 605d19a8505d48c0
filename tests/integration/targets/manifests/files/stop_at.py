# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the manifests operation and die, without a word to anybody, just before its n-th request that writes.

Usage: stop_at.py NUMBER KUBECONFIG NAMESPACE DEFINITION(JSON) [OPTIONS(JSON)]. Prints the request it died before, or
with number 0 how many requests the whole run sent.
"""

from __future__ import annotations

import json
import os
import sys

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()

from ansible_collections.stateful.kube.plugins.module_utils._cluster._connection import Connection  # noqa: E402
from ansible_collections.stateful.kube.plugins.modules import manifests  # noqa: E402


class Task:
    check_mode = diff_mode = False

    def __init__(self, params):
        self.params = params

    def progress(self, line):
        pass

    warn = conceal = progress

    def abandoned(self):
        return False


def main():
    number, kubeconfig, namespace, definition, options = int(sys.argv[1]), *sys.argv[2:5], (sys.argv[5:] or ["{}"])[0]
    send, written, sent = Connection.request, [], []

    def request(self, method, path, query=(), *others, **more):
        sent.append(path)
        if method != "GET" and "dryRun" not in dict(query):
            written.append(f"{method} {path}")
            if len(written) == number:
                print(written[-1], flush=True)
                os._exit(9)
        return send(self, method, path, query, *others, **more)

    Connection.request = request
    given = {
        "kubeconfig": kubeconfig,
        "namespace": namespace,
        "definition": json.loads(definition),
        **json.loads(options),
    }
    specification = {key: value for key, value in manifests.SPECIFICATION.items() if key != "supports_check_mode"}
    checked = ArgumentSpecValidator(**specification).validate(given)
    if checked.error_messages:
        sys.exit("; ".join(checked.error_messages))
    manifests.run(Task(checked.validated_parameters))
    print(len(sent))


if __name__ == "__main__":
    main()

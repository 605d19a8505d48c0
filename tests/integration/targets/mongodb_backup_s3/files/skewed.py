# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List a bucket with a clock that is an hour behind, and print what is said.

Usage: skewed.py ADDRESS ACCESS SECRET CA, with ADDRESS in JSON.
"""

from __future__ import annotations

import datetime
import json
import pathlib
import sys

import minio.time
from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._s3 import Address, Bucket, Keys  # noqa: E402
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure  # noqa: E402

address, access, secret, authority = sys.argv[1:]
now = minio.time.utcnow
minio.time.utcnow = lambda: now() - datetime.timedelta(hours=1)
bucket = Bucket(
    Address.of(json.loads(address)), Keys(access, secret), pathlib.Path(authority).read_text(encoding="utf-8")
)
try:
    bucket.list()
except Failure as failure:
    print(failure.message)

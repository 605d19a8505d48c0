# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Where backups go: options of a folder or a bucket, and the keys for that from a Secret or from files of one."""

from __future__ import annotations

import base64
import contextlib
import os
import pathlib
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._s3 import (
    ACCESS_KEY,
    AUTHORITIES,
    SECRET_KEY,
    Address,
    Bucket,
    Keys,
)
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure


def s3_argument() -> dict[str, t.Any]:
    return {
        "type": "dict",
        "options": {
            "endpoint": {"type": "str", "default": "https://s3.amazonaws.com"},
            "bucket": {"type": "str", "required": True},
            "prefix": {"type": "str", "default": ""},
            "region": {"type": "str", "default": "us-east-1"},
            # The name of a Secret, not its content.
            "secret": {"type": "str", "no_log": False},
            "access_key": {"type": "str", "no_log": True},
            "secret_key": {"type": "str", "no_log": True},
            "ca_cert": {"type": "path"},
            "validate_certs": {"type": "bool", "default": True},
        },
        "required_one_of": [("secret", "access_key")],
        "mutually_exclusive": [("secret", "access_key")],
        "required_together": [("access_key", "secret_key")],
    }


def destination(params: t.Mapping[str, t.Any]) -> str:
    """Where backups go, for people. That and how many are kept is checked. Raises Failure that names the option."""
    if params["keep"] < 0:
        raise Failure(f"keep: expected a number of backups, or 0 to keep all, found {params['keep']}.")
    return Address.of(params["s3"]).title if params.get("s3") else absolute(params["dest"])


def absolute(dest: str) -> str:
    """Raises Failure."""
    if not os.path.isabs(dest):
        raise Failure(f"dest: expected an absolute path, such as /var/backups/shop, found {dest}.")
    return dest


@contextlib.contextmanager
def writing_to(dest: str) -> t.Iterator[None]:
    """Raises Failure where that cannot be done."""
    try:
        yield
    except OSError as exc:
        raise Failure(
            f"dest: {dest} cannot be written to ({exc.strerror or exc}"
            f"{f': {exc.filename}' if exc.filename else ''}). Make room or correct it, and run it again; an "
            "incomplete backup is removed."
        ) from exc


def bucket_of(given: t.Mapping[str, t.Any], cluster: t.Any, namespace: str) -> Bucket:
    """Where the options say, with the keys that they name. Raises Failure."""
    address = Address.of(given)
    authorities = _text(pathlib.Path(given["ca_cert"])) if given["ca_cert"] else ""
    if given["access_key"]:
        return Bucket(address, Keys(given["access_key"], given["secret_key"]), authorities)
    name = given["secret"]
    found = cluster.get("v1", "Secret", name, namespace)
    if found is None:
        raise Failure(
            f"s3.secret: there is no Secret {name} in namespace {namespace}. It has to have the keys {ACCESS_KEY} and "
            f"{SECRET_KEY}, and {AUTHORITIES} where the server's certificate is of an authority of its own."
        )
    data = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    authorities = authorities or data.get(AUTHORITIES, b"").decode("utf-8", "replace")
    return Bucket(address, _keys(data, f"The Secret {namespace}/{name}"), authorities)


def bucket_of_files(given: t.Mapping[str, t.Any], folder: pathlib.Path) -> Bucket:
    """The same with a Secret that a pod has mounted."""
    data = {}
    for key in (ACCESS_KEY, SECRET_KEY):
        with contextlib.suppress(FileNotFoundError):
            data[key] = (folder / key).read_bytes()
    authorities = folder / AUTHORITIES
    return Bucket(Address.of(given), _keys(data, "The Secret"), _text(authorities) if authorities.exists() else "")


def _keys(data: t.Mapping[str, bytes], what: str) -> Keys:
    # Whoever made it with an editor may have left a line end.
    access, secret = (data.get(key, b"").decode("utf-8", "replace").strip() for key in (ACCESS_KEY, SECRET_KEY))
    if not access or not secret:
        missing = ACCESS_KEY if not access else SECRET_KEY
        raise Failure(f"s3.secret: {what} must have the keys {ACCESS_KEY} and {SECRET_KEY}; {missing} is not there.")
    return Keys(access, secret)


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError as exc:
        raise Failure(f"s3.ca_cert: {path} cannot be read ({exc.strerror}). Correct the path or its rights.") from exc

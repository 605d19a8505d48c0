# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the user declares: checked before anything is asked of a cluster."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import normalised
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

Object = dict[str, t.Any]

# Later ranks need what earlier ranks make. Within a rank the order does not matter.
_FIRST = ("Namespace", "CustomResourceDefinition", "StorageClass", "PriorityClass")
_LAST = ("StatefulSet", "Deployment", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod")
LAST_RANK = 2

_HIDDEN = "(hidden)"
# kubectl's client-side apply keeps a copy of everything there, values of Secrets included.
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclasses.dataclass(frozen=True)
class Key:
    """Names one object. ``namespace`` is empty for kinds that live outside of namespaces."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What the object is, whatever version of its API it was named in."""
        return self.api_version.rpartition("/")[0], self.kind, self.namespace, self.name

    @property
    def rank(self) -> int:
        return 0 if self.kind in _FIRST else LAST_RANK if self.kind in _LAST else 1


@dataclasses.dataclass(frozen=True)
class GeneratedSecret:
    """A Secret that is made once: for each key either a given value or a random one of so many characters."""

    name: str
    keys: t.Mapping[str, t.Mapping[str, t.Any]]
    labels: t.Mapping[str, str]
    annotations: t.Mapping[str, str]
    type: str = "Opaque"
    protects_data: bool = False


def parse_definitions(definition: t.Any) -> list[Object]:
    """The declared objects as a flat list. Takes one object, lists, a kind List, or YAML text. Raises Failure."""
    if isinstance(definition, str):
        import yaml

        try:
            documents: t.Any = _documents(definition)
        except yaml.YAMLError as exc:
            # The exception quotes the text around the error, which may be a Secret.
            mark = getattr(exc, "problem_mark", None)
            place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            what = getattr(exc, "problem", None) or "it is no YAML"
            raise Failure(
                f"definition: expected YAML text, found something that does not parse{place} ({what}). Correct it."
            ) from None
    else:
        documents = definition if isinstance(definition, list) else [definition]
    objects: list[Object] = []
    for number, document in enumerate(documents, 1):
        if document in (None, {}, ""):
            continue
        if isinstance(document, (str, list)):
            objects += parse_definitions(document)
            continue
        if isinstance(document, dict) and document.get("kind") == "List":
            objects += parse_definitions(document.get("items") or [])
            continue
        _check(document, number)
        objects.append(normalised(document))
    return objects


def _documents(text: str) -> list[t.Any]:
    """All documents of a YAML text, read by the library's fast loader where it has one. Raises YAMLError."""
    import yaml

    return list(yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def secret_values(declared: t.Sequence[Object], generated: t.Sequence[GeneratedSecret]) -> set[str]:
    """Every value of a Secret that the user wrote, as written and as the API server has it."""
    values = {str(rule["value"]) for secret in generated for rule in secret.keys.values() if "value" in rule}
    for obj in declared:
        if obj["kind"] == "Secret":
            for encoded in (obj.get("data") or {}).values():
                values.add(str(encoded))
                with contextlib.suppress(ValueError):
                    values.add(base64.b64decode(str(encoded)).decode())
    return values


def shown(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options of a task as they may be shown and logged: without the values of Secrets, however short."""
    result = dict(params)
    for name in ("definition", "resource_definition", "inline"):
        if name in result:
            result[name] = _without_secrets(result[name])
    if result.get("generated_secrets"):
        result["generated_secrets"] = _without_given_values(result["generated_secrets"])
    return result


def without_values(text: str, obj: Object) -> str:
    """A message of the API server about a Secret, without the Secret's values."""
    if obj.get("kind") != "Secret":
        return text
    for value in sorted((value for value in secret_values([obj], ()) if value), key=len, reverse=True):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", _HIDDEN, text)
    return text


def _without_secrets(value: t.Any) -> t.Any:
    """What may be written as definition, in any shape, also a wrong one."""
    if isinstance(value, str):
        import yaml

        try:
            documents = _documents(value)
        except yaml.YAMLError:
            return f"{_HIDDEN}: text that does not parse"
        return [_HIDDEN if isinstance(document, str) else _without_secrets(document) for document in documents]
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return _without_data(value, secret=False)


def _without_data(value: t.Any, secret: bool) -> t.Any:
    if isinstance(value, list):
        return [_without_data(item, secret) for item in value]
    if not isinstance(value, dict):
        return value
    # What may be meant as a Secret, or as a list of them, counts too.
    secret = secret or str(value.get("kind", "")).lower().startswith("secret")
    return {
        key: _hidden(item)
        if key in ("stringData", _LAST_APPLIED) or (key == "data" and secret)
        else _without_data(item, secret)
        for key, item in value.items()
    }


def _without_given_values(value: t.Any) -> t.Any:
    if isinstance(value, list):
        return [_without_given_values(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_rules(item) if key == "keys" else item for key, item in value.items()}


def _without_rules(keys: t.Any) -> t.Any:
    """Whatever stands where a value could be meant is hidden, also where it is misplaced."""
    if not isinstance(keys, dict):
        return _HIDDEN
    return {
        name: {part: item if part in ("length", "encoding") else _hidden(item) for part, item in rule.items()}
        if isinstance(rule, dict)
        else _HIDDEN
        for name, rule in keys.items()
    }


def _hidden(value: t.Any) -> t.Any:
    return dict.fromkeys(value, _HIDDEN) if isinstance(value, dict) else _HIDDEN


def _check(document: t.Any, number: int) -> None:
    where = f"definition: object {number}"
    if not isinstance(document, dict):
        raise Failure(f"{where}: expected a Kubernetes object (a dictionary), found {type(document).__name__}.")
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str) or not document[field]:
            raise Failure(f"{where}: expected a value for {field}, found {document.get(field)!r}.")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        raise Failure(f"{where} ({document['kind']}): expected metadata.name to be a text, found none.")


def parse_generated(entries: t.Sequence[t.Mapping[str, t.Any]]) -> list[GeneratedSecret]:
    """The Secrets to make once. Raises Failure."""
    parsed = []
    for entry in entries:
        if not entry["keys"]:
            raise Failure(f"generated_secrets: {entry['name']}: expected at least one entry in keys, found none.")
        for key, rule in entry["keys"].items():
            if not isinstance(rule, dict) or not ({"value", "length"} & set(rule)):
                raise Failure(
                    f"generated_secrets: {entry['name']}: key {key}: expected 'length' (characters) or 'value', "
                    f"found {sorted(rule) if isinstance(rule, dict) else type(rule).__name__}."
                )
            if set(rule) - {"value", "length", "encoding"} or rule.get("encoding", "alnum") not in ("alnum", "base64"):
                raise Failure(
                    f"generated_secrets: {entry['name']}: key {key}: expected only 'value', or 'length' with "
                    f"'encoding' alnum or base64."
                )
            length = rule.get("length", 1)
            if "value" not in rule and (isinstance(length, bool) or not str(length).isdigit() or int(length) < 1):
                raise Failure(
                    f"generated_secrets: {entry['name']}: key {key}: expected length to be a whole number of "
                    "characters, 1 or more, found something else."
                )
        parsed.append(
            GeneratedSecret(
                name=entry["name"],
                keys={key: dict(rule) for key, rule in entry["keys"].items()},
                labels=entry.get("labels") or {},
                annotations=entry.get("annotations") or {},
                type=entry.get("type") or "Opaque",
                protects_data=bool(entry.get("protects_data")),
            )
        )
    return parsed

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Objects of one cluster as plain dictionaries: read, apply, create, delete, watch."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._connection import Connection, Query
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._cluster._kinds import (
    BUILT_IN,
    Resource,
    from_discovery,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._options import ConnectionOptions

Object = dict[str, t.Any]
# Named here, because inside the class "list" is a method.
Objects = list[Object]
Lines = list[str]

FIELD_MANAGER = "stateful.kube"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@contextlib.contextmanager
def connect(params: t.Mapping[str, t.Any], warn: t.Optional[t.Callable[[str], None]] = None) -> t.Iterator[Cluster]:
    """Open the cluster that the connection options in ``params`` name."""
    with contextlib.closing(Connection(ConnectionOptions.of(params))) as connection:
        yield Cluster(connection, warn)


class Cluster:
    """The API of one cluster. All methods raise ApiError and Unreachable."""

    def __init__(self, connection: Connection, warn: t.Optional[t.Callable[[str], None]] = None) -> None:
        self.connection = connection
        self._warn = warn
        self._discovered: dict[tuple[str, str], Resource] = {}

    @property
    def namespace(self) -> str:
        """The namespace that the context names."""
        return self.connection.namespace

    def resource(self, api_version: str, kind: str) -> Resource:
        """Where this kind lives; asks the API only for kinds that are not built in."""
        key = (api_version, kind)
        found = BUILT_IN.get(key) or self._discovered.get(key)
        if found is None:
            path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            try:
                answer = self.connection.request("GET", path)
            except ApiError as error:
                if not error.not_found:
                    raise
                answer = {}
            found = self._discovered[key] = from_discovery(api_version, kind, answer)
        return found

    def get(self, api_version: str, kind: str, name: str, namespace: t.Optional[str] = None) -> t.Optional[Object]:
        """One object, or None where there is none."""
        try:
            return self.connection.request("GET", self.resource(api_version, kind).path(namespace, name))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def list(
        self, api_version: str, kind: str, namespace: t.Optional[str] = None, labels: str = "", fields: str = ""
    ) -> Objects:
        """Objects of one kind; ``labels`` and ``fields`` are selectors. apiVersion and kind are filled in."""
        query = [(name, value) for name, value in (("labelSelector", labels), ("fieldSelector", fields)) if value]
        answer = self.connection.request("GET", self.resource(api_version, kind).path(namespace), query)
        return [{**item, "apiVersion": api_version, "kind": kind} for item in answer.get("items") or []]

    def apply(
        self, declared: Object, manager: str = FIELD_MANAGER, force: bool = False, dry_run: bool = False
    ) -> Object:
        """Server-side apply with strict field validation: the same call creates and changes."""
        resource = self.resource(declared["apiVersion"], declared["kind"])
        metadata = declared["metadata"]
        query: list[tuple[str, t.Union[str, bool]]] = [
            ("fieldManager", manager),
            ("fieldValidation", "Strict"),
            ("force", force),
        ]
        if dry_run:
            query.append(("dryRun", "All"))
        return self.connection.request(
            "PATCH",
            resource.path(metadata.get("namespace"), metadata["name"]),
            query,
            declared,
            APPLY,
            repeatable=True,
            warn=self._warn,
        )

    def create(self, declared: Object, dry_run: bool = False) -> Object:
        """Create, and fail with a conflict where the object exists."""
        resource = self.resource(declared["apiVersion"], declared["kind"])
        query = [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]
        if dry_run:
            query.append(("dryRun", "All"))
        return self.connection.request(
            "POST", resource.path(declared["metadata"].get("namespace")), query, declared, warn=self._warn
        )

    def replace(self, wanted: Object) -> Object:
        """Write the whole object. With the resourceVersion in its metadata this is a compare-and-set."""
        metadata = wanted["metadata"]
        path = self.resource(wanted["apiVersion"], wanted["kind"]).path(metadata.get("namespace"), metadata["name"])
        query = [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]
        return self.connection.request("PUT", path, query, wanted)

    def merge(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: t.Optional[str],
        patch: Object,
        dry_run: bool = False,
        manager: str = FIELD_MANAGER,
    ) -> Object:
        """JSON merge patch. Put a resourceVersion into its metadata to make it a compare-and-set."""
        query = [("fieldManager", manager), ("fieldValidation", "Strict")]
        if dry_run:
            query.append(("dryRun", "All"))
        path = self.resource(api_version, kind).path(namespace, name)
        return self.connection.request("PATCH", path, query, patch, MERGE)

    def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: t.Optional[str] = None,
        propagation: str = "Background",
        uid: t.Optional[str] = None,
        version: t.Optional[str] = None,
        grace: t.Optional[int] = None,
    ) -> bool:
        """Delete one object; False where it was gone already.

        With ``uid`` only that very object is deleted, with ``version`` only as it was read. A pod has ``grace`` seconds
        to stop, or those that it declares itself.
        """
        body: Object = {"propagationPolicy": propagation}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        conditions = {name: value for name, value in (("uid", uid), ("resourceVersion", version)) if value}
        if conditions:
            body["preconditions"] = conditions
        try:
            self.connection.request("DELETE", self.resource(api_version, kind).path(namespace, name), body=body)
        except ApiError as error:
            if error.not_found:
                return False
            raise
        return True

    def log_tail(self, namespace: str, pod: str, container: str, previous: bool = False, lines: int = 3) -> Lines:
        """The last lines that a container wrote; empty where there is no log."""
        path = f"{self.resource('v1', 'Pod').path(namespace, pod)}/log"
        query: Query = [("container", container), ("tailLines", lines), ("previous", previous)]
        try:
            text = self.connection.text(path, query)
        except (ApiError, Unreachable):
            return []
        # The kubelet says this where the log should be when the container is gone already.
        return [
            line
            for line in text.splitlines()
            if line.strip() and not line.startswith("unable to retrieve container logs")
        ]


def list_if_allowed(
    cluster: Cluster, api_version: str, kind: str, namespace: t.Optional[str] = None
) -> t.Optional[Objects]:
    """All objects of a kind, or None for an account that may not see them, as one that is confined to its namespace."""
    try:
        return cluster.list(api_version, kind, namespace)
    except ApiError as error:
        if error.forbidden:
            return None
        raise


class Changes:
    """Wakes up whoever waits when an object of the watched collections changes.

    It carries no state: the waiter looks at the cluster again, so a lost event costs a moment and nothing else.
    """

    def __init__(self, cluster: Cluster, collections: t.Iterable[tuple[str, str, t.Optional[str], str]]) -> None:
        """``collections``: (apiVersion, kind, namespace, label selector)."""
        self._cluster = cluster
        self._event = threading.Event()
        self._closed = threading.Event()
        for api_version, kind, namespace, labels in collections:
            path = cluster.resource(api_version, kind).path(namespace)
            threading.Thread(target=self._follow, args=(path, labels), daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Return as soon as something changed, or after ``seconds``."""
        changed = self._event.wait(seconds)
        self._event.clear()
        return changed

    def close(self) -> None:
        self._closed.set()

    def _follow(self, path: str, labels: str) -> None:
        query = [("labelSelector", labels)] if labels else []
        while not self._closed.is_set():
            try:
                answer = self._cluster.connection.request("GET", path, [*query, ("limit", 1)], repeatable=False)
                version = answer["metadata"]["resourceVersion"]
                begun = time.monotonic()
                for _event in self._cluster.connection.watch(path, [*query, ("resourceVersion", version)], 60):
                    self._event.set()
                if time.monotonic() - begun < 1:
                    time.sleep(1)  # something on the way cuts watches short
            except (ApiError, Unreachable):
                # Without the right to watch, or while the server is away, the waiter looks by the clock.
                time.sleep(1)

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is wanted of replicated MySQL or MariaDB: read from the task's options and checked before any I/O."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

# The ordinal gives the server_id, and there is a Service for reading that leads to all of them.
MOST_MEMBERS = 100


@dataclasses.dataclass(frozen=True)
class Target:
    """Which application is meant."""

    name: str
    namespace: str
    service: str = ""
    cluster_domain: str = "cluster.local"
    port: int = 3306
    root_secret: str = ""
    replication_secret: str = ""

    def pod(self, ordinal: int) -> str:
        return f"{self.name}-{ordinal}"

    def host(self, ordinal: int) -> str:
        """The stable name of a server: the only name that others ever replicate from."""
        return f"{self.pod(ordinal)}.{self.service or self.name}.{self.namespace}.svc.{self.cluster_domain}"

    def ordinal(self, pod: str) -> t.Optional[int]:
        found = re.fullmatch(rf"{re.escape(self.name)}-(0|[1-9]\d*)", pod)
        return int(found.group(1)) if found else None

    @property
    def record(self) -> str:
        """The ConfigMap that says who may write."""
        return f"{self.name}-record"

    @property
    def primary_service(self) -> str:
        return f"{self.name}-primary"

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any], namespace: str) -> Target:
        name = params["name"]
        if not 0 < params["port"] < 65536:
            raise Failure(f"port: expected 1 to 65535, found {params['port']}.")
        return cls(
            name=name,
            namespace=params["namespace"] or namespace,
            service=params["service"] or "",
            cluster_domain=params["cluster_domain"].strip("."),
            port=params["port"],
            root_secret=params["root_secret"] or f"{name}-root",
            replication_secret=params["replication_secret"] or f"{name}-replication",
        )


@dataclasses.dataclass(frozen=True)
class Desired:
    """The declared application."""

    members: int
    #: seconds that a replica may be behind before another one, or the primary, is taken away
    lag_limit: float = 10.0
    #: whether pods of an older revision of the StatefulSet are replaced
    replace_pods: bool = True
    #: whether the StatefulSet is about to get another template, which check mode does not see on it
    template_changes: bool = False
    #: whether there are to be so many, or it is only what is there
    scale: bool = True
    #: pods that may take a new copy in place of their data, where they cannot go on with it
    copies: tuple[str, ...] = ()
    #: replicas that this run has told how to log in
    attached: tuple[int, ...] = ()
    #: whether the pod of a primary that was given up had its time to go, and others may write before it is gone where
    #: it can acknowledge nothing any more
    cut_off: bool = False

    @property
    def ordinals(self) -> range:
        return range(self.members)


def desired_of(params: t.Mapping[str, t.Any], target: Target) -> Desired:
    """Read and check the declaration. Raises Failure that names the option."""
    members = params["members"]
    if not 1 <= members <= MOST_MEMBERS:
        raise Failure(f"members: expected 1 to {MOST_MEMBERS}, found {members}.")
    for pod in params["copy"] or ():
        if target.ordinal(pod) is None:
            raise Failure(
                f"copy: expected names of pods of {target.name}, such as {target.pod(1)}; found {pod}. Correct it."
            )
    return Desired(
        members=members,
        lag_limit=float(params["lag_limit"]),
        replace_pods=params["replace_pods"],
        template_changes=params["template_changes"],
        copies=tuple(params["copy"] or ()),
    )

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What was found of a replica set that somebody else made: its objects, its members, and what they run with."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import MemberConfig, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._workload._adoption import Difference, Objects


@dataclasses.dataclass(frozen=True)
class Wish:
    #: the set id, typed as the report shows it; nothing is changed without it
    accept: str = ""
    rename: bool = True
    from_helm: bool = False
    #: whoever runs it says that the sidecar does nothing any more
    sidecar_stopped: bool = False


@dataclasses.dataclass(frozen=True)
class Found:
    snapshot: Snapshot
    objects: Objects = dataclasses.field(default_factory=Objects)
    #: what the mongod of each pod does about logins; empty where it did not tell
    authentication: t.Mapping[int, str] = dataclasses.field(default_factory=dict)
    #: a container that changes the configuration of the set by itself
    sidecar: str = ""
    #: where the data is, where the role could not declare it there
    elsewhere: str = ""
    #: variables of the role that declare what there is
    variables: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    differences: tuple[Difference, ...] = ()

    @property
    def set_ids(self) -> tuple[str, ...]:
        return tuple(sorted({answer.set_id for answer in self.snapshot.answers.values() if answer.set_id}))

    def pod_of(self, member: MemberConfig) -> t.Optional[int]:
        """The pod whose own mongod finds itself under this name, whatever the name is."""
        found = (o for o, answer in self.snapshot.answers.items() if answer.me == member.host)
        return next(found, None)

    def misnamed(self, target: Target) -> list[tuple[int, MemberConfig, str]]:
        """Members that are in the configuration under another name than the stable one, and that one."""
        config = self.snapshot.config
        wrong = []
        for member in config.members if config else ():
            ordinal = self.pod_of(member)
            if ordinal is not None and member.host != target.host(ordinal, self.snapshot):
                wrong.append((ordinal, member, target.host(ordinal, self.snapshot)))
        return wrong

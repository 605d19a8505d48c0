# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the harness has to know of an application: all that a new one has to bring, besides its scenarios."""

from __future__ import annotations

import abc
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from harness.writer import Session


class Application(abc.ABC):
    """One deployment of it, in a namespace."""

    #: the name of its playbook, and of its part in the results
    kind: t.ClassVar[str]
    #: commands that change something when they pass through a tunnel; the first group is the command's name
    commands: t.ClassVar[re.Pattern[bytes]]

    def __init__(self, api: Cluster, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    @abc.abstractmethod
    def variables(self) -> dict[str, t.Any]:
        """The variables of the playbook."""

    @abc.abstractmethod
    def connect(self) -> Session:
        """Connect to whoever takes writes now. Raises NotWritten when nobody does."""

    @abc.abstractmethod
    def present(self) -> set[int]:
        """The numbers that are there for good, by the word of whoever takes writes."""

    @abc.abstractmethod
    def counts(self) -> dict[str, int]:
        """How many numbers each member holds by its own word."""

    @abc.abstractmethod
    def identities(self) -> dict[str, str]:
        """Which cluster or set each member believes to be in, and the one that is recorded, if one is."""

    @abc.abstractmethod
    def end_state(self) -> t.Any:
        """What a finished run leaves, without anything that differs from one deployment to the next."""

# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Another key file for the members of a replica set: looks at them and at its Secret, and takes the steps."""

from __future__ import annotations

import base64
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._secret import annotation, decoded, encoded, merge
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._generated import random_text
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _keyfile_plan as planner
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._act import act, patch_stateful_set
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._asking import Conversation
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._keyfile_plan import Keys, Seen, keys_in, text_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import KEYFILE, Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import ROTATION, ROTATION_NEXT

# Keys in the Secret, and what MongoDB allows of a key: 6 to 1024 characters of base64.
FILE, FOLLOWING = "keyfile", "keyfile-next"
LENGTH = 756
_OWN = (planner.BEGIN, planner.TURN, planner.LEAVE, planner.COMPLETE)


class Keyfile(Conversation[Seen]):
    def __init__(
        self,
        observer: Observer,
        secret: str,
        rotation: str,
        lag_limit: float,
        wait_timeout: float,
        conceal: t.Callable[[t.Iterable[str]], None],
    ) -> None:
        super().__init__(observer, wait_timeout)
        self._name = secret
        self._rotation = rotation
        self._lag_limit = lag_limit
        self._conceal = conceal
        self._secret: t.Optional[Object] = None

    def observe(self) -> Seen:
        target = self._target
        self._secret = self._observer.cluster.get("v1", "Secret", self._name, target.namespace)
        keys = self._keys(self._secret) if self._secret else None
        at_rest = keys is not None and not keys.following and self._rotation in ("", keys.rotation)
        # Where nothing is to be done nobody need be asked.
        found = self._observer.objects() if at_rest else self._observer.observe()
        return Seen(found, f"{target.namespace}/{self._name}", keys)

    def _keys(self, secret: Object) -> Keys:
        where = f"The Secret {self._target.namespace}/{self._name}"
        try:
            used, following = keys_in(decoded(secret, FILE) or ""), decoded(secret, FOLLOWING) or ""
        except ValueError as exc:
            raise Failure(f"{where} has a key file that is not text in UTF-8. Correct the Secret.") from exc
        if not used:
            raise Failure(f"{where} has no key file under {FILE}. Restore it from your backup, or from a running pod.")
        self._conceal(key for key in (*used, following) if key)
        return Keys(used, following, annotation(secret, ROTATION))

    def plan(self, observed: Seen) -> t.Union[Plan, Refusal]:
        return planner.plan(self._target, self._rotation, self._lag_limit, observed)

    def act(self, steps: t.Sequence[Step], observed: Seen) -> None:
        for step in steps:
            if step.action in _OWN:
                self._write(step, observed)
            elif step.action == planner.MARK:
                self._mark(step, observed)
            else:
                act(self._observer, step, observed.snapshot)
        self.acted()

    def _write(self, step: Step, observed: Seen) -> None:
        secret, keys = self._secret, observed.keys
        if secret is None or keys is None:
            raise NotYet(f"the Secret {observed.secret} is gone")
        metadata: Object = {key: secret["metadata"][key] for key in ("uid", "resourceVersion")}
        data: dict[str, t.Optional[str]] = {}
        if step.action == planner.COMPLETE:
            data[FOLLOWING] = None
            metadata["annotations"] = {
                ROTATION: annotation(secret, ROTATION_NEXT) or keys.rotation or None,
                ROTATION_NEXT: None,
            }
        else:
            following = keys.following or random_text(LENGTH, "+/")
            self._conceal((following,))
            if step.action == planner.BEGIN:
                data[FOLLOWING] = encoded(following)
                metadata["annotations"] = {ROTATION_NEXT: self._rotation or None}
            used = planner.after(step.action, Keys(keys.used, following))
            data[FILE] = base64.b64encode(text_of(used).encode()).decode()
        merge(self._observer.cluster, secret, {"metadata": metadata, "data": data})

    def _mark(self, step: Step, observed: Seen) -> None:
        """Another template, and nothing in it that whoever declares it would take away or run into."""
        found, keys, target = observed.snapshot.stateful_set, observed.keys, self._target
        if found is None or keys is None:
            raise NotYet(f"the StatefulSet {target.name} is gone")
        patch = {
            "metadata": {"uid": found.uid, "resourceVersion": found.resource_version},
            "spec": {"template": {"metadata": {"annotations": {KEYFILE: keys.mark}}}},
        }
        patch_stateful_set(self._observer, step, patch)

    def facts(self, observed: Seen) -> dict[str, t.Any]:
        keys = observed.keys
        return {
            "secret": self._name,
            "keys": len(keys.used) if keys else 0,
            "pending": bool(keys and keys.following),
            "rotation": (keys.rotation or None) if keys else None,
        }

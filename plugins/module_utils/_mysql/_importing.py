# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What other operations do with an application whose data is being imported: nothing. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal


def leave_alone(view: View) -> t.Union[Plan, Refusal]:
    """Its one server replicates from somebody else, and takes no writes: no plan may end that, or copy it."""
    name, source = view.target.name, view.record.importing
    if view.desired.members > 1:
        return Refusal(
            f"The data of {source} is being imported into {name}, and until that is over {name} has one server. "
            "No server was changed.",
            view.evidence(),
            (
                "finish the import (playbook stateful.kube.mysql_import with cut_over), and run this again",
                "give it up (the same with import_state=absent)",
                "declare one member (members, in the role mysql_members)",
            ),
        )
    said = f"The data of {source} is being imported into {name}: {name} takes no writes until the cut-over."
    newest = view.seen.stateful_set.revision if view.seen.stateful_set else ""
    old = [pod.name for pod in view.seen.pods.values() if (pod.revision or newest) != newest]
    if view.desired.template_changes or old:
        said += " Its pod is replaced by the first run after that."
    return Plan((), (said,))

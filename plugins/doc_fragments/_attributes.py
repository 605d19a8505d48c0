# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What every module that changes something promises to Ansible."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and show what would be done, from the real state, without doing it.
    support: full
  diff_mode:
    description: Returns details on what has changed, or would change in check mode.
    support: full
  idempotent:
    description: When run twice with the same options, the second run changes nothing.
    support: full
  action_group:
    description: Use C(group/stateful.kube.all) in C(module_defaults) to set the connection options of all modules.
    support: full
    membership:
      - stateful.kube.all
  in_process:
    description:
      - On the controller, with a local connection, without become and async, the work is done inside the
        C(ansible-playbook) process, which saves the start of a module and lets long waits show progress.
        Set the variable C(stateful_kube_in_process) to V(false) to switch that off.
    support: full
requirements:
  - kubernetes >= 29.0.0
"""

    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    description: This module does not change anything, so it does the same in check mode.
    support: full
  diff_mode:
    description: This module does not change anything.
    support: N/A
  idempotent:
    description: This module does not change anything.
    support: full
  action_group:
    description: Use C(group/stateful.kube.all) in C(module_defaults) to set the connection options of all modules.
    support: full
    membership:
      - stateful.kube.all
  in_process:
    description:
      - On the controller, with a local connection, without become and async, the work is done inside the
        C(ansible-playbook) process. Set the variable C(stateful_kube_in_process) to V(false) to switch that off.
    support: full
requirements:
  - kubernetes >= 29.0.0
"""

    HOST_MODULE = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and show what would be done, from the real state, without doing it.
    support: full
  diff_mode:
    description: Returns details on what has changed, or would change in check mode.
    support: full
  idempotent:
    description: When run twice with the same options, the second run changes nothing.
    support: full
  in_process:
    description:
      - This module changes the host that it runs on, so it always runs there as a module. It needs no Kubernetes, no
        library for it, and no connection options.
    support: none
"""

# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Small virtual machines to run roles for hosts on: see docs/vm.md."""

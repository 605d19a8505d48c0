# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Enforces NetworkPolicies on one node of the lab: see docs/lab.md for what of them."""

# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""A real Kubernetes on one machine, made from package registries alone."""

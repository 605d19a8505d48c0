# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Name another interpreter with `make PYTHON=/path/to/python3 …`; without it tools/setup takes the newest that answers.
export PYTHON

# Checks see the collection of this clone and no other, and no cluster.
BIN := $(CURDIR)/.venv/bin
COLLECTIONS := $(CURDIR)/build/collections
# ansible-lint installs the collection that it checks: not into the home folder, where playbooks would find it later.
CHECK := env -u KUBECONFIG PATH="$(BIN):$$PATH" ANSIBLE_COLLECTIONS_PATH=$(COLLECTIONS) ANSIBLE_LOCALHOST_WARNING=0 \
	ANSIBLE_HOME=$(CURDIR)/build/ansible-home
LAB := .venv/bin/python tests/lab/lab
VM := .venv/bin/python tests/vm/vm

.PHONY: help
help: ## Show this
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { gsub(/\$$\$$/, "$$", $$2); printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ The two commands
.PHONY: demo test
demo: setup ## A MongoDB replica set on a real cluster, and what happens when its primary dies
	@PYTHONPATH=$(COLLECTIONS) .venv/bin/python tools/demo.py

test: setup ## Every check and test, on the cluster KUBECONFIG names or else on the lab
	@.venv/bin/python tools/run.py test

##@ While working
.PHONY: setup check
setup: ## Make or refresh .venv
	@tools/setup
	@.venv/bin/python tools/tree.py

check: setup ## Everything that needs no cluster
	@.venv/bin/python tools/run.py check

.PHONY: lint ansible-lint ruff mypy docs changelog sanity unit lab-check faults-check
lint: ansible-lint ruff mypy docs changelog ## ansible-lint, ruff, mypy, documentation, changelog

ansible-lint: setup
	@$(CHECK) ansible-lint --offline --strict --nocolor

PYTHON_FOLDERS := plugins tools tests/unit tests/integration tests/bench tests/faults tests/lab tests/nodes tests/vm
ruff: setup
	@$(CHECK) ruff check --quiet --output-format=concise $(PYTHON_FOLDERS)
	@$(CHECK) ruff format --quiet --check --diff $(PYTHON_FOLDERS)

mypy: setup
	@cd $(COLLECTIONS) && $(CHECK) mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p ansible_collections.stateful.kube.plugins
	@MYPYPATH=tools:$(COLLECTIONS) $(CHECK) mypy tools
	@MYPYPATH=tests/lab $(CHECK) mypy -p lab -p enforcer
	@MYPYPATH=tests/lab:tests/vm $(CHECK) mypy -p vm
	@MYPYPATH=tests/nodes:$(COLLECTIONS) $(CHECK) mypy tests/nodes
	@MYPYPATH=tests/faults:tools:$(COLLECTIONS) $(CHECK) mypy tests/faults
	@MYPYPATH=tests/bench:tools:$(COLLECTIONS) $(CHECK) mypy tests/bench

docs: setup
	@$(CHECK) antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self --disallow-unknown-collection-refs .

changelog: setup
	@$(CHECK) antsibull-changelog lint

sanity: setup ## ansible-test sanity
	@.venv/bin/python tools/sanity.py $(ARGS)

unit: setup ## Unit and property tests (ARGS="-k planner" to choose)
	@$(CHECK) pytest tests/unit $(ARGS)

.PHONY: simulate
simulate: setup ## 10,000 histories of MongoDB and MySQL each against their planners (HISTORIES=n for another number)
	@STATEFUL_KUBE_HISTORIES=$(or $(HISTORIES),10000) $(CHECK) pytest tests/unit/plugins/module_utils/mongodb/test_plan_random.py tests/unit/plugins/module_utils/mysql/test_plan_random.py -k whatever_happens $(ARGS)

lab-check: setup ## The lab's own tests, and those of the virtual machines
	@$(CHECK) pytest -o pythonpath="tests/lab tests/vm" tests/lab/tests tests/vm/tests $(ARGS)

faults-check: setup ## The fault harness's own tests
	@$(CHECK) pytest -o pythonpath="tests/faults tools build/collections" tests/faults/tests $(ARGS)

##@ With a cluster: the one KUBECONFIG names, or the lab
.PHONY: integration molecule nodes faults faults-short
integration: setup ## ansible-test integration on a cluster (ARGS=manifests to choose)
	@.venv/bin/python tools/integration.py $(ARGS)

molecule: setup ## Each role as a user runs it (ARGS=default to choose)
	@.venv/bin/python tools/scenarios.py $(ARGS)

nodes: setup ## Spread, drain, partition, policy on the lab with three nodes (ARGS="-k policy" to choose)
	@.venv/bin/python tools/nodes.py $(ARGS)

faults: setup ## Faults, a continuous writer, and what was lost (ARGS="mongodb 3" to choose)
	@PYTHONPATH=tests/faults:tools:$(COLLECTIONS) .venv/bin/python tests/faults/run.py $(ARGS)

faults-short: setup ## A few points of each fault: what make test runs
	@PYTHONPATH=tests/faults:tools:$(COLLECTIONS) .venv/bin/python tests/faults/run.py --short $(ARGS)

.PHONY: bench
bench: setup ## Side by side with kubernetes.core, community.mongodb and kubectl (ARGS=--quick)
	@PYTHONPATH=tools:$(COLLECTIONS) .venv/bin/python tests/bench/bench.py $(ARGS)

##@ The lab: a real cluster on this machine
.PHONY: lab lab-down lab-clean lab-env
lab: setup ## Bring it up (LAB_NODES=3 for three nodes); builds it first when it was never built
	@tools/setup lab
	@$(LAB) up

lab-down: setup ## Stop it; what was built stays
	@$(LAB) down

lab-clean: setup ## Take away every trace of it, virtual machines included
	@$(VM) clean
	@$(LAB) clean

lab-env: setup ## Print `export` lines: eval "$$(make -s lab-env)"
	@.venv/bin/python tools/cluster.py

##@ Tidying up
.PHONY: clean
clean: ## Remove .venv, build and caches; the lab stays
	@rm -rf .venv build .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/output

# What a bare machine needs: Python 3.11 or newer with venv, make, and a package registry for pip.
#
#   make demo        the guided main job, with the built wheel in an environment of its own
#   make test        lint, types, layers; then every test against the built wheel
#   make help        the rest
#
# The stamps live inside the environment that they tell of, so a second run is quick, a changed
# source rebuilds the wheel, and removing the environment starts afresh.  Two people in one checkout
# take two of them: `make test VENV=/tmp/mine`.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?= -n 2
AZ ?= az

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help
# A PYTHONPATH would let the tests import the tree.
unexport PYTHONPATH

BIN := $(abspath $(VENV))/bin
DIST := $(VENV)/dist
PACKAGES := eventstore projections vault server cli
# Folders stand here beside their files, so that a removed module rebuilds the wheel too.
SOURCES := pyproject.toml README.md LICENSE \
	$(shell find $(PACKAGES) -not -path '*/__pycache__*' -not -name '.*')
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -qq

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 20

.PHONY: demo
demo: $(VENV)/.wheel $(VENV)/.demo ## the guided main job on real input, under a minute
	@$(BIN)/muniment demo

.PHONY: test
test: lint pytest ## all checks, then all tests against the built wheel

.PHONY: pytest
pytest: $(VENV)/.dev $(VENV)/.wheel ## the tests alone, e.g. make pytest PYTEST_ARGS='-k purge'
	$(BIN)/pytest $(PYTEST_ARGS)

.PHONY: clients
clients: $(VENV)/.clients ## the Node and the old Python client, and Azurite, for the tests

.PHONY: conformance-az
conformance-az: $(VENV)/.dev $(VENV)/.wheel ## the Azure CLI against the service; AZ=... names it
	MUNIMENT_AZ="$(AZ)" $(BIN)/pytest -n 0 tests/conformance/clients/test_azure_cli.py

.PHONY: lint
lint: $(VENV)/.dev ## style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: check-fast
check-fast: lint ## the same as lint

.PHONY: format
format: $(VENV)/.dev ## mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: test-pythons
test-pythons: $(VENV)/.wheel ## all but crashes, attacks and clients, on every other supported Python here
	@.ci/pythons $(BIN)/python | while read -r version python; do \
		$(MAKE) --no-print-directory test-python PYTHON="$$python" VENV=$(VENV)-$$version \
			WHEELS=$(DIST) </dev/null; \
	done

.PHONY: test-python
test-python: $(VENV)/.dev
	@echo "== $$($(BIN)/python --version)"
	@$(INSTALL) --force-reinstall --no-deps $(WHEELS)/muniment-*.whl
	$(BIN)/pytest $(PYTEST_ARGS) -m 'not crash and not clients' --ignore=tests/service

.PHONY: bench
bench: $(VENV)/.wheel ## every benchmark, one after the other
	@for file in benchmarks/[!_]*.py; do \
		if [ -e "$$file" ]; then echo "== $$file"; $(BIN)/python "$$file"; fi; \
	done

.PHONY: dist
dist: $(VENV)/.wheel ## the source archive and the wheel
	@ls $(DIST)/muniment-*

.PHONY: lock
lock: $(VENV)-lock/.uv ## pin the newest dependencies anew, with the hashes of every file of each
	requirements/lock $(abspath $(VENV))-lock/bin/uv

.PHONY: clean
clean: ## remove what make made
	rm -rf $(VENV) $(VENV)-lock $(VENV)-3.1[0-9]
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11: name a newer one, make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' \
		|| { echo "$(PYTHON) lacks venv: on Debian, apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.run: requirements/run.txt requirements/build.txt $(VENV)/.made
	@echo "installing the dependencies, each file checked by its hash"
	@$(INSTALL) --require-hashes -r requirements/run.txt -r requirements/build.txt
	@touch $@

# A program that is not ours, to judge what the demo proves.
$(VENV)/.demo: requirements/demo.txt $(VENV)/.run
	@$(INSTALL) --require-hashes -r requirements/demo.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "installing the test tools, each file checked by its hash"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

# In an environment of its own: its libraries are older than ours.  Node comes as a wheel, so that it
# is the same everywhere.  Azurite has a tree of its own: it is no client, and larger than all of them.
CLIENTS := $(abspath $(VENV))/clients
$(VENV)/.clients: requirements/other-clients.txt $(wildcard tests/conformance/clients/node/*.json) \
		$(wildcard tests/conformance/clients/azurite/*.json) $(VENV)/.made
	@echo "installing the other clients, each file checked by its hash"
	@$(PYTHON) -m venv --clear $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip install --disable-pip-version-check -qq --require-hashes \
		-r requirements/other-clients.txt
	@cp tests/conformance/clients/node/*.json $(CLIENTS)
	@cd $(CLIENTS) && PATH="$(CLIENTS)/bin:$$PATH" npm ci --ignore-scripts --no-audit --no-fund \
		--loglevel=error
	@mkdir $(CLIENTS)/azurite && cp tests/conformance/clients/azurite/*.json $(CLIENTS)/azurite
	@cd $(CLIENTS)/azurite && PATH="$(CLIENTS)/bin:$$PATH" npm ci --ignore-scripts --no-audit \
		--no-fund --loglevel=error
	@touch $@

# The wheel is built from the source archive: what that one lacks, the tests miss at once.
$(VENV)/.wheel: $(SOURCES) $(VENV)/.run
	@echo "building and installing the wheel"
	@rm -rf $(DIST)
	@$(BIN)/python -m build --no-isolation --outdir $(DIST) . >$(VENV)/build.log 2>&1 \
		|| { cat $(VENV)/build.log >&2; exit 1; }
	@$(INSTALL) --force-reinstall --no-deps $(DIST)/muniment-*.whl
	@touch $@

$(VENV)-lock/.uv:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install -qq uv
	@touch $@

# Everything one does with this project; `make` alone prints the menu.
#   make PYTHON=python3.12 …       another Python for the virtual environment
#   make test PYTEST_ARGS="-n 0 -x"  other arguments for pytest: one process, up to the first failure
PYTHON ?= python3
# Four processes on two cores, since much of a test is waiting; a file's tests stay together, each process has its servers.
PYTEST_ARGS ?= -n 4 --dist loadfile
BIN := .venv/bin

# What is installed is what these stamps say. Each is named after the content of the files it was made from, so nothing
# is installed twice and nothing is forgotten; the development stamp stands for both.
RUNTIME := .venv/.runtime-$(shell cat requirements.lock pyproject.toml | cksum | tr ' ' '-')
DEVELOPMENT := .venv/.development-$(shell cat requirements-dev.lock pyproject.toml | cksum | tr ' ' '-')

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
INSTALL_PROJECT := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .

# Where an environment forbids bytecode, each of the many processes here would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo up test contract-live lint chaos bench bench-aggregations lock clean

help: ## print this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(RUNTIME) ## install what is needed to run, once
	@echo "ready: $(BIN)/nestcms-workers --help"

demo: $(RUNTIME) ## start everything, take payments from enqueue to paid, show each step, stop everything
	@$(BIN)/nestcms-workers demo

up: $(RUNTIME) ## run the whole stack in the foreground, sandbox and Flower included, until Ctrl-C
	@$(BIN)/nestcms-workers up

test: $(DEVELOPMENT) ## run every test against real servers
	@env -u PAYTABS_LIVE_PROFILE $(BIN)/python -m pytest $(PYTEST_ARGS)

contract-live: $(DEVELOPMENT) ## run the client's contract tests against a real PayTabs test profile, never in CI
	@for name in PAYTABS_LIVE_PROFILE PAYTABS_LIVE_SERVERK PAYTABS_LIVE_REGION; do \
		printenv $$name >/dev/null || { echo "$$name is unset: these tests need a PayTabs test profile" >&2; exit 1; }; \
	done
	@$(BIN)/python -m pytest tests/contract/live

chaos: $(DEVELOPMENT) ## run only the tests that kill and freeze what the system runs on
	@$(BIN)/python -m pytest tests/chaos
	@set -e; for script in tests/chaos/full_*.py; do echo "$$script"; $(BIN)/python "$$script"; done

bench: $(DEVELOPMENT) ## measure, and write the figures to bench/results
	@set -e; for script in bench/*.py; do echo "$$script"; $(BIN)/python "$$script"; done

bench-aggregations: $(DEVELOPMENT) ## measure the heavy reads alone, beside the CMS's pipelines of today, at scale 1
	@$(BIN)/python bench/aggregations.py

lint: $(DEVELOPMENT) ## check style, types, import directions, the compose file and the lock files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases tests bench
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@! grep -nE '^ *(-i|-f|--[a-z-]*(index|find-links|trusted-host))|://' requirements.lock requirements-dev.lock \
		|| { echo "a lock file names a host: it must hold packages and hashes only" >&2; exit 1; }

# The lock files name no host, so that they install from whatever index a machine is set to. Setuptools comes with both:
# the project itself is installed with what is there, without a build environment of its own.
LOCK := echo 'setuptools>=80' | uv pip compile pyproject.toml - --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --quiet
lock: ## pin the newest allowed versions with their hashes; needs uv
	@command -v uv >/dev/null || { echo "uv is missing: install it with 'pipx install uv' or 'pip install uv'" >&2; exit 1; }
	@$(LOCK) --upgrade --extra local --output-file requirements.lock
	@$(LOCK) --upgrade --extra local --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove what can be made again: the virtual environment, caches, the embedded servers' and the sandbox's data
	rm -rf .venv .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null \
		|| { echo "$(PYTHON) is not on this machine: name a Python 3.11 or later, as in 'make PYTHON=python3.11'" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is too old: name a Python 3.11 or later, as in 'make PYTHON=python3.11'" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) has no venv module: on Debian, 'apt-get install python3-venv'" >&2; exit 1; }
	@echo "making .venv"
	@"$(PYTHON)" -m venv .venv

$(RUNTIME): | $(BIN)/python
	@if [ ! -e $(DEVELOPMENT) ]; then \
		echo "installing what is needed to run (once, a minute or two)"; \
		$(INSTALL) -r requirements.lock && $(INSTALL_PROJECT); \
	fi
	@touch $@

$(DEVELOPMENT): | $(BIN)/python
	@echo "installing what is needed to develop (once, a minute or two)"
	@$(INSTALL) -r requirements-dev.lock
	@$(INSTALL_PROJECT)
	@touch $@

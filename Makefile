# Short names for what the README says. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
# compiled tests are kept: to rewrite their assertions anew takes each process 15 seconds
KEEP := env -u PYTHONDONTWRITEBYTECODE
PYTEST := $(KEEP) $(BIN)/python -m pytest

.PHONY: help setup demo test test-fast devnet check coverage format

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/.runtime: pyproject.toml tests/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint tests/constraints.txt --editable ".[all]"
	@touch $@

.venv/.dev: .venv/.runtime
	$(BIN)/python -m pip install --quiet --constraint tests/constraints.txt --group dev
	@touch $@

setup: .venv/.runtime ## create .venv with the command .venv/bin/defi-risk

demo: .venv/.runtime ## a scan of recorded answers: no node, no key, no network
	@$(BIN)/defi-risk demo

test: .venv/.dev ## every test, the local chains with real contracts included
	$(BIN)/python -m tests.localchain setup
	$(BIN)/python -m tests.judge setup
	$(PYTEST) -n 2 -m "not load"

test-fast: .venv/.dev ## the tests that need no node: about two minutes
	$(PYTEST) -n 2

devnet: .venv/.dev ## real contracts and seeded wallets on a local node, with a book to scan them; Ctrl-C ends it
	$(BIN)/python -m tests.localchain setup
	$(BIN)/python -m tests.localchain devnet

check: .venv/.dev ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

format: .venv/.dev ## rewrite files as `check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

coverage: .venv/.dev ## branch coverage of the modules that compute, which must be 95 %
	$(KEEP) $(BIN)/python -m coverage run -m pytest -q tests/unit tests/adapters
	$(KEEP) $(BIN)/python -m coverage run --append -m pytest -q -m "not load" tests/property tests/exchanges
	$(BIN)/python -m coverage report --fail-under=95 \
	    --include="defi_risk/units.py,defi_risk/pricing.py,defi_risk/abi.py,defi_risk/health/*,defi_risk/flags/*,adapters/defi_risk_adapters/*"

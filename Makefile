# Two commands are all: `make demo` to see it, `make test` to prove it. Everything else is in `make help`.

SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo run install test crash lint bench docs clean

help: ## Show this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## Simulated sensors in a browser; prints the URL. ARGS="--port 8081 --devices 20"
	@$(BIN)/sensor-gateway demo $(ARGS)

run: $(VENV)/installed ## The gateway for your own sensors. ARGS="--broker mqtt://localhost:1883"
	@$(BIN)/sensor-gateway run $(ARGS)

test: $(VENV)/installed-test ## The whole suite, with everything it needs installed first.
	@tests/needs.sh
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet . && $(BIN)/mypy
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(VENV)/installed-test ## Check style and types only.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

crash: $(VENV)/installed-test ## The fault laboratory: takes long. ARGS="--rounds 200 --seed 1"
	@tests/needs.sh
	@$(BIN)/python -m pytest -q tests/crash
	@$(BIN)/python -m tests.crash $(ARGS)

bench: $(VENV)/installed-test ## Measure; prints a table. ARGS="soak --minutes 10"
	@tests/needs.sh bench
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,bench]'
	@$(BIN)/python -m tests.bench $(ARGS)

docs: $(VENV)/installed-test ## Write the generated parts of docs/ and config.toml anew.
	@$(BIN)/python docs/generate.py

install: $(VENV)/installed ## Only make the environment, in .venv.

$(VENV)/python:
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed, and none was found."; exit 1; fi
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Raspberry Pi OS: sudo apt install python3-venv"; rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/installed: $(VENV)/python pyproject.toml web/build.py
	@echo "Installing into $(VENV); this happens once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/python pyproject.toml web/build.py
	@echo "Installing into $(VENV), with what the tests need; this happens once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/installed

clean: ## Remove what was built.
	rm -rf $(VENV) build dist web/vendor .pytest_cache .mypy_cache .ruff_cache

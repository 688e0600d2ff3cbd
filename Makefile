# Two commands matter: make demo, make test. Both prepare everything they need in .venv.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench chaos soak clean

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.ready

help: ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

CONSOLE := console/static/vendor/LICENSES.txt

setup: $(STAMP) ## make .venv and fetch what demo, test, check and the page need
	@$(BIN)/python scripts/setup_console.py

$(CONSOLE): $(STAMP) package-lock.json scripts/build_console.mjs
	@$(BIN)/python scripts/setup_console.py

$(STAMP): pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "Vedette needs Python 3.11 or newer, and found none on PATH."; exit 1; }
	@echo "Preparing .venv with $(PYTHON) (a minute the first time) ..."
	@test -x $(BIN)/python && $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| $(PYTHON) -m venv --clear .venv \
		|| { echo "$(PYTHON) cannot make environments (on Debian: the package python3-venv)."; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==0.13.9 \
		&& VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv sync -q --frozen --inexact --system-certs \
		|| { echo "uv could not install from the lock; pip does it from pyproject.toml ..."; \
		     $(BIN)/python -m pip install -q --upgrade 'pip>=25.1' \
		     && $(BIN)/python -m pip install -q -e . --group dev; }
	@echo "Compiling the kernels of fusion (a minute or two the first time) ..."
	@$(BIN)/python -m fusion.warm
	@touch $@

demo test bench chaos soak: | $(CONSOLE)

demo: $(STAMP) ## two nodes that share, simulated sensors, live status and pages; Ctrl-C ends it
	@$(BIN)/vedette demo

test: $(STAMP) ## all tests, against a real PostgreSQL and a real broker
	@$(BIN)/python -m pytest

check: $(STAMP) ## ruff, mypy, import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@if [ -d node_modules/typescript ] && command -v node >/dev/null; then \
		node node_modules/typescript/bin/tsc -p tsconfig.json; fi
	@$(BIN)/lint-imports

bench: $(STAMP) ## figures, as ratios side by side in one run
	@$(BIN)/python -m benchmarks all

chaos: $(STAMP) ## 1,000 kills and freezes of a node, judged from outside; ARGS="--seed 7 --faults 100 --resume"
	@$(BIN)/python -m benchmarks.chaos faults $(ARGS)

soak: $(STAMP) ## an hour of steady load: what grows; ARGS="--minutes 10"
	@$(BIN)/python -m benchmarks.chaos soak $(ARGS)

clean: ## remove what setup and the tools made
	rm -rf node_modules console/static/vendor .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

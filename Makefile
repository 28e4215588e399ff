# Needs make and Python >= 3.11, nothing else: every verb makes the environment it uses.
#
#   make run PORT=8081 DATA_DIR=.data2      a second instance beside the first
#   make test ARGS="tests/profile -k merge" a few tests

SHELL := /bin/sh
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; \
	done)
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
INSTALLED := $(VENV)/.installed
ARGS ?=

.PHONY: help run demo test differential sdks malformed chaos lint format types imports openapi bench env lock check clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(INSTALLED) ## Start everything on this machine (PORT=8080, DATA_DIR=.data); Ctrl-C stops it.
	@exec $(PY) -m infra.runner --tied

demo: $(INSTALLED) ## Tell the whole story on an instance of its own (DATA=directory with real files).
	@exec $(PY) -m infra.demo $(if $(DATA),--data "$(DATA)")

test: $(INSTALLED) ## Run the tests (ARGS= for pytest).
	@$(PY) -m pytest -n 3 --dist loadfile $(ARGS)

differential: $(INSTALLED) ## Ask random rules of memory, PostgreSQL and ClickHouse (CASES=20000).
	@WAYMARK_RULE_CASES=$(or $(CASES),20000) $(PY) -m pytest tests/rules/test_differential.py -s $(ARGS)

sdks: $(INSTALLED) tests/sdk/node_modules/.package-lock.json ## Run every client in every scenario (needs npm, chromium).
	@SDK_MATRIX=full $(PY) -m pytest -n 3 --dist loadfile tests/sdk $(ARGS)

lint: $(INSTALLED) ## Check style and format.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(INSTALLED) ## Format the code and fix what can be fixed.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: $(INSTALLED) ## Check types.
	@$(BIN)/mypy

imports: $(INSTALLED) ## Check who may import whom.
	@$(BIN)/lint-imports

openapi: $(INSTALLED) ## Write docs/openapi, docs/settings.md and docs/problems.md from the code.
	@$(PY) -m gateway.openapi
	@$(PY) -m infra.reference

malformed: $(INSTALLED) ## Send malformed requests to every ingestion path (COUNT=100000 SEED=7).
	@MALFORMED_COUNT=$(or $(COUNT),100000) MALFORMED_SEED=$(or $(SEED),7) \
		$(PY) -m pytest tests/malformed $(ARGS)

bench: $(INSTALLED) ## Run the benchmarks.
	@$(PY) -m pytest tests/bench --override-ini=python_files='bench_*.py' -s $(ARGS)

chaos: $(INSTALLED) ## Break everything at full length (ARGS="crashes stops" SEED=1 SCALE=0.1).
	@$(PY) -m tests.chaos $(ARGS)

check: lint types imports test ## All that CI runs.

env: $(INSTALLED) ## Write .env for docker-compose with new secrets (SITE=cx.example.org).
	@$(PY) -m infra.dotenv --site "$(or $(SITE),$(error say SITE=the public host name))"

lock: $(INSTALLED) ## Resolve the dependencies anew into uv.lock (docs/adr/0002).
	@$(PY) -m infra.lock

clean: ## Remove the environment and the caches, never data.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Some distributions ship Python without ensurepip; there the system's pip fills the environment.
$(PY):
	@test -n "$(PYTHON)" || { echo "Waymark needs Python 3.11 or newer." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) 2>/dev/null || "$(PYTHON)" -m venv --without-pip --clear $(VENV)

tests/sdk/node_modules/.package-lock.json: tests/sdk/package-lock.json
	@npm ci --silent --prefix tests/sdk
	@touch $@

# The lock names no host: what to install and its hashes come from it, where from comes from this
# machine's own pip or uv configuration.
$(INSTALLED): uv.lock Makefile | $(PY)
	@echo "Installing the locked dependencies into $(VENV) …"
	@if $(PY) -m pip --version >/dev/null 2>&1; then $(PY) -m pip install -q uv==$(UV_VERSION); \
		else "$(PYTHON)" -m pip --python $(PY) install -q uv==$(UV_VERSION); fi
	@$(BIN)/uv export -q --frozen --offline --no-emit-project --all-groups --no-header \
		--format requirements.txt --output-file $(VENV)/requirements.txt >/dev/null
	@$(PY) infra/install.py $(VENV)/requirements.txt
	@touch $@

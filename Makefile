# Everything a checkout can do. Each target sets up .venv first (see tools/set_up.py); nothing else is needed but Python.
PYTHON ?= python3
BIN := .venv/bin
# Three sessions with servers of their own: most tests wait for a process, not for a CPU. One file's tests stay together.
PARALLEL ?= -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test soak check bench lock clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || sed -n 's/^\([a-z]*\):.*## /  make \1: /p' $(MAKEFILE_LIST)

setup: ## the environment in .venv (all other targets do it by themselves)
	@$(PYTHON) tools/set_up.py

demo: setup ## the whole pipe on real servers, real training, faults, and the proof (ARGS="--keep" keeps it open)
	@$(BIN)/matih demo $(ARGS)

test: setup ## all tests but the long ones, on real servers
	@$(BIN)/python -m pytest -m "not soak" $(PARALLEL) $(ARGS)

soak: setup ## the long tests: kills at seeded random moments, outages that overlap, other releases of MLflow
	@$(BIN)/python -m pytest -m soak $(ARGS)

check: setup ## formatting, lint, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: setup ## the benchmarks, beside the peers, in one run (ARGS="kafka_to_mlflow -- full": on 20 million rows)
	@$(BIN)/python -m benchmarks $(ARGS)

lock: setup ## resolve the locks anew (names, versions and hashes; no index address)
	@$(PYTHON) tools/lock.py

clean: ## remove what the targets made in this folder
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

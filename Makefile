# Every target sets up `.venv` by itself on a fresh clone, and again only where a lock file has changed.
# Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
FUZZ_SECONDS ?= 3600
# Processes that run tests side by side, each on one thread.
TEST_WORKERS ?= auto
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
TORCH := $(shell sed -n '/^torch==/p' requirements/base.txt)

DEV_READY := $(VENV)/.ready-dev
DEMO_READY := $(VENV)/.ready-demo

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check bench speedrun fuzz clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(if $(wildcard $(DEV_READY)),$(DEV_READY),$(DEMO_READY)) ## Fine-tune, evaluate and use a small classifier, offline
	$(BIN)/bertworks demo

test: $(DEV_READY) ## Run the tests, without the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -q -n $(TEST_WORKERS)

test-all: $(DEV_READY) ## Run every test
	$(BIN)/python -m pytest

check: $(DEV_READY) ## Lint, format, types and the examples in docstrings (under two minutes)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q --doctest-modules src/bertworks

bench: $(DEV_READY) ## Compare speed with the peers
	$(BIN)/python -m benchmarks.run

speedrun: $(DEV_READY) ## Pretrain to a fixed loss as fast as the current record (benchmarks/speedrun)
	$(BIN)/python -m benchmarks.speedrun run

fuzz: $(DEV_READY) ## Fuzz readers, tokenizers and model loading for FUZZ_SECONDS in all (an hour); findings in .fuzz/
	nice -n 19 $(BIN)/python -m tests.fuzz.harness --seconds $(FUZZ_SECONDS)

clean: ## Remove what builds, tests and tools left behind (.venv and runs stay)
	rm -rf build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "bertworks needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# torch is installed in a step of its own, so that the build already chosen for this machine (CPU or a CUDA version) stays.
$(DEV_READY): requirements/dev.txt | $(BIN)/python
	$(PIP) "$(TORCH)"
	$(PIP) -r requirements/dev.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(DEMO_READY): requirements/base.txt | $(BIN)/python
	$(PIP) "$(TORCH)"
	$(PIP) -r requirements/base.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

# Each target is a short command; on Windows run the commands themselves with `uv run`.
PYTHON ?= python3
UV := $(shell command -v uv || echo .venv/bin/uv)
RUN := $(UV) run --no-sync

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint bench docs clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready  ## make .venv with all that the other targets use

# Without uv on the PATH, pip brings it; from then on it is one of the development dependencies.
.venv/ready: pyproject.toml
	@command -v uv > /dev/null || test -x .venv/bin/uv || \
		{ $(PYTHON) -m venv .venv && .venv/bin/python -m pip install --quiet uv; }
	$(UV) sync --quiet --compile-bytecode
	@touch $@

demo: setup  ## bake the default project, train it and print a prediction that came over HTTP
	$(RUN) scripts/demo.py

test: setup  ## run the whole suite
	$(RUN) pytest -n 2 --dist worksteal

test-fast: setup  ## run the tests that install nothing
	$(RUN) pytest -n 2 --dist worksteal -m "not slow"

lint: setup  ## check style and types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

bench: setup  ## measure what a bake costs
	$(RUN) benchmarks/bake.py

docs: setup  ## write the option table of README.md anew
	$(RUN) scripts/option_table.py

clean:  ## remove everything that the other targets made
	rm -rf .venv build .hypothesis .mypy_cache .pytest_cache .ruff_cache uv.lock
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

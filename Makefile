# make demo    solve two tasks from RGB-D images; video and report land in runs/demo/
# make test    the tests
# make check   format, lint, types, tests: what CI runs
#
# Each target sets itself up first: a virtual environment in .venv, with the versions of constraints.txt.
# The set-up runs again only when pyproject.toml or constraints.txt change.

SHELL  := /bin/bash
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# The oldest that will do comes first: it has a ready-made wheel of every dependency.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
            command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Many small arrays gain nothing from more threads, and the tests run in several processes.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
PYTEST ?= -n 2

.PHONY: demo test check setup format lint types clean
.DEFAULT_GOAL := demo

demo: setup
	$(BIN)/armflow demo

test: setup
	$(ONE_THREAD) $(BIN)/python -m pytest $(PYTEST)

check: lint types test

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/pyright --pythonpath $(BIN)/python

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "armflow needs Python 3.11 or newer; none found (set PYTHON=/path/to/python3)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "no virtual environment: on Debian, install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python -m armflow.launch.warm
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache runs

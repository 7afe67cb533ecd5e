# Any Python from 3.11 to 3.13 that runs: `make test PYTHON=python3.13`, or else the first of these; a command may be
# there and not run, as where pyenv keeps it for later, so each is tried.
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
PYTHONS := $(if $(PYTHON),$(PYTHON) $(wildcard $(PYENV)/$(PYTHON:python%=%).*/bin/python),python3.11 python3.12 python3.13 python3)
VENV ?= .venv
BIN := $(VENV)/bin
VERSION := import sys; print("%d.%d" % sys.version_info[:2])
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
FOUND = $(shell for p in $(PYTHONS); do if $$p -c '$(SUPPORTED)' 2>/dev/null; then echo $$p; break; fi; done)
# what is imported is compiled to bytecode then, the rest never
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	--constraint constraints/python$$($(BIN)/python -c '$(VERSION)').txt --editable

# every experiments/NAME.py is a target, with - for _
EXPERIMENTS := $(subst _,-,$(patsubst experiments/%.py,%,$(wildcard experiments/*.py)))

.PHONY: $(EXPERIMENTS) wave-table double-pendulum-table reproduce-lnn test test-all test-short docs stub check wheel clean

# compiled programs are kept for the next run, beside what compiles them; `lgn.cli.keep_programs` says why the log level.
# Where compilation is measured, nothing is kept.
$(filter-out scaling scaling2d,$(EXPERIMENTS)): export JAX_COMPILATION_CACHE_DIR ?= $(abspath $(VENV))/programs
$(EXPERIMENTS): export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0
$(EXPERIMENTS): export TF_CPP_MIN_LOG_LEVEL ?= 3

$(EXPERIMENTS): $(VENV)/ready
	$(BIN)/python experiments/$(subst -,_,$@).py $(OPTIONS)

mesh scaling: $(VENV)/ready-test

# measurements are not part of the project: make real-pendulum DATA=folder, see experiments/real_pendulum.py and robot_arm.py
real-pendulum robot-arm: OPTIONS = $(if $(DATA),--data $(DATA))

wave-table: $(VENV)/ready
	$(BIN)/python experiments/wave.py --ways prior pure --seeds 5 --out runs/wave-table

double-pendulum-table: $(VENV)/ready
	$(BIN)/python experiments/double_pendulum.py --seeds 5 --out runs/double_pendulum-table

# the published experiments with Lagrangian networks on one node, and the table of their figures
reproduce-lnn: double-pendulum relativistic damped-pendulum families positions $(if $(DATA),real-pendulum)
	$(BIN)/lgn collect runs

test: $(VENV)/ready-test
	$(BIN)/python -m pytest

test-all: $(VENV)/ready-test
	$(BIN)/python -m pytest -m ""

# what depends on the release of jax most
test-short: $(VENV)/ready-test
	$(BIN)/python -m pytest -m newest

# the blocks of the pages and of docstrings, then the site, docs/_build/html/index.html: a warning is an error, and so is whatever a page would fetch from elsewhere
SPHINXOPTS ?= -W --keep-going -j auto
docs: export TF_CPP_MIN_LOG_LEVEL ?= 3
docs: $(VENV)/ready-test
	$(BIN)/python -m pytest -m documents tests/test_docs.py
	$(BIN)/python -m sphinx -b html $(SPHINXOPTS) -d docs/_build/doctrees docs docs/_build/html
	$(BIN)/python docs/_extensions/addresses.py docs/_build/html

# the public names, as editors read them
stub: $(VENV)/ready
	$(BIN)/python -c "from lgn import _names; print(_names.stub(), end='')" > lgn/__init__.pyi

check: $(VENV)/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# sdist and wheel, and the wheel tried in an empty folder on each Python that is there
wheel: $(VENV)/ready-test
	.ci/wheel $(BIN)/python

$(BIN)/pip:
	@if [ -n "$(FOUND)" ]; then exec $(FOUND) -m venv --clear $(VENV); fi; \
	echo "lgn needs Python 3.11, 3.12 or 3.13, and none of these is one that runs: $(PYTHONS)." >&2; \
	echo "Install one, or name it: make PYTHON=python3.12" >&2; \
	exit 1

$(VENV)/ready: pyproject.toml $(wildcard constraints/*) | $(BIN)/pip
	$(INSTALL) .
	touch $@

$(VENV)/ready-test: $(VENV)/ready
	$(INSTALL) ".[test,check,release]"
	touch $@

# tests that ran on another Python than the one asked for would mislead
ifneq ($(and $(PYTHON),$(wildcard $(BIN)/python)),)
ifneq ($(shell $(or $(FOUND),false) -c '$(VERSION)'),$(shell $(BIN)/python -c '$(VERSION)'))
$(error $(VENV) is not of $(PYTHON): remove it first, or name another with VENV=folder)
endif
endif

clean:
	rm -rf $(VENV) .venv-newest runs docs/_build docs/api

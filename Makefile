PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: wave wave-table membrane mesh custom-graph scaling scaling2d test test-all check clean

wave: .venv/ready
	$(BIN)/python experiments/wave.py

wave-table: .venv/ready
	$(BIN)/python experiments/wave.py --ways prior pure --seeds 5 --out runs/wave-table

membrane: .venv/ready
	$(BIN)/python experiments/membrane.py

mesh: .venv/ready-test
	$(BIN)/python experiments/mesh.py

custom-graph: .venv/ready
	$(BIN)/python experiments/custom_graph.py

scaling: .venv/ready
	$(BIN)/python experiments/scaling.py

scaling2d: .venv/ready
	$(BIN)/python experiments/scaling2d.py

test: .venv/ready-test
	$(BIN)/python -m pytest

test-all: .venv/ready-test
	$(BIN)/python -m pytest -m ""

check: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --constraint constraints.txt
	touch $@

.venv/ready-test: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,check,mesh]" --constraint constraints.txt
	touch $@

clean:
	rm -rf .venv runs

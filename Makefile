PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: wave wave-table double-pendulum double-pendulum-table relativistic damped-pendulum families real-pendulum positions \
	guidance reproduce-lnn membrane mesh custom-graph scaling scaling2d test test-all check clean

wave: .venv/ready
	$(BIN)/python experiments/wave.py

wave-table: .venv/ready
	$(BIN)/python experiments/wave.py --ways prior pure --seeds 5 --out runs/wave-table

double-pendulum: .venv/ready
	$(BIN)/python experiments/double_pendulum.py

double-pendulum-table: .venv/ready
	$(BIN)/python experiments/double_pendulum.py --seeds 5 --out runs/double_pendulum-table

relativistic: .venv/ready
	$(BIN)/python experiments/relativistic.py

damped-pendulum: .venv/ready
	$(BIN)/python experiments/damped_pendulum.py

families: .venv/ready
	$(BIN)/python experiments/families.py

# measurements are not part of the project: make real-pendulum DATA=folder, see experiments/real_pendulum.py
real-pendulum: .venv/ready
	$(BIN)/python experiments/real_pendulum.py --data $(DATA)

positions: .venv/ready
	$(BIN)/python experiments/positions.py

guidance: .venv/ready
	$(BIN)/python experiments/guidance.py

# the published experiments with Lagrangian networks on one node, and the table of their figures
reproduce-lnn: double-pendulum relativistic damped-pendulum families positions $(if $(DATA),real-pendulum)
	$(BIN)/python experiments/collect.py

membrane: .venv/ready
	$(BIN)/python experiments/membrane.py

mesh: .venv/ready-test
	$(BIN)/python experiments/mesh.py

custom-graph: .venv/ready
	$(BIN)/python experiments/custom_graph.py

scaling: .venv/ready-test
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

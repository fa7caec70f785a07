# `make run` shows the machine at work; `make test` checks it. Everything is installed into .venv
# from the pinned requirements; nothing else on the system changes.

SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# The folder is part of the name, so that a moved checkout installs itself again.
READY := $(VENV)/ready-$(shell pwd | cksum | cut -d' ' -f1)
LOCKS := requirements.txt requirements-dev.txt requirements-model.txt
PACKAGES := hw gen sw verif bench cli
TYPECHECK := build/typecheck
SCALE_SIM := build/scale-sim/.venv
LITEX := build/litex/.venv

.PHONY: run test test-all lint clean install tools scale-sim litex

run: install
	$(BIN)/ageha run

test: install
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: install litex
	$(BIN)/python -m pytest -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p $(TYPECHECK)/ageha
	@for name in $(PACKAGES); do ln -sfn "$(CURDIR)/$$name" $(TYPECHECK)/ageha/$$name; done
	MYPYPATH=$(TYPECHECK):tests/support/stubs $(BIN)/python -m mypy $(PACKAGES:%=-p ageha.%)

# The reference of `ageha bench gemm`; it needs an older NumPy than Ageha.
scale-sim: $(SCALE_SIM)/ready

$(SCALE_SIM)/ready: requirements-scale-sim.txt | tools
	$(PYTHON) -m venv $(SCALE_SIM)
	$(SCALE_SIM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

# The RISC-V SoC of examples/litex, and the compiler of its firmware.
litex: $(LITEX)/ready

$(LITEX)/ready: requirements-litex.txt | tools
	$(PYTHON) -m venv $(LITEX)
	$(LITEX)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

install: tools $(READY)

tools:
	@missing() { echo "$$1 is missing; on Debian 12: apt install $$2" >&2; exit 2; }; \
	command -v $(PYTHON) >/dev/null || missing $(PYTHON) python3; \
	command -v g++ >/dev/null || missing g++ g++; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || missing "Python's venv module" python3-venv

$(READY): $(LOCKS) pyproject.toml setup.py | tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(LOCKS:%=-r %)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@rm -f $(VENV)/ready-*
	@touch $@

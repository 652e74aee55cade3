# Sensewell: everything a developer or a new user types. `make` alone lists it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
STUBS  := build/stubs/micropython.pyi
PYTEST := $(BIN)/python -m pytest -q

.DEFAULT_GOAL := help
.PHONY: help install demo test test-host test-device test-e2e lint bench clean

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9_-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing the host tools into $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# Kept apart from the environment: they would shadow CPython's own modules there.
$(STUBS):
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --target build/stubs micropython-esp32-stubs==1.29.0.post1

install: $(READY) ## the `sensewell` command, in .venv/bin

include boards.mk
include native.mk
include fuzz.mk
include ulab.mk
include power.mk
include firmware.mk
include neural.mk

demo: $(READY) board-unix board-virt_c3 native ## recordings -> forest -> bundle -> decisions on a virtual ESP32-C3
	@$(BIN)/sensewell demo --board virt_c3

test: lint boards test-host test-device test-ulab test-power test-e2e test-neural ## everything

test-host: $(READY) boards native ## the host tools
	$(PYTEST) -n 2 $(NOT_NEURAL) tests/host tests/fuzz

test-device: $(READY) boards native ## the same device tests on CPython, unix, virt_c3 and virt_m4
	$(PYTEST) -n 2 $(NOT_NEURAL) tests/device tests/on_boards

# three: they wait for boards as often as they compute
test-e2e: $(READY) boards native ## boards, the wire and the whole way, with real firmware and the real mpremote
	$(PYTEST) -n 3 --dist loadfile $(NOT_NEURAL) tests/e2e

lint: $(READY) $(STUBS) ## style, types, and device code against the MicroPython stubs
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file device/mypy.ini

bench: $(READY) boards native ## instructions, RAM and flash on virtual boards -> build/bench/report.json
	@$(BIN)/python tests/bench/bench.py

clean: ## remove what was built (downloads included)
	rm -rf build $(VENV)

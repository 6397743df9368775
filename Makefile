# The two commands of the README are `make demo` and `make test`. Both make their own environment in .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
TESTS  ?=
READY  := $(VENV)/.installed

# Tests over JOBS processes, in runs of neighbours, so that a file's fixtures are mostly made once. When a process dies,
# worksteal reports its test and goes on with the others; loadfile runs that test again in every process that is left.
SPREAD := -n $(JOBS) --dist worksteal --benchmark-disable

.PHONY: demo test test-slow check bench clean

demo: $(READY)
	$(BIN)/reidbench run benchmarks/quickstart.yaml --executor process --jobs $(JOBS)

test: $(READY)
	$(BIN)/python -m pytest -q $(SPREAD) $(TESTS)

test-slow: $(READY)
	$(BIN)/python -m pytest -q -m slow $(SPREAD)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m pytest benchmarks/perf -q -m "slow or not slow" --benchmark-only

# --prefer-binary and the constraints keep the install to tested wheels; see constraints.txt for why torch is exact.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary -c constraints.txt -e ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

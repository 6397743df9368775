# The two commands of the README are `make demo` and `make test`. Both create an environment in .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
# Package that provides the module faiss: faiss-cpu, or faiss-gpu on a machine with CUDA (`make FAISS=faiss-gpu test`). Never both.
FAISS  ?= faiss-cpu
TESTS  ?=
READY  := $(VENV)/.installed-with-$(FAISS)

# Tests over JOBS processes, in runs of neighbours, so that a file's fixtures are mostly built once. When a process dies,
# worksteal reports its test and continues with the others; loadfile reruns that test in every remaining process.
SPREAD := -n $(JOBS) --dist worksteal --benchmark-disable

.PHONY: demo demo-quick test test-slow test-long check docs tables bench bench-slow clean

demo: $(READY)
	@echo "make demo: 12 rows, 3 seeds, on $(JOBS) slots: about two minutes on two cores, then a leaderboard"
	$(BIN)/reidbench run benchmarks/quickstart.yaml --executor process --jobs $(JOBS)

# A quick check that everything works: one small world, one seed. Its numbers mean nothing.
demo-quick: $(READY)
	@echo "make demo-quick: 3 rows, 1 seed, on $(JOBS) slots: a few seconds, then a leaderboard"
	$(BIN)/reidbench run benchmarks/quickstart.yaml --executor process --jobs $(JOBS) --only '*/plaza' \
	  --set 'seeds=[0]' --set data.plaza.size=tiny

test: $(READY)
	$(BIN)/python -m pytest -q $(SPREAD) $(TESTS)

test-slow: $(READY)
	$(BIN)/python -m pytest -q -m "slow and not long" $(SPREAD) $(TESTS)

test-long: $(READY)
	$(BIN)/python -m pytest -q -m long $(SPREAD) $(TESTS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation as build/site/index.html; fails on a broken link.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The tables of the documents that name a pack, from these packs: benchmarks/tables.py.
tables: $(READY)
	$(BIN)/python -m benchmarks.tables

# One table of measurements and their goals; benchmarks/perf/README.md explains it.
bench: $(READY)
	$(BIN)/python -m pytest benchmarks/perf -q --benchmark-only

bench-slow: $(READY)
	$(BIN)/python -m pytest benchmarks/perf -q -m slow --benchmark-only

# --prefer-binary and the constraints keep the install to tested wheels; see constraints.txt for why torch is exact.
$(READY): pyproject.toml constraints.txt
	@echo "installing into $(VENV), the first time only: a few minutes and 3 GB, mostly torch"
	$(PYTHON) -m venv $(VENV)
	rm -f $(VENV)/.installed-with-*
	$(BIN)/python -m pip uninstall --quiet --quiet --disable-pip-version-check --yes faiss-cpu faiss-gpu
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary -c constraints.txt -e ".[dev]" $(FAISS)
	touch $(READY)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

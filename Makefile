# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_WORKERS ?= 2
BASE ?= HEAD~1

.PHONY: install demo lint types tests test test-slow test-browser same benchmarks docs dist clean

install: $(STAMP)

# The CPU build of torch goes first: a plain `pip install torch` may fetch gigabytes of CUDA.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,benchmark,docs,release]'
	touch $@

demo: $(STAMP)
	$(BIN)/smalti demo --out demo

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

tests: $(STAMP)
	$(BIN)/pytest -q -n $(TEST_WORKERS) --dist worksteal

test: lint types tests

test-slow: $(STAMP)
	$(BIN)/pytest -q -m slow -n $(TEST_WORKERS) --dist worksteal

# The studio's page in Chromium, with its screenshots; skipped where there is no browser.
test-browser: $(STAMP)
	SCREENSHOTS=screenshots $(BIN)/pytest -q -m browser

# Whether this checkout computes what the commit BASE computed: a quarter of an hour on two cores.
same: $(STAMP)
	$(BIN)/python tests/proof/same.py versions $(BASE) --refusals

# All of them, also where one fails; what they found is written to benchmarks/results.json.
benchmarks: $(STAMP)
	$(BIN)/python benchmarks/run_all.py

# The documentation as pages that need no network: build/docs/index.html.
docs: $(STAMP)
	$(BIN)/sphinx-build -E -q -W --keep-going docs build/docs

# What would be published, in dist/, and a trial of it in an environment of its own.
dist: $(STAMP)
	rm -rf dist build/trial
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m venv build/trial
	build/trial/bin/pip install --quiet --constraint constraints.txt torch
	build/trial/bin/pip install --quiet --constraint constraints.txt dist/*.whl
	cd build/trial && bin/smalti demo --steps 2

clean:
	rm -rf $(VENV) demo build dist screenshots .mypy_cache .ruff_cache .pytest_cache .hypothesis

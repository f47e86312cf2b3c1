# Everything runs in .venv, which the first target makes. A fresh machine needs Python 3.11, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check ui lint docs install bench clean help

help:
	@echo "make demo   run the whole job on examples/ and show what came of it"
	@echo "make ui     open Dagster on the results (http://127.0.0.1:3000)"
	@echo "make test   all tests"
	@echo "make check  the linters and the fast tests: no servers, no browser"
	@echo "make lint   ruff, mypy, import-linter, deptry"
	@echo "make docs   the documentation as a site, in site/"
	@echo "make bench  the benchmarks (minutes)"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "arot needs Python 3.11 or newer; set PYTHON=…")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): about 7 GB with PyTorch, some minutes the first time"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-warn-script-location -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/arot demo

ui: $(STAMP)
	@$(BIN)/arot ui

# four workers on two cores: tests wait for servers and disks for a third of the time; each takes up to 1.5 GB
test: $(STAMP)
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

check: lint
	AROT_QUICK_TESTS=1 $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q --strict

bench: $(STAMP)
	$(BIN)/python bench/image_metrics.py
	$(BIN)/python bench/scale.py --rows 1M

clean:
	rm -rf .arot site dbt_like_sql/target

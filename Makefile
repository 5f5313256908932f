# `make run` does the whole job, `make test` tests it; both make the environment if it is missing.
PYTHON ?= python3
VENV := .venv
# Relative, since make takes a path for several where it has blanks.
BIN := $(VENV)/bin
# What the stages call `python` is the environment's.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

# In a process of their own, beside the others: all that start a Ray cluster or look for one.
RAY_TESTS := $(patsubst %,tests/search/executors/test_%.py,registry ray_cluster ray)
# Processes that tests share out among them, file by file, since fixtures of a file are a process's
# own. Each may hold 3 GB. On 2 cores 3 are sooner done than 2: they wait for servers, and for what
# they killed.
JOBS ?= 3
PYTEST := python -m pytest -q $(RAY_TESTS:%=--ignore=%)
TOGETHER := -n $(JOBS) --dist loadfile --no-loadscope-reorder
QUICK := not (keras or slow or stores or server or alone or families)

# Without git, as in a downloaded ZIP, DVC runs if it is told so, and else not at all.
define scm
@if git rev-parse --is-inside-work-tree >/dev/null 2>&1 || test -e .git; then \
  ! grep -qs no_scm .dvc/config.local || python -m dvc config --local --unset core.no_scm; \
else \
  echo "No git repository here: DVC is told to run without (core.no_scm in .dvc/config.local)." \
    "Experiments (dvc exp) need one: git init, git add -A, git commit -m start, make run."; \
  python -m dvc config --local core.no_scm true; \
fi
endef

.PHONY: install run test test-fast test-slow test-ray test-all lint docs lock clean help

help:  ## show this text
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

install: $(VENV)/installed  ## the environment, in .venv; the others make it, too

run: export PIPELINE_QUIET := $(or $(QUIET),$(PIPELINE_QUIET))
run: $(VENV)/installed  ## the whole job on Fashion-MNIST; `make run QUIET=1` says little
	python -m pipeline check
	$(scm)
	python -m dvc repro
	@test ! -e results/metrics.json || python -m pipeline summary

test-fast: $(VENV)/installed  ## the tests without TensorFlow, stores, servers, a browser and Ray: a minute
	$(PYTEST) $(TOGETHER) -m "$(QUICK)"

test: test-fast  ## the test suite
	$(MAKE) test-slow
	$(MAKE) test-ray
	$(PYTEST) -m alone $$(grep -rl --include='*.py' 'mark\.alone' tests)

test-slow: $(VENV)/installed
	$(PYTEST) $(TOGETHER) -m "not ($(QUICK)) and not alone and not families"

test-ray: $(VENV)/installed
	python -m pytest -q $(RAY_TESTS)

test-all: test  ## the same, and every large network
	$(PYTEST) $(TOGETHER) -m families

lint: $(VENV)/installed  ## style and types
	python -m ruff check pipeline tests testing benchmarks docs
	python -m ruff format --check pipeline tests testing benchmarks docs
	python -m mypy

docs: $(VENV)/docs  ## docs/ as a site in site/
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict
	@echo "Open site/index.html in a browser."

# The programs of an environment begin with its place: one that was moved is made anew.
ifeq ($(shell test ! -e $(VENV)/installed || grep -lsF "$$(pwd -P)/$(VENV)" \
  $(VENV)/pyvenv.cfg $(VENV)/bin/activate || echo moved),moved)
.PHONY: $(VENV)/installed
CLEAR := --clear
endif

# Written last, so that its existence means a whole environment.
$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(CLEAR) $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Beside the rest, whose versions it keeps.
$(VENV)/docs: requirements-docs.lock $(VENV)/installed
	$(BIN)/python -m pip install --quiet --require-hashes --requirement $<
	touch $@

PINNED := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url

lock:  ## write requirements.lock and requirements-docs.lock anew (needs uv)
	$(PINNED) --group dev --output-file requirements.lock pyproject.toml
	$(PINNED) --group docs --constraints requirements.lock --output-file requirements-docs.lock

clean:  ## remove what the stages put out; not the records (mlruns, mlflow.db), downloads, exports
	rm -rf data/raw data/train.npz data/train_rows.npy data/test.npz data/split.json data/features data/cache/features models results dvc.lock

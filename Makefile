# From a bare clone: `make demo` and `make test`. Both first make .venv from requirements/lock.txt, once.
# Needs Python 3.10 or newer, git and a C++ compiler (only where no built wheel of onedl-mmcv is at hand).
#
#   make venv PYTHON=python3.12                      another interpreter
#   PIP_FIND_LINKS=/folder/with/wheels make venv     wheels of your own (torch, onedl-mmcv) come first
#   make test-openmmlab                              the same tests beside OpenMMLab's own mmdet, in .venv-openmmlab

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OPENMMLAB_VENV ?= .venv-openmmlab
OPENMMLAB_STAMP := $(OPENMMLAB_VENV)/.installed
INSTALLED_FROM := requirements/install.sh setup.cfg pyproject.toml
ARGS ?=

# One test process a core; eight are enough, each holds torch and MMDetection (about 1 GB).
CORES := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
WORKERS ?= $(shell [ $(CORES) -gt 8 ] && echo 8 || echo $(CORES))
run_tests = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(1)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)
SOURCES := deeplake_mmdet tests tools benchmarks configs

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help venv venv-openmmlab demo test test-openmmlab test-slow lint format doctor lock clean distclean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | \
		while IFS='|' read -r name text; do printf '%-21s %s\n' "$$name" "$$text"; done

venv: $(STAMP) ## make .venv with exactly the versions of requirements/lock.txt

# The stamp is written last: an installation that failed midway is taken up again by the next call.
$(STAMP): requirements/lock.txt $(INSTALLED_FROM)
	@rm -f $@
	@PYTHON='$(PYTHON)' VENV='$(VENV)' bash requirements/install.sh
	@touch $@

venv-openmmlab: $(OPENMMLAB_STAMP) ## make .venv-openmmlab with OpenMMLab's own mmdet, mmcv and mmengine

$(OPENMMLAB_STAMP): requirements/openmmlab.txt $(INSTALLED_FROM)
	@rm -f $@
	@PYTHON='$(PYTHON)' VENV='$(OPENMMLAB_VENV)' LOCK=$< bash requirements/install.sh
	@touch $@

demo: $(STAMP) ## make a dataset, train on it, evaluate, draw the result (ARGS=... is passed on)
	@$(BIN)/deeplake-mmdet demo $(ARGS)

test: $(STAMP) ## run the tests, the slow ones left out (ARGS=... is passed to pytest)
	$(call run_tests,$(BIN))

test-openmmlab: $(OPENMMLAB_STAMP) ## run the tests beside OpenMMLab's own packages (ARGS=... is passed to pytest)
	$(call run_tests,$(OPENMMLAB_VENV)/bin)

test-slow: $(STAMP) ## run the slow tests, one after another
	$(BIN)/python -m pytest -m slow --timeout 3600 -s $(ARGS)

lint: $(STAMP) ## ruff check, ruff format --check, mypy
	$(BIN)/ruff check $(wildcard $(SOURCES))
	$(BIN)/ruff format --check $(wildcard $(SOURCES))
	$(BIN)/mypy

format: $(STAMP) ## sort the imports, format the code
	$(BIN)/ruff check --select I --fix $(wildcard $(SOURCES))
	$(BIN)/ruff format $(wildcard $(SOURCES))

doctor: $(STAMP) ## say what is wrong with .venv, and the command that mends it
	@$(BIN)/deeplake-mmdet doctor $(ARGS)

lock: ## write the locks in requirements/ anew from setup.cfg; keeps the versions they hold (ARGS=--upgrade moves them)
	@PYTHON='$(PYTHON)' bash requirements/lock.sh $(ARGS)

clean: ## remove caches and build products; keeps the environments
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . \( -path './$(VENV)' -o -path './$(OPENMMLAB_VENV)' \) -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean ## clean, and remove .venv and .venv-openmmlab
	rm -rf $(VENV) $(OPENMMLAB_VENV)

# lesionflow: `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.run-ready
DEV_READY := $(VENV)/.dev-ready

DATA ?= ../shared/ham10000
WEIGHTS ?= ../shared/weights
PRESET ?= ham10000-cpu
OUT ?= out

TESTS ?= $(addprefix tests/components/,train/test_run.py train/test_network.py train/test_steps.py \
	export/test_run.py common/bundle/test_operations.py evaluate/test_run.py)

.DEFAULT_GOAL := help
.PHONY: help setup run ham10000 test test-oldest images containers check lint types contracts locks lock-check reference reference-check operations environments compile \
	bench clean

##@ Start here
run: $(RUN_READY) ## generate sample data, run the whole pipeline on it, print the summary
	@$(BIN)/lesionflow sample --out $(OUT)/sample-data --lesions 1500 --seed 7
	@$(BIN)/lesionflow run --preset sample --metadata $(OUT)/sample-data/metadata.csv \
		--images $(OUT)/sample-data/images --out $(OUT)/sample-run

test: setup ## create the environment and run all tests
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder

test-oldest: setup ## train, export and evaluate on the oldest TensorFlow; TESTS="path ..." for others
	@OMP_NUM_THREADS=1 $$($(BIN)/python requirements/environment.py oldest) -m pytest -p no:cacheprovider $(TESTS)

setup: $(DEV_READY) ## create .venv with everything that tests and checks need (once)

##@ Real data
ham10000: $(RUN_READY) ## run the reference data set: DATA=folder WEIGHTS=folder OUT=folder PRESET=name
	@$(BIN)/lesionflow run --preset $(PRESET) --metadata $(DATA)/HAM10000_metadata.csv \
		--images $(DATA)/HAM10000_images_part_1 $(DATA)/HAM10000_images_part_2 \
		--weights $(WEIGHTS)/efficientnet_lite0_notop.npz --out $(OUT)/ham10000

##@ Cluster
compile: $(RUN_READY) ## write the pipeline YAML for upload in the Kubeflow UI
	@$(BIN)/lesionflow compile --image-refs $(or $(wildcard $(OUT)/images.yaml),placeholder) --out $(OUT)/lesionflow.yaml

images: ## build and push the three images: REGISTRY=host/path; writes out/images.yaml for compile --image-refs
	@images/build.sh "$(REGISTRY)" $(OUT)/images.yaml

containers: setup ## build data and cpu for real and run the sample inside them; needs root, docker.io, mmdebstrap
	@LESIONFLOW_CONTAINERS=1 $(BIN)/python -m pytest tests/containers

##@ Development
check: setup lint types contracts lock-check reference-check ## everything CI runs besides the tests

lint: setup ## ruff, format and YAML
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/yamllint --strict .

types: setup ## type check (mypy, strict)
	@$(BIN)/mypy

contracts: setup ## import contracts: who may import whom
	@$(BIN)/lint-imports

lock-check: setup ## requirements/ equals what pyproject.toml asks for, and names no index
	@$(BIN)/python requirements/lock.py --check

reference: setup ## regenerate the pages of docs/reference: parameters, commands, table layouts, label policies
	@$(BIN)/python docs/write_parameters.py
	@$(BIN)/python docs/write_commands.py
	@$(BIN)/python -m components.ingest.layouts > docs/reference/table-layouts.md
	@$(BIN)/python -m components.ingest.labels > docs/reference/label-policies.md

reference-check: setup ## the pages on parameters and commands say what the code says
	@$(BIN)/python docs/write_parameters.py --check
	@$(BIN)/python docs/write_commands.py --check

operations: setup ## regenerate the list of operations that a bundle's graph may hold, from every backbone and option
	@$(BIN)/python tests/components/export/served_operations.py

locks: setup ## recompile requirements/ from pyproject.toml
	@$(BIN)/python requirements/lock.py

environments: setup ## checkov and the ISIC scorer, each in its own environment (tests create them when they need them)
	@for name in checkov isic; do $(BIN)/python requirements/environment.py $$name || exit 1; done

# bench_monitor, bench_recalibrate and bench_refuse measure a model of yours, whose files they are given
bench: setup ## ratios against named baselines, in one run
	@for name in bootstrap ingest memory near records serving split store train_epoch train_feed; do \
		$(BIN)/python tests/benchmarks/bench_$$name.py || exit 1; done

clean: ## remove the environment and all output
	@rm -rf $(VENV) $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

help: ## this page
	@awk 'BEGIN {FS = ":.*## "; print "usage: make TARGET [NAME=value]"} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Two stages: what running needs, then what tests and checks need on top. `make run` makes the first alone.
# In a terminal the package that is being fetched is shown; anywhere else only errors are.
define install
	@echo "installing requirements/$(1).txt into $(VENV): $(2)"
	@set -o pipefail; tty=$$(test -t 1 && echo 1); $(BIN)/python -m pip install --disable-pip-version-check \
		--require-hashes --no-deps $(3) -r requirements/$(1).txt 2>&1 | awk -v tty="$$tty" \
		'/^Collecting/ && tty {printf "\r  %d %-60.60s", ++n, $$2; fflush()} /^ERROR|^error/ {print "\n" $$0} END {if (tty) print ""}'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
endef

# kfp-server-api, which `import kfp` needs, is published as source only (pure Python); all else is wheels.
$(RUN_READY): requirements/cpu.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else \
		f"error: {sys.executable} is Python {sys.version.split()[0]}; lesionflow needs 3.11 to 3.13: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(call install,cpu,3.4 GB on disk; once,--only-binary :all: --no-binary kfp-server-api)

$(DEV_READY): requirements/dev.txt $(RUN_READY)
	$(call install,dev,what tests and checks need on top; 4.6 GB on disk together; once)

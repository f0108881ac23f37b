# One command for everything, the same here and in CI. Needs python3, python3-venv and make; the rest is installed into .venv.
PYTHON ?= python3
VENV := .venv
UV := $(VENV)/bin/uv
RUN := $(VENV)/bin
STAMP := $(VENV)/.ready
CLUSTER_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/workflow-service/cluster

.PHONY: help setup demo test test-cluster test-model check format docs run bench build clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything that is pinned in uv.lock into .venv

$(STAMP): uv.lock pyproject.toml
	@test -x $(RUN)/pip || $(PYTHON) -m venv $(VENV)
	@test -x $(UV) || $(RUN)/pip install --quiet --disable-pip-version-check 'uv>=0.9'
	@# A network with a certificate authority of its own is known to the system only, not to uv.
	@$(UV) sync --frozen --quiet 2>/dev/null || $(UV) sync --frozen --quiet --system-certs
	@touch $(STAMP)

demo: $(STAMP) ## three alerts become remediations on an in-memory cluster, visibly
	@$(RUN)/workflow-service demo

run: $(STAMP) ## both services on embedded parts, kept up for curl
	@$(RUN)/workflow-service embedded

test: $(STAMP) ## every test that this machine can run, with real PostgreSQL and Redis from wheels; a file stays on one worker
	@$(RUN)/pytest -n 2 --dist loadfile -q --durations 20

test-cluster: $(STAMP) ## tests/cluster on the sandbox and on a real Kubernetes control plane, built once from Debian's sources into CLUSTER_DIR
	@tests/cluster/build_control_plane.sh "$(CLUSTER_DIR)"
	@$(RUN)/pytest -q tests/cluster --record docs/proof/sandbox.json
	@$(RUN)/pytest -q tests/cluster --kubernetes "$(CLUSTER_DIR)/bin" --proof docs/proof-on-kubernetes.md --record docs/proof/kubernetes.json
	@$(RUN)/python docs/generate.py

test-model: $(STAMP) ## advisors before a real model server, llama.cpp's, with a model of random weights
	@$(UV) sync --frozen --quiet --group model 2>/dev/null || $(UV) sync --frozen --quiet --group model --system-certs
	@$(RUN)/pytest -q tests/integration/test_real_model.py

check: $(STAMP) ## ruff, mypy strict, import contracts, generated documents
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-cache
	@$(RUN)/python docs/generate.py --check

format: $(STAMP) ## let ruff format and fix
	@$(RUN)/ruff check --fix .
	@$(RUN)/ruff format .

docs: $(STAMP) ## write the generated documents anew
	@$(RUN)/python docs/generate.py

bench: $(STAMP) ## ours beside plain DBOS steps, the journal alone and Restate, in one run
	@$(RUN)/python -m bench.engine
	@$(RUN)/python -m bench.decide
	@$(RUN)/python -m bench.takeover
	@$(RUN)/python -m bench.intake

build: $(STAMP) ## a wheel whose two console scripts run anywhere
	@$(UV) build --wheel --quiet --out-dir dist

clean: ## forget everything that was installed or built
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Two commands: `make demo` runs the paper on the embedded model, `make test` runs the tests.
# Each sets up a virtual environment first. TORCH names another build of torch where there is a GPU.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
# A file's tests share what they have made, so one process runs them all.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test coverage check docs bench bench-peers clean

demo: $(VENV)/.ready
	$(BIN)/retinoscope demo

test: $(VENV)/.ready-dev frontend/node_modules/.ready
	$(PYTEST)

# Not a part of `test`: tracing takes half as much time again.
coverage: $(VENV)/.ready-dev
	$(PYTEST) --cov=retinoscope --cov-report=term:skip-covered

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: $(VENV)/.ready-dev
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks

# The peers pin packages of their own.
bench-peers: $(VENV)/.ready-dev $(VENV)/.peers
	$(BIN)/python -m benchmarks --only peers peers_lenses --peers $(VENV)/peers/bin/python

# torch first and by itself: left to the resolver, it would come with gigabytes of CUDA libraries.
$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$(TORCH)"
	touch $@

$(VENV)/.ready: $(VENV)/.torch pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

# The front end's own tests are skipped where there is no Node to run them.
frontend/node_modules/.ready: frontend/package-lock.json
	if command -v npm >/dev/null; then cd frontend && npm ci --silent --no-audit --no-fund; fi || true
	mkdir -p $(@D)
	touch $@

$(VENV)/.oldest: $(VENV)/.ready-dev constraints-oldest.txt
	$(BIN)/pip install --quiet --no-deps --upgrade --target $(VENV)/oldest --requirement constraints-oldest.txt
	touch $@

$(VENV)/.peers: $(VENV)/.torch
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/pip install --quiet "$(TORCH)"
	$(VENV)/peers/bin/pip install --quiet --editable . nnsight transformer-lens tuned-lens
	touch $@

clean:
	rm -rf $(VENV) build dist site

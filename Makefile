# Two commands to know: make train, make test.
PYTHON := .venv/bin/python
UV := $(or $(shell command -v uv),.uv/bin/uv)

.PHONY: train test test-distributed check format docs lock clean

train: .venv/ready
	$(PYTHON) scripts/train_agent.py --env SpaceInvaders

# Threads of two workers on every core wait for each other, so each has one.
PYTEST := OMP_NUM_THREADS=1 $(PYTHON) -m pytest --numprocesses 2 --dist worksteal
APART := tests/distributed tests/chaos

test: .venv/ready
	$(PYTEST) $(APART:%=--ignore=%)

# Several runners and learners, and what is killed under them.
test-distributed: .venv/ready
	$(PYTEST) $(APART)

check: .venv/ready
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright --pythonpath $(PYTHON)
	.venv/bin/lint-imports

format: .venv/ready
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet
	@echo site/index.html

# Newest versions that pyproject.toml allows; commit the result together with what it changed.
COMPILE = $(UV) pip compile --universal --upgrade --generate-hashes --no-emit-index-url --no-annotate --no-header
lock: $(UV)
	$(COMPILE) pyproject.toml --all-extras --python-version 3.11 --output-file requirements.lock
	echo uv | $(COMPILE) - --python-version 3.11 --output-file requirements-uv.lock

.venv/ready: requirements.lock | $(UV)
	$(UV) venv --allow-existing --python 3.11 .venv
	$(UV) pip sync --require-hashes --compile-bytecode --python .venv requirements.lock
	touch $@

.uv/bin/uv: requirements-uv.lock
	python3 -m venv .uv
	.uv/bin/pip install --quiet --require-hashes --requirement requirements-uv.lock
	touch $@

clean:
	rm -rf .venv .uv

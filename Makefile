# The project's commands. `make install` builds .venv; everything else installs it first when needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed-dev
.PRECIOUS: $(VENV)/.installed-%

.PHONY: help install demo test lint docs bench bench-peers faults matrix tasks-suites tenants migrations dist dist-test audit clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     run the example shop: PostgreSQL, Redis, mail, web and workers (Ctrl-C stops all)"
	@echo "make test     lint, types, layers and the whole test suite, on every core; ARGS='-n 0 tests/jobs' chooses"
	@echo "make lint     only ruff, mypy and import-linter"
	@echo "make docs     the documentation as HTML in docs/_build; every warning is an error"
	@echo "make bench    benchmarks on durable servers; ARGS='bench_machine --rounds 5' chooses"
	@echo "make bench-peers  this package beside PgQueuer, in turns, on the same servers (.venvs/)"
	@echo "make faults   the long fault runs, with figures; KILLS=3000 STARTS=1000000 SEED=7 chooses"
	@echo "make matrix   the suite on the interpreters at hand and every Django (.venvs/); ARGS=--full takes every pair"
	@echo "make tasks-suites  Django's own tests of tasks and those of django-tasks-db against our backend, on every Django"
	@echo "make tenants  jobs of two tenants with django-tenants itself (.venvs/)"
	@echo "make migrations  a shop that moves here from Celery, RQ and others, one after the other (.venvs/); ARGS=celery chooses"
	@echo "make dist     sdist, wheel and bill of materials in dist/, checked; make dist-test installs each into an empty environment and uses it"
	@echo "make audit    known vulnerabilities of the packages that come along; asks a public database"
	@echo "make install  build .venv with everything above; PYTHON=python3.13 chooses the interpreter"
	@echo "make clean    remove .venv, .venvs, dist and caches"

install: $(INSTALLED)

# What a target needs and no more: the demo has a third of the packages that the tests have.
$(VENV)/.installed-%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: $(PYTHON) is missing or older than 3.11. Name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: $(PYTHON) cannot make virtual environments (ensurepip is missing). On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@extras=$$($(PYTHON) .ci/extras.py $*) || exit 1; \
	echo "Installing into $(VENV) (half a minute to a minute the first time) ..."; \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$$extras]"
	@touch $@
	@if [ $* = dev ]; then touch $(VENV)/.installed-demo; fi

demo: $(VENV)/.installed-demo
	@$(BIN)/python manage.py demo $(ARGS)

test: lint
	@echo "Running the test suite on real servers (about 10 minutes on two cores) ..."
	@# Its hundreds of processes would each compile the package again where bytecode is not written.
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

lint: $(INSTALLED)
	@echo "Checking style, types and layers ..."
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "error: run $(BIN)/ruff format" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache >$(VENV)/layers.txt || { cat $(VENV)/layers.txt >&2; exit 1; }

docs: $(INSTALLED)
	@$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs docs/_build
	@echo "The documentation is in docs/_build/index.html."

bench: $(INSTALLED)
	@$(BIN)/python -W error::RuntimeWarning -m tests.benchmarks $(ARGS)

bench-peers: $(INSTALLED)
	@$(BIN)/python -W error::RuntimeWarning -m tests.benchmarks bench_peers --rounds 5 $(ARGS)

KILLS ?= 1000
STARTS ?= 300000
SEED ?= 1

faults: $(INSTALLED)
	@PLEME_FAULT_KILLS=$(KILLS) PLEME_FAULT_STARTS=$(STARTS) PLEME_FAULT_SEED=$(SEED) $(BIN)/python -m pytest -s tests/faults/test_*.py tests/faults/long_*.py $(ARGS)

matrix:
	@$(PYTHON) .ci/matrix.py $(ARGS)

tasks-suites:
	@$(PYTHON) .ci/tasks_suites.py $(ARGS)

tenants:
	@$(PYTHON) .ci/try_tenants.py

migrations:
	@$(PYTHON) tests/migrations_from/move.py $(ARGS)

# Neither needs .venv: they make environments of their own in .venvs/.
dist:
	@$(PYTHON) .ci/build_dist.py $(ARGS)

dist-test: dist
	@$(PYTHON) .ci/try_dist.py

audit:
	@$(PYTHON) .ci/audit.py

clean:
	rm -rf $(VENV) .venvs .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/_build dist

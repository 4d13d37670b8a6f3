# The two commands of the README are `make warehouse` and `make test`; each installs what it needs.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock)
HOME_FOLDER := $(if $(BOATHOUSE_HOME),$(BOATHOUSE_HOME),data)

.PHONY: help warehouse dashboard test lint format docs benchmark lock clean

help:
	@echo "make warehouse   install, load what waits (demo files if there is nothing), build, release"
	@echo "make dashboard   the released warehouse in the browser, at http://127.0.0.1:8501"
	@echo "make test        install, lint, type-check and run every test"
	@echo "make docs        the dbt site, and docs/reference.md: every table and column"
	@echo "make benchmark   measure speed and memory, rewrite docs/benchmarks.md"
	@echo "make lock        pin newer versions of the dependencies"

$(INSTALLED): requirements.lock pyproject.toml
	@echo "Installing into $(VENV) …"
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	@touch $@

warehouse: $(INSTALLED)
	@$(BIN)/boathouse generate --if-empty
	@$(BIN)/boathouse run

dashboard: $(INSTALLED)
	@$(BIN)/python -m dashboards

test: lint
	@$(BIN)/pytest -n 2

lint: $(INSTALLED)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
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

lock: $(INSTALLED)
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --upgrade --quiet -o requirements.lock

clean:
	rm -rf $(VENV) target logs .cache .hypothesis

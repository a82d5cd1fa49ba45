# Every target makes .venv itself when it is missing or older than what it is made from.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help install demo test check bench-subjects serve lock format clean

help:
	@echo "make demo    run the main job end to end, step by step"
	@echo "make serve   start a transmitter for development on port 8080"
	@echo "make test    all tests, on SQLite and on PostgreSQL"
	@echo "make check   lint, types, import contracts, fast tests"
	@echo "make bench-subjects  what a publish costs beside a list of 1 000 000 subjects"
	@echo "make lock    resolve the dependencies again and write requirements/dev.lock"

install: $(STAMP)

$(STAMP): pyproject.toml requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sharedsignals needs Python 3.11 or later; say which with make PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q ssf receiver keys
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/python docs/examples/demo.py

serve: $(STAMP)
	$(BIN)/ssf serve --dev

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -m "not e2e" tests/protocol tests/rules tests/keys tests/receiver

test: $(STAMP)
	$(BIN)/pytest -q -n auto --maxprocesses 4 --dist worksteal

bench-subjects: $(STAMP)
	$(BIN)/python -m benchmarks.subjects

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	@.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
		--extra dev --no-emit-package sharedsignals pyproject.toml -o requirements/dev.lock
	@rm -rf .venv-lock

clean:
	rm -rf .venv .venv-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

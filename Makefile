PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

DEMO_MACHINE := catalogue:a1e81a7903a5
DEMO := $(BIN)/xenp2m predict $(DEMO_MACHINE) --kernel 3.15 --kernel series --dom0-mem 4G --no-log

.PHONY: demo lab test lint format bench fuzz docs screenshot clean

# Exit status 1 means that BARs were found which do not map: that is what the demo shows.
demo: $(VENV)/.installed
	$(DEMO) || test $$? -eq 1

test: $(VENV)/.ready
	$(BIN)/python -m pytest --numprocesses auto

# Boots every shape in QEMU: needs Debian packages (see docs/lab.md) and about fifteen minutes.
lab: $(VENV)/.ready
	$(BIN)/xenp2m lab setup
	$(BIN)/xenp2m lab run --all --output build/lab; status=$$?; \
	$(BIN)/xenp2m lab report build/lab --output build/lab/report.md --html build/lab/report.html && exit $$status

lint: $(VENV)/.ready
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/mypy

format: $(VENV)/.ready
	$(BIN)/ruff check --fix src tests benchmarks docs
	$(BIN)/ruff format src tests benchmarks docs

bench: $(VENV)/.ready
	for script in benchmarks/[a-z]*.py; do echo "== $$script"; PYTHONPATH=tests $(BIN)/python $$script || exit; done

fuzz: $(VENV)/.ready
	PYTHONPATH=tests $(BIN)/python -m fuzz.fuzz_texts
	PYTHONPATH=tests $(BIN)/python -m fuzz.fuzz_dumps

docs: $(VENV)/.ready
	$(BIN)/mkdocs build --strict --quiet

# Pictures of the documentation; that of the page needs chromium.
screenshot: $(VENV)/.ready
	$(BIN)/python docs/screenshot.py
	$(BIN)/python docs/screenshot_view.py
	$(BIN)/python docs/screenshot_page.py
	$(DEMO) --width 1000 --svg docs/images/map.svg >/dev/null || test $$? -eq 1
	$(BIN)/xenp2m tree docs/examples/p2m-head-comment.json --kernel 3.16 --width 1000 --svg docs/images/tree.svg >/dev/null

clean:
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "xenp2m needs Python 3.11 or later (PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	$(PIP) install --editable .
	touch $@

$(VENV)/.ready: $(VENV)/.installed
	$(PIP) install --editable ".[all]" --group test --group lint --group docs
	touch $@

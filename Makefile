# Everything here works on a fresh machine with python3 (3.11 to 3.13) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOUR_READY := $(VENV)/.tour-ready
DOCS := .venv-docs
DOCS_READY := $(DOCS)/.ready

.PHONY: quickstart test test-slow test-faults lint benchmark benchmark-small docs tour clean

quickstart: $(READY)  ## run the main job on the embedded data set
	$(BIN)/python -m tf_fullbatch.main --flagfile=flags/quickstart.flags

test: lint  ## style, types and tests
	TF_CPP_MIN_LOG_LEVEL=2 $(BIN)/python -m pytest --numprocesses=2

test-slow: $(READY) $(TOUR_READY)  ## the longer tests: all layers, the tour, the wheel, quickstart to its end, replica table, fuzzed processes
	TF_CPP_MIN_LOG_LEVEL=2 $(BIN)/python -m pytest -m slow --numprocesses=2

test-faults: $(READY)  ## faults: killed processes, full disks, lost workers, signals
	TF_CPP_MIN_LOG_LEVEL=2 $(BIN)/python -m pytest -m faults

lint: $(READY)  ## style, types and the order of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmark: $(READY)  ## speed and memory of a step, beside a bare forward and backward loop
	$(BIN)/python -m tf_fullbatch.benchmark

benchmark-small: $(READY)  ## small networks, beside loops written by hand and Keras' fit
	$(BIN)/python -m tf_fullbatch.benchmark --suite=small

docs: $(DOCS_READY)  ## the documents and the docstrings as a site: site/index.html
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet

tour: $(TOUR_READY)  ## run docs/tour.ipynb, and keep what it shows
	$(BIN)/python -m tests.tour

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "error: Python %d.%d found, 3.11 to 3.13 needed: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $(READY)

$(TOUR_READY): $(READY) docs/requirements-tour.txt
	$(BIN)/python -m pip install --quiet -r docs/requirements-tour.txt
	touch $(TOUR_READY)

$(DOCS_READY): docs/requirements.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet -r docs/requirements.txt
	touch $(DOCS_READY)

clean:
	rm -rf $(VENV) $(DOCS) runs site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

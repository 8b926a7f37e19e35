# Everything needs python3 (3.11 or newer) with venv and pip; the rest is fetched into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What the tests and benchmarks use beside the package itself.
EXTRAS := dev,bench,lightning,timm,transformers,umap,search,onnx,track,light,weights,cluster
CODE   := src tests $(wildcard benchmarks examples docs)
# Arguments for pytest, such as PYTEST="tests/models -x".
PYTEST ?=
# Test processes side by side; 0 runs the tests in one process that a debugger can stop.
JOBS   ?= 2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types unit fuzz bench format clean

help: ## Show this list.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-8s %s\n", $$1, $$2 }'

demo: $(VENV)/runtime ## Compare seven methods and their controls on long-tailed digits; table and report in demo/.
	$(BIN)/midmix compare digits --imbalance 50 --profile exp --seeds 10 --out demo

test: lint types unit ## Run every check: ruff, mypy, pytest.

lint: $(VENV)/development ## Check style and layout.
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(VENV)/development ## Check types.
	$(BIN)/mypy $(CODE)

unit: $(VENV)/development ## Run the tests and the examples in docstrings.
	$(BIN)/pytest --numprocesses $(JOBS) $(PYTEST)

fuzz: $(VENV)/development ## Run the property tests at length, from a new seed.
	seed=$$(date +%s); echo "seed $$seed"; $(BIN)/pytest --numprocesses $(JOBS) -m hypothesis --hypothesis-profile fuzz \
		--hypothesis-seed "$$seed" --seed "$$seed" $(PYTEST)

bench: $(VENV)/development ## Run every benchmark.
	set -e; for script in benchmarks/*.py; do $(BIN)/python "$$script"; done

format: $(VENV)/development ## Lay out the code and mend what ruff can mend.
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

clean: ## Remove the virtual environment and the caches.
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The stamps below are older than what they were made from only when that has changed.
$(VENV)/runtime: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("midmix needs Python 3.11 or newer; try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable .
	touch $@

$(VENV)/development: $(VENV)/runtime
	$(PIP) --no-build-isolation --editable '.[$(EXTRAS)]'
	touch $@

# Each target first sets up what it needs: a virtual environment with the pinned packages.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= runs/demo

python := $(VENV)/bin/python
ready := $(VENV)/ready
constraints = constraints/py$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt

.PHONY: demo test lint

demo: $(ready)
	$(python) -m cifar_jax.main --workdir $(DEMO) \
	  --config configs/resnet.py:depth=8,dataset=shapes,epochs=7,schedule=cosine \
	  --config.train.batch_size=64

test: $(ready)
	$(python) -m pytest

lint: $(ready)
	$(python) -m ruff format --check .
	$(python) -m ruff check .
	$(python) -m mypy

$(ready): pyproject.toml setup.py $(wildcard constraints/*.txt)
	@test -f $(constraints) || \
	  { echo "$(PYTHON) has no file in constraints/: give make PYTHON=python3.11, 3.12 or 3.13"; exit 1; }
	@echo 'installing JAX, Flax and what they need into $(VENV) (1.3 GB, one to three minutes)'
	$(PYTHON) -m venv $(VENV)
	$(python) -m pip install --quiet --no-compile --disable-pip-version-check --editable '.[dev]' \
	  --constraint $(constraints)
	touch $@

# Both targets set everything up by themselves: a virtual environment, the pinned packages, the work.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= runs/demo

python := $(VENV)/bin/python
ready := $(VENV)/ready

.PHONY: demo test lint

demo: $(ready)
	$(python) -m cifar_jax.main --config configs/resnet.py:depth=8,dataset=shapes,epochs=10,schedule=cosine --workdir $(DEMO)

test: $(ready)
	$(python) -m pytest

lint: $(ready)
	$(python) -m ruff format --check .
	$(python) -m ruff check .
	$(python) -m mypy

$(ready): pyproject.toml $(wildcard constraints/*.txt)
	$(PYTHON) -m venv $(VENV)
	$(python) -m pip install --quiet --disable-pip-version-check --editable '.[dev]' \
	  --constraint constraints/py$$($(python) -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt
	touch $@

# Two commands for a newcomer: make demo, make test. Both make their own environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell grep -E "^torch==" constraints.txt)

.PHONY: help demo test lint bench install clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    simulated pouch cells: train, synthesise, compare, write demo/report.html"
	@echo "make test    all tests        make lint    ruff and mypy"
	@echo "make bench   timed comparisons (minutes to hours)"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo 'installing into $(VENV); the first time takes a few minutes'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt $(TORCH) --editable '.[train,test]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/flawsmith demo demo

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

lint: $(STAMP)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python benchmarks/train_step.py

clean:
	rm -rf $(VENV) demo

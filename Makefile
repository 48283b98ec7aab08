# What people and the checks run alike. On a fresh clone the first target to be asked for makes the environment.
#
#   make demo        restore the two pictures in samples/, one of them with a kernel found from it alone
#   make test        format, lint, types, floors, tests (the slow ones left out)
#   make test-slow   the tests that take longer
#   make test-web    the page in a browser; needs chromium
#   make gui         the page: drop a photograph, look, download
#   make fuzz        bad inputs, seed after seed: SECONDS=600 SEED=1; a finding prints the line that repeats it
#   make bench       the numbers that the README quotes, with their peers
#   make calibrate   fit again what kernels found blind are weighed by: FOLDER=photographs, hours
#   make lint        all the checks of `make test` but the tests

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed.stamp

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-web gui fuzz bench calibrate lint format clean

help:
	@sed -n '3,11s/^#  *//p' Makefile

# The stamp is written last: an environment that was left half made (an interrupted download, a moved Python) is
# completed, or made anew where its Python no longer runs; a change of what is built or needed installs again.
$(STAMP): pyproject.toml constraints.txt CMakeLists.txt $(wildcard csrc/*/*)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing into $(VENV); this takes a few minutes once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,photo,astro,web]'
	@touch $@

demo: $(STAMP)
	$(BIN)/deblur apply samples/blurred.png --kernel samples/kernel.npy --truth samples/truth.png --compare --force -o demo/
	$(BIN)/deblur apply samples/clock_motion.png --kernel motion --report demo/clock_motion.report.png --compare --force -o demo/
	@echo "before, after and the kernel side by side: demo/*.compare.png"

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# One process a processor, with one thread each: small tests gain nothing from threads.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# Chromium comes from the system: playwright's own is fetched from a host that not every machine reaches.
test-web: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt playwright
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser tests/web

gui: $(STAMP)
	$(BIN)/deblur gui

fuzz: $(STAMP)
	$(BIN)/python tests/faults/fuzz.py --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

bench: $(STAMP)
	$(BIN)/python benchmarks/restore.py
	$(BIN)/python benchmarks/preconditioners.py
	$(BIN)/python benchmarks/quadrant.py
	$(BIN)/python benchmarks/solve.py
	$(BIN)/python benchmarks/fit.py

calibrate: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/calibrate.py $(FOLDER)

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf build dist demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache $(VENV)

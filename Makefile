# Everything a newcomer types. Each target does the set-up it needs; repeating one does no work twice.

PYTHON ?= python3
RUN := .venv/bin/python

.PHONY: help setup demo dashboard test coverage picture lint types format browser arc-tiny arc-tiny-evaluation
.DEFAULT_GOAL := help

help:
	@echo "make demo       set up, run the demo experiment, open its results (OPEN=0 stops after the table; PORT=8502)"
	@echo "make test       set up, then lint, check types and run all tests"
	@echo "make coverage   the tests again, and how much of the code they run"
	@echo "make dashboard  set up, then open the dashboard on data/ and runs/"
	@echo "make setup      only make .venv and install everything (ENGINE=cpu or gpu, PYTHON=python3.12)"
	@echo "make lint       ruff: lint and format, nothing is changed"
	@echo "make types      mypy"
	@echo "make format     let ruff put the code into its format"
	@echo
	@echo "Afterwards: .venv/bin/python -m core --help"

setup:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). Install Python 3.11 or newer" \
		"(Debian/Ubuntu: sudo apt-get install python3 python3-venv), or name one: make PYTHON=..." >&2; exit 2; }
	@$(PYTHON) .ci/setup.py

demo: setup
	@$(RUN) -m core demo $(if $(filter 0,$(OPEN)),--no-open) $(if $(PORT),--port $(PORT))

dashboard: setup
	@$(RUN) -m core dashboard $(if $(PORT),--port $(PORT))

# Compiled ahead, for the tests start hundreds of processes, and not every environment keeps what they compile.
test: setup browser
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m compileall -q core dashboard tests
	$(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# Tracing slows the tests, whose bounds on processor time then do not hold; so it is a target of its own.
coverage: setup browser
	-$(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder --cov=core --cov=dashboard --cov-report=
	$(RUN) -m coverage report --skip-covered --sort=cover

# The picture in README.md, from the runs of the demo.
picture: setup
	TAKE_PICTURE=1 $(RUN) -m pytest tests/browser/test_picture.py

# The base model arc-tiny: its recipe, and the scores of its card (data/models/arc-tiny).
arc-tiny: setup
	@for set in arc1 arc2 re-arc concept-arc mini-arc; do $(RUN) -m core data import $$set || exit; done
	@test -d data/models/arc-tiny-start || $(RUN) -m core model init arc-tiny-start \
		--hidden-size 96 --layers 4 --heads 3 --mlp-size 256 --context 4096 --seed 0
	@$(RUN) -m core launch arc-tiny --wait
	@$(RUN) -m core launch arc-tiny-longer --wait

arc-tiny-evaluation: setup
	@$(RUN) -m core data import arc1
	@for spec in arc-tiny-evaluation arc-tiny-attempts; do $(RUN) -m core launch $$spec --wait \
		&& $(RUN) -m core results $$spec --scope checkpoint || exit; done

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: setup
	$(RUN) -m mypy

format: setup
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

browser:
	@bash .ci/browser

# Two commands do everything: `make demo` and `make test`. Both make .venv from the lock first, with hashes checked.
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# A venv of ours, whatever venv or settings the caller's shell has.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.PHONY: demo test lint lock readers lock-readers reference mutations chaos clean bench bench-imagery bench-radar bench-stores bench-loader bench-labels bench-locations bench-exports bench-end-to-end bench-wide bench-scale bench-clean recipes

demo: .venv/installed
	snakemake --cores $(CORES)
	@echo
	@echo "The dataset: $(CURDIR)/results/demo          (index.parquet; tilewright.open('results/demo') reads it)"
	@echo "The report:  $(CURDIR)/results/demo/report.html"

test: .venv/installed lint
	python -m pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder

# A part of `make test` by itself: which check notices which planted fault.
mutations: .venv/installed
	python -m pytest tests/mutations

# Thirty seeded runs in which processes die, disks fill, files are spoiled, clocks jump: about half an hour of CPU.
chaos: .venv/installed
	python tests/chaos/campaign.py --runs 30

lint: .venv/installed
	ruff check .
	ruff format --check .
	snakefmt --check --compact-diff Snakefile workflow/rules
	mypy
	snakemake --lint > .venv/lint.txt 2>&1 || { cat .venv/lint.txt; exit 1; }

# config/README.md and the JSON schemas of ontologies and providers are made from the models; a test fails when one is stale.
reference: .venv/installed
	tilewright reference --folder config

# Versions and hashes, no addresses.
lock: .venv/installed
	uv pip compile pyproject.toml --extra dev --extra cluster --generate-hashes --universal --python-version 3.11 --no-header --quiet --output-file envs/requirements.lock

# The independent readers of exports that tests run, in a venv of their own: 2 GB, CPU only. Without it those tests are skipped.
readers: .venv-readers/installed

# --no-deps: the lock is all there is, and what it leaves out is in tests/readers/uv.toml.
.venv-readers/installed: tests/readers/requirements.lock
	$(PYTHON) -m venv --clear .venv-readers
	.venv-readers/bin/python -m pip install --quiet --no-compile --no-deps --require-hashes --requirement tests/readers/requirements.lock
	touch $@

lock-readers: .venv/installed
	UV_FIND_LINKS="$$PIP_FIND_LINKS" uv pip compile tests/readers/requirements.in --config-file tests/readers/uv.toml --generate-hashes --python-version 3.11 --no-header --quiet --output-file tests/readers/requirements.lock

# Side by side with other tools, on one machine: benchmarks/README.md. The first run makes 4 GB of imagery and the peers' environments.
bench: bench-imagery bench-radar bench-stores bench-loader bench-labels bench-locations bench-exports bench-end-to-end

bench-imagery bench-radar bench-stores bench-loader bench-labels bench-locations bench-exports bench-end-to-end: bench-%: .venv/installed
	python benchmarks/$(subst -,_,$*).py

# A wide run on a cluster of 64 cores that this machine only claims to have: about ten minutes, most of them asleep.
bench-wide: .venv/installed
	python benchmarks/wide.py

# What Snakemake itself costs on a planet: about an hour of CPU, and 8 GB for all land in one graph. Rows are kept in git.
bench-scale: .venv/installed
	python benchmarks/scale.py

# Every recipe end to end on a small simulated world, with a page of its samples: about 20 minutes on two cores, and 1 GB.
recipes: .venv/installed
	python benchmarks/recipes.py --cores $(CORES)

bench-clean:
	rm -rf benchmarks/data
	find benchmarks/results -mindepth 1 -maxdepth 1 ! -name scale.json -exec rm -rf {} +

.venv/installed: envs/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tilewright needs Python 3.11 or later: make PYTHON=python3.11 .venv/installed, then as before"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement envs/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv .venv-readers results data logs .snakemake
	find benchmarks/results -mindepth 1 -maxdepth 1 ! -name scale.json -exec rm -rf {} +

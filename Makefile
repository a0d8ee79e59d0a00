# make demo   archives a user of the sandbox, offline, and shows what came of it
# make test   the tests, but for those that take long
# The rest is for those who work on the project.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-long lint types check bench profile chaos fuzz test-install test-peer test-judges \
	clean

demo: $(VENV)/installed
	$(BIN)/scrapy demo

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 4 --dist loadgroup -m "not long"

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/installed-dev
	$(BIN)/mypy

check: lint types test

# Kills, full disks, a real Scrapyd, large collections.
test-long: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 4 --dist loadgroup -m long

# Side by side with the tool that this project replaces; takes long.
bench: $(VENV)/installed-dev
	$(BIN)/python -m bench

# Where a crawl spends its time: profiles in bench/results.
profile: $(VENV)/installed-dev
	$(BIN)/python -m bench.profile

# Crawls with all faults on, killed at random instants until they are complete; takes long.
chaos: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/chaos --kills 50 --room 300 -p no:randomly

# A million changed JPEGs against the walk's sanitizers, and its judge against libjpeg with warnings as
# errors; takes minutes, a C compiler and libjpeg's headers.
fuzz: $(VENV)/installed-dev
	$(BIN)/python -m tests.native.fuzz 1000000

# Builds wheel and sdist, installs them with what they need into empty environments, and archives.
test-install: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/install --from-index

# Adopts what mapillary-downloader made, which is installed into an environment of its own.
test-peer: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/peer

# What mapillary_tools, Panoramax, DuckDB and geopandas say of a collection; each is installed into an
# environment of its own.
test-judges: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/judges

clean:
	rm -rf $(VENV) .demo build dist *.egg-info native/build native/*.egg-info native/jpeg_entropy/*.so

# Editable: what runs is the checkout, and the library in C is built where its sources are.
$(VENV)/installed: requirements.txt pyproject.toml setup.py native/pyproject.toml $(wildcard native/jpeg_entropy/*.[ch])
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; say make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@$(BIN)/python -c "import jpeg_entropy" 2>/dev/null || echo "Without native/, which takes a C compiler, crawls are slower; $(BIN)/pip install --verbose --editable . says more."
	touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

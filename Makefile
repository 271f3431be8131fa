# The recipes of the house. `make` lists them.

SHELL := /bin/sh
CARGO ?= cargo
# Programs that only chores need are built once and kept here.
TOOLS := $(CURDIR)/target/tools
DENY_VERSION := 0.20.2
DENY := $(shell command -v cargo-deny 2>/dev/null || echo $(TOOLS)/bin/cargo-deny)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the recipes
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## From nothing to a pushed app that answers
	dev/packages build run
	$(CARGO) build --release --locked --package kogge
	dev/demo

.PHONY: test
test: ## Installs what tests need and runs all of them (as root)
	dev/packages build test
	$(CARGO) test --workspace --locked --no-fail-fast

.PHONY: bench
bench: ## The numbers, each beside its peer (as root); ONLY=name runs one
	dev/packages build bench
	$(CARGO) xtask bench $(if $(ONLY),--only $(ONLY))

.PHONY: campaign
campaign: ## Faults on clusters in use (as root); SEEDS=3 FROM=seed ONLY=row STATE=etcd|zookeeper
	dev/packages build test
	$(CARGO) xtask campaign $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FROM),--from $(FROM)) $(if $(ONLY),--only $(ONLY)) $(if $(STATE),--state $(STATE)) $(if $(OTHER),--other $(OTHER))

.PHONY: dist
dist: ## One static binary with its unit and digests, in target/dist
	dev/packages build
	$(CARGO) xtask dist

.PHONY: test-vm
test-vm: dist ## The binary in a Debian machine of its own: restarts, reboot, loss of power (as root)
	dev/packages vm
	$(CARGO) xtask test-vm

.PHONY: check
check: check-fmt check-clippy check-tidy check-deny check-docs ## Formatting, lints, walls, licences, docs

.PHONY: check-fmt
check-fmt:
	$(CARGO) fmt --all -- --check

.PHONY: check-clippy
check-clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: check-tidy
check-tidy:
	$(CARGO) xtask tidy

.PHONY: check-deny
check-deny: $(DENY)
	$(DENY) --log-level error --all-features check --hide-inclusion-graph bans licenses sources

.PHONY: check-docs
check-docs:
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' \
		$(CARGO) doc --workspace --no-deps --document-private-items --locked --quiet

$(TOOLS)/bin/cargo-deny:
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --root $(TOOLS)

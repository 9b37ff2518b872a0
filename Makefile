# `make demo` and `make test` are the commands of the README; every target does its own set-up, cached outside the tree.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
ASSETS := $(PYTHON) -m tests.testbed.assets
# Recursively expanded: the environment exists only after the assets were built.
DEV = $(shell $(ASSETS) --path development)
RUN = $(DEV)/bin

# What `test` runs in the foreground, and at idle priority beside it. Nothing runs beside the kernel tier: even idle
# priority takes a third of the speed of its guests, where tests have limits of time.
TIERS := test-cluster test-page
BESIDE_TIERS := test-unit packaging -j2 -O
BESIDE_LAB := test-chart test-images

# Where sessions have autogroups, the kernel weighs a process only within its own (sched(7)).
IDLE := sh -c '{ echo 19 > /proc/self/autogroup; } 2> /dev/null; exec chrt --idle 0 "$$@"' idle

# $(call beside,COMMANDS,TARGETS): run commands, and make targets at idle priority beside them, whose output comes last.
define beside
mkdir -p build; log=build/$(firstword $(2)).log; \
echo "$(2): started, at idle priority beside the tests ($$log)"; \
setsid $(IDLE) $(MAKE) --no-print-directory $(2) > $$log 2>&1 & other=$$!; \
trap 'kill -- -$$other 2> /dev/null || true' EXIT; \
$(1); \
tail --pid=$$other --lines=+1 --follow $$log; \
wait $$other
endef

.PHONY: help demo test packaging lint test-unit test-long test-cluster test-page test-kernel test-lab test-chart test-images test-pods bench plugin site generate chart images lock up down clean
help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## Two OpenStack clouds and a stretched network on this machine; KEEP=1 leaves them running; TOPOLOGY=hybrid has a third
	$(if $(filter-out hybrid,$(TOPOLOGY)),$(error TOPOLOGY is hybrid or not given, not '$(TOPOLOGY)'))
	@$(ASSETS) lab
	@$(RUN)/python -m demo $(if $(KEEP),--keep) $(if $(TOPOLOGY),--topology '$(TOPOLOGY)')

test: ## All of CI: lint and all tiers; what they need later is built meanwhile, at idle priority
	@$(ASSETS) development images monitoring
	@$(MAKE) --no-print-directory lint test-kernel
	@$(call beside,$(ASSETS) lab; $(MAKE) --no-print-directory $(TIERS),$(BESIDE_TIERS))
	@$(call beside,$(MAKE) --no-print-directory test-lab,$(BESIDE_LAB))
	@$(MAKE) --no-print-directory test-pods

packaging: ## What test-pods, test-chart and test-images need: the container images, Helm, and what runs pods
	@$(ASSETS) development
	@$(RUN)/python -m images.build
	@$(ASSETS) helm pods

lint: ## Style, types, import contracts, generated files, the documentation as a site
	@$(ASSETS) development
	@$(RUN)/ruff format --check . && $(RUN)/ruff check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-logo
	@NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict
	@$(RUN)/pytest -q tests/golden/test_generated_files.py

test-unit: ## Pure code, adapters against fakes (some minutes)
	@$(ASSETS) development
	@$(RUN)/pytest -q -n 2 --dist worksteal tests/unit tests/property tests/golden

test-long: ## Many random examples, soaks, upgrades, two nodes on ML2/OVS, injected faults, probes (more than an hour, not part of `test`)
	@$(ASSETS) lab monitoring pods helm
	@$(RUN)/python -m images.build
	@HYPOTHESIS_PROFILE=long $(RUN)/pytest -q tests/cluster/test_schema_fuzz.py tests/cluster/test_text.py
	@HYPOTHESIS_PROFILE=long $(RUN)/pytest -q -n 2 --dist worksteal -m "long or hypothesis" tests/unit tests/property
	@$(RUN)/python -m tests.kernel --without-ipv6 tests/kernel/test_agent.py
	@$(RUN)/pytest -q -m long tests/lab
	@$(RUN)/pytest -q -m long tests/pods tests/images

test-cluster: ## A real kube-apiserver: CRDs, admission, RBAC
	@$(ASSETS) development kubernetes
	@$(RUN)/python -m tests.rerun -q -n2 --dist=worksteal tests/cluster

test-page: ## The page of `kubectl isthmus topology --serve` in Chromium; photographs of it in build/page
	@$(ASSETS) development page
	@$(RUN)/pytest -q tests/page

test-kernel: ## Real Open vSwitch, ESP and strongSwan, in User Mode Linux if the host's kernel lacks them
	@$(ASSETS) development kernel packages
	@$(RUN)/python -m tests.kernel

test-lab: ## Two real OpenStack clouds with the whole operator
	@$(ASSETS) lab
	@$(RUN)/python -m tests.rerun -q tests/contract tests/lab

test-chart: ## The Helm chart, also as a release on a real kube-apiserver; rules and dashboards with promtool
	@$(ASSETS) development kubernetes helm monitoring
	@$(RUN)/pytest -q tests/chart tests/monitoring

test-images: ## The container images: contents, whether their programs start, the unit tests on their Python, what charon agrees on with an older one
	@$(ASSETS) development kernel packages
	@$(RUN)/python -m images.build
	@$(RUN)/pytest -q tests/images
	@$(RUN)/python -m tests.kernel tests/kernel/newer/test_*.py

test-pods: ## The chart on two kubelets, in a lab whose other cloud runs natively
	@$(ASSETS) lab pods helm
	@$(RUN)/python -m images.build
	@$(RUN)/python -m tests.rerun -q tests/pods

bench: ## Measure performance on the testbed, to build/bench.json; lost pings are those that test-pods has counted
	@$(ASSETS) lab pods helm
	@$(RUN)/python -m tests.bench

plugin: ## Write kubectl-isthmus, one file for any Python from 3.11, and what krew needs to build/; RELEASE=URL of the archive
	@PYTHONPATH=operator $(PYTHON) -m isthmus.plugin.archive build/kubectl-isthmus
	@PYTHONPATH=operator $(PYTHON) -m isthmus.plugin.krew build $(if $(RELEASE),--release $(RELEASE))

site: ## Write the documentation as a site to build/site
	@$(ASSETS) development
	@NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict

generate: ## Write all generated files: crds/, the chart's schema, parts of docs/ and of mkdocs.yml, texts in tests/golden/
	@$(ASSETS) development
	@$(RUN)/python -m isthmus.model.api.schema crds
	@$(RUN)/python -m tests.golden.explain tests/golden/explain.txt
	@$(RUN)/python -m tests.golden.messages tests/golden/messages.txt
	@$(RUN)/python -m tests.golden.telemetry tests/golden
	@$(RUN)/python -m isthmus.model.reasons.document docs/conditions.md
	@$(RUN)/python -m isthmus.cli.reference docs/reference.md
	@$(RUN)/python -m isthmus.cli.troubleshooting docs/troubleshooting.md
	@$(RUN)/python -m isthmus.cli.commands docs/commands.md
	@$(RUN)/python -m isthmus.model.api.document docs/resources.md
	@$(RUN)/python -m charts.document docs/values.md
	@$(RUN)/python -m tests.golden.navigation mkdocs.yml
	@$(RUN)/python -m tests.lab.diagnose.document docs/faults.md
	@$(RUN)/python -m charts.generate charts/isthmus
	@$(RUN)/python -m charts.monitoring.rules deploy/prometheus/rules.yaml
	@$(RUN)/python -m charts.monitoring.index docs/runbooks/README.md

chart: ## Write what is kept of the chart's renderings: deploy/isthmus.yaml, tests/chart/golden/, docs/rights.md
	@$(ASSETS) development helm
	@$(RUN)/python -m tests.chart.render
	@$(RUN)/python -m charts.rights tests/chart/golden/minimal.yaml docs/rights.md

images: ## Build the container images, without a daemon; PUSH=registry/path copies them there
	@$(ASSETS) development
	@$(RUN)/python -m images.build $(if $(PUSH),--push $(PUSH))

lock: ## Update requirements/*.txt from pyproject.toml
	@$(ASSETS) development
	@for extra in controller agent; do \
	  $(RUN)/uv pip compile -q pyproject.toml --extra $$extra --no-annotate --no-emit-index-url --no-header -p 3.11 -o requirements/$$extra.txt; done
	@$(RUN)/uv pip compile -q pyproject.toml --all-extras --group dev --no-annotate --no-emit-index-url --no-header -p 3.11 -o requirements/development.txt

up: ## Bring a lab up and leave it running
	@$(ASSETS) lab
	@$(RUN)/python -m tests.testbed up

down: ## Tear the lab down
	@$(RUN)/python -m tests.testbed down

clean: ## Remove what tests and benchmarks wrote into the tree
	rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

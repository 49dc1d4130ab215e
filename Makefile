# Every chore is one word; `make` alone lists them. CI calls `make lint` and `make test`, nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO  := cargo
TARGET := x86_64-unknown-linux-gnu
# What tests run: static like what is shipped, ours without optimisation.
TEST   := $(CARGO) test --locked --profile world
APPS   := strongroom strongroom-init
OTHERS := --workspace $(addprefix --exclude ,$(APPS))
WORLD_BINARY := "$${CARGO_TARGET_DIR:-target}/$(TARGET)/world/world"
PURE   := strongroom-secret strongroom-failure strongroom-reference strongroom-select strongroom-provider \
          strongroom-telemetry strongroom-resolve strongroom-render strongroom-deliver-env strongroom-deliver-files xtask
BUILD_FACTS = STRONGROOM_BUILD_DATE="$$(git log -1 --format=%cI 2>/dev/null)" \
          STRONGROOM_BUILD_COMMIT="$$(git rev-parse --short HEAD 2>/dev/null)" \
          STRONGROOM_BUILD_BRANCH="$$(git rev-parse --abbrev-ref HEAD 2>/dev/null)"

.PHONY: help demo demo-node world-program test test-fast test-node lint bench soak build images chart world world-up world-down docs fuzz

help: ## List the chores
	@sed -nE 's/^([a-z-]+):.*## (.*)$$/  make \1\t\2/p' Makefile | expand -t 20

demo: ## A store, a secret, a process that starts with it, a change and its way back, and who read it
	@dev/demo/run.sh

demo-node: world-program ## The same secret arriving in a pod of a real Kubernetes node, by the operator (as root; the first time builds Kubernetes)
	@dev/demo/node.sh

# The tests' own build has the program that prepares the world: built alone, it would have most of what is below it twice.
test: ## Every test, against real parts (the first time this builds Kubernetes: about 10 minutes)
	@[ "$$(id -u)" = 0 ] || echo "NOTE: not root, so the tests of PID namespaces and of the Kubernetes node are left out; run them with: sudo make test-node"
	$(TEST) $(OTHERS) --no-run
	$(WORLD_BINARY) prepare
	$(TEST) $(OTHERS)
	$(TEST) -p strongroom-init
	$(TEST) -p strongroom

test-fast: ## The pure crates only: no parts, under a minute when warm
	$(TEST) $(addprefix -p ,$(PURE))

test-node: world ## The tests that need root: PID namespaces and the Kubernetes node
	$(TEST) -p strongroom-process -p world
	$(TEST) -p strongroom-init
	$(TEST) -p strongroom --test it -- install::node:: install::kamus_node:: from_a_pod_with_the_charts_rights

lint: ## Formatting, clippy, and the workspace's own rules
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --profile world --workspace --all-targets -- -D warnings
	for features in "" aws google vault; do $(CARGO) clippy --quiet --locked --profile world -p strongroom-init --no-default-features --features "$$features" -- -D warnings; done
	$(CARGO) xtask tidy

bench: build ## Measure speed and size beside peers; prints a table and writes out/bench/
	$(CARGO) run --locked --release -p bench

soak: world build ## Repeat the tests of faults and processes for SOAK_ROUNDS rounds (10)
	for round in $$(seq "$${SOAK_ROUNDS:-10}"); do echo "soak: round $$round"; $(TEST) -p strongroom-process -p strongroom-aws -p strongroom-vault -p strongroom-google --test it; $(TEST) -p strongroom --test it operator::faults; $(TEST) -p strongroom-storage-redb -p strongroom-server --test it kills; done
	$(CARGO) run --locked --release -p bench -- --only operator-soak

build: ## The shipped static binaries: out/strongroom and out/strongroom-init
	mkdir -p out
	$(BUILD_FACTS) $(CARGO) build --locked --profile dist -p strongroom-init
	cp "$${CARGO_TARGET_DIR:-target}/$(TARGET)/dist/strongroom-init" out/
	$(BUILD_FACTS) $(CARGO) build --locked --profile release -p strongroom
	cp "$${CARGO_TARGET_DIR:-target}/$(TARGET)/release/strongroom" out/
	@ls -l out/strongroom out/strongroom-init

images: build ## OCI archives of the binaries into out/images, without a container engine
	$(CARGO) xtask images

chart: ## The Helm chart as one file: out/charts/strongroom-VERSION.tgz
	$(CARGO) xtask chart

world: world-program ## Build and install the real parts that tests use, once, into ~/.cache/strongroom
	$(WORLD_BINARY) prepare

world-program:
	$(CARGO) build --locked --profile world -p world

world-up: world-program ## Start a world and print `export` lines: eval "$$(make -s world-up)"
	@$(WORLD_BINARY) up $(WORLD)

world-down: ## End the world that world-up started
	@$(WORLD_BINARY) down

docs: ## API documentation, and the pages and definitions that are made from the code
	UPDATE_DOCS=1 $(TEST) -p strongroom-reference --test it
	UPDATE_DOCS=1 $(TEST) -p strongroom-server --test it document::
	UPDATE_DOCS=1 $(TEST) -p strongroom --test it pages::
	UPDATE_CRDS=1 $(TEST) -p strongroom-api --test it crds::
	UPDATE_DOCS=1 $(TEST) -p strongroom --test it install::values::
	UPDATE_DOCS=1 $(TEST) -p strongroom --test it commands_es::
	$(CARGO) doc --locked --workspace --no-deps

fuzz: ## Fuzz every parser for FUZZ_SECONDS seconds each (60)
	for target in reference gjson queries environment template store kamus; do dev/fuzz/run.sh "$$target" "$${FUZZ_SECONDS:-60}"; done

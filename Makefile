# Steward. `make` alone prints what there is.
# The make that macOS ships (3.81) does not know .SHELLFLAGS, so each loop of a recipe says set -e itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULES   := shared functions infra infra/local
# The functions of infra/fleet, asked for by those recipes that need them.
FUNCTIONS  = $(shell cd infra && GOWORK=off go run ./cmd/bundle -list)
AGENT     ?= classic
STAGE     ?= dev

# Every module is built as it would be alone: what go.work would pick does not reach a shipped binary.
export GOWORK := off
export CGO_ENABLED ?= 0
# The CDK warns of every Node.js it has not been tried with, over a screenful.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 1
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1

# lambda.norpc leaves out the old RPC mode of aws-lambda-go, and with it half of every binary.
BUILDFLAGS := -tags=lambda.norpc -trimpath -buildvcs=false -ldflags='-s -w -buildid='
BIN        := $(CURDIR)/.bin
LINT       := $(BIN)/golangci-lint
CDK        := npx --yes aws-cdk@2.1148.1

.PHONY: help
help: ## print this
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: local
local: ## run everything on this computer: http://localhost:3000 (AGENT_RUNTIME=classic|harness)
	@echo "Building the laptop run. The first time, compiling the embedded OpenFGA takes a few minutes."
	@set -e; start=$$SECONDS; (cd infra/local && go build -o ../../build/local/steward-local .); echo "Built in $$((SECONDS - start)) s."
	@exec build/local/steward-local -build

.PHONY: invoke
invoke: ## send EVENT=file.json to FUNCTION=name of a running local fleet
	@test -n "$(FUNCTION)" && test -n "$(EVENT)" || { echo "usage: make invoke FUNCTION=okta-groups EVENT=file.json"; exit 2; }
	@test -x build/local/steward-local || { echo "No local fleet is running. Start one with 'make local'."; exit 1; }
	@build/local/steward-local invoke "$(FUNCTION)" "$(EVENT)"

.PHONY: build
build: ## build/<function>/bootstrap (linux/arm64) and build/<function>.zip, the same bits every time
	@set -e; for f in $(FUNCTIONS); do \
		(cd functions && GOOS=linux GOARCH=arm64 go build $(BUILDFLAGS) -o ../build/$$f/bootstrap ./$$f); \
	done
	@cd infra && go run ./cmd/bundle

# The order of the tests. A run with the seed of a failure repeats its order: make test SEED=…
SEED := $(or $(SEED),$(shell date +%s))

.PHONY: test
test: ## all tests of all modules, shuffled (SEED), with the race detector; Go does not cache a shuffled run
	@echo "order of the tests: SEED=$(SEED)"
	@set -e; for m in $(MODULES); do \
		echo "== $$m"; (cd $$m && CGO_ENABLED=1 go test -race -shuffle=$(SEED) -timeout 30m ./...); \
	done

.PHONY: flake
flake: ## run each package's tests FLAKE (10) times under load, shuffled, to find those that fail by luck
	@MODULES="$(MODULES)" SEED="$(SEED)" .ci/flake

.PHONY: check
check: fmt-check tidy-check lint test synth conform ## all there is to check: format, tidiness, linters, tests, templates, other people's tools

.PHONY: fmt
fmt: ## format the code
	@gofmt -w $(MODULES)

.PHONY: fmt-check
fmt-check:
	@out=$$(gofmt -l $(MODULES)); test -z "$$out" || { echo "not formatted:"; echo "$$out"; exit 1; }

.PHONY: tidy
tidy: ## tidy every module
	@set -e; for m in $(MODULES); do (cd $$m && go mod tidy); done

.PHONY: tidy-check
tidy-check:
	@set -e; for m in $(MODULES); do (cd $$m && go mod tidy -diff); done

.PHONY: lint
lint: $(LINT) ## golangci-lint, pinned
	@set -e; for m in $(MODULES); do echo "== $$m"; (cd $$m && $(LINT) run --config $(CURDIR)/.golangci.yaml ./...); done

$(LINT):
	@echo "Building golangci-lint (over two minutes, once)."
	@GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: synth
synth: ## CloudFormation in cdk.out/ for AGENT=classic|harness STAGE=dev|prod; no credentials needed
	@$(CDK) synth --quiet --output cdk.out -c agent=$(AGENT) -c stage=$(STAGE)

DEPLOY = cd infra && go run ./cmd/deploy $(if $(FORCE_CLASSIC),-force-classic) -agent $(AGENT) -stage $(STAGE)

.PHONY: deploy
deploy: ## create or update the stack, after asking the account what would go wrong
	@$(DEPLOY) deploy

.PHONY: diff
diff: ## what a deployment would change
	@$(DEPLOY) diff

.PHONY: destroy
destroy: ## remove the stack; prod keeps its data
	@$(DEPLOY) destroy

.PHONY: secrets
secrets: ## fill the Auth0 and FGA client secrets, typed unseen
	@$(DEPLOY) secrets

.PHONY: rotate
rotate: ## put a fresh key above those that seal and mark, after asking for each
	@$(DEPLOY) rotate

CONFIG ?= steward.yaml

.PHONY: setup
setup: ## bring Auth0 and FGA to what CONFIG=steward.yaml says, after showing a plan (PLAN=1 only shows it, YES=1 asks nothing)
	@cd infra && go build -o ../build/setup ./cmd/setup
	@build/setup -config "$(CONFIG)" $(if $(PLAN),-plan) $(if $(YES),-yes)

.PHONY: doctor
doctor: ## try every link and name the setting that is wrong (STACK=steward-dev: a deployed stack; JSON=1; CIBA=1 sends a push)
	@cd infra && go build -o ../build/doctor ./cmd/doctor
	@build/doctor -config "$(CONFIG)" $(if $(STACK),-stack "$(STACK)") $(if $(JSON),-json) $(if $(CIBA),-ciba)

.PHONY: audit
audit: ## verify that nobody altered the audit trail (STACK=steward-dev: a deployed stack; EXPORT=file, KEY=secret: an export)
	@cd infra && go build -o ../build/audit ./cmd/audit
	@build/audit $(if $(STACK),-stack "$(STACK)") $(if $(EXPORT),-export "$(EXPORT)") $(if $(KEY),-key "$(KEY)")

.PHONY: golden
golden: ## rewrite the golden files
	@cd infra && go test ./stack -update
	@cd infra && go test ./cost -update
	@cd infra && go test ./docs -update
	@cd functions && go test ./chat/... -update

.PHONY: bench
bench: build ## cold start, warm latency, calls, sizes: a table, and build/bench.json
	@cd infra/local && go run ./bench

.PHONY: soak
soak: ## 200 approvals with the worker killed at random, the long form
	@cd infra/local && STEWARD_SOAK=long go test -count=1 -timeout 60m -run TestApprovalsSurviveCrashes -v ./e2e

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	@set -e; for m in shared functions; do (cd $$m && for p in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz || true); do echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-10s} $$p; done; done); done

.PHONY: conform
conform: ## what other people's tools say: moto, the fga CLI, cfn-lint, cdk-nag (needs Python and Node)
	@.ci/fga
	@.ci/moto
	@.ci/cfn-lint
	@.ci/cdk-nag
	@.ci/emulate

.PHONY: vuln
vuln: ## govulncheck (needs vuln.go.dev)
	@set -e; for m in $(MODULES); do (cd $$m && go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...); done

.PHONY: clean
clean: ## remove what was built
	@rm -rf build cdk.out

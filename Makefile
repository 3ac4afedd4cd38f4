# Everything a person or continuous integration runs is a target here.
# `make help` lists the targets: the text behind ## is their description.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Only what a command line overrides: make test PACKAGES=./core/... ARGS='-run Torn -v'
PACKAGES      := work
RACE_PACKAGES := ./core/... ./metrics/...
MODULES       := $(shell go work edit -json | sed -n 's|.*"DiskPath": "\./\(.*\)".*|\1|p')
ARGS          :=

# The linter is built from source once per version, outside the modules of go.work.
GOLANGCI_VERSION := v2.15.0
GOLANGCI         := bin/golangci-lint-$(GOLANGCI_VERSION)

# A system is GOOS/GOARCH. 386 is there for 32-bit integers, s390x for big-endian ones.
CROSS_SYSTEMS  := linux/amd64 linux/arm64 linux/386 linux/s390x darwin/arm64 windows/amd64 freebsd/amd64
CROSS_PACKAGES := ./core/... ./codec/... ./compat-v0/... ./metrics/... ./backend-posix/... ./backend-uring/... ./backend-mmap/... ./tools/... ./conformance/...

# $(call each,LIST,COMMAND) runs COMMAND for each $$item of LIST, all of them even
# when one fails, then fails naming those that did.
define each
[ -n "$(strip $(1))" ] || { echo "make $@: nothing to do it for" >&2; exit 1; }; \
failed=; \
for item in $(1); do \
	echo "--- $@ $$item"; \
	( $(2) ) || failed+=" $$item"; \
done; \
[ -z "$$failed" ] || { echo "make $@ failed for:$$failed" >&2; exit 1; }
endef

.PHONY: help
help: ## list the targets
	@echo "Usage: make TARGET [ARGS='...']"
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: ## append real input, kill the writer midway, recover, compare, report
	@go run ./tools/cmd/wal-crashdemo $(ARGS)

# -count=1: a cached result says nothing about a new seed, nor about files that a
# test reads through another program.
.PHONY: test
test: ## run the tests of all modules, the crash proof, and core and metrics under the race detector
	go test -count=1 $(PACKAGES) $(ARGS)
	@$(MAKE) crash
	@$(MAKE) test-race

.PHONY: test-race
test-race: ## run the tests of core and metrics under the race detector
	go test -race -count=1 $(RACE_PACKAGES) $(ARGS)

# How many distinct crash states the crash proof has to reach. The order of a
# workload's producers is the scheduler's, the states are the seed's.
CRASH_STATES := 1000000
CRASH_SEED   := 1

.PHONY: crash
crash: ## crash the log on the simulated disk in CRASH_STATES distinct ways, check every guarantee
	go test -count=1 -timeout 60m ./conformance/crash -run 'TestCrashStates$$' -v -crash.states=$(CRASH_STATES) -crash.seed=$(CRASH_SEED)

# The conformance suite on every backend: how many crashes of a real kernel each one sees,
# and what has to be there for it. A layer that cannot run is skipped, loudly; with
# REQUIRE=$(ALL_LAYERS), as in continuous integration, that is a failure.
BACKENDS   := posix uring mmap
STATES     := 5000
ALL_LAYERS := backend,privilege,space,kill,strace,shutdown,fuse,block
REQUIRE    :=
SUITE       = go test -count=1 -timeout 100h -run '^TestConformance$$' ./backend-$$item -conformance.require=$(REQUIRE) \
              -conformance.states=$$(( $(STATES) / $$(scripts/modes $$item) ))

.PHONY: conformance
conformance: ## run the conformance suite on every backend, with STATES crashes of a real kernel each
	@$(call each,$(BACKENDS),$(SUITE) $(ARGS))

# The rest of the suite finds no more by more crashes.
.PHONY: crash-kernel
crash-kernel: ## crash a real kernel STATES times under each backend, and check what is left
	@$(call each,$(BACKENDS),$(SUITE) -v -conformance.only=Crash $(ARGS) | grep -v '^===')

# Every way of building and every file system, with fewer crashes; MATRIX names some of them.
MATRIX_STATES := 40
MATRIX        := $(foreach b,$(BACKENDS),$(foreach v,plain race tag,$(foreach f,ext4 xfs,$(b)/$(v)/$(f))))

.PHONY: matrix
matrix: ## run the suite on every backend: plain, race detector, linked alone; on ext4 and xfs
	@$(call each,$(MATRIX),scripts/matrix "$$item" $(MATRIX_STATES) "$(REQUIRE)" $(ARGS))
	@echo "--- matrix, io_uring disabled"
	CHRONIK_WAL_DISABLE_IO_URING=true go test -count=1 ./tools/... ./core/backend/...

.PHONY: crash-nightly
crash-nightly: ## the volume of a night: 10 million simulated states, 100,000 of a real kernel for each backend
	@$(MAKE) crash CRASH_STATES=10000000
	@$(MAKE) crash-kernel STATES=100000
	@$(MAKE) conformance STATES=1000
	@$(MAKE) matrix

.PHONY: crash-release
crash-release: ## the volume of a release: 3.5 million crashes of real kernels over all backends, half of them of a disk
	@$(MAKE) crash CRASH_STATES=10000000
	@$(MAKE) crash-kernel STATES=1170000
	@$(MAKE) conformance STATES=10000
	@$(MAKE) matrix

.PHONY: kill-matrix
kill-matrix: ## run every mutant against what may find it, and write the tables of docs/conformance.md
	scripts/kill-matrix

.PHONY: tools
tools: ## install what the crash layers need and a Debian machine may lack
	scripts/ci-tools

.PHONY: mutants
mutants: ## break the engine in each way that loses data, check that the check meant for it fails
	go test -count=1 -timeout 30m ./conformance/crash -run 'TestMutants$$' -v -crash.mutants=.

.PHONY: kill-test
kill-test: ## kill a writing process 1,000 times, check that nothing acknowledged is lost
	go run ./tools/cmd/wal-crashdemo -kills 1000 $(ARGS)

# How long each fuzz target runs, with how many workers; FUZZ picks targets by name. Inputs of
# concurrent code do not cover the same lines each time, so trying to make them smaller is cut short.
FUZZTIME         := 60s
FUZZ_PARALLEL    := 2
FUZZ             := .
FUZZMINIMIZETIME := 20x

.PHONY: fuzz
fuzz: ## run the fuzz targets of all modules, one after the other, FUZZTIME each
	@failed=; \
	for package in $$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' $(PACKAGES)); do \
		grep -qs '^func Fuzz' "$$package"/*_test.go || continue; \
		for target in $$(cd "$$package" && go test -list '^Fuzz' . | grep -E '^Fuzz.*$(FUZZ)' || true); do \
			echo "--- make fuzz: $${package#$(CURDIR)/} $$target"; \
			( cd "$$package" && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) \
				-parallel $(FUZZ_PARALLEL) -fuzzminimizetime $(FUZZMINIMIZETIME) $(ARGS) . ) || failed+=" $$target"; \
		done; \
	done; \
	[ -z "$$failed" ] || { echo "make fuzz: inputs that fail are in testdata/fuzz:$$failed" >&2; exit 1; }

.PHONY: lint
lint: $(GOLANGCI) ## run golangci-lint on every module, building it first where it is missing
	@$(call each,$(MODULES),cd "$$item" && "$(CURDIR)/$(GOLANGCI)" run --config "$(CURDIR)/.golangci.yml" $(ARGS) ./...)

# Under a temporary name first: an interrupted build leaves nothing that looks finished.
$(GOLANGCI):
	@echo "building golangci-lint $(GOLANGCI_VERSION): a minute or two, once"
	@mkdir -p bin; tmp=$$(mktemp -d "$(CURDIR)/bin/tmp.XXXXXX"); trap 'rm -rf "$$tmp"' EXIT; \
		GOBIN="$$tmp" GOWORK=off CGO_ENABLED=0 go install -ldflags='-s -w' \
			github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION); \
		mv "$$tmp/golangci-lint" $@

.PHONY: fmt
fmt: ## format all Go files
	gofmt -s -w $(MODULES)

.PHONY: cross
cross: ## compile for every supported system, tests included
	@$(call each,$(CROSS_SYSTEMS),\
		export CGO_ENABLED=0 GOOS="$${item%/*}" GOARCH="$${item#*/}" && \
		go build $(CROSS_PACKAGES) && go vet $(CROSS_PACKAGES))

.PHONY: tidy
tidy: ## bring go.mod and go.sum of every module up to date
	@$(call each,$(MODULES),scripts/tidy "$$item")

.PHONY: tidy-check
tidy-check: ## fail if make tidy would change anything
	@$(call each,$(MODULES),scripts/tidy --check "$$item")

.PHONY: release-check
release-check: ## build each module alone, as its users get it
	@scripts/release-check $(MODULES)

.PHONY: clean
clean: ## remove what make built, the linter included
	rm -rf bin

# make test is the command of the README; make check is what a change must pass.
SHELL := /bin/bash
.DELETE_ON_ERROR:

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BENCH     ?= .
BENCHTIME ?= 0.5s
FUZZTIME  ?= 20s
PACKAGES  ?= ./...

.PHONY: all test check lint chdb try-chdb bench bench-proxies bench-memory build docs fuzz torture clean

all: build

test: try-chdb
	go test -timeout 20m $(PACKAGES)

# lint is check without the tests.
lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	go vet $(PACKAGES)
	go tool -modfile=tools/go.mod staticcheck $(PACKAGES)

check: lint try-chdb
	go test -race -timeout 20m $(PACKAGES)

# The ClickHouse engine that tests run on, fetched once into the cache directory.
# The tests go on without it: those that need it skip.
chdb:
	@.ci/chdb

try-chdb:
	@.ci/chdb || true

# make bench BENCH=BenchmarkDecode BENCHTIME=3s PACKAGES=./cwmp
bench:
	go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem $(PACKAGES)
	@$(MAKE) --no-print-directory bench-proxies
	@$(MAKE) --no-print-directory bench-memory

# The gateway beside nginx, HAProxy (where installed) and Go's ReverseProxy, in
# about four minutes; longer and surer: make bench-proxies COMPARE='--rounds 10 --each 5s'
bench-proxies: build
	bin/cwmpload compare --gateway bin/cwmpgate $(COMPARE)

# What the gateway has in memory under 8,000 idle sessions, 1,000 slow bodies and
# bodies of 64 MB, in about a minute; other numbers: make bench-memory MEMORY='--sessions 2000'
bench-memory: build
	bin/cwmpload memory --gateway bin/cwmpgate $(MEMORY)

build:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/ ./cmd/...

# docs/config.md and configs/cwmpgate.schema.json come from the config types.
docs:
	go generate ./...

# Every fuzz target in turn, each for FUZZTIME.
fuzz:
	@set -euo pipefail; \
	for package in $$(go list $(PACKAGES)); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "== $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

# Hours of what the tests do for seconds, with one line of figures at the end:
# runs of TestLostWrites, kills of TestKillRounds, requests of
# TestMutatedRequests, renewals of TestACMERenewal, logs of TestSeeds in each store, and the time
# for each fuzz target. A short one:
# make torture TORTURE_LOST=1000 TORTURE_KILLS=5 TORTURE_MUTATED=1000 TORTURE_RENEWALS=1 TORTURE_SEEDS=5 TORTURE_FUZZTIME=5s
export TORTURE_LOST     ?= 1000000
export TORTURE_KILLS    ?= 1000
export TORTURE_MUTATED  ?= 10000000
export TORTURE_RENEWALS ?= 20
export TORTURE_SEEDS    ?= 500
export TORTURE_FUZZTIME ?= 10m
export TORTURE_SEED     ?= 1
torture:
	@.ci/torture

clean:
	rm -rf bin
	find . -name '*.test' -o -name '*.prof' | xargs -r rm -f

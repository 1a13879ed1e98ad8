# `make` alone prints what there is.

LINT_VERSION := 2.15.0
BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da
MICROBENCHMARKS := ^Benchmark(Admit|AdmitAndAcknowledge|AdmitSoldOut|Encode|Decode|DecodeApply|Line|Refuse|Apply)$$
BENCHTIME ?= 1s
FUZZTIME ?= 10s
SEED ?= 0
RUNS ?= 3
WORLD ?= single
MINUTES ?= 2
RESULTS ?=
BENCH ?=
GROWTH ?=
SERVERS := docker/servers.sh
# The chaos suite starts its servers without Docker, and mounts a small disk.
CHAOS_TAG := $(shell test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo ,chaos)

# The packages that a release builds otherwise: of all others the second run of the linter has seen every file.
NOT_IN_A_RELEASE = $$(grep -rlE --include='*.go' --exclude='*_test.go' '^//go:build .*(release|crashpoints)' . | xargs -n 1 dirname | sort -u)

TEST_REAL = go test -race -tags realservers$(CHAOS_TAG) -count=1 -timeout 20m

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help build run loadtest test test-real test-mariadb model schemathesis schemathesis-real chaos bench microbench growth fuzz lint fmt fmt-check vet up down compose-check k6-check clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/firstcome
	go build -trimpath -o bin/firstcome .

run: build ## run everything in one process on embedded servers; needs nothing but Go
	bin/firstcome dev

loadtest: build ## put load on a running `make run`
	bin/firstcome loadtest

test: ## all tests that need nothing but Go, with the race detector
	go test -race -timeout 15m ./...
	go test -timeout 10m ./test/model

# A search holds every state of a case in 8 bytes, and at its edge in 400: up to 2 GB.
model: ## search and walk the model of the protocol for about an hour (CI takes one minute of it), and print how far it came
	GOGC=50 go test -timeout 3h -count=1 -v -run 'NoPromise' ./test/model -long

# Two packages at a time, but those alone that freeze and stop the servers, or load the whole machine.
test-real: ## all tests, on real Redis, Kafka, MySQL and MariaDB; starts what isn't running
	$(if $(CHAOS_TAG),,@echo "the short chaos run is left out: it needs Debian and root")
	$(SERVERS) with sh -c '$(TEST_REAL) -p 2 $$(go list ./... | grep -v -e /chaos$$ -e ^firstcome$$) && $(TEST_REAL) -p 1 . ./chaos'

# What does not store, or disturbs other servers than the database, runs on MySQL only.
test-mariadb: ## the tests of the whole service on MariaDB in the place of MySQL
	FIRSTCOME_TEST_DATABASE=mariadb $(SERVERS) with go test -tags realservers -count=1 -timeout 20m . ./consumer

schemathesis: ## hold the answers of a `make run` of its own against openapi.yaml; installs schemathesis into .tools
	docker/schemathesis.sh dev

schemathesis-real: ## the same on real servers of its own
	docker/schemathesis.sh real

# The pages in a real browser; SCREENSHOTS keeps pictures of each, light and dark, for a desk and for a phone.
test-browser: ## an operator's day in headless Chromium, on real servers; installs Chromium by apt where it is missing
	@command -v /usr/bin/chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }
	SCREENSHOTS=$(or $(SCREENSHOTS),$(CURDIR)/bin/console) $(SERVERS) with \
		go test -tags "browser realservers" -run "TestTheOperatorsDay|TestPages" -count=1 -timeout 5m .

chaos: ## break everything, in RUNS (3) runs of MINUTES (2) that begin with SEED (a random one), and check every promise (RESULTS: a file that keeps each result)
	go run ./chaos -world $(WORLD) -seed $(SEED) -runs $(RUNS) -minutes $(MINUTES) -results "$(RESULTS)"

bench: build ## measure everything on real servers of its own (10 minutes), and write docs/performance.md; BENCH="-rounds 1" and so on
	bench/run.sh $(BENCH)

growth: build ## measure how cost grows on real servers of its own (5 minutes), and write docs/growth.md; GROWTH="-only winners" and so on
	bench/growth/run.sh $(GROWTH)

# The gate's need Redis; what a benchmark logs besides its figures is left out.
microbench: ## the micro-benchmarks of gate, codec and line six times (5 minutes), as benchstat sums them up; starts Redis
	@mkdir -p bin
	@$(SERVERS) up redis >/dev/null && eval "$$($(SERVERS) env)" && \
		go test -run '^$$' -tags realservers -bench '$(MICROBENCHMARKS)' -benchtime $(BENCHTIME) -count 6 -timeout 15m \
		./admission ./api ./store/kafkaqueue ./store/redisgate >bin/microbench.txt || { cat bin/microbench.txt; exit 1; }
	go run golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION) bin/microbench.txt

fuzz: ## each fuzz test for FUZZTIME (10s)
	@for package in $$(go list ./...); do \
		targets=$$(go test -list '^Fuzz' $$package) || { echo "$$targets"; exit 1; }; \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

# The linter is used where this very version is installed already, since
# building it takes minutes. An older one would pass over what a newer one finds.
lint: ## check the code with golangci-lint, as built for tests and as built for release
	@set -e; \
	for linter in golangci-lint "$$(go env GOPATH)/bin/golangci-lint" .tools/golangci-lint; do \
		found=$$("$$linter" version --short 2>/dev/null) || continue; \
		if [ "$$found" = $(LINT_VERSION) ]; then break; fi; \
	done; \
	if [ "$$found" != $(LINT_VERSION) ]; then \
		echo "installing golangci-lint $(LINT_VERSION) into .tools"; \
		GOBIN="$(CURDIR)/.tools" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(LINT_VERSION); \
		linter=.tools/golangci-lint; \
	fi; \
	"$$linter" run --allow-parallel-runners --build-tags realservers,chaos,browser ./...; \
	"$$linter" run --allow-parallel-runners --build-tags release --tests=false ./...; \
	"$$linter" run --allow-parallel-runners --build-tags crashpoints --tests=false $(NOT_IN_A_RELEASE)

fmt: ## format the code
	gofmt -s -w .

fmt-check: ## fail where the code is not formatted
	@files=$$(gofmt -s -l .) || exit 1; \
	if [ -n "$$files" ]; then echo "not formatted (make fmt):"; echo "$$files"; exit 1; fi

# `make lint` has the same vet look at the tests on real servers, and at what a release and the crash tests build.
vet: ## go vet, as `make test` builds; the release is built as well
	go vet ./...
	go build -tags release -o /dev/null .

up: ## start the real servers, and print the settings that reach them
	@$(SERVERS) up
	@$(SERVERS) env

down: ## stop the real servers (WIPE=1 deletes their data)
	@$(SERVERS) down

compose-check: ## check docker/compose.yaml, where Docker's compose plugin is installed
	@if docker compose version >/dev/null 2>&1; then \
		FIRSTCOME_ADMIN_TOKEN=unused docker compose --file docker/compose.yaml --profile app --profile test config --quiet && \
		echo "docker/compose.yaml is valid"; \
	else \
		echo "no compose plugin here: docker/compose.yaml is not checked"; \
	fi

k6-check: ## check the syntax of the k6 script, where Node is installed
	@if node --version >/dev/null 2>&1; then \
		node --check --input-type=module - < loadtest/k6/apply.js && echo "loadtest/k6/apply.js has no syntax errors"; \
	else \
		echo "no Node here: loadtest/k6/apply.js is not checked"; \
	fi

clean: ## delete what was built (not the data)
	rm -rf bin .tools

# MiracleDB. `make run` is all a newcomer needs; `make test` does its own set-up.
GO      ?= go
BIN     := bin/miracledb
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

.PHONY: run build test check bench conformance race fuzz clean

run: build ## build, serve, stream the flights sample, print what to try
	@$(BIN) demo

build:
	@mkdir -p bin
	@echo "building (the first time takes two or three minutes: DuckDB and PostgreSQL's parser are compiled in)"
	@$(GO) build -o $(BIN) ./cmd/miracledb

check: ## format, vet, staticcheck, tidy rules, unit tests
	@test -z "$$(gofmt -l cmd connectors backup features internal log processors sql views deploy 2>/dev/null | tee /dev/stderr)" || (echo "run gofmt"; exit 1)
	@$(GO) vet ./...
	@$(GO) run $(STATICCHECK) ./...
	@$(GO) test -short ./...

test: ## everything a clean machine can run; says what is missing
	@$(GO) test -timeout 40m ./...

conformance: ## the long suite: kills, cuts, thousands of generated queries, every client
	@MIRACLEDB_CONFORMANCE=1 $(GO) test -timeout 120m ./...

FUZZTIME ?= 5s
FUZZDIR  ?= .
fuzz: ## every fuzz target under FUZZDIR for FUZZTIME
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' $(FUZZDIR) | sort | while IFS=: read -r file target; do \
		echo "$${file%/*} $${target#func }"; \
		$(GO) test -run '^$$' -fuzz "^$${target#func }\$$" -fuzztime $(FUZZTIME) "./$${file%/*}" </dev/null >.fuzz.out 2>&1 || { cat .fuzz.out; exit 1; }; \
	done && rm -f .fuzz.out

race: ## every test under the race detector: an hour on two cores
	@$(GO) test -race -p 1 -timeout 60m ./...

bench: build
	@$(BIN) bench flights --data-file ../shared/data/flights-3m.parquet
	@$(BIN) bench pgbench
	@$(BIN) bench log

clean:
	@rm -rf bin

# Everything a developer does with Tapward; `make` lists it. Every target may be run again at any time.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run build check test soak fuzz bench screens clean tools go test-tools

# What the programs are built with and the demo ward runs; what the tests need besides.
PACKAGES      := gcc libc6-dev pkg-config libpcsclite-dev pcscd vsmartcard-vpcd
TEST_PACKAGES := avahi-daemon avahi-utils dbus nftables systemd

PROGRAMS := ./cmd/tapward ./cmd/tapwardd ./cmd/tapward-phone
FUZZTIME ?= 30s
CRASHES  ?= 1000
DEPTH    ?= 7

# Packages whose tests start no daemon and make no namespaces: all but those of `daemons`.
daemons := isolate.Main|vpcd.New|exec.Command
quick    = $$(for p in $$(go list -f '{{.ImportPath}}={{.Dir}}' ./...); do \
	grep -qsE '$(daemons)' $${p\#*=}/*_test.go || echo $${p%%=*}; done)

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | column -t -s $$'\t'

run: tools ## start the demo ward and say how to use it; DEMO=script plays a day on it and checks every step
	@go build -tags demo -o bin/ $(PROGRAMS)
ifeq ($(DEMO),script)
	@bin/tapward sim story .demo
else
	@bin/tapward sim ward demo
endif

build: tools ## build the programs as packages have them, without anything for demonstrations, into bin/release
	go build -trimpath -o bin/release/ $(PROGRAMS)

check: tools ## daily work: formatting, vet, and the quick tests; no daemons, under three minutes
	@unformatted=$$(gofmt -l cmd gateway reader systemd); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted"; exit 1; }
	go vet ./...
	go vet -tags demo ./cmd/...
	go test -short $(quick)

test: test-tools ## all tests, those on the real pcscd and mDNS included
	@unformatted=$$(gofmt -l cmd gateway reader systemd); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted"; exit 1; }
	go vet ./...
	go vet -tags demo ./cmd/...
	go test -short -race $(quick)
	go test -timeout 6m ./...

soak: test-tools ## the same kinds of test for much longer: CRASHES rounds of kill -9, exploration DEPTH moves deep
	go test -count=1 -timeout 6h ./gateway/session -run Explore -v -depth $(DEPTH) -heal-all
	go test -count=1 -timeout 6h ./cmd/tapwardd -run Crash -v -crash.rounds $(CRASHES)

fuzz: tools ## run every fuzz test for FUZZTIME
	@for p in $$(grep -rlE '^func Fuzz' --include='*_test.go' cmd gateway reader systemd | xargs -n1 dirname | sort -u); do \
		for f in $$(go test -list '^Fuzz' ./$$p | grep '^Fuzz'); do \
			echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) ./$$p; \
		done; \
	done

bench: tools ## measure
	go test -run '^$$' -bench . -benchmem $$(grep -rlE '^func Benchmark' --include='*_test.go' cmd gateway reader systemd | xargs -n1 dirname | sort -u | sed 's,^,./,')

screens: tools ## take pictures of the station page and of the phones' screens into bin/screens, and of the README's
	@.ci/packages chromium
	@mkdir -p bin/screens
	go test -count=1 -tags screens ./gateway/station -run Screens -screens $(CURDIR)/bin/screens -picture $(CURDIR)/docs/station.png

clean: ## remove what was built, and the data of demo wards
	rm -rf bin demo .demo

tools: go
	@.ci/packages $(PACKAGES)

test-tools: go
	@.ci/packages $(PACKAGES) $(TEST_PACKAGES)

go:
	@command -v go >/dev/null || { echo "Go is missing; see https://go.dev/doc/install (version in go.mod)."; exit 1; }

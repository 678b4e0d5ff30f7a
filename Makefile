# Everything a developer does with Tapward; `make` lists it. Every target may be run again at any time.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run build check test style lint soak fuzz bench screens clean tools go test-tools

# What the programs are built with and the demo ward runs; what the tests need besides.
PACKAGES      := gcc libc6-dev pkg-config libpcsclite-dev pcscd vsmartcard-vpcd
TEST_PACKAGES := avahi-daemon avahi-utils dbus nftables systemd postgresql rsyslog rsyslog-openssl rsyslog-gnutls

# The second FHIR validator is a Node program; whoever has Node already keeps it.
TEST_PACKAGES += $(shell command -v npm >/dev/null || echo nodejs npm)

# Debian keeps daemons and nft where only root's path leads.
export PATH := $(PATH):/usr/sbin:/sbin

# SQLite flushes with fdatasync where it is told that there is one: a commit then does not wait for the file's time stamps.
export CGO_CFLAGS ?= -O2 -g -DHAVE_FDATASYNC=1

PROGRAMS := ./cmd/tapward ./cmd/tapwardd ./cmd/tapward-phone ./cmd/tapward-hub
FOLDERS  := cmd gateway reader sync systemd
LINT     := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 30s
CRASHES  ?= 1000
DEPTH    ?= 7

# Packages whose tests start no program and make no namespaces.
daemons := isolate.Main|exec.Command|databasetest
quick    = $$(for p in $$(go list -f '{{.ImportPath}}={{.Dir}}' ./...); do \
	grep -qsE '$(daemons)' $${p\#*=}/*_test.go || echo $${p%%=*}; done)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' Makefile

run: tools ## start the demo ward and say how to use it; DEMO=script plays a day on it and checks every step
	@echo "Building (the first time takes a minute or two) …"
	@go build -tags demo -o bin/ $(PROGRAMS)
ifeq ($(DEMO),script)
	@bin/tapward sim story .demo --station 127.0.0.1:0 --pages 127.0.0.1:0
else
	@bin/tapward sim ward demo
endif

build: tools ## build the programs as packages have them, without anything for demonstrations, into bin/release
	go build -trimpath -o bin/release/ $(PROGRAMS)

check: tools style ## daily work: formatting, vet and the quick tests; no daemons, under three minutes
	go test -short $(quick)

test: test-tools style ## all tests, those on the real pcscd and mDNS included, and most of them again under the race detector
	go test -short -race $$(go list ./gateway/... ./reader/... ./sync/... ./systemd | grep -v /session)
	go test -timeout 6m ./...

style:
	@unformatted=$$(gofmt -l $(FOLDERS)); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted"; exit 1; }
	go vet ./...
	go vet -tags demo,screens ./cmd/... ./gateway/station

lint: tools ## what the linter holds (.golangci.yml): the floors, and no finding of staticcheck, in either build
	$(LINT) run ./...
	$(LINT) run --build-tags demo,screens ./...

soak: test-tools ## the same for much longer: CRASHES rounds of kill -9, exploration DEPTH moves deep
	go test -count=1 -timeout 12h ./gateway/session -run TestExplore -v -depth $(DEPTH) -heal-all
	@go test -list '^TestCrashAtAnyMoment$$' ./cmd/tapwardd | grep '^Test' >/dev/null || { echo 'make soak: there is no such test'; exit 1; }
	go test -count=1 -timeout 12h ./cmd/tapwardd -run '^TestCrashAtAnyMoment$$' -v -crash.rounds $(CRASHES)

fuzz: tools ## run every fuzz test for FUZZTIME
	@for p in $$(grep -rlE '^func Fuzz' --include='*_test.go' $(FOLDERS) | xargs -n1 dirname | sort -u); do \
		for f in $$(go test -list '^Fuzz' ./$$p | grep '^Fuzz'); do \
			echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) ./$$p; \
		done; \
	done

bench: test-tools ## measure: tap to unlocked against its physical parts, a shift change, 200 phones, and the parts by themselves
	go test -run '^$$' -bench . -benchmem $$(grep -rlE '^func Benchmark' --include='*_test.go' $(FOLDERS) | xargs -n1 dirname | sort -u | sed 's,^,./,')

screens: tools ## take pictures of the station page and of the phones' screens into bin/screens, and that of the README
	@.ci/packages chromium
	@mkdir -p bin/screens
	go test -count=1 -tags screens ./gateway/station -run 'TestScreens|TestBrowser' -screens $(CURDIR)/bin/screens -picture $(CURDIR)/docs/station.png
	go test -count=1 -tags screens ./cmd/tapward/demo -run TestScreens -screens $(CURDIR)/bin/screens

clean: ## remove what was built, and the data of demo wards
	rm -rf bin demo .demo

tools: go
	@.ci/packages $(PACKAGES)

# Tests that run in a network namespace of their own can fetch no module any more, not even for go list.
test-tools: go
	@.ci/packages $(PACKAGES) $(TEST_PACKAGES)
	@go mod download

go:
	@command -v go >/dev/null || { echo "Go is missing; see https://go.dev/doc/install (version in go.mod)."; exit 1; }

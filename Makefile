# build   bin/imagefs
# demo    shows what it does, on an embedded Image service; installs what that needs
# test    every test, beside a Keystone and a Glance of their own; installs what they need
# bench   the same work on imagefs and its peers, into docs/BENCHMARKS.md (as root, 30 minutes); installs what it needs
# soak    MINUTES of the tools at work while everything fails, on the embedded server and half of it on Glance (as root)
# dist    programs, packages, SBOMs and checksums in dist/
# check   format, vet, lint, known vulnerabilities, and some fuzzing of everything that reads what others wrote
# fuzz    more of that

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

# The linters are built once, through the module proxy, and kept outside the tree.
# Their names carry the Go version: a linter must be as new as the code's Go.
GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.8.0
NFPM_VERSION := v2.45.2
CYCLONEDX_VERSION := v1.10.0
# The peer that is built so, beside the older one that Debian has.
RCLONE_VERSION := v1.76.0
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/imagefs-tools
GO_VERSION := $(shell go env GOVERSION)
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)-$(GO_VERSION)
GOVULNCHECK := $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION)-$(GO_VERSION)
NFPM := $(TOOLS)/nfpm-$(NFPM_VERSION)-$(GO_VERSION)
CYCLONEDX := $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION)-$(GO_VERSION)
RCLONE := $(TOOLS)/rclone-$(RCLONE_VERSION)

# Outside a repository, or in one that git does not trust, the build still works.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
VCS := $(if $(VERSION),true,false)

# How long the soak is, in minutes; half of that on Glance.
MINUTES := 15

# Where and for which machines packages are built.
DIST := dist
ARCHITECTURES := amd64 arm64

.PHONY: build demo test bench soak dist check fuzz clean

build:
	CGO_ENABLED=0 go build -trimpath -buildvcs=$(VCS) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/imagefs ./cmd/imagefs

demo:
	@scripts/install demo
	@$(MAKE) --no-print-directory build
	@scripts/demo

test:
	@scripts/test

bench: $(RCLONE)
	@scripts/install bench
	@$(MAKE) --no-print-directory build
	go run ./bench -rclone $(RCLONE)

soak:
	@scripts/install test
	go run ./test/soak -service embedded -minutes $(MINUTES) -write
	go run ./test/soak -service glance -minutes $$((($(MINUTES) + 1) / 2)) -write

dist: $(NFPM) $(CYCLONEDX)
	@scripts/dist $(DIST) $(NFPM) $(CYCLONEDX) $(ARCHITECTURES)

check: $(GOLANGCI_LINT) $(GOVULNCHECK)
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "gofmt -w these:" $$files >&2; exit 1; }
	go vet ./...
	$(GOLANGCI_LINT) run ./...
	@scripts/vulnerabilities $(GOVULNCHECK)
	@scripts/fuzz

fuzz:
	@scripts/fuzz -k 1000000

clean:
	rm -rf bin dist

# install builds package $(1) into file $@, which is whole or absent.
define install
	@echo "building $(notdir $@), once"
	@mkdir -p $(TOOLS); dir=$$(mktemp -d $(TOOLS)/build.XXXXXX); trap 'rm -rf $$dir' EXIT; \
	GOBIN=$$dir CGO_ENABLED=0 GOFLAGS= go install $(1) && mv $$dir/* $@
endef

$(GOLANGCI_LINT):
	$(call install,github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION))

$(GOVULNCHECK):
	$(call install,golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION))

$(RCLONE):
	$(call install,github.com/rclone/rclone@$(RCLONE_VERSION))

$(NFPM):
	$(call install,github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION))

$(CYCLONEDX):
	$(call install,github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION))

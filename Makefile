# run: the embedded stack with a simulated portal and a batch run. test: all tests.
# Both install what they need first (see deps).

GO       ?= go
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT   := $(shell git rev-parse HEAD 2>/dev/null)
DATE     := $(shell date -u +%Y-%m-%dT%H:%M:%SZ)
LDFLAGS  := -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)
DATA_DIR ?= data

.PHONY: run test test-real servers-up servers-down servers-status servers-fetch servers-sums check check-deploy golden-release build deps deps-real generate bench fuzz mutants clean

run: build
	./cmd/run.sh $(DATA_DIR)

# -p 2: packages that start browsers, brokers and processes share the machine.
test: deps
	$(GO) test -p 2 -timeout 15m ./...

# What needs the real servers: the adapters' packages whole, and the promise and the
# end-to-end tests on servers that they kill themselves. In turn, for either keeps two cores busy.
REAL_PACKAGES ?= ./infra/native/... ./infra/kafka/... ./infra/hbase/... ./infra/elastic/...
REAL_FLAGS    ?= -p 2 -timeout 20m
REAL_KILLS    ?= -p 2 -timeout 25m -run 'Real|OnHBase' ./cmd/promise ./cmd/fernweh

# Servers of its own, which it always stops; a test that is skipped is a failure. First
# everything is fetched, and compiled on all cores.
test-real: deps-real
	$(MAKE) -j3 --output-sync deps servers-fetch compile-real
	bin/servers test $(REAL_FLAGS) $(REAL_PACKAGES)
	bin/servers test $(REAL_KILLS)

.PHONY: compile-real
compile-real:
	$(GO) test -count=1 -run '^$$' $(REAL_PACKAGES) ./cmd/promise ./cmd/fernweh >/dev/null

# For work by hand: they go on until servers-down (docs/servers.md).
servers-up servers-down servers-status servers-fetch: servers-%: deps-real bin/servers
	bin/servers $*

# After a version in a pom was raised.
servers-sums: deps-real bin/servers
	bin/servers sums

.PHONY: bin/servers
bin/servers:
	$(GO) build -o $@ ./infra/native/servers

check:
	test -z "$$(gofmt -l $$(git ls-files '*.go'))"
	$(GO) vet ./...
	$(GO) test -run 'TestArrows|TestDocumented|TestGeneratedIsCurrent' ./docs/... ./schemas/...

# Chart, compose file, images, alerts and dashboards, held against the code that would
# refuse them; a module of its own, for it takes Kubernetes and Prometheus to do so.
check-deploy:
	cd infra/deploytest && $(GO) test -timeout 20m .

build:
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/fernweh ./cmd/fernweh

# What the tests need beside Go: Node, a Chromium, and the npm packages they drive.
deps:
	./serving/dashboard/test/deps.sh

# What the real servers need: a JDK and Maven.
deps-real:
	./infra/native/deps.sh

generate:
	$(GO) test ./schemas -run TestGeneratedIsCurrent -generate

# What this release writes, for later ones to read (docs/releases.md).
golden-release: build
	$(GO) test ./cmd/compat -count=1 -run '^TestMakeRelease$$' -release $(VERSION) -binary $(CURDIR)/bin/fernweh

bench:
	$(GO) test ./cmd/bench -run '^$$' -bench . -benchtime 1x -timeout 60m

# Mistakes made on purpose: each must be noticed by a fast test (cmd/mutants).
mutants:
	$(GO) run ./cmd/mutants

FUZZTIME ?= 20s
fuzz:
	./cmd/fuzz.sh $(FUZZTIME)

clean:
	rm -rf bin data

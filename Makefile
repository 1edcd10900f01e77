# run: the embedded stack with a simulated portal and a batch run. test: all tests.
# Both install what they need first (see deps).

GO       ?= go
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT   := $(shell git rev-parse HEAD 2>/dev/null)
DATE     := $(shell date -u +%Y-%m-%dT%H:%M:%SZ)
LDFLAGS  := -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)
DATA_DIR ?= data

.PHONY: run test check build deps generate bench fuzz clean

run: build
	./cmd/run.sh $(DATA_DIR)

# -p 2: packages that start browsers, brokers and processes share the machine.
test: deps
	$(GO) test -p 2 -timeout 15m ./...

check:
	test -z "$$(gofmt -l $$(git ls-files '*.go'))"
	$(GO) vet ./...
	$(GO) test -run 'TestArrows|TestDocumented|TestGeneratedIsCurrent' ./docs/... ./schemas/...

build:
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/fernweh ./cmd/fernweh

# What the tests need beside Go: Node, a Chromium, and the npm packages they drive.
deps:
	./serving/dashboard/test/deps.sh

generate:
	$(GO) test ./schemas -run TestGeneratedIsCurrent -generate

bench:
	$(GO) test ./cmd/bench -run '^$$' -bench . -benchtime 1x -timeout 60m

FUZZTIME ?= 20s
fuzz:
	./cmd/fuzz.sh $(FUZZTIME)

clean:
	rm -rf bin data

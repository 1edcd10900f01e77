#!/usr/bin/env bash
# Runs every fuzz test of the project for a while: FUZZTIME each (default 20s).
set -euo pipefail
cd "$(dirname "$0")/.."
go list -f '{{.Dir}}' ./... | while read -r dir; do
  { grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null || true; } | sed 's/^func //' | while read -r name; do
    echo "$dir $name"
    go test "$dir" -run '^$' -fuzz "^$name\$" -fuzztime "${1:-20s}"
  done
done

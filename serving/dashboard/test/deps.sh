#!/usr/bin/env bash
# Installs what the tests need beside Go: Node with npm, a Chromium, and the npm packages that they drive.
set -euo pipefail
cd "$(dirname "$0")/../../.."

browser() { for c in chromium chromium-browser google-chrome google-chrome-stable; do command -v "$c" && return; done; return 1; }
missing=()
command -v node >/dev/null && command -v npm >/dev/null || missing+=(nodejs npm)
browser >/dev/null || missing+=(chromium)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "deps: install ${missing[*]}, for example with: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" fonts-dejavu-core >/dev/null
fi
for dir in serving/dashboard/test cmd/fernweh/testdata/e2e; do
  [ -f "$dir/package-lock.json" ] || continue
  if ! cmp -s "$dir/package-lock.json" "$dir/node_modules/.installed"; then
    npm ci --silent --no-audit --no-fund --prefix "$dir"
    cp "$dir/package-lock.json" "$dir/node_modules/.installed"
  fi
done

#!/usr/bin/env bash
# The main job as a new user sees it: the embedded stack, a simulated portal of the last 30 days that goes on live, and a
# batch run over it. Ctrl-C ends it; started again it goes on with every number as it was.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-data}
fernweh=bin/fernweh

"$fernweh" up -data-dir "$data" &
up=$!
trap 'kill "${sim:-$up}" "$up" 2>/dev/null || true; wait || true' EXIT

ready() {
  exec 3<>/dev/tcp/127.0.0.1/8081 || return 1
  printf 'GET /v1/health/ready HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3
  head -1 <&3 | grep -q ' 200 '
} 2>/dev/null
for _ in $(seq 150); do
  ready && break
  kill -0 "$up" 2>/dev/null || exit 1
  sleep 0.2
done

if [ ! -e "$data/simulated" ]; then
  echo "simulating 30 days of a portal"
  "$fernweh" simulate -simulate-visitors 3000 -simulate-days 30
  touch "$data/simulated"
  "$fernweh" batch run -data-dir "$data"
fi
"$fernweh" simulate -simulate-visitors 300 -simulate-days 1 -simulate-rate 20 -simulate-seed "$(date +%s)" >/dev/null &
sim=$!

cat <<EOF

  The operators' page:   http://127.0.0.1:8081/
  Herr Mueller:          http://127.0.0.1:8081/v1/visitors/herr-mueller-laptop
  The collector:         http://127.0.0.1:8080/v1/batch   (write key: demo)
  Another batch run:     $fernweh batch run -data-dir $data

  Kill it (kill -9 $up), start it again, and find every number as it was.  Ctrl-C ends it.
EOF
wait "$up"

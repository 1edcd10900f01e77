#!/usr/bin/env bash
# Makes what infra/compose.yaml must not contain: passwords, the write key of the website, and the administrator's key, each by
# chance and once. Of the administrator's key only the SHA-256 is kept: it is shown when it is made.
# They lie in infra/.env and infra/secrets, which git and the images leave out.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
chance() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

mkdir -p secrets # closed to others by its own mode; its files are open to the containers' users
for name in elastic grafana write-key; do
  [ -s "secrets/$name" ] || { chance >"secrets/$name"; chmod 0444 "secrets/$name"; }
done
if [ ! -s .env ]; then
  {
    echo "ELASTIC_PASSWORD=$(cat secrets/elastic)"
    echo "KIBANA_PASSWORD=$(chance)"
    echo "KIBANA_KEY=$(chance)"
    echo "WRITE_KEYS=web=$(sha256sum <secrets/write-key | cut -d' ' -f1)"
  } >.env.part
  mv .env.part .env
fi
if ! grep -q '^ADMIN_KEYS=' .env; then
  key=fwk_$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')
  { cat .env; echo "ADMIN_KEYS=admin=$(printf %s "$key" | sha256sum | cut -d' ' -f1)"; } >.env.part
  mv .env.part .env
  echo "the administrator's key, shown this once: $key"
fi
echo "the website's write key: $(cat secrets/write-key)"
echo "Kibana:  elastic / $(cat secrets/elastic)"
echo "Grafana: admin / $(cat secrets/grafana)"

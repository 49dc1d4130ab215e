#!/usr/bin/env bash
# Starts a real process with secrets from two real stores: OpenBao, and an emulator of AWS.
set -euo pipefail
cd "$(dirname "$0")/../.."
target="${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/world"
world="$target/world"
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; }

say "Building strongroom (the first time takes some minutes)"
cargo build --locked --profile world -p strongroom
strongroom="$target/strongroom"

say "Starting two stores: OpenBao, and AWS as moto plays it"
folder="$(mktemp -d)"
trap '"$world" down --name demo >/dev/null 2>&1 || true; rm -r "$folder"' EXIT
exports="$("$world" up --name demo --stores-only --examples)"
eval "$exports"

say "A file of variables that holds references, and no secret"
cat > "$folder/demo.env" <<'ENV'
DB_USER=app
DB_PASSWORD=sr://aws-sm/prod%2Fdb#password
LICENSE=sr://aws-ssm/%2Fapp%2Flicense
API_TOKEN=vault:secret/data/app#token
ENV
cat "$folder/demo.env"

say "What would be read, by whom, in how many calls"
show "strongroom run --env-file demo.env --dry-run -- true"
"$strongroom" run --env-file "$folder/demo.env" --dry-run -- true

say "A process that starts with its secrets"
show "strongroom run --env-file demo.env -- sh -c '…'"
"$strongroom" run --env-file "$folder/demo.env" -- sh -c '
  for name in DB_USER DB_PASSWORD LICENSE API_TOKEN; do
    eval "value=\$$name"; printf "  %-12s a value of %s characters\n" "$name" "${#value}"
  done'

say "And one that does not start, because a key does not exist"
show "strongroom run --env 'OOPS=vault:secret/data/app#tokne' -- echo never printed"
"$strongroom" run --env 'OOPS=vault:secret/data/app#tokne' -- echo never printed || echo "  (exit code $?)"

say "What to try next"
cat <<NEXT
  eval "\$(make -s world-up WORLD='--stores-only --examples')"   the same stores for your shell
  $strongroom explain 'vault:secret/data/app#token'
  $strongroom get 'sr://aws-sm/prod%2Fdb#password'
  make world-down
  $strongroom --help
  docs/references.md                               every way to write a reference
NEXT

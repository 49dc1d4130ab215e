#!/usr/bin/env bash
# Starts a store, puts a secret into it, starts a process with it, changes it, rolls it back, and says who read it.
set -euo pipefail
cd "$(dirname "$0")/../.."
strongroom="${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/world/strongroom"
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; }

say "Building strongroom (the first time takes some minutes)"
cargo build --locked --profile world -p strongroom

say "Starting the built-in store, in a folder that goes when the demo ends"
folder="$(mktemp -d)"
show "strongroom dev"
"$strongroom" dev --listen 127.0.0.1:0 --data "$folder/store" --json > "$folder/ready" 2> "$folder/log" &
store=$!
trap 'kill "$store" 2>/dev/null || true; wait "$store" 2>/dev/null || true; rm -r "$folder"' EXIT
for _ in $(seq 100); do [ -s "$folder/ready" ] && break; kill -0 "$store" || { cat "$folder/log"; exit 1; }; sleep 0.1; done
STRONGROOM_ADDR="$(sed 's/.*"address":"\([^"]*\)".*/\1/' "$folder/ready")"
STRONGROOM_TOKEN="$(cat "$folder/store/token")"
export STRONGROOM_ADDR STRONGROOM_TOKEN VAULT_ADDR="$STRONGROOM_ADDR" VAULT_TOKEN="$STRONGROOM_TOKEN"
echo "  it serves $STRONGROOM_ADDR, to every client of Vault and OpenBao as well"

say "A secret goes in by standard input: the command line is no place for values"
show "strongroom kv put app password=- < password.txt"
printf 'first-password' | "$strongroom" kv put app password=-

say "A file of variables that holds references, and no secret"
cat > "$folder/demo.env" <<'ENV'
DB_USER=app
DB_PASSWORD=vault:secret/data/app#password
ENV
cat "$folder/demo.env"
show "strongroom run --env-file demo.env --dry-run -- true"
"$strongroom" run --env-file "$folder/demo.env" --dry-run -- true

process='for name in DB_USER DB_PASSWORD; do
    eval "value=\$$name"; printf "  %-12s a value of %s characters\n" "$name" "${#value}"
  done'
say "A process that starts with its secret"
show "strongroom run --env-file demo.env -- sh -c '…'"
"$strongroom" run --env-file "$folder/demo.env" -- sh -c "$process"

say "Somebody changes it, and it was a mistake"
show "strongroom kv put app password=- < typo.txt; strongroom kv rollback app --version 1; strongroom kv history app"
printf 'oops' | "$strongroom" kv put app password=-
"$strongroom" kv rollback app --version 1
"$strongroom" kv history app
"$strongroom" run --env-file "$folder/demo.env" -- sh -c "$process"

say "And a process that does not start, because a key does not exist"
show "strongroom run --env 'OOPS=vault:secret/data/app#pasword' -- echo never printed"
"$strongroom" run --env 'OOPS=vault:secret/data/app#pasword' -- echo never printed || echo "  (exit code $?)"

say "Who read it, from the audit trail, in which no value is"
show "strongroom audit list audit.log --path secret/data/app"
"$strongroom" audit list "$folder/store/audit.log" --path secret/data/app
! grep -q 'first-password' "$folder/store/audit.log" "$folder/store/store.redb" || { echo "a value lies on the disk"; exit 1; }

say "What to try next"
cat <<NEXT
  $strongroom dev                                  a store that stays, and how to use it
  $strongroom kv --help
  docs/guides/built-in-store.md                    tokens, policies, TLS, the audit trail
  docs/references.md                               references to AWS, Google, Vault and the rest
  docs/operator.md                                 the same secrets in a cluster
NEXT

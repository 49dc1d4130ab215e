#!/usr/bin/env bash
# Runs the built-in store and the operator on a real Kubernetes node, and shows a secret arriving in a pod.
set -euo pipefail
cd "$(dirname "$0")/../.."
programs="${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/world"
strongroom="$programs/strongroom"
world="$programs/world"
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; }
[ "$(id -u)" = 0 ] || { echo "a node needs root: sudo make demo-node"; exit 1; }

say "Building strongroom (the first time takes some minutes)"
cargo build --locked --profile world -p strongroom

say "Starting a Kubernetes node: kubelet, containerd, API server (the first time builds them, some ten minutes)"
folder="$(mktemp -d)"
forward=
end() {
    [ -z "$forward" ] || kill "$forward" 2>/dev/null || true
    "$world" down --name demo-node 2>/dev/null || true
    rm -r "$folder"
}
trap end EXIT
eval "$("$world" up --node --name demo-node | grep '^export KUBECONFIG=')"
eval "$("$world" tools)"
kubectl() { "$WORLD_KUBECTL" "$@"; }

say "The image, and the operator by its chart"
strip -o "$folder/strongroom" "$strongroom"
"$world" image "$folder/strongroom" "$folder/image.tar"
"$world" load "$folder/image.tar" --name demo-node
kubectl create namespace strongroom > /dev/null
kubectl create namespace team > /dev/null
show "helm install strongroom deploy/helm/strongroom -n strongroom"
"$WORLD_HELM" install strongroom deploy/helm/strongroom -n strongroom --set image.tag=demo,image.pullPolicy=Never --wait --timeout 2m > /dev/null

say "The built-in store, in the same cluster"
kubectl apply -f dev/demo/store.yaml > /dev/null
kubectl rollout status deployment/store -n strongroom --timeout=60s > /dev/null
"$WORLD_KUBECTL" port-forward -n strongroom service/store :8200 > "$folder/forward" &
forward=$!
for _ in $(seq 100); do grep -q Forwarding "$folder/forward" && break; sleep 0.1; done
STRONGROOM_ADDR="http://127.0.0.1:$(sed -n 's/.*127.0.0.1:\([0-9]*\) .*/\1/p' "$folder/forward" | head -1)"
curl -sS -X PUT "$STRONGROOM_ADDR/v1/sys/init" -d '{"secret_shares":1,"secret_threshold":1}' > "$folder/made"
STRONGROOM_TOKEN="$(sed 's/.*"root_token":"\([^"]*\)".*/\1/' "$folder/made")"
export STRONGROOM_ADDR STRONGROOM_TOKEN
# The token goes by a file: everybody on the machine can read a command line.
printf 'header = "X-Vault-Token: %s"\n' "$STRONGROOM_TOKEN" > "$folder/curl"
write() { curl -sS --fail-with-body -K "$folder/curl" -X POST "$STRONGROOM_ADDR/v1/$1" -d "$2" > /dev/null; }
write sys/mounts/secret '{"type":"kv","options":{"version":"2"}}'
write sys/auth/kubernetes '{"type":"kubernetes"}'
write auth/kubernetes/config '{"kubernetes_host":"https://kubernetes.default.svc"}'
write sys/policies/acl/team '{"policy":"path \"secret/data/team/*\" { capabilities = [\"read\"] }"}'
write auth/kubernetes/role/team '{"bound_service_account_names":"app","bound_service_account_namespaces":"team","audience":"strongroom","token_policies":"team"}'
echo "  whoever is the service account app of the namespace team reads secret/team/*, and nothing else"

say "A secret goes in, and an ExternalSecret asks for it"
show "strongroom kv put team/app password=- < password.txt"
printf 'first-password' | "$strongroom" kv put team/app password=-
cat dev/demo/app.yaml
kubectl apply -f dev/demo/app.yaml > /dev/null
kubectl wait externalsecret/app -n team --for=condition=Ready --timeout=60s > /dev/null
kubectl rollout status deployment/app -n team --timeout=60s > /dev/null

said() { kubectl logs -n team -l app=app --tail=1; }
say "It arrived in the pod"
show "kubectl logs -n team -l app=app"
said

say "It changes in the store; the pod is started anew with it"
show "strongroom kv put team/app password=- < longer-password.txt"
printf 'a-longer-password' | "$strongroom" kv put team/app password=-
for _ in $(seq 300); do said 2>/dev/null | grep -q '17 characters' && break; sleep 0.2; done
said | grep '17 characters' || { echo "the change did not arrive"; exit 1; }

say "Who read it"
show "strongroom kv usage team/app"
"$strongroom" kv usage team/app

say "What to try next"
cat <<NEXT
  docs/guides/built-in-store.md     several servers, keys, backups, logins, the audit trail
  docs/operator.md                  ExternalSecret, SecretStore, what is served
  docs/guides/restarts.md           restarts when a secret changes
NEXT

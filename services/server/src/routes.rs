//! Everything that is served, path by path: what is not listed here does not reach an engine, so that the document made of
//! it (OpenAPI 3.1) tells all and nothing else.

use serde_json::{Map, Value, json};
use strongroom_policy::acl::Operation;

use crate::engine::Engine;
use crate::mounts::{Mount, Mounts};

/// A path below a mount and what can be done with it. `{name}` is one segment; `{path}`, the last one, any number. Of the
/// letters r is read, l list, w write, p patch and d delete.
struct Route(&'static str, &'static str, &'static str);

const KV1: &[Route] = &[
    Route("", "l", "List secrets"),
    Route("{path}", "rlwd", "A secret without versions: read it, list what is below, write it, delete it"),
];

const KV2: &[Route] = &[
    Route("config", "rw", "Settings of all secrets: max_versions, cas_required, delete_version_after"),
    Route("data/{path}", "rwpd", "A secret: read a version, write the next one, merge a patch, delete the latest"),
    Route("metadata", "l", "List secrets"),
    Route("metadata/{path}", "rlwpd", "What is known of a secret and its versions; deleting it erases all of them"),
    Route("subkeys/{path}", "r", "A secret's keys without its values"),
    Route("delete/{path}", "w", "Delete versions so that they can be brought back"),
    Route("undelete/{path}", "w", "Bring deleted versions back"),
    Route("destroy/{path}", "w", "Erase versions for good"),
    Route("usage/{path}", "r", "Who read which version, how often and when"),
    Route("stale", "r", "Secrets that nobody read or changed for so many days"),
];

const CUBBYHOLE: &[Route] = &[
    Route("", "l", "List what the token keeps"),
    Route("{path}", "rlwd", "What the token keeps for itself, and loses with its life"),
];

const TOKEN: &[Route] = &[
    Route("create", "w", "Make a token"),
    Route("create-orphan", "w", "Make a token that ends with no other"),
    Route("create/{role}", "w", "Make a token by a role"),
    Route("lookup", "rw", "Look a token up"),
    Route("lookup/{token}", "rw", "Look a token up"),
    Route("lookup-self", "rw", "Look the request's own token up"),
    Route("lookup-accessor", "w", "Look a token up by its accessor"),
    Route("lookup-accessor/{accessor}", "w", "Look a token up by its accessor"),
    Route("renew", "w", "Renew a token"),
    Route("renew/{token}", "w", "Renew a token"),
    Route("renew-self", "w", "Renew the request's own token"),
    Route("renew-accessor", "w", "Renew a token by its accessor"),
    Route("revoke", "w", "Revoke a token and all that it made"),
    Route("revoke/{token}", "w", "Revoke a token and all that it made"),
    Route("revoke-self", "w", "Revoke the request's own token"),
    Route("revoke-accessor", "w", "Revoke a token by its accessor"),
    Route("revoke-orphan", "w", "Revoke a token and leave what it made"),
    Route("revoke-orphan/{token}", "w", "Revoke a token and leave what it made"),
    Route("accessors", "l", "List the accessors of all tokens"),
    Route("tidy", "w", "Take tokens away that are over"),
    Route("roles", "l", "List roles"),
    Route("roles/{role}", "rwd", "A role, which says what its users may make"),
];

const APPROLE: &[Route] = &[
    Route("login", "w", "Log in by role_id and secret_id"),
    Route("role", "l", "List roles"),
    Route("role/{role}", "rwd", "A role"),
    Route("role/{role}/role-id", "rw", "A role's id"),
    Route("role/{role}/secret-id", "lw", "Make a secret id; list the accessors of all"),
    Route("role/{role}/custom-secret-id", "w", "Take a secret id that was made elsewhere"),
    Route("role/{role}/secret-id/lookup", "w", "Look a secret id up"),
    Route("role/{role}/secret-id/destroy", "wd", "Destroy a secret id"),
    Route("role/{role}/secret-id-accessor/lookup", "w", "Look a secret id up by its accessor"),
    Route("role/{role}/secret-id-accessor/destroy", "wd", "Destroy a secret id by its accessor"),
];

const USERPASS: &[Route] = &[
    Route("login/{user}", "w", "Log in by a password"),
    Route("users", "l", "List users"),
    Route("users/{user}", "rwd", "A user"),
    Route("users/{user}/password", "w", "Change a password"),
    Route("users/{user}/policies", "w", "Change what a user may do"),
];

const ROLES_OF_TOKENS: &[Route] = &[
    Route("login", "w", "Log in by a role and a token that somebody else signed"),
    Route("config", "rw", "Who signs such tokens, or reviews them"),
    Route("role", "rl", "List roles"),
    Route("role/{role}", "rwd", "A role: which tokens log in, and what they may do"),
];

const SYSTEM: &[Route] = &[
    Route("mounts", "r", "All mounts of secrets"),
    Route("mounts/{path}", "rwd", "A mount of secrets; with /tune behind it its settings"),
    Route("auth", "r", "All ways to log in"),
    Route("auth/{path}", "rwd", "A way to log in; with /tune behind it its settings"),
    Route("remount", "w", "Move a mount"),
    Route("remount/status/{id}", "r", "How far a move is"),
    Route("policies/acl", "rl", "List policies"),
    Route("policies/acl/{name}", "rwd", "A policy, HCL or JSON"),
    Route("policy", "rl", "List policies, as old clients do"),
    Route("policy/{name}", "rwd", "A policy, as old clients have it"),
    Route("capabilities", "w", "What a token may do with paths"),
    Route("capabilities-self", "w", "What the request's own token may do with paths"),
    Route("capabilities-accessor", "w", "What the token of an accessor may do with paths"),
    Route("internal/ui/mounts", "r", "Mounts that whoever asks may see"),
    Route("internal/ui/mounts/{path}", "r", "The mount that serves a path"),
    Route("internal/ui/resultant-acl", "r", "Whether whoever asks may do everything"),
    Route("internal/specs/openapi", "r", "This document"),
    Route("tools/random", "w", "Random bytes"),
    Route("tools/random/{bytes}", "w", "Random bytes"),
    Route("tools/hash", "w", "A hash"),
    Route("tools/hash/{algorithm}", "w", "A hash"),
    Route("audit", "r", "The sinks of the audit trail"),
    Route("audit/{path}", "rwd", "Refused: sinks are set when the server starts"),
    Route("audit-hash/{path}", "w", "What a value is written as in the audit trail"),
    Route("audit-verify", "w", "Read the audit trail again, and say whether it is what was written"),
    Route("metrics", "r", "Metrics for Prometheus"),
    Route("seal", "w", "Seal the store"),
    Route("rotate", "w", "Add a key, under which everything is written from now on"),
    Route("rotate/keyring", "w", "Add a key, under which everything is written from now on"),
    Route("key-status", "r", "The newest key's term"),
    Route("storage/raft/snapshot", "rw", "A backup of everything, encrypted"),
    Route("leases/lookup", "wl", "A lease"),
    Route("leases/lookup/{path}", "wl", "A lease"),
    Route("leases/renew", "w", "Renew a lease"),
    Route("leases/renew/{path}", "w", "Renew a lease"),
    Route("leases/revoke", "w", "Revoke a lease"),
    Route("leases/revoke/{path}", "w", "Revoke a lease"),
    Route("leases/revoke-prefix/{path}", "w", "Revoke what logins below a path made"),
    Route("leases/revoke-force/{path}", "w", "Revoke what logins below a path made"),
    Route("revoke", "w", "Revoke a lease, as old clients do"),
    Route("revoke/{path}", "w", "Revoke a lease, as old clients do"),
    Route("revoke-prefix/{path}", "w", "Revoke what logins below a path made, as old clients do"),
    Route("revoke-force/{path}", "w", "Revoke what logins below a path made, as old clients do"),
    Route("wrapping/wrap", "w", "Put data behind a token that can be used once"),
    Route("wrapping/lookup", "rw", "What is known of a wrapping token"),
    Route("wrapping/unwrap", "w", "What waits behind a wrapping token"),
    Route("wrapping/rewrap", "w", "Put what waits behind a new token"),
];

/// What is answered whether the store is open or not, and is in no trail.
const OUTSIDE: &[Route] = &[
    Route("health", "r", "Whether the store is initialised, open and active, by its status code"),
    Route("seal-status", "r", "Whether the store is sealed, and by whom"),
    Route("leader", "r", "Which server is the active one"),
    Route("init", "rw", "Initialise a new store: its key and its first token"),
    Route("unseal", "w", "Open the store"),
];

fn of(mount: &Mount) -> &'static [Route] {
    match (mount.kind.as_str(), mount.options.get("version").map_or("1", String::as_str)) {
        ("kv", "2") => KV2,
        ("kv", _) => KV1,
        ("cubbyhole", _) => CUBBYHOLE,
        ("token", _) => TOKEN,
        ("approle", _) => APPROLE,
        ("userpass", _) => USERPASS,
        ("kubernetes" | "jwt" | "oidc", _) => ROLES_OF_TOKENS,
        ("system", _) => SYSTEM,
        _ => &[],
    }
}

fn letter(operation: Operation) -> char {
    match operation {
        Operation::Read => 'r',
        Operation::List | Operation::Scan => 'l',
        Operation::Create | Operation::Update => 'w',
        Operation::Patch => 'p',
        Operation::Delete => 'd',
    }
}

impl Route {
    fn fits(&self, path: &str) -> bool {
        let mut given = path.split('/').filter(|segment| !segment.is_empty());
        for wanted in self.0.split('/').filter(|segment| !segment.is_empty()) {
            match (wanted, given.next()) {
                ("{path}", first) => return first.is_some(),
                (_, None) => return false,
                (wanted, Some(_)) if wanted.starts_with('{') => {}
                (wanted, Some(given)) if wanted == given => {}
                _ => return false,
            }
        }
        given.next().is_none()
    }
}

/// Whether a path below a mount is served for an operation.
pub(crate) fn serves(mount: &Mount, path: &str, operation: Operation) -> bool {
    of(mount).iter().any(|route| route.fits(path) && route.1.contains(letter(operation)))
}

/// The document of everything that these mounts serve.
pub(crate) fn document(mounts: &Mounts) -> Value {
    let mut paths = Map::new();
    for mounted in mounts.all() {
        for route in of(&mounted.mount) {
            let path = format!("/{}{}", mounted.mount.path, route.0);
            paths.insert(path.trim_end_matches('/').to_owned(), item(route, &*mounted.engine, &mounted.mount.path));
        }
    }
    for route in OUTSIDE {
        paths.insert(format!("/sys/{}", route.0), of_everybody(route));
    }
    paths.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Strongroom",
            "description": "The HTTP API of the built-in store, which clients of Vault and OpenBao speak.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/v1"}],
        "paths": paths,
        "components": {"securitySchemes": {
            "token": {"type": "apiKey", "in": "header", "name": "X-Vault-Token"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }},
        "security": [{"token": []}, {"bearer": []}],
    })
}

/// A path's item; what an engine says of rights is asked with a path that fits.
fn item(route: &Route, engine: &dyn Engine, mount: &str) -> Value {
    let mut item = parameters(route);
    for (method, operations) in methods(route) {
        let sample = route.0.replace(['{', '}'], "");
        let mut described = described(route, &operations, mount);
        if operations.iter().all(|operation| engine.is_for_everybody(&sample, *operation)) {
            described["security"] = json!([]);
        }
        if operations.iter().any(|operation| engine.needs_sudo(&sample, *operation)) {
            described["x-vault-sudo"] = json!(true);
        }
        item[method] = described;
    }
    item
}

fn of_everybody(route: &Route) -> Value {
    let mut item = parameters(route);
    for (method, operations) in methods(route) {
        let mut described = described(route, &operations, "sys/");
        described["security"] = json!([]);
        item[method] = described;
    }
    item
}

/// The methods of HTTP by which a path's operations are asked for.
fn methods(route: &Route) -> Vec<(&'static str, Vec<Operation>)> {
    let has = |letter: char| route.1.contains(letter);
    let mut gets = Vec::new();
    gets.extend(has('r').then_some(Operation::Read));
    gets.extend(has('l').then_some(Operation::List));
    let mut methods = Vec::new();
    if !gets.is_empty() {
        methods.push(("get", gets));
    }
    methods.extend(has('w').then(|| ("post", vec![Operation::Update])));
    methods.extend(has('p').then(|| ("patch", vec![Operation::Patch])));
    methods.extend(has('d').then(|| ("delete", vec![Operation::Delete])));
    methods
}

fn described(route: &Route, operations: &[Operation], mount: &str) -> Value {
    let verb = operations.first().map_or("", |operation| operation.capability().name());
    let id: String = format!("{verb}-{mount}{}", route.0)
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    let mut described = json!({
        "operationId": id.trim_matches('-'),
        "summary": route.2,
        "tags": [mount.trim_end_matches('/')],
        "responses": {
            "200": {"description": "The data, in an envelope"},
            "204": {"description": "Done; there is nothing to tell"},
            "400": {"description": "The request is wrong: errors says how"},
            "403": {"description": "The token is none, or its policies do not allow it"},
            "404": {"description": "There is no such thing"},
            "503": {"description": "The store is sealed, or its audit trail takes no entry"},
        },
    });
    match operations {
        [Operation::List] => described["parameters"] = list_parameter(true),
        [Operation::Read, Operation::List] => described["parameters"] = list_parameter(false),
        [Operation::Update | Operation::Patch] => {
            let kind =
                if operations == [Operation::Patch] { "application/merge-patch+json" } else { "application/json" };
            described["requestBody"] = json!({"content": {kind: {"schema": {"type": "object"}}}});
        }
        _ => {}
    }
    described
}

fn list_parameter(is_required: bool) -> Value {
    json!([{
        "name": "list", "in": "query", "required": is_required, "schema": {"type": "string", "enum": ["true"]},
        "description": "List names; the method LIST does as well",
    }])
}

fn parameters(route: &Route) -> Value {
    let names = route.0.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let described: Vec<Value> =
        names.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})).collect();
    if described.is_empty() { json!({}) } else { json!({"parameters": described}) }
}

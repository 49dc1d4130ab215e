//! node-vault, a client for Node.js.

use crate::serving::{Serving, folder};

const SCRIPT: &str = include_str!("node_vault_flows.js");

/// Runs one flow of the script.
fn run(server: &Serving, token: &str, flow: &str) {
    let address = format!("http://{}", server.address);
    let variables = [("ADDRESS", address.as_str()), ("TOKEN", token), ("FLOW", flow), ("NO_PROXY", "*")];
    let printed = world::npm::prepare().unwrap().run(SCRIPT, &variables);
    printed.unwrap_or_else(|error| panic!("{flow}: {error}"));
}

fn passes(flow: &str) {
    let (server, root) = Serving::new();
    run(&server, &root, flow);
}

#[test]
fn node_vault_initialises_unseals_and_seals() {
    run(&Serving::start(&folder(), &[]), "", "seal");
}

#[test]
fn node_vault_writes_versions_and_tells_what_is_not_there_apart() {
    passes("versions");
}

#[test]
fn node_vault_writes_secrets_without_versions() {
    passes("unversioned");
}

#[test]
fn node_vault_mounts_moves_and_unmounts() {
    passes("mounts");
}

#[test]
fn node_vault_writes_policies_and_is_refused_by_them() {
    passes("policies");
}

#[test]
fn node_vault_makes_looks_up_renews_and_revokes_tokens() {
    passes("tokens");
}

#[test]
fn node_vault_renews_its_token_in_time_by_itself() {
    passes("renewal");
}

#[test]
fn node_vault_logs_in_by_approle() {
    passes("approle");
}

#[test]
fn node_vault_logs_in_by_name_and_password() {
    passes("userpass");
}

#[test]
fn node_vault_unwraps_once() {
    passes("wrapping");
}

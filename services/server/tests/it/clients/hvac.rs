//! hvac, Python's client.

use crate::serving::{Serving, folder};

const SCRIPT: &str = include_str!("hvac_flows.py");

/// Runs one flow of the script.
fn run(server: &Serving, token: &str, flow: &str) {
    let address = format!("http://{}", server.address);
    let variables = [("ADDRESS", address.as_str()), ("TOKEN", token), ("FLOW", flow), ("NO_PROXY", "*")];
    let printed = world::python::prepare().unwrap().run(SCRIPT, &[], &variables);
    printed.unwrap_or_else(|error| panic!("{flow}: {error}"));
}

fn passes(flow: &str) {
    let (server, root) = Serving::new();
    run(&server, &root, flow);
}

#[test]
fn hvac_initialises_unseals_and_seals() {
    run(&Serving::start(&folder(), &[]), "", "seal");
}

#[test]
fn hvac_reads_the_servers_state() {
    passes("status");
}

#[test]
fn hvac_writes_versions_and_tells_what_is_not_there_apart() {
    passes("versions");
}

#[test]
fn hvac_keeps_metadata_and_settings_of_secrets() {
    passes("metadata");
}

#[test]
fn hvac_writes_secrets_without_versions() {
    passes("unversioned");
}

#[test]
fn hvac_mounts_tunes_moves_and_unmounts() {
    passes("mounts");
}

#[test]
fn hvac_writes_policies_by_both_paths_and_is_refused_by_them() {
    passes("policies");
}

#[test]
fn hvac_makes_looks_up_renews_and_revokes_tokens() {
    passes("tokens");
}

#[test]
fn hvac_logs_in_by_approle() {
    passes("approle");
}

#[test]
fn hvac_logs_in_by_name_and_password() {
    passes("userpass");
}

#[test]
fn hvac_wraps_and_unwraps_once() {
    passes("wrapping");
}

//! Strongroom's own provider for Vault: its suite against OpenBao, as it is, against the built-in store.

mod running;

#[path = "../../../../../../providers/vault/tests/it/logins.rs"]
mod logins;
#[path = "../../../../../../providers/vault/tests/it/push.rs"]
mod push;
#[path = "../../../../../../providers/vault/tests/it/reads.rs"]
mod reads;
#[path = "../../../../../../providers/vault/tests/it/search.rs"]
mod search;
#[allow(dead_code, reason = "a part of it serves tests of what the built-in store does not have")]
#[path = "../../../../../../providers/vault/tests/it/server.rs"]
mod server;

//! The command as people run it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cases;
mod cluster;
mod command;
mod ownership;

use std::ffi::OsString;
use std::sync::LazyLock;

use world::control_plane::{ControlPlane, Options};

/// An API server for all tests: with the definitions of both sides.
static CLUSTER: LazyLock<ControlPlane> = LazyLock::new(|| {
    let cluster = ControlPlane::start(&Options::default()).unwrap();
    cluster.apply(&strongroom_api::crds_yaml().unwrap()).unwrap();
    cluster.apply(&strongroom_api::kes::crd_yaml().unwrap()).unwrap();
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).unwrap();
    cluster
});

/// The variable that names it.
fn kubeconfig() -> Vec<OsString> {
    let mut variable = OsString::from("KUBECONFIG=");
    variable.push(CLUSTER.kubeconfig());
    vec![variable]
}

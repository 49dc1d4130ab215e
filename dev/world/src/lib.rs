//! Real parts for tests and for people: a Kubernetes control plane, a node, OpenBao, an AWS emulator, a stand-in for
//! Google Secret Manager, and a fault switchboard to put between them and a program. Not shipped.

pub mod certificates;
pub mod google;
pub mod moto;
pub mod open_bao;
pub mod part;
pub mod proxy;
pub mod python;
pub mod switchboard;

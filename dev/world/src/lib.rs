//! Real parts for tests and for people: a Kubernetes control plane, a node, OpenBao, an AWS emulator, stand-ins for
//! Google Secret Manager, Cloud KMS and Azure Key Vault, a fault switchboard to put between them and a program, and a
//! server that tests script. Not shipped.

#![forbid(unsafe_code)]

pub mod azure;
pub mod binaries;
pub mod cache;
pub mod certificates;
pub mod command_line;
mod control_group;
pub mod control_plane;
mod debian;
pub mod directory;
pub mod etcd;
mod gate;
pub mod google;
pub mod helm;
pub mod image;
pub mod kamus;
pub mod moto;
pub mod node;
pub mod npm;
pub mod open_bao;
pub mod part;
mod pki;
mod plain_http;
mod probe;
pub mod proxy;
pub mod python;
pub mod registry;
pub mod scripted;
mod service;
pub mod shipped;
pub mod sts;
pub mod switchboard;

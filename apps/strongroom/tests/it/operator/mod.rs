//! The operator as a cluster meets it: objects in, Secrets out, against a real API server.

pub(crate) mod api;
mod auth_forms;
pub(crate) mod events;
mod faults;
mod fields;
mod generators;
mod kills;
mod leases;
mod lost_events;
mod missed_pods;
mod policies;
mod pubsub;
mod pushes;
mod pushes_beside_values;
mod pushes_to_stores;
mod reloader;
mod scoped;
mod secret_operator;
mod shapes;
mod stores;
pub(crate) mod support;
mod sync;
mod tenancy;
mod tokens;
pub(crate) mod world_of_stores;

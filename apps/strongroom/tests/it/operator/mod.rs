//! The operator as a cluster meets it: objects in, Secrets out, against a real API server.

mod api;
mod faults;
mod policies;
mod shapes;
mod stores;
pub(crate) mod support;
mod sync;
mod tenancy;

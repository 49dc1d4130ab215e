//! The operator as a cluster meets it: objects in, Secrets out, against a real API server.

mod support;
mod sync;

//! Secrets and any other objects of a Kubernetes API server as a store.

#![forbid(unsafe_code)]

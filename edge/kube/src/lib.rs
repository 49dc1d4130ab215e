//! A thin touch with a Kubernetes API server: client, guarded watches, writes, events, leases.

#![forbid(unsafe_code)]

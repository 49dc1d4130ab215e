//! Any HTTP endpoint as a store, described by templates.

#![forbid(unsafe_code)]

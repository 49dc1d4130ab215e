//! The primitives against published vectors, and against what other programs made.

mod digests;
mod locked;
mod signatures;

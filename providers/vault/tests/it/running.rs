//! The server that the suite runs against. `services/server` runs `logins`, `push`, `reads` and `search` against the
//! built-in store, with a module of this name of its own.

use world::open_bao::OpenBao;

/// OpenBao.
pub(crate) type Running = OpenBao;

/// Bytes of the largest text that it keeps: it refuses requests of more than 32 MiB.
pub(crate) const LARGEST_TEXT: usize = (32 << 20) - 64;

pub(crate) fn start() -> Running {
    OpenBao::start().unwrap()
}

//! Templates that are JavaScript, in a process of its own: those of kubernetes-external-secrets, rendered as lodash's
//! `template` renders them, and those of Kamus' init container, rendered as EJS does.
//!
//! Tenants write these programs, and they are given secrets. So a rendering is a child process that has an empty
//! environment, no file, no socket and no way to make one, that may compute for a second in bounded memory, and that
//! is gone afterwards: nothing that a template does reaches another object's, or the process that holds the
//! credentials (design invariant 10). Inside, each template has an engine of its own.
//!
//! An [`Engine`] starts the child and never evaluates anything itself; [`serve`] is the child, and never returns to
//! what started it. In the order of one rendering: `frame` carries templates and values over, `sandbox` shuts the
//! child in, `compile` makes a function of a template, `engine` runs it among what `prelude/` gives it, and `fault`
//! says what went wrong without a value.

#![forbid(unsafe_code)]

mod child;
mod compile;
mod engine;
mod fault;
mod frame;
mod limits;
mod parent;
mod sandbox;

/// The argument by which a program that renders templates knows that it is the child: `strongroom javascript-worker`.
pub const WORKER: &str = "javascript-worker";

/// This very program, also when its file has been replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

pub use child::{is_child, serve};
pub use compile::Dialect;
pub use fault::{Fault, Kind};
pub use limits::{Encoding, Limits};
pub use parent::Engine;

//! All that is decided about a KamusSecret of `soluto.com`, in the order of one synchronisation: who vouched for it
//! ([`mark`]), for which account its values were encrypted and which they are ([`items`]), the Secret that is wanted
//! ([`wanted`]), and the words of its condition ([`status`]).
//!
//! Pure: who decrypts, and the clock, come in. Where Kamus 0.9 harms its users, this does not do as it did; the
//! differences are in `docs/compatibility/kamus.md`.

#![forbid(unsafe_code)]

pub mod items;
pub mod mark;
pub mod status;
pub mod wanted;

pub use crate::items::{Item, identity, items};
pub use crate::mark::{MARK_ANNOTATION, MARK_PURPOSE, is_marked, mark};
pub use crate::wanted::{wanted, wish};

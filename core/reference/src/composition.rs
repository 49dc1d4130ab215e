//! The value of a variable as far as it holds references: it is one, or some stand inside of it.

use std::fmt;
use std::ops::Range;

use strongroom_failure::Failure;

use crate::{Reference, Syntax, bank_vaults};

/// What becomes of a value that holds references. Says where they stand and repeats nothing of what is around them,
/// which may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Composition {
    /// The value is a reference: what it names takes its place.
    Whole(Reference),
    /// Parts of the value are replaced, in their order; at least one.
    Parts(Vec<Slot>),
}

/// One part of a value that is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The bytes of the value that go.
    pub span: Range<usize>,
    /// What is read for them.
    pub reference: Reference,
    /// A Go template over the keys of the secret that was read, between
    /// [`KEY_TEMPLATE_DELIMITERS`](crate::KEY_TEMPLATE_DELIMITERS); the value itself where absent.
    pub template: Option<String>,
}

impl Composition {
    /// Every reference, in the order in which they stand.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        let (whole, parts) = match self {
            Self::Whole(reference) => (Some(reference), &[][..]),
            Self::Parts(slots) => (None, slots.as_slice()),
        };
        whole.into_iter().chain(parts.iter().map(|slot| &slot.reference))
    }

    /// The same, to be changed.
    pub fn references_mut(&mut self) -> impl Iterator<Item = &mut Reference> {
        let (whole, parts) = match self {
            Self::Whole(reference) => (Some(reference), &mut [][..]),
            Self::Parts(slots) => (None, slots.as_mut_slice()),
        };
        whole.into_iter().chain(parts.iter_mut().map(|slot| &mut slot.reference))
    }
}

/// The canonical references; `…` is what stays of the value around them, templates are shown behind theirs.
impl fmt::Display for Composition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = match self {
            Self::Whole(reference) => return write!(formatter, "{reference}"),
            Self::Parts(slots) => slots,
        };
        let mut end = 0;
        for (place, slot) in slots.iter().enumerate() {
            let stays = if slot.span.start > end { "…" } else { "" };
            let gap = if place > 0 { " " } else { "" };
            write!(formatter, "{gap}{stays}{{{}", slot.reference)?;
            if let Some(template) = &slot.template {
                write!(formatter, " {template}")?;
            }
            formatter.write_str("}")?;
            end = slot.span.end;
        }
        Ok(())
    }
}

impl Syntax {
    /// Reads the value of a variable, which this syntax claims. Failures are `Invalid` and never repeat the text.
    ///
    /// # Errors
    /// Whatever is malformed in it.
    pub fn compose(self, text: &str) -> Result<Composition, Failure> {
        match self {
            Self::BankVaults => bank_vaults::compose(text),
            Self::Canonical | Self::SecretsInit => self.parse(text).map(Composition::Whole),
        }
    }
}

//! A string in the making, whose bytes are counted as they come.

use zeroize::Zeroizing;

use crate::limits::{Fault, Meter};

/// Collects bytes as far as the meter allows.
pub(crate) struct Builder<'m> {
    meter: &'m mut Meter,
    bytes: Zeroizing<Vec<u8>>,
    depth: usize,
}

impl<'m> Builder<'m> {
    pub(crate) fn new(meter: &'m mut Meter) -> Self {
        Self { meter, bytes: Zeroizing::new(Vec::new()), depth: 0 }
    }

    /// Adds `bytes`.
    pub(crate) fn push(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Fault> {
        let bytes = bytes.as_ref();
        self.meter.fits(self.bytes.len().saturating_add(bytes.len()))?;
        self.meter.make(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds `count` times `bytes`.
    pub(crate) fn repeat(&mut self, bytes: &[u8], count: usize) -> Result<(), Fault> {
        let more = bytes.len().saturating_mul(count);
        self.meter.fits(self.bytes.len().saturating_add(more))?;
        self.meter.make(more)?;
        self.bytes.extend_from_slice(&bytes.repeat(count));
        Ok(())
    }

    /// Counts bytes that are made beside what is built.
    pub(crate) fn count(&mut self, bytes: usize) -> Result<(), Fault> {
        self.meter.make(bytes)
    }

    /// Counts an element of a list or a map before it is written.
    pub(crate) fn element(&mut self) -> Result<(), Fault> {
        self.meter.step(1)
    }

    /// Goes one level into a value.
    pub(crate) fn enter(&mut self) -> Result<(), Fault> {
        if self.depth >= self.meter.depth() {
            return Err(Fault::new(format!("a value is nested deeper than {}", self.meter.depth())));
        }
        self.depth += 1;
        Ok(())
    }

    /// Comes back from a level.
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes)
    }
}

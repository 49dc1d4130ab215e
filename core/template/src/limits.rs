//! What a template may cost, and the meter that counts it.

use std::fmt;
use std::sync::Arc;

use crate::values::{Datum, Map};

/// What one template may cost. A template is code that a tenant wrote: each of these ends it with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest template, in bytes. A Secret and a ConfigMap, where templates live, hold 1 MiB.
    pub template_bytes: usize,
    /// The longest output, in bytes. What it becomes (a Secret, a file) holds 1 MiB; four times that leaves room for
    /// a rendering that is cut up afterwards.
    pub output_bytes: usize,
    /// The longest string in between, in bytes: an output that is still to be decoded.
    pub string_bytes: usize,
    /// All strings in between together, in bytes: what a loop can make the machine copy, a second's work or less.
    pub made_bytes: usize,
    /// Nodes that are evaluated, and elements that are walked: a second's work or less. Long templates take
    /// thousands.
    pub steps: usize,
    /// How deep controls, parentheses and `template` calls may nest together, and how deep values may that are
    /// printed or compared. Bounds the stack: 200 levels take well below the 2 MiB of a worker thread.
    pub depth: usize,
    /// Calls that take milliseconds or more of a processor each: private keys, certificates, bcrypt, scrypt, PKCS#12.
    pub costly_calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            template_bytes: 1 << 20,
            output_bytes: 4 << 20,
            string_bytes: 8 << 20,
            made_bytes: 256 << 20,
            steps: 1_000_000,
            depth: 200,
            costly_calls: 16,
        }
    }
}

/// Whether the time that was given is over; asked every thousand steps or so, and before each costly call.
pub type Expired = Arc<dyn Fn() -> bool + Send + Sync>;

/// Why something goes no further: words without any value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault(String);

impl Fault {
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    pub(crate) fn words(&self) -> &str {
        &self.0
    }
}

/// What stays of the limits while a template is rendered.
pub(crate) struct Meter {
    limits: Limits,
    expired: Option<Expired>,
    steps: usize,
    until_asked: usize,
    made: usize,
    output: usize,
    costly: usize,
}

/// Steps between two looks at the clock: a look costs about as much as a few steps.
const BETWEEN_LOOKS: usize = 1024;

impl Meter {
    pub(crate) fn new(limits: Limits, expired: Option<Expired>) -> Self {
        Self {
            limits,
            expired,
            steps: limits.steps,
            until_asked: 0,
            made: limits.made_bytes,
            output: limits.output_bytes,
            costly: limits.costly_calls,
        }
    }

    pub(crate) fn depth(&self) -> usize {
        self.limits.depth
    }

    /// Counts `count` steps before they are taken.
    pub(crate) fn step(&mut self, count: usize) -> Result<(), Fault> {
        let words = || Fault::new(format!("the template takes more than {} steps", self.limits.steps));
        self.steps = self.steps.checked_sub(count).ok_or_else(words)?;
        match self.until_asked.checked_sub(count) {
            Some(left) => self.until_asked = left,
            None => {
                self.until_asked = BETWEEN_LOOKS;
                self.ask()?;
            }
        }
        Ok(())
    }

    fn ask(&self) -> Result<(), Fault> {
        match &self.expired {
            Some(is_expired) if is_expired() => Err(Fault::new("the template takes longer than it may")),
            _ => Ok(()),
        }
    }

    /// Whether a string may have this many bytes.
    pub(crate) fn fits(&self, bytes: usize) -> Result<(), Fault> {
        if bytes > self.limits.string_bytes {
            return Err(Fault::new(format!("a string would be longer than {} bytes", self.limits.string_bytes)));
        }
        Ok(())
    }

    /// Counts a string of `bytes` before it is made.
    pub(crate) fn make(&mut self, bytes: usize) -> Result<(), Fault> {
        self.fits(bytes)?;
        let words = || Fault::new(format!("the template makes more than {} bytes of strings", self.limits.made_bytes));
        self.made = self.made.checked_sub(bytes).ok_or_else(words)?;
        self.step(bytes / BYTES_PER_STEP)
    }

    /// Counts bytes of output before they are written.
    pub(crate) fn write(&mut self, bytes: usize) -> Result<(), Fault> {
        let words = || Fault::new(format!("the output is longer than {} bytes", self.limits.output_bytes));
        self.output = self.output.checked_sub(bytes).ok_or_else(words)?;
        Ok(())
    }

    /// Counts a call that takes milliseconds or more.
    pub(crate) fn costly(&mut self) -> Result<(), Fault> {
        let words = || {
            Fault::new(format!(
                "the template asks for more than {} keys, certificates, containers and password hashes",
                self.limits.costly_calls
            ))
        };
        self.costly = self.costly.checked_sub(1).ok_or_else(words)?;
        self.ask()
    }
}

/// Bytes that are copied in about the time of a step.
const BYTES_PER_STEP: usize = 1024;

impl fmt::Debug for Meter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Meter").field("steps", &self.steps).finish_non_exhaustive()
    }
}

/// Maps that a template made, to be emptied at its end: one that holds itself would never go otherwise, and its
/// secrets would stay in memory.
#[derive(Debug, Default)]
pub(crate) struct Made(Vec<std::rc::Weak<Map>>);

impl Made {
    pub(crate) fn note(&mut self, datum: &Datum) {
        if let Datum::Map(map) = datum {
            self.0.push(std::rc::Rc::downgrade(map));
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for map in self.0.iter().filter_map(std::rc::Weak::upgrade) {
            crate::values::drop_flat(map.clear().into_values().collect());
        }
    }
}

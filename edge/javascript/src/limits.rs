//! What a rendering may cost, and how values are read.

use std::time::Duration;

/// What one rendering, all templates of one object together, may cost.
///
/// The defaults are far above what templates for a Secret need, and low enough that a hostile one is over before
/// anybody waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long the processor may be busy: 1 s, where an ordinary template takes a few milliseconds.
    pub processor_time: Duration,
    /// After how long by the clock the child is killed: 2 s. Twice the processor's time, for a busy machine, and short
    /// enough that a child which does not end keeps its place for no longer.
    pub deadline: Duration,
    /// What the JavaScript of one template may allocate, in bytes: 64 MiB, a hundred times the largest values.
    pub memory: usize,
    /// How much of the stack JavaScript may use, in bytes: 4 MiB of the 8 MiB that Linux gives. A call takes about
    /// half a kilobyte, so functions may call themselves about as often as in Node.
    pub stack: usize,
    /// The longest text that one template may give, in bytes: 1 MiB, as much as a Secret can hold.
    pub output: usize,
    /// The longest template, in bytes: 256 KiB. An ExternalSecret with all its templates holds at most 1.5 MiB.
    pub template: usize,
    /// How many templates one rendering may have: 1,000, more than fit into an ExternalSecret that says anything else.
    pub templates: usize,
    /// How many bytes names and values may have together: 2 MiB, twice what a Secret can hold.
    pub data: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processor_time: Duration::from_secs(1),
            deadline: Duration::from_secs(2),
            memory: 64 << 20,
            stack: 4 << 20,
            output: 1 << 20,
            template: 256 << 10,
            templates: 1000,
            data: 2 << 20,
        }
    }
}

/// How a value's bytes become the text that a template sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As kubernetes-external-secrets does it: byte by byte, without the highest bit. `ä` is then two other letters.
    #[default]
    Ascii,
    /// As UTF-8, where what is none becomes `U+FFFD`.
    Utf8,
    /// As JSON: a template sees what the document holds. What is no JSON is a fault of every template.
    Json,
}

impl Encoding {
    pub(crate) const ALL: [Self; 3] = [Self::Ascii, Self::Utf8, Self::Json];

    /// The text that a template sees of `bytes`, or that it is made of.
    pub(crate) fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Ascii => bytes.iter().map(|byte| char::from(byte & 0x7f)).collect(),
            Self::Utf8 | Self::Json => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

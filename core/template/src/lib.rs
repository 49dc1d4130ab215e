//! Go text/template with sprig's and External Secrets Operator's functions, limited in steps, depth, output and time.
//!
//! Pure: the time comes in with [`Settings`], randomness is drawn by `core/crypto`. A template and its data may be
//! anyone's: what it can cost is bounded by [`Limits`], and no error holds a value or a literal. Stands behind
//! selection and before delivery: what stores gave goes in as a [`Value`], what is delivered comes out.
//!
//! `syntax` makes trees of the text, `evaluate` walks them over `values` and calls `functions`, which lean on
//! `formats`: how Go prints, quotes, encodes and counts time.

#![forbid(unsafe_code)]

mod data;
mod evaluate;
mod failure;
mod formats;
mod functions;
mod limits;
mod syntax;
mod values;

use std::fmt;

use jiff::Timestamp;
use strongroom_secret::SecretBytes;

pub use crate::data::Value;
pub use crate::failure::TemplateFailure;
pub use crate::limits::{Expired, Limits};

use crate::evaluate::Source;
use crate::failure::Place;
use crate::limits::Meter;
use crate::syntax::{Rules, Trees};
use crate::values::Datum;

/// How deep controls and parentheses may nest in a template's text. People nest a handful; the parser's stack takes
/// this many many times over.
const PARSE_DEPTH: usize = 100;

/// What templates are parsed and rendered by.
#[derive(Clone)]
pub struct Settings {
    /// What one template may cost.
    pub limits: Limits,
    /// What opens an action: `{{` unless the operator was told otherwise.
    pub left_delimiter: String,
    /// What closes an action: `}}` unless the operator was told otherwise.
    pub right_delimiter: String,
    /// The time that `now` gives and that certificates begin at.
    pub now: Timestamp,
    /// Whether the time for a rendering is over; no limit in time where absent.
    pub is_expired: Option<Expired>,
}

impl Settings {
    /// Go's delimiters and the usual limits, at the time `now`.
    pub fn at(now: Timestamp) -> Self {
        Self {
            limits: Limits::default(),
            left_delimiter: "{{".to_owned(),
            right_delimiter: "}}".to_owned(),
            now,
            is_expired: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Settings").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A parsed template, which renders any number of times.
pub struct Template {
    name: String,
    text: String,
    trees: Trees,
    settings: Settings,
}

impl Template {
    /// Parses `text`; `name` stands in errors. Functions and variables that do not exist are found here.
    ///
    /// # Errors
    /// Where the text is no template, or longer than the limit. Literals are never quoted.
    pub fn parse(name: &str, text: &str, settings: &Settings) -> Result<Self, TemplateFailure> {
        let limit = settings.limits.template_bytes;
        if text.len() > limit {
            let words = format!("the template has {} bytes, and {limit} are allowed", text.len());
            return Err(TemplateFailure::new(Place::of(name, text, 0), words));
        }
        let or_usual =
            |given: &str, usual: &'static str| if given.is_empty() { usual.to_owned() } else { given.to_owned() };
        let rules = Rules {
            left_delimiter: &or_usual(&settings.left_delimiter, "{{"),
            right_delimiter: &or_usual(&settings.right_delimiter, "}}"),
            depth: PARSE_DEPTH,
            is_function: &functions::is_function,
        };
        let trees = syntax::parse(name, text, &rules)?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), trees, settings: settings.clone() })
    }

    /// Renders with `data` at the root. Every rendering has its own copy of the data: `set` changes no other's.
    ///
    /// # Errors
    /// What the template asks for does not exist (as with Go's `missingkey=error`), a function fails, or a limit is
    /// reached. Never holds a value.
    pub fn render(&self, data: &Value) -> Result<SecretBytes, TemplateFailure> {
        let source = Source { name: &self.name, text: &self.text, trees: &self.trees, now: self.settings.now };
        let meter = Meter::new(self.settings.limits, self.settings.is_expired.clone());
        evaluate::render(&source, Datum::of(data, self.settings.limits.depth), meter)
    }
}

/// The names of all functions, in order.
pub fn function_names() -> Vec<&'static str> {
    functions::names()
}

impl fmt::Debug for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may hold what was meant to be secret.
        write!(formatter, "Template({:?})", self.name)
    }
}

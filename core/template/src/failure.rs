//! Why a template cannot be parsed or rendered, and where.

use std::fmt;

use strongroom_failure::{Class, Failure};

/// A place in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    name: String,
    line: usize,
    column: usize,
}

impl Place {
    /// The place `at` bytes into `text`.
    pub(crate) fn of(name: &str, text: &str, at: usize) -> Self {
        let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        Self { name: name.to_owned(), line, column }
    }
}

/// Why a template cannot be parsed or rendered: in Go's form, and without any value or literal.
///
/// Shown as `template: NAME:LINE:COLUMN: executing "NAME" at <WHAT>: WORDS`; while parsing, without what was
/// executed. Lines count from 1 and columns, in bytes, from 0, as Go counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFailure {
    place: Place,
    executing: Option<(String, String)>,
    words: String,
}

impl TemplateFailure {
    pub(crate) fn new(place: Place, words: impl Into<String>) -> Self {
        Self { place, executing: None, words: words.into() }
    }

    /// Names the template that was rendered, which may be one defined inside, and the field or function at fault.
    pub(crate) fn executing(mut self, template: &str, what: String) -> Self {
        self.executing = Some((template.to_owned(), what));
        self
    }

    /// The template's name.
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.place.line
    }

    /// The column in bytes, from 0.
    pub fn column(&self) -> usize {
        self.place.column
    }

    /// Why, without the place.
    pub fn words(&self) -> &str {
        &self.words
    }
}

impl fmt::Display for TemplateFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { name, line, column } = &self.place;
        write!(formatter, "template: {name}:{line}:{column}: ")?;
        if let Some((template, what)) = &self.executing {
            write!(formatter, "executing \"{template}\" at <{what}>: ")?;
        }
        formatter.write_str(&self.words)
    }
}

impl std::error::Error for TemplateFailure {}

impl From<TemplateFailure> for Failure {
    fn from(failure: TemplateFailure) -> Self {
        Failure::new(Class::Invalid, failure.to_string())
    }
}

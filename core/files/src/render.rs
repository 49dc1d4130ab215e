//! From what a file's references came to, to its bytes.

use jiff::Timestamp;
use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;

use crate::{Content, File, LARGEST_FILE, invalid};

impl File {
    /// The file's bytes; `values` are what [`File::references`] came to, in their order, `None` for one that is optional
    /// and does not exist. `now` is the time for templates. Templates that ask for the time or for something random
    /// make other bytes each time.
    ///
    /// `None` where the file's only value does not exist: there is no such file then. A template over several values
    /// sees an empty text in the place of one that does not.
    ///
    /// # Errors
    /// A template that cannot be rendered, or a file that would be too large; with the file's path as its field. Never
    /// holds a value.
    pub fn render(&self, values: Vec<Option<SecretBytes>>, now: Timestamp) -> Result<Option<SecretBytes>, Failure> {
        let about = |failure: Failure| failure.in_field(&self.path);
        let rendered = match &self.content {
            Content::One { template, .. } => match (values.into_iter().next().flatten(), template) {
                (Some(value), Some(template)) => one(template, value, now).map_err(about)?,
                (Some(value), None) => value,
                (None, _) => return Ok(None),
            },
            Content::Several { values: wanted, template } => {
                let names = wanted.iter().map(|(name, _)| name.clone());
                let given = values
                    .into_iter()
                    .map(Option::unwrap_or_default)
                    .chain(std::iter::repeat_with(SecretBytes::default));
                several(template, names.zip(given), now).map_err(about)?
            }
        };
        if rendered.len() > LARGEST_FILE {
            let words = format!("the file would have {} bytes, and {LARGEST_FILE} are allowed", rendered.len());
            return Err(about(invalid(words)));
        }
        Ok(Some(rendered))
    }
}

#[cfg(feature = "templates")]
pub(crate) use templates::{check, one, several};

#[cfg(feature = "templates")]
mod templates {
    use std::collections::BTreeMap;

    use strongroom_template::{Limits, Settings, Template, TemplateFailure, Value};

    use super::{Failure, LARGEST_FILE, SecretBytes, Timestamp, invalid};

    /// What a template over one value calls it.
    const VALUE: &str = "value";

    /// # Errors
    /// What is no template, or asks for functions that do not exist.
    pub(crate) fn check(template: &str) -> Result<(), Failure> {
        parsed(template, Timestamp::UNIX_EPOCH).map(|_| ())
    }

    pub(crate) fn one(template: &str, value: SecretBytes, now: Timestamp) -> Result<SecretBytes, Failure> {
        let mut data = Value::members(&value).unwrap_or_default();
        // The whole value wins over a member of that name: it is always there.
        data.insert(VALUE.to_owned(), Value::Bytes(value));
        rendered(template, data, now)
    }

    pub(crate) fn several(
        template: &str,
        values: impl Iterator<Item = (String, SecretBytes)>,
        now: Timestamp,
    ) -> Result<SecretBytes, Failure> {
        rendered(template, values.map(|(name, value)| (name, Value::Bytes(value))).collect(), now)
    }

    fn rendered(template: &str, data: BTreeMap<String, Value>, now: Timestamp) -> Result<SecretBytes, Failure> {
        parsed(template, now)?.render(&Value::Map(data)).map_err(|failure| told(&failure))
    }

    fn parsed(template: &str, now: Timestamp) -> Result<Template, Failure> {
        let limits = Limits { output_bytes: LARGEST_FILE, ..Limits::default() };
        Template::parse("template", template, &Settings { limits, ..Settings::at(now) })
            .map_err(|failure| told(&failure))
    }

    /// With its place counted as in other texts; whose template it is, the failure's field says.
    fn told(failure: &TemplateFailure) -> Failure {
        invalid(format!("template line {}, column {}: {}", failure.line(), failure.column() + 1, failure.words()))
    }
}

#[cfg(not(feature = "templates"))]
pub(crate) fn check(_: &str) -> Result<(), Failure> {
    Err(invalid("this build has no templates").with_hint("use the full strongroom-init, or one file a value"))
}

#[cfg(not(feature = "templates"))]
fn one(template: &str, _: SecretBytes, _: Timestamp) -> Result<SecretBytes, Failure> {
    check(template).map(|()| SecretBytes::default())
}

#[cfg(not(feature = "templates"))]
fn several(
    template: &str,
    _: impl Iterator<Item = (String, SecretBytes)>,
    _: Timestamp,
) -> Result<SecretBytes, Failure> {
    check(template).map(|()| SecretBytes::default())
}

//! Templates to the bodies of JavaScript functions, each language as its original compiles it.

mod ejs;
mod lodash;

/// Languages of templates. Both are JavaScript between texts; they differ in what divides them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Those of lodash's `template`, with `yaml`, `_` and the values as `data`: kubernetes-external-secrets.
    #[default]
    Lodash,
    /// Those of EJS, with the values as `secrets`, and `stringifyIfJson`: Kamus' init container.
    Ejs,
}

impl Dialect {
    pub(crate) const ALL: [Self; 2] = [Self::Lodash, Self::Ejs];
}

/// The body of the function that `template` is: of `yaml` and `_`, or of `locals`, `escapeFn`, `include` and `rethrow`.
///
/// # Errors
/// What cannot be divided, in words of the engine's.
pub(crate) fn compile(dialect: Dialect, template: &str) -> Result<String, String> {
    match dialect {
        Dialect::Lodash => Ok(lodash::compile(template)),
        Dialect::Ejs => ejs::compile(template),
    }
}

/// Writes `text` as it stands inside a literal in quotes, of either kind.
fn write_literal(text: &str, body: &mut String) {
    for character in text.chars() {
        match character {
            '\'' => body.push_str("\\'"),
            '"' => body.push_str("\\\""),
            '\\' => body.push_str("\\\\"),
            '\n' => body.push_str("\\n"),
            '\r' => body.push_str("\\r"),
            '\u{2028}' => body.push_str("\\u2028"),
            '\u{2029}' => body.push_str("\\u2029"),
            other => body.push(other),
        }
    }
}

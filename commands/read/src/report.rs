use std::io::Write;

use strongroom_failure::Failure;

/// Who reads what a program says of its failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A person at a terminal: `error: …` and `hint: …` lines.
    Person,
    /// Whoever collects the logs of a container: one log event with `what` as its message.
    Logs,
}

/// Tells `failures` once, at the edge: what could not be done, on what, why, and what to try.
pub fn report(audience: Audience, what: &str, failures: &[Failure]) {
    for failure in failures {
        match audience {
            Audience::Person => {
                let mut message = format!("error: {failure}\n");
                if let Some(hint) = &failure.hint {
                    message.push_str(&format!("hint: {hint}\n"));
                }
                // Standard error that is gone cannot be told so.
                let _ = std::io::stderr().write_all(message.as_bytes());
            }
            Audience::Logs => {
                let (error, class) = (failure.to_string(), failure.class.reason());
                let field = failure.subject.field.as_deref();
                match &failure.hint {
                    Some(hint) => tracing::error!(error, hint, class, field, "{what}"),
                    None => tracing::error!(error, class, field, "{what}"),
                }
            }
        }
    }
}

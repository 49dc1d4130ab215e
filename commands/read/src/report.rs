use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use strongroom_failure::Failure;

/// Who reads what a program says of its failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A person at a terminal: `error: …` and `hint: …` lines.
    Person,
    /// Whoever collects the logs of a container: one log event with `what` as its message. kubelet is told as well, so
    /// that the pod's status says why the container ended (`kubectl describe pod`).
    Logs,
}

/// Tells `failures` once, at the edge: what could not be done, on what, why, and what to try.
pub fn report(audience: Audience, what: &str, failures: &[Failure]) {
    if audience == Audience::Logs {
        tell_kubelet(Path::new(TERMINATION_LOG), what, failures);
    }
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
            Audience::Logs => log(what, failure),
        }
    }
}

/// One log event about a failure of a program that goes on: kubelet is told of what ends one alone ([`report`]).
pub fn log(what: &str, failure: &Failure) {
    let (error, class) = (failure.to_string(), failure.class.reason());
    let field = failure.subject.field.as_deref();
    match &failure.hint {
        Some(hint) => tracing::error!(error, hint, class, field, "{what}"),
        None => tracing::error!(error, class, field, "{what}"),
    }
}

/// Where kubelet looks for a container's last words; it makes the file in pods, and nobody elsewhere.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// The most bytes of them that kubelet takes.
const LAST_WORDS: usize = 4096;

/// Writes `failures` to kubelet's file, where there is one. They are in the log already: what goes wrong here is not told.
fn tell_kubelet(file: &Path, what: &str, failures: &[Failure]) {
    let is_there = std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file());
    if let (true, Ok(mut opened)) = (is_there, OpenOptions::new().append(true).open(file)) {
        let mut words = format!("{what}:\n");
        for failure in failures {
            let hint = failure.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            words.push_str(&format!("{failure}{hint}\n"));
        }
        words.truncate(words.floor_char_boundary(LAST_WORDS));
        let _ = opened.write_all(words.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use strongroom_failure::Class;

    use super::*;

    #[test]
    fn kubelet_is_told_where_it_made_a_file_and_never_more_than_it_takes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("termination-log");
        let failure = Failure::new(Class::NotFound, "é".repeat(3000)).with_hint("name another");
        tell_kubelet(&file, "cannot start", std::slice::from_ref(&failure));
        assert!(!file.exists());
        std::fs::File::create(&file).unwrap();
        tell_kubelet(&file, "cannot start", &[Failure::new(Class::NotFound, "no such key").with_hint("name another")]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "cannot start:\nno such key (name another)\n");
        std::fs::File::create(&file).unwrap();
        tell_kubelet(&file, "cannot start", &[failure]);
        let told = std::fs::read_to_string(&file).unwrap();
        assert!(told.starts_with("cannot start:\né") && (4090..=LAST_WORDS).contains(&told.len()), "{}", told.len());
    }
}

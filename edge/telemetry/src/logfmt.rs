use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// `time=… level=… msg="…" field=value …`, the shape that logrus made common.
pub(crate) struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        writer.write_str("time=")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, " level={}", event.metadata().level().as_str().to_ascii_lowercase())?;
        let mut pairs = Pairs { message: String::new(), rest: String::new() };
        event.record(&mut pairs);
        writeln!(writer, " msg={}{}", pairs.message, pairs.rest)
    }
}

/// The message and the other fields of one event, each quoted where it must be.
struct Pairs {
    message: String,
    rest: String,
}

impl Visit for Pairs {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = quoted(value);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(self.rest, " {}={}", field.name(), quoted(value));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The text, in quotes unless it is one plain word; control characters are escaped so that one event stays one line.
fn quoted(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@+,%".contains(character);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("{text:?}") }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use crate::{LogFormat, LogLevel, install_for_thread};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let guard = install_for_thread(format, LogLevel::Info, move || writer.clone());
        log();
        drop(guard);
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_text_line_is_logfmt_and_stays_one_line() {
        let line = logged(LogFormat::Text, || {
            tracing::warn!(store = "team-a/aws", retry_in = ?std::time::Duration::from_millis(2500), waiting = 41, "store throttles;\nbacking off");
        });
        assert!(line.starts_with("time="), "{line}");
        assert!(
            line.ends_with(
                " level=warn msg=\"store throttles;\\nbacking off\" store=team-a/aws retry_in=2.5s waiting=41\n"
            ),
            "{line}"
        );
    }

    #[test]
    fn a_json_line_holds_the_fields() {
        let line = logged(LogFormat::Json, || tracing::error!(error = "a \"quoted\" one", "failed to resolve secrets"));
        assert!(
            line.contains(r#""level":"ERROR","message":"failed to resolve secrets","error":"a \"quoted\" one""#),
            "{line}"
        );
    }

    #[test]
    fn only_our_own_crates_are_heard_and_only_at_the_asked_level() {
        let line = logged(LogFormat::Text, || {
            tracing::error!(target: "hyper::proto", "a body with a secret");
            tracing::debug!("too fine");
        });
        assert_eq!(line, "");
    }
}

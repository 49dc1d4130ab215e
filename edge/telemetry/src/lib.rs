//! Logs, the same for every program: one line an event, readable and searchable, to standard error; and with the
//! feature `metrics` metrics as Prometheus reads them (`Metrics`).
//!
//! Invariant: only this project's own crates are heard. What libraries log may hold request bodies, so their events
//! are dropped at every level.

#![forbid(unsafe_code)]

mod logfmt;
#[cfg(feature = "metrics")]
mod metrics;
mod panics;
#[cfg(feature = "metrics")]
mod process;

use std::io;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

#[cfg(feature = "metrics")]
pub use crate::metrics::{Counters, Gauges, Histograms, LabelValues, METRICS_CONTENT_TYPE, Metrics};
pub use crate::panics::hide_panic_messages;

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `time=… level=warn msg="store throttles; backing off" store=team-a/aws`.
    #[default]
    Text,
    /// One JSON object a line with `timestamp`, `level`, `message`, `target` and the event's fields.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("\"{other}\" is not a log format: use text or json")),
        }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what ended the program's work.
    Error,
    /// And what its owner should mend.
    #[default]
    Warn,
    /// And what it did.
    Info,
    /// And each call to a store; never a value.
    Debug,
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            other => Err(format!("\"{other}\" is not a log level: use error, warn, info or debug")),
        }
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

/// Sends the program's logs to standard error until it ends. A second call changes nothing.
pub fn install(format: LogFormat, level: LogLevel) {
    // Fails only when a subscriber is there already, and then that one is as good.
    let _ = tracing::subscriber::set_global_default(subscriber(format, level, io::stderr));
}

/// Sends this thread's logs to `writer` while the guard lives; for tests.
pub fn install_for_thread<W>(format: LogFormat, level: LogLevel, writer: W) -> DefaultGuard
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    tracing::subscriber::set_default(subscriber(format, level, writer))
}

fn subscriber<W>(format: LogFormat, level: LogLevel, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => Box::new(lines.event_format(logfmt::Logfmt)),
        LogFormat::Json => Box::new(lines.json().flatten_event(true)),
    };
    let ours = filter_fn(|event| event.target().starts_with("strongroom"));
    Registry::default().with(lines.with_filter(LevelFilter::from(level)).with_filter(ours))
}

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use strongroom_failure::{Class, Failure};
use strongroom_resolve::{Policy, Resolver};
use strongroom_stores::{Ambient, Configuration, Stores};
use strongroom_telemetry::{LogFormat, LogLevel};

use crate::duration::parse_duration;
use crate::file::read_file;
use crate::reader::Reader;
use crate::report::Audience;

/// How long a program waits for its secrets unless it is told: longer than the retries of one store take, shorter than
/// what people take for a hang.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// A file of thousands of stores; a device or a pipe by mistake is not read for ever.
const LARGEST_CONFIGURATION: usize = 4 * 1024 * 1024;

/// Flags that every command which reads secrets has.
#[derive(Args, Clone, Debug, Default)]
pub struct ReadOptions {
    /// YAML file with named stores (`sr://vault@NAME/…`) [env: STRONGROOM_CONFIG]
    #[arg(long, value_name = "FILE", help_heading = "Reading")]
    pub config: Option<PathBuf>,

    /// How long to wait for all secrets together, as 30s or 500ms [env: STRONGROOM_DEADLINE] [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Reading")]
    pub deadline: Option<Duration>,

    /// text or json, on standard error [env: STRONGROOM_LOG_FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Logging")]
    pub log_format: Option<LogFormat>,

    /// error, warn, info or debug; values are never logged [env: STRONGROOM_LOG_LEVEL] [default: warn]
    #[arg(long, value_name = "LEVEL", help_heading = "Logging")]
    pub log_level: Option<LogLevel>,
}

impl ReadOptions {
    /// Fills what no flag gave from the `STRONGROOM_*` variables.
    ///
    /// # Errors
    /// A variable whose value is wrong, named.
    pub fn complete(mut self, ambient: &Ambient) -> Result<Self, Failure> {
        fn from<T>(
            ambient: &Ambient,
            name: &str,
            parse: impl Fn(&str) -> Result<T, String>,
        ) -> Result<Option<T>, Failure> {
            let parsed = ambient.get(name).map(|text| parse(&text)).transpose();
            parsed.map_err(|words| Failure::new(Class::Invalid, words).in_field(name))
        }
        self.config = self.config.or_else(|| ambient.get("STRONGROOM_CONFIG").map(PathBuf::from));
        if self.deadline.is_none() {
            self.deadline = from(ambient, "STRONGROOM_DEADLINE", parse_duration)?;
        }
        if self.log_format.is_none() {
            self.log_format = from(ambient, "STRONGROOM_LOG_FORMAT", str::parse)?;
        }
        if self.log_level.is_none() {
            self.log_level = from(ambient, "STRONGROOM_LOG_LEVEL", str::parse)?;
        }
        Ok(self)
    }

    /// Who reads what goes wrong: a program, where it asked for JSON.
    pub fn audience(&self) -> Audience {
        if self.log_format == Some(LogFormat::Json) { Audience::Logs } else { Audience::Person }
    }

    /// Starts logging as asked. Costs nothing worth saving, but only a program that reads needs it.
    pub fn install_logs(&self) {
        strongroom_telemetry::install(self.log_format.unwrap_or_default(), self.log_level.unwrap_or_default());
    }

    /// How long everything together may take.
    pub fn deadline(&self) -> Duration {
        self.deadline.unwrap_or(DEFAULT_DEADLINE)
    }

    /// A reader of the configured and the ambient stores.
    ///
    /// # Errors
    /// A configuration file that cannot be read or is wrong, named.
    pub fn reader(&self, ambient: Ambient, google_project: Option<String>) -> Result<Reader, Failure> {
        Reader::new(self.stores(ambient, google_project)?, self.deadline())
    }

    /// The configured and the ambient stores, for who reads again and again in a runtime of its own.
    ///
    /// # Errors
    /// As [`ReadOptions::reader`].
    pub fn resolver(&self, ambient: Ambient, google_project: Option<String>) -> Result<Resolver, Failure> {
        Ok(Resolver::new(Arc::new(self.stores(ambient, google_project)?), Policy::default()))
    }

    fn stores(&self, ambient: Ambient, google_project: Option<String>) -> Result<Stores, Failure> {
        let configuration = self.config.as_ref().map(|path| {
            let content = read_file(path, LARGEST_CONFIGURATION)?;
            let name = |failure: Failure| failure.in_field(path.display().to_string());
            let no_text = || name(Failure::new(Class::Invalid, "is not UTF-8 text"));
            Configuration::parse(content.expose_text().ok_or_else(no_text)?).map_err(name)
        });
        let configuration = configuration.transpose()?.unwrap_or_default();
        Ok(Stores::new(configuration, ambient).with_google_project(google_project))
    }
}

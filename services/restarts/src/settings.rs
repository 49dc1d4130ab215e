//! The flags about restarts, which are flags of the operator.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use strongroom_api::GoDuration;
use strongroom_restart::Scope;

const HEADING: &str = "Restarts";

/// Flags of `strongroom operator` about restarts.
#[derive(Args, Clone, Debug)]
pub struct RestartSettings {
    /// Which Secrets restart the workloads that ask for it: off none; ours those that ExternalSecrets write; all every
    /// one
    #[arg(long, value_name = "WHICH", default_value = "ours", help_heading = HEADING)]
    pub restarts: Restarting,

    /// The most workloads that roll at once
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..), help_heading = HEADING)]
    pub restart_limit: u32,

    /// How long further changes are waited for after the first, so that they make one restart
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration, help_heading = HEADING)]
    pub restart_settle: Duration,

    /// The least time between two restarts of one workload
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration, help_heading = HEADING)]
    pub restart_pause: Duration,

    /// How long a rollout that does not end counts against --restart-limit
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration, help_heading = HEADING)]
    pub restart_patience: Duration,

    /// Also tell of Jobs and Pods without a controller that go on with former values (watches all Pods)
    #[arg(long, help_heading = HEADING)]
    pub restart_report_pods: bool,

    /// The key of the fingerprints: a file of 32 bytes or more, the same for all replicas; when absent the Secret
    /// strongroom-restart-key in the operator's namespace, which is made
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    pub restart_key_file: Option<PathBuf>,
}

/// Which Secrets restart workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Restarting {
    /// None.
    Off,
    /// Those that an ExternalSecret made or writes to.
    Ours,
    /// Every one.
    All,
}

impl Restarting {
    /// Which Secrets count; `None` where nothing is to be done.
    pub fn scope(self) -> Option<Scope> {
        match self {
            Self::Off => None,
            Self::Ours => Some(Scope::Ours),
            Self::All => Some(Scope::All),
        }
    }
}

/// Seconds, or a time with its unit.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    GoDuration::from(text).duration().map_err(|_| "use a time such as 30s, 5m or 1h30m".to_owned())
}

//! The annotations that ask for restarts, and those that are written about them.

use std::collections::BTreeMap;

/// An object's annotations.
pub type Annotations = BTreeMap<String, String>;

/// On a workload, or on its namespace for all that say nothing: `true`, `false`, or Secrets by names and patterns.
pub const RESTART: &str = "strongroom.dev/restart";

/// On a Secret: `true` restarts all that consume it, `false` never any.
pub const CONSUMERS: &str = "strongroom.dev/restart-consumers";

/// Written on a workload: the fingerprints of what its pods were started with ([`crate::Baseline`]).
pub const OBSERVED: &str = "strongroom.dev/restart-observed";

/// Written on a pod template: changes whenever the pods are to be replaced.
pub const MARK: &str = "strongroom.dev/restarted-for";

/// What stakater's Reloader reads: on workloads unless it says otherwise.
pub mod reloader {
    /// Restart at the change of whatever is consumed; `false` never by itself.
    pub const AUTO: &str = "reloader.stakater.com/auto";
    /// The same for Secrets alone.
    pub const SECRET_AUTO: &str = "secret.reloader.stakater.com/auto";
    /// Secrets by names and patterns, consumed or not.
    pub const SECRET_RELOAD: &str = "secret.reloader.stakater.com/reload";
    /// Secrets that do not count for the automatic ones.
    pub const SECRETS_EXCLUDED: &str = "secrets.exclude.reloader.stakater.com/reload";
    /// Restart at the change of what is consumed and has [`MATCH`].
    pub const SEARCH: &str = "reloader.stakater.com/search";
    /// Those of a workload.
    pub const OF_WORKLOADS: [&str; 5] = [AUTO, SECRET_AUTO, SECRET_RELOAD, SECRETS_EXCLUDED, SEARCH];
    /// On a Secret: it counts for those that search.
    pub const MATCH: &str = "reloader.stakater.com/match";
    /// On a Secret: it restarts nothing.
    pub const IGNORE: &str = "reloader.stakater.com/ignore";
}

/// A truth as Reloader reads it, which is as Go's `strconv.ParseBool`; `None` for anything else.
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

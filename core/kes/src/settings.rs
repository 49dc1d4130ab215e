//! KES's own settings, all of which are variables of its environment.

use std::time::Duration;

use strongroom_api::kes::{NAMING_ANNOTATION, ROLE_ANNOTATION};
use strongroom_failure::{Class, Failure};

/// The settings that decide about objects; those of the stores are read where stores are opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `INSTANCE_ID`: only objects with this `controllerId` are served.
    pub instance: Option<String>,
    /// `POLLER_INTERVAL_MILLISECONDS`: how often a store is asked.
    pub interval: Duration,
    /// `DISABLE_POLLING`: whether a store is only asked when an object changes.
    pub is_polling: bool,
    /// `WATCHED_NAMESPACES`: only objects of these; all where there are none.
    pub namespaces: Vec<String>,
    /// `ROLE_PERMITTED_ANNOTATION`: the namespaces' annotation for roles.
    pub role_annotation: String,
    /// `NAMING_PERMITTED_ANNOTATION`: the namespaces' annotation for keys.
    pub naming_annotation: String,
    /// `ENFORCE_NAMESPACE_ANNOTATIONS`: whether a namespace without these annotations allows nothing.
    pub is_enforced: bool,
    /// `DEFAULT_VAULT_ROLE`: the role of objects that name none.
    pub vault_role: Option<String>,
    /// `DEFAULT_VAULT_MOUNT_POINT`: the same of where Vault's Kubernetes authentication is mounted.
    pub vault_mount: Option<String>,
    /// Whether a pattern of these annotations must match a whole key. KES was content with any part of it.
    pub are_patterns_anchored: bool,
}

/// KES's own default.
const INTERVAL: Duration = Duration::from_secs(10);

impl Default for Settings {
    fn default() -> Self {
        Self {
            instance: None,
            interval: INTERVAL,
            is_polling: true,
            namespaces: Vec::new(),
            role_annotation: ROLE_ANNOTATION.to_owned(),
            naming_annotation: NAMING_ANNOTATION.to_owned(),
            is_enforced: false,
            vault_role: None,
            vault_mount: None,
            are_patterns_anchored: true,
        }
    }
}

impl Settings {
    /// What `variable` tells. As KES has it, `DISABLE_POLLING` and `ENFORCE_NAMESPACE_ANNOTATIONS` count as soon as they
    /// are there, whatever they say.
    ///
    /// # Errors
    /// `Invalid` where the interval is no number of milliseconds, or 0.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let text = |name: &str| variable(name).filter(|text| !text.is_empty());
        let is_there = |name: &str| variable(name).is_some();
        let defaults = Self::default();
        let namespaces = text("WATCHED_NAMESPACES").unwrap_or_default();
        let namespaces = namespaces.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self {
            instance: text("INSTANCE_ID"),
            interval: text("POLLER_INTERVAL_MILLISECONDS").map_or(Ok(INTERVAL), |text| interval(&text))?,
            is_polling: !is_there("DISABLE_POLLING"),
            namespaces: namespaces.map(str::to_owned).collect(),
            role_annotation: text("ROLE_PERMITTED_ANNOTATION").unwrap_or(defaults.role_annotation),
            naming_annotation: text("NAMING_PERMITTED_ANNOTATION").unwrap_or(defaults.naming_annotation),
            is_enforced: is_there("ENFORCE_NAMESPACE_ANNOTATIONS"),
            vault_role: text("DEFAULT_VAULT_ROLE"),
            vault_mount: text("DEFAULT_VAULT_MOUNT_POINT"),
            are_patterns_anchored: true,
        })
    }
}

fn interval(text: &str) -> Result<Duration, Failure> {
    text.trim().parse().ok().filter(|&milliseconds| milliseconds > 0).map(Duration::from_millis).ok_or_else(|| {
        Failure::new(Class::Invalid, "this is no number of milliseconds")
            .in_field("POLLER_INTERVAL_MILLISECONDS")
            .with_hint("write 10000 for ten seconds")
    })
}

//! What is mounted where: one table, which is one record.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_secret::SecretBytes;

use crate::engine::Engine;
use crate::exchange::Fault;
use crate::members::Members;

/// The key of the table, in the system's view.
pub(crate) const PLACE: &str = "mounts";

/// The longest time that a lease or a token stands where nothing else is said, in seconds: Vault's 768 hours.
pub(crate) const LONGEST_LEASE: u64 = 768 * 3600;

/// What a mount is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MountClass {
    /// Secrets: at its path.
    Secret,
    /// Logins: below `auth/`.
    Auth,
}

impl MountClass {
    /// As the audit trail names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Auth => "auth",
        }
    }
}

/// A mount as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mount {
    /// With a slash at its end; those of logins begin with `auth/`.
    pub(crate) path: String,
    /// What it is for.
    pub(crate) class: MountClass,
    /// What serves it: `kv`, `transit`, `approle`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its id, which no other mount has had: what its records are encrypted for.
    pub(crate) uuid: String,
    /// Its name for policies: `auth_kubernetes_1a2b3c4d`.
    pub(crate) accessor: String,
    /// For people.
    #[serde(default)]
    pub(crate) description: String,
    /// `version` of a kv mount.
    #[serde(default)]
    pub(crate) options: BTreeMap<String, String>,
    /// What `tune` changes.
    #[serde(default)]
    pub(crate) config: MountConfig,
}

/// What can be tuned.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct MountConfig {
    /// Seconds that leases and tokens stand where nobody asks for another time; 0 for the system's.
    #[serde(default)]
    pub(crate) default_lease_ttl: u64,
    /// Seconds that they stand at the longest; 0 for the system's.
    #[serde(default)]
    pub(crate) max_lease_ttl: u64,
    /// Members of requests that audit entries tell in clear.
    #[serde(default)]
    pub(crate) audit_non_hmac_request_keys: Vec<String>,
    /// The same of responses.
    #[serde(default)]
    pub(crate) audit_non_hmac_response_keys: Vec<String>,
    /// `hidden` or `unauth`: whether a UI shows it to those who have not logged in.
    #[serde(default)]
    pub(crate) listing_visibility: String,
    /// `default-service` and so on, for logins.
    #[serde(default)]
    pub(crate) token_type: String,
}

impl Mount {
    /// A new one.
    pub(crate) fn new(class: MountClass, path: &str, kind: &str, uuid: String) -> Self {
        let prefix = match class {
            MountClass::Secret => kind.to_owned(),
            MountClass::Auth => format!("auth_{kind}"),
        };
        let accessor = format!("{prefix}_{}", uuid.get(..8).unwrap_or(&uuid));
        Self {
            path: path.to_owned(),
            class,
            kind: kind.to_owned(),
            uuid,
            accessor,
            description: String::new(),
            options: BTreeMap::new(),
            config: MountConfig::default(),
        }
    }

    /// Whether it is the system's own, which nobody moves or takes away.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self.path.as_str(), "sys/" | "cubbyhole/" | "auth/token/")
    }

    /// As `sys/mounts` and `sys/auth` show it.
    pub(crate) fn shown(&self) -> Value {
        let options = if self.options.is_empty() { Value::Null } else { json!(self.options) };
        json!({
            "accessor": self.accessor,
            "config": self.shown_config(),
            "deprecation_status": "supported",
            "description": self.description,
            "external_entropy_access": false,
            "local": self.path == "cubbyhole/",
            "options": options,
            "plugin_version": "",
            "running_plugin_version": env!("CARGO_PKG_VERSION"),
            "running_sha256": "",
            "seal_wrap": false,
            "type": self.kind,
            "uuid": self.uuid,
        })
    }

    fn shown_config(&self) -> Value {
        let config = &self.config;
        let mut shown = json!({
            "default_lease_ttl": config.default_lease_ttl,
            "force_no_cache": false,
            "max_lease_ttl": config.max_lease_ttl,
        });
        if let Some(members) = shown.as_object_mut() {
            for (name, keys) in [
                ("audit_non_hmac_request_keys", &config.audit_non_hmac_request_keys),
                ("audit_non_hmac_response_keys", &config.audit_non_hmac_response_keys),
            ] {
                if !keys.is_empty() {
                    members.insert(name.to_owned(), json!(keys));
                }
            }
            // Clients read it of every mount that people log in to.
            let token_type = match (self.class, config.token_type.as_str()) {
                (MountClass::Auth, "") => "default-service",
                (_, kept) => kept,
            };
            for (name, text) in [("listing_visibility", config.listing_visibility.as_str()), ("token_type", token_type)]
            {
                if !text.is_empty() {
                    members.insert(name.to_owned(), json!(text));
                }
            }
        }
        shown
    }

    /// As `sys/mounts/PATH/tune` shows it.
    pub(crate) fn tuned(&self) -> Members {
        let or_system = |seconds: u64| if seconds == 0 { LONGEST_LEASE } else { seconds };
        let mut members = match self.shown_config() {
            Value::Object(config) => Members::from(config),
            _ => Members::default(),
        };
        members.set("default_lease_ttl", or_system(self.config.default_lease_ttl));
        members.set("max_lease_ttl", or_system(self.config.max_lease_ttl));
        members.set("description", self.description.clone());
        if !self.options.is_empty() {
            members.set("options", json!(self.options));
        }
        members
    }

    /// Takes over what a request tunes.
    ///
    /// # Errors
    /// 400 for what has another form, or a default that is longer than the longest.
    pub(crate) fn tune(&mut self, given: &Members) -> Result<(), Fault> {
        let seconds = |name: &str| -> Result<Option<u64>, Fault> {
            match given.text(name)?.as_deref() {
                None | Some("") => Ok(None),
                // Back to the system's.
                Some("system" | "-1") => Ok(Some(0)),
                Some(_) => Ok(given.duration(name)?.map(|time| time.as_secs())),
            }
        };
        let config = &mut self.config;
        config.default_lease_ttl = seconds("default_lease_ttl")?.unwrap_or(config.default_lease_ttl);
        config.max_lease_ttl = seconds("max_lease_ttl")?.unwrap_or(config.max_lease_ttl);
        let longest = if config.max_lease_ttl == 0 { LONGEST_LEASE } else { config.max_lease_ttl };
        if config.default_lease_ttl > longest {
            let words = format!("default_lease_ttl is longer than max_lease_ttl, which is {longest} seconds");
            return Err(Fault::invalid(words));
        }
        for (name, keys) in [
            ("audit_non_hmac_request_keys", &mut config.audit_non_hmac_request_keys),
            ("audit_non_hmac_response_keys", &mut config.audit_non_hmac_response_keys),
        ] {
            if let Some(given) = given.texts(name)? {
                *keys = given;
            }
        }
        for (name, text) in [
            ("listing_visibility", &mut config.listing_visibility),
            ("token_type", &mut config.token_type),
            ("description", &mut self.description),
        ] {
            if let Some(given) = given.text(name)? {
                *text = given;
            }
        }
        Ok(())
    }
}

/// A mount and what serves it.
#[derive(Clone)]
pub(crate) struct Mounted {
    /// As it is kept.
    pub(crate) mount: Arc<Mount>,
    /// What serves it.
    pub(crate) engine: Arc<dyn Engine>,
}

/// All mounts of one moment, by path.
#[derive(Clone, Default)]
pub(crate) struct Mounts(BTreeMap<String, Mounted>);

impl Mounts {
    /// What serves a path, and the rest of the path below the mount. A path that lacks the mount's last slash is the
    /// mount's as well, with an empty rest.
    pub(crate) fn find<'p>(&self, path: &'p str) -> Option<(&Mounted, &'p str)> {
        let ends = path.match_indices('/').map(|(place, _)| place + 1).rev();
        let found = ends.filter_map(|end| path.split_at_checked(end)).find_map(|(mount, rest)| {
            let mounted = self.0.get(mount)?;
            Some((mounted, rest))
        });
        found.or_else(|| Some((self.0.get(&format!("{path}/"))?, "")))
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Mounted> {
        self.0.values()
    }

    /// All of a class.
    pub(crate) fn of(&self, class: MountClass) -> impl Iterator<Item = &Mounted> {
        self.0.values().filter(move |mounted| mounted.mount.class == class)
    }

    /// The one at exactly this path.
    pub(crate) fn get(&self, path: &str) -> Option<&Mounted> {
        self.0.get(path)
    }

    /// The mount that stands in the way of a new one: at the same path, above it or below it.
    pub(crate) fn in_the_way(&self, path: &str) -> Option<&str> {
        let mut paths = self.0.keys().filter(|known| known.starts_with(path) || path.starts_with(known.as_str()));
        paths.next().map(String::as_str)
    }

    /// The same with one more, or with another in its place.
    #[must_use]
    pub(crate) fn with(&self, mounted: Mounted) -> Self {
        let mut mounts = self.0.clone();
        mounts.insert(mounted.mount.path.clone(), mounted);
        Self(mounts)
    }

    /// The same without the one at this path.
    #[must_use]
    pub(crate) fn without(&self, path: &str) -> Self {
        let mut mounts = self.0.clone();
        mounts.remove(path);
        Self(mounts)
    }

    /// The record that keeps the table.
    ///
    /// # Errors
    /// 500 where it cannot be written as JSON, which does not happen.
    pub(crate) fn record(&self) -> Result<SecretBytes, Fault> {
        let mounts: Vec<&Mount> = self.0.values().map(|mounted| &*mounted.mount).collect();
        serde_json::to_vec(&mounts).map(SecretBytes::new).map_err(|error| Fault::internal(error.to_string()))
    }
}

/// The mounts of a record.
///
/// # Errors
/// 500 for a record that this version cannot read.
pub(crate) fn of_record(record: &SecretBytes) -> Result<Vec<Mount>, Fault> {
    let unread = |_| Fault::internal("the table of mounts cannot be read: it is a newer version's");
    serde_json::from_slice(record.expose()).map_err(unread)
}

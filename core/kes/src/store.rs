//! Which store an object reads, and as whom.

use std::fmt;

use strongroom_api::kes::{Backend, ExternalSecretSpec};
use strongroom_failure::{Class, Failure};

use crate::Settings;

/// Where Vault's Kubernetes authentication is mounted when nothing is said.
const VAULT_MOUNT: &str = "kubernetes";

/// A store and an identity: all of an object that could change what is read. Objects for which it is the same share
/// their reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Store {
    /// AWS Secrets Manager.
    SecretsManager {
        /// The region; that of the environment where nothing is said.
        region: Option<String>,
        /// The role to take.
        role: Option<String>,
    },
    /// AWS Systems Manager Parameter Store.
    ParameterStore {
        /// As above.
        region: Option<String>,
        /// As above.
        role: Option<String>,
    },
    /// HashiCorp Vault or OpenBao.
    Vault {
        /// Where the Kubernetes authentication is mounted.
        mount: String,
        /// The role to log in with.
        role: Option<String>,
        /// The version of the key/value engine: 1 or 2.
        kv_version: i64,
    },
    /// Azure Key Vault.
    AzureKeyVault {
        /// The vault's name.
        name: String,
    },
    /// Google Secret Manager.
    GoogleSecretManager {
        /// The project; that of the credentials where nothing is said.
        project: Option<String>,
    },
}

impl Store {
    /// The store of `spec`, with KES's own settings where it leaves something out.
    ///
    /// # Errors
    /// `Invalid` where the system is unknown or is not served, or its name is missing.
    pub fn of(spec: &ExternalSecretSpec, settings: &Settings) -> Result<Self, Failure> {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (region, role) = (text(&spec.region), text(&spec.role_arn));
        match spec.backend() {
            Some(Backend::SecretsManager) => Ok(Self::SecretsManager { region, role }),
            Some(Backend::SystemManager) => Ok(Self::ParameterStore { region, role }),
            Some(Backend::Vault) => Ok(Self::Vault {
                mount: text(&spec.vault_mount_point)
                    .or_else(|| settings.vault_mount.clone())
                    .unwrap_or_else(|| VAULT_MOUNT.to_owned()),
                role: text(&spec.vault_role).or_else(|| settings.vault_role.clone()),
                kv_version: spec.kv_version.unwrap_or(2),
            }),
            Some(Backend::AzureKeyVault) => {
                let name = text(&spec.key_vault_name).ok_or_else(|| invalid("keyVaultName", "is missing"))?;
                Ok(Self::AzureKeyVault { name })
            }
            Some(Backend::GcpSecretsManager) => Ok(Self::GoogleSecretManager { project: text(&spec.project_id) }),
            Some(other) => {
                let words = format!("{} is not served by Strongroom", other.name());
                Err(invalid("backendType", &words).with_hint("docs/compatibility/kes.md lists what is"))
            }
            None => Err(invalid("backendType", "Unknown backend type")),
        }
    }
}

fn invalid(field: &str, words: &str) -> Failure {
    Failure::new(Class::Invalid, words).in_field(format!("spec.{field}"))
}

impl fmt::Display for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aws = |formatter: &mut fmt::Formatter<'_>, region: &Option<String>, role: &Option<String>| {
            let region = region.iter().map(|region| format!(" in {region}"));
            let role = role.iter().map(|role| format!(" as {role}"));
            region.chain(role).try_for_each(|part| formatter.write_str(&part))
        };
        match self {
            Self::SecretsManager { region, role } => {
                formatter.write_str("secretsManager")?;
                aws(formatter, region, role)
            }
            Self::ParameterStore { region, role } => {
                formatter.write_str("systemManager")?;
                aws(formatter, region, role)
            }
            Self::Vault { mount, role, kv_version } => {
                let role = role.as_deref().unwrap_or_default();
                write!(formatter, "vault by auth/{mount} as {role:?}, kv {kv_version}")
            }
            Self::AzureKeyVault { name } => write!(formatter, "azureKeyVault {name}"),
            Self::GoogleSecretManager { project } => {
                write!(formatter, "gcpSecretsManager {}", project.as_deref().unwrap_or_default())
            }
        }
    }
}

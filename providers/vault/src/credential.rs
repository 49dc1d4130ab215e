use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{SecretBytes, TokenSource};
use zeroize::Zeroizing;

/// Where kubelet puts a pod's own token.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// No token or secret id is larger; a wrong path (a device, a disk image) must not fill the memory.
const FILE_LIMIT: usize = 64 * 1024;

/// A secret that is needed to log in, and where it comes from. In settings: `{file: PATH}` or `{value: TEXT}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Form")]
pub enum Credential {
    /// A file that is read again at every login: whoever renews it (kubelet, an agent) is followed.
    File(PathBuf),
    /// The value itself.
    Value {
        /// The value.
        value: SecretBytes,
        /// Where it was found, in people's words: `VAULT_TOKEN`, `the settings`.
        origin: String,
    },
    /// Somebody who issues a new one for every login; not from the settings' text.
    Source(Arc<dyn TokenSource>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
enum Form {
    File(PathBuf),
    Value(String),
}

impl From<Form> for Credential {
    fn from(form: Form) -> Self {
        match form {
            Form::File(path) => Self::File(path),
            Form::Value(value) => Self::Value { value: value.into(), origin: "the settings".to_owned() },
        }
    }
}

impl Credential {
    /// The service account's token of the pod that we run in.
    pub fn own_token() -> Self {
        Self::File(PathBuf::from(SERVICE_ACCOUNT_TOKEN))
    }

    /// The secret as it is now, without white space around it.
    pub(crate) async fn read(&self) -> Result<SecretBytes, Failure> {
        let unusable = |why: &str| Failure::new(Class::Unauthenticated, format!("{self}: {why}"));
        let bytes = match self {
            Self::File(path) => read_file(path).map_err(|error| unusable(&error.to_string()))?,
            Self::Value { value, .. } => value.clone(),
            Self::Source(source) => source.token().await?,
        };
        match bytes.expose().trim_ascii() {
            [] => Err(unusable("is empty")),
            // The usual case: no copy.
            trimmed if trimmed.len() == bytes.len() => Ok(bytes),
            trimmed => Ok(SecretBytes::new(trimmed.to_vec())),
        }
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Value { origin, .. } => formatter.write_str(origin),
            Self::Source(source) => formatter.write_str(&source.describe()),
        }
    }
}

/// A credential after what it is: `in /run/token`, `from the settings`.
pub(crate) struct Place<'a>(pub(crate) &'a Credential);

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let preposition = match self.0 {
            Credential::File(_) => "in",
            Credential::Value { .. } => "from",
            Credential::Source(_) => "of",
        };
        write!(formatter, "{preposition} {}", self.0)
    }
}

fn read_file(path: &Path) -> std::io::Result<SecretBytes> {
    // One allocation of the right size: a growing vector would leave copies behind.
    let mut bytes = Zeroizing::new(vec![0; FILE_LIMIT + 1]);
    let mut file = File::open(path)?;
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    if filled > FILE_LIMIT {
        return Err(std::io::Error::other(format!("is larger than {FILE_LIMIT} bytes, which no credential is")));
    }
    Ok(SecretBytes::new(bytes[..filled].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn white_space_around_a_credential_is_not_part_of_it() {
        let read = async |value: &str| {
            let credential = Credential::Value { value: value.to_owned().into(), origin: "VAULT_TOKEN".to_owned() };
            let read = credential.read().await;
            read.map(|value| value.expose_text().unwrap().to_owned()).map_err(|error| error.to_string())
        };
        assert_eq!(read("s.abc\n").await, Ok("s.abc".to_owned()));
        assert_eq!(read(" \n").await, Err("VAULT_TOKEN: is empty".to_owned()));
    }

    #[tokio::test]
    async fn files_are_bounded_and_missing_ones_named() {
        let missing = Credential::File("/nowhere/token".into()).read().await.unwrap_err();
        assert_eq!(missing.class, Class::Unauthenticated);
        assert!(missing.words.starts_with("/nowhere/token: "), "{missing}");
        assert!(Credential::File("/dev/zero".into()).read().await.unwrap_err().words.contains("larger"));
    }
}

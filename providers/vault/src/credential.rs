use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_provider::SecretBytes;
use zeroize::Zeroizing;

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
    /// The secret as it is now, without white space around it.
    pub(crate) fn read(&self) -> Result<SecretBytes, Failure> {
        let unusable = |why: &str| Failure::new(Class::Unauthenticated, format!("{self}: {why}"));
        let bytes = match self {
            Self::File(path) => read_file(path).map_err(|error| unusable(&error.to_string()))?,
            Self::Value { value, .. } => value.clone(),
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
        }
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

    #[test]
    fn white_space_around_a_credential_is_not_part_of_it() {
        let read = |value: &str| {
            let credential = Credential::Value { value: value.to_owned().into(), origin: "VAULT_TOKEN".to_owned() };
            credential.read().map(|value| value.expose_text().unwrap().to_owned()).map_err(|error| error.to_string())
        };
        assert_eq!(read("s.abc\n"), Ok("s.abc".to_owned()));
        assert_eq!(read(" \n"), Err("VAULT_TOKEN: is empty".to_owned()));
    }

    #[test]
    fn files_are_bounded_and_missing_ones_named() {
        let missing = Credential::File("/nowhere/token".into()).read().unwrap_err();
        assert_eq!(missing.class, Class::Unauthenticated);
        assert!(missing.words.starts_with("/nowhere/token: "), "{missing}");
        assert!(Credential::File("/dev/zero".into()).read().unwrap_err().words.contains("larger"));
    }
}

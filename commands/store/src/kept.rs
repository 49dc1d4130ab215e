//! The token of whoever types: from the environment, or from where `strongroom login` keeps it.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use strongroom_deliver_files::{Medium, Target, deliver};
use strongroom_failure::{Class, Failure};
use strongroom_read::read_file;
use strongroom_secret::SecretBytes;
use strongroom_stores::Ambient;

/// Below the home: where we keep it.
const OURS: &str = ".strongroom/token";

/// Below the home: where `vault login` and `bao login` keep it.
const VAULTS: &str = ".vault-token";

/// No token is longer, in bytes; those of JWTs are not kept here.
const LARGEST: usize = 64 * 1024;

/// Variables that go before what is kept, the first that is set.
pub(crate) const VARIABLES: [&str; 3] = ["STRONGROOM_TOKEN", "BAO_TOKEN", "VAULT_TOKEN"];

/// The token to ask with, if there is one.
///
/// # Errors
/// A kept token that cannot be read, or that others can read.
pub(crate) fn find(ambient: &Ambient) -> Result<Option<SecretBytes>, Failure> {
    if let Some(token) = VARIABLES.into_iter().find_map(|name| ambient.get(name)) {
        return Ok(Some(SecretBytes::from(token)));
    }
    let Some(home) = home(ambient) else { return Ok(None) };
    match read(&home.join(OURS), true)? {
        Some(token) => Ok(Some(token)),
        None => read(&home.join(VAULTS), false),
    }
}

/// Keeps a token for the commands to come: whole or not at all, for its owner alone. Tells where.
///
/// # Errors
/// Where there is no home, or nothing can be written there.
pub(crate) fn keep(ambient: &Ambient, token: SecretBytes) -> Result<PathBuf, Failure> {
    let path = place(ambient)?;
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| Failure::new(Class::Invalid, format!("cannot make {}: {error}", folder.display())))?;
    }
    deliver(&[(Target { path: path.clone(), mode: 0o600, owner: None }, token)], Medium::AnyDisk)?;
    Ok(path)
}

/// The token that we keep, and nobody else.
///
/// # Errors
/// As [`find`].
pub(crate) fn own(ambient: &Ambient) -> Result<Option<SecretBytes>, Failure> {
    read(&place(ambient)?, true)
}

/// Forgets the token that we keep. Tells where it was, if it was.
///
/// # Errors
/// Where it cannot be removed.
pub(crate) fn forget(ambient: &Ambient) -> Result<Option<PathBuf>, Failure> {
    let path = place(ambient)?;
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(Some(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(Class::Invalid, format!("cannot remove {}: {error}", path.display()))),
    }
}

fn home(ambient: &Ambient) -> Option<PathBuf> {
    ambient.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
}

fn place(ambient: &Ambient) -> Result<PathBuf, Failure> {
    let missing = || Failure::new(Class::Invalid, "there is no HOME to keep a token in").with_hint("set HOME");
    Ok(home(ambient).ok_or_else(missing)?.join(OURS))
}

/// What a file holds; nothing where there is none.
fn read(path: &Path, is_ours: bool) -> Result<Option<SecretBytes>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Class::Invalid, format!("the kept token cannot be read: {error}"))
            .in_field(path.display().to_string())
            .with_hint("set STRONGROOM_TOKEN, or log in anew with strongroom login")
    };
    match std::fs::metadata(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(known) if is_ours && known.permissions().mode() & 0o077 != 0 => {
            return Err(Failure::new(Class::Invalid, "others can read the kept token")
                .in_field(path.display().to_string())
                .with_hint(format!("chmod 600 {}, and make a new token: it may be known", path.display())));
        }
        Ok(_) => {}
    }
    let content = read_file(path, LARGEST)?;
    let text = content.expose_text().map(str::trim).filter(|text| !text.is_empty());
    Ok(text.map(|text| SecretBytes::from(text.to_owned())))
}

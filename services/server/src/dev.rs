//! `strongroom dev`: a store on one machine with everything set up.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::command::{LogOptions, SealChoice, address};
use crate::mounts::{Mount, MountClass};
use crate::run::{Audit, Place, Settings, run};
use crate::store::Store;

/// The built-in store for one person on one machine: on disk, unsealed, with a first token. Not for production
#[derive(Args)]
pub struct DevCommand {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:8200")]
    listen: String,
    /// The folder of the store [default: strongroom/dev in the folder of your data]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Print one line of JSON with address and token instead of what to try
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    logs: LogOptions,
}

impl DevCommand {
    /// Serves until a signal ends it.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        self.logs.install();
        let served = self.settings(variables).and_then(|settings| {
            let (folder, is_json) = (settings.data.clone(), self.json);
            run(settings, |ready| {
                let (address, store) = (ready.address.to_string(), Arc::clone(&ready.store));
                tokio::spawn(async move { set_up(&folder, &address, &store, is_json).await });
            })
        });
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                tracing::error!(hint = failure.hint, "{failure}");
                ExitCode::FAILURE
            }
        }
    }

    fn settings(&self, variables: &[OsString]) -> Result<Settings, Failure> {
        let variable = |name: &str| {
            let of_name = |entry: &OsString| {
                let value = entry.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
                Some(PathBuf::from(OsStr::from_bytes(value)))
            };
            variables.iter().find_map(of_name).filter(|path| path.is_absolute())
        };
        let usual = || {
            let base = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
            base.map(|base| base.join("strongroom/dev"))
        };
        let no_place =
            || Failure::new(Class::Invalid, "there is no HOME to keep the store in").with_hint("give --data");
        let data = self.data.clone().or_else(usual).ok_or_else(no_place)?;
        let listen = address(&self.listen)?;
        if !listen.ip().is_loopback() {
            let words = format!("--listen {listen}: a store for trying out listens on loopback alone");
            return Err(Failure::new(Class::Invalid, words).with_hint("run strongroom server, with TLS"));
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&data);
        made.map_err(|error| Failure::new(Class::Invalid, format!("cannot make {}: {error}", data.display())))?;
        Ok(Settings {
            listen,
            seal: SealChoice::File(data.join("seal.key")).seal(&data, variables),
            audit: Audit::File(data.join("audit.log")),
            audit_also: Vec::new(),
            metrics: None,
            data,
            storage: Place::Redb,
            advertise: None,
            scheme: "http",
            node: String::new(),
            tls: None,
            drain: Duration::from_secs(2),
            opens_itself: true,
        })
    }
}

/// Initialises a new store, and says what to try.
async fn set_up(folder: &Path, address: &str, store: &Store, is_json: bool) {
    match token_of(folder, store).await {
        Ok(token) => tell(address, &token, folder, is_json),
        Err(failure) => {
            tracing::error!(hint = failure.hint, "{failure}");
            std::process::exit(1);
        }
    }
}

async fn token_of(folder: &Path, store: &Store) -> Result<SecretBytes, Failure> {
    let path = folder.join("token");
    if store.is_initialised() {
        let read = std::fs::read_to_string(&path);
        let token = read.map_err(|error| {
            Failure::new(Class::Invalid, format!("the token in {} cannot be read: {error}", path.display()))
                .with_hint("bring it back, or begin anew with another --data")
        })?;
        return Ok(SecretBytes::from(token.trim().to_owned()));
    }
    let now = crate::clock::now();
    let made = store.initialise(now).await?;
    let open = store.open().ok_or_else(|| Failure::new(Class::Unavailable, "the store did not open"))?;
    let of_fault = |fault: crate::exchange::Fault| Failure::new(Class::Unavailable, fault.errors.join("; "));
    let id = crate::identifiers::uuid().map_err(of_fault)?;
    let mut mount = Mount::new(MountClass::Secret, "secret/", "kv", id);
    "key-value secrets with versions".clone_into(&mut mount.description);
    mount.options.insert("version".to_owned(), "2".to_owned());
    open.mount(mount).await.map_err(of_fault)?;
    open.policies.write("reader", READER).await.map_err(of_fault)?;
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| file.write_all(made.root_token.expose()));
    written.map_err(|error| Failure::new(Class::Invalid, format!("cannot write {}: {error}", path.display())))?;
    Ok(made.root_token)
}

/// A first policy, to be given to programs that only read.
const READER: &str = r#"# Reads every secret, and changes nothing.
path "secret/data/*" {
  capabilities = ["read"]
}
path "secret/metadata/*" {
  capabilities = ["read", "list"]
}
"#;

fn tell(address: &str, token: &SecretBytes, folder: &Path, is_json: bool) {
    let mut out = std::io::stdout().lock();
    let url = format!("http://{address}");
    let told = match is_json {
        true => writeln!(out, "{}", json!({"address": url, "token": token.expose_text().unwrap_or_default()})),
        false => writeln!(
            out,
            "Strongroom serves {url}, for trying out: key and data lie together in {}.\n\n\
             In another terminal:\n  \
             export VAULT_ADDR={url} VAULT_TOKEN=$(cat {}/token)\n  \
             curl -H \"X-Vault-Token: $VAULT_TOKEN\" -d '{{\"data\":{{\"password\":\"s3cret\"}}}}' $VAULT_ADDR/v1/secret/data/app\n  \
             strongroom get 'vault:secret/data/app#password'\n  \
             PASSWORD='vault:secret/data/app#password' strongroom run -- env\n\n\
             bao, vault and every client library of theirs work as well. Who read what: {}/audit.log",
            folder.display(),
            folder.display(),
            folder.display(),
        ),
    };
    // Whoever does not read what is said can look at the log.
    let _ = told.and_then(|()| out.flush());
}

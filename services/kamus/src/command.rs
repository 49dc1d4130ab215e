//! `strongroom kamus`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use strongroom_failure::{Class, Failure};

use crate::keys::KeysCommand;
use crate::rewrap::RewrapCommand;
use crate::serve::{DecryptorOptions, EncryptorOptions};

const EXAMPLES: &str = "\
Examples:
  strongroom kamus encryptor --keys-secret kamus-keys --key-management transit --key transit/kamus
  strongroom kamus decryptor --keys-secret kamus-keys --key-management transit --key transit/kamus
  strongroom kamus keys rotate --keys-secret kamus/kamus-keys --key-management transit --key transit/kamus
  strongroom kamus rewrap --cluster --keys-secret kamus/kamus-keys --key-management transit --key transit/kamus
  curl -d '{\"data\": \"...\", \"service-account\": \"web\", \"namespace\": \"team-a\"}' http://kamus-encryptor/api/v1/encrypt";

/// Encrypt values for service accounts, for Git, and give them back to pods of these accounts
///
/// Speaks Kamus' APIs and reads what Kamus encrypted.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct KamusCommand {
    #[command(subcommand)]
    service: Service,
}

#[derive(Subcommand, Debug)]
enum Service {
    Encryptor(Box<EncryptorOptions>),
    Decryptor(Box<DecryptorOptions>),
    Keys(Box<KeysCommand>),
    Rewrap(Box<RewrapCommand>),
}

impl KamusCommand {
    /// Serves until a signal, or does what is asked; `variables` are the process's own.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        let variables: BTreeMap<String, String> = variables.iter().filter_map(split).collect();
        let lookup = |name: &str| variables.get(name).cloned();
        let (logs, what) = match &self.service {
            Service::Encryptor(options) => (options.service.logs(), "the encryptor ends"),
            Service::Decryptor(options) => (options.service.logs(), "the decryptor ends"),
            Service::Keys(_) | Service::Rewrap(_) => (Default::default(), "cannot be done"),
        };
        strongroom_telemetry::install(logs.0, logs.1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = match runtime {
            Ok(runtime) => runtime.block_on(async {
                match self.service {
                    Service::Encryptor(options) => options.run(&lookup).await,
                    Service::Decryptor(options) => options.run(&lookup).await,
                    Service::Keys(keys) => keys.run(&lookup).await,
                    Service::Rewrap(rewrap) => rewrap.run(&lookup).await,
                }
            }),
            Err(error) => Err(Failure::new(Class::Unavailable, format!("cannot start: {error}"))),
        };
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                tracing::error!(%failure, hint = failure.hint, "{what}");
                ExitCode::FAILURE
            }
        }
    }
}

fn split(entry: &OsString) -> Option<(String, String)> {
    let (name, value) = entry.to_str()?.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

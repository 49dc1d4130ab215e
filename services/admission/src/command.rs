//! `strongroom admission`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use strongroom_failure::{Class, Failure};

use crate::run::run;
use crate::settings::AdmissionSettings;

const EXAMPLES: &str = "\
Paths:
  /pods            pods: references in variables, AWS' injector's annotations, ours; Deployments are allowed unchanged
  /mutating-pods   pods: annotations that ask for files alone, AWS' injector's and ours
  /secrets         Secrets: the key nase moves to AWS Secrets Manager
  /kamus-secrets   KamusSecrets: may their authors act as the service account? They get a mark for the operator
  /validate        objects of the operator: what is wrong with them
  /injected-pods   pods as they are stored: an event says what was injected
  /healthz /livez /readyz /metrics

Examples:
  strongroom admission --tls-cert-file tls.crt --tls-private-key-file tls.key
  strongroom admission --log-level=debug server --tls-cert-file=... --tls-private-key-file=... --provider=google";

/// Change pods as they are created, so that secrets reach them without a Kubernetes Secret
///
/// Serves the webhooks of kube-secrets-init, of AWS' secret sidecar injector and of NASE under their paths and flags, and
/// our own annotations.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct AdmissionCommand {
    #[command(flatten)]
    settings: AdmissionSettings,
}

impl AdmissionCommand {
    /// Serves until a signal; `variables` are the process's own.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        let variables: BTreeMap<String, String> = variables.iter().filter_map(split).collect();
        let lookup = |name: &str| variables.get(name).cloned();
        strongroom_telemetry::install(self.settings.format(&lookup), self.settings.level(&lookup));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = match runtime {
            Ok(runtime) => runtime.block_on(run(self.settings, &lookup)),
            Err(error) => Err(Failure::new(Class::Unavailable, format!("cannot start: {error}"))),
        };
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                tracing::error!(%failure, hint = failure.hint, "admission ends");
                ExitCode::FAILURE
            }
        }
    }
}

fn split(entry: &OsString) -> Option<(String, String)> {
    let (name, value) = entry.to_str()?.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

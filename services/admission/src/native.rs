//! `/secrets`: NASE. The value of a Secret's key `nase` moves to AWS Secrets Manager, and its ARN stays.
//!
//! Only in namespaces that have opted in by the label [`OPT_IN`], and never for a dry run: nothing is written anywhere
//! then, and nothing is known to patch. No value is in a log, and none in an answer.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::Api;
use strongroom_aws::{SecretsManager, Session};
use strongroom_failure::{Class, Failure};
use strongroom_inject::nase::{self, Decision};
use strongroom_kube::failure::{checked_name, failure};
use strongroom_provider::Meter;

use crate::review::{Request, Verdict};

/// The label of namespaces whose Secrets are moved; its value is `true`.
pub const OPT_IN: &str = "strongroom.dev/native-secrets";

/// Moves values of Secrets.
pub(crate) struct Native {
    client: Client,
    store: SecretsManager,
}

impl Native {
    pub(crate) fn new(client: Client, settings: strongroom_aws::Settings, meter: Arc<Meter>) -> Result<Self, Failure> {
        Ok(Self { client, store: Session::new(settings, meter)?.secrets_manager(None) })
    }

    /// NA-01, NA-02.
    pub(crate) async fn review(&self, request: &Request) -> Verdict {
        let old = Some(&request.old_object).filter(|old| !old.is_null());
        let decision = match nase::plan(&request.object, old, &request.namespace) {
            Ok(decision) => decision,
            Err(refusal) => return Verdict::refused(refusal.to_string()),
        };
        let (Decision::Create { name, value } | Decision::Put { name, value }) = decision else {
            return Verdict::unchanged();
        };
        match self.has_opted_in(&request.namespace).await {
            Ok(true) => {}
            Ok(false) => return Verdict::unchanged(),
            Err(failure) => return refused(&failure),
        }
        let mut warnings = nase::warnings(&request.object);
        if request.is_dry_run() {
            warnings.push(format!("without --dry-run, data.nase moves to {name} of AWS Secrets Manager"));
            return Verdict::Allowed { patch: Vec::new(), warnings };
        }
        match self.store.keep_native(&name, &value).await {
            Ok(arn) => Verdict::Allowed { patch: nase::patch(&request.object, &arn), warnings },
            Err(failure) => refused(&failure),
        }
    }

    async fn has_opted_in(&self, namespace: &str) -> Result<bool, Failure> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let asked = format!("read Namespace {namespace}");
        let read = api.get(checked_name(namespace)?).await.map_err(|error| failure(&error, &asked, &[]))?;
        Ok(read.metadata.labels.is_some_and(|labels| labels.get(OPT_IN).is_some_and(|value| value == "true")))
    }
}

/// As NASE words it.
fn refused(failure: &Failure) -> Verdict {
    let message = format!("Can't create secret in Secret Manager: {failure}");
    match failure.class {
        Class::Invalid | Class::Denied | Class::NotFound => Verdict::refused(message),
        _ => Verdict::Denied { code: 500, message },
    }
}

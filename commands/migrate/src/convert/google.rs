//! `gcpSecretsManager`.

use strongroom_api::external_secrets::provider::{
    GoogleAuth, GoogleAuthSecretRef, GoogleProvider, GoogleWorkloadIdentity,
};
use strongroom_api::kes::ExternalSecretSpec;

use super::stores::Context;
use crate::report::Notes;
use crate::settings::FileSource;

/// Secret Manager as KES asks it; `None` where that cannot be known, with the reason among `notes`.
pub(super) fn provider(
    spec: &ExternalSecretSpec,
    context: &mut Context<'_>,
    notes: &mut Notes,
) -> Option<GoogleProvider> {
    let settings = context.settings;
    let own = spec.project_id.as_deref().filter(|project| !project.is_empty());
    let project = own.or_else(|| settings.text("GOOGLE_CLOUD_PROJECT")).or_else(|| settings.text("GCLOUD_PROJECT"));
    if project.is_none() {
        let why = "it names no project: KES takes that of its credentials, which is not known here";
        notes.refuse(why, "give that project with --set GOOGLE_CLOUD_PROJECT=…");
        return None;
    }
    let auth = auth(context, notes)?;
    Some(GoogleProvider { auth, project_id: project.map(str::to_owned), ..GoogleProvider::default() })
}

/// As whom KES asks: by a key file, by its service account, or as whatever its pod is.
fn auth(context: &mut Context<'_>, notes: &mut Notes) -> Option<GoogleAuth> {
    let settings = context.settings;
    if let Some(path) = settings.text("GOOGLE_APPLICATION_CREDENTIALS") {
        let Some(FileSource::Secret(source)) = settings.file(path) else {
            let why = format!("its credentials lie in {path} of KES's container, which is in no Secret that is known");
            notes.refuse(why, "put them into a Secret and write the store by hand");
            return None;
        };
        let secret_access_key = context.reference(&source);
        return Some(GoogleAuth {
            secret_ref: Some(GoogleAuthSecretRef { secret_access_key }),
            ..GoogleAuth::default()
        });
    }
    if let Some(account) = &settings.account
        && account.annotations.contains_key("iam.gke.io/gcp-service-account")
    {
        let service_account_ref = context.account(account, notes)?;
        let identity = GoogleWorkloadIdentity { service_account_ref, ..GoogleWorkloadIdentity::default() };
        return Some(GoogleAuth { workload_identity: Some(identity), ..GoogleAuth::default() });
    }
    context.ambient(
        "no identity is found in KES's settings: the operator's own is used, which needs the same rights as KES's pod \
         or node has",
    );
    Some(GoogleAuth::default())
}

//! `secretsManager` and `systemManager`.

use strongroom_api::external_secrets::provider::{AwsAuth, AwsAuthSecretRef, AwsJwtAuth, AwsProvider, AwsService};
use strongroom_api::kes::{Backend, ExternalSecretSpec};

use super::stores::Context;
use crate::report::Notes;

/// The Secret to which credentials are copied.
const SECRET: &str = "kes-aws-credentials";

/// The region where `LOCALSTACK` is set and no region is.
const LOCALSTACK_REGION: &str = "us-west-2";

/// AWS as KES asks it; `None` where that cannot be known, with the reason among `notes`.
pub(super) fn provider(
    backend: Backend,
    spec: &ExternalSecretSpec,
    context: &mut Context<'_>,
    notes: &mut Notes,
) -> Option<AwsProvider> {
    let role = spec.role_arn.clone().filter(|role| !role.is_empty());
    if role.as_ref().is_some_and(|role| !role.starts_with("arn:")) {
        notes.differs("roleArn must be the ARN of a role, and is none");
    }
    // Asked for a role alone, KES takes the one of its settings first.
    let before = role.as_ref().and_then(|_| context.settings.text("AWS_INTERMEDIATE_ROLE_ARN")).map(str::to_owned);
    let service = match backend {
        Backend::SystemManager => AwsService::ParameterStore,
        _ => AwsService::SecretsManager,
    };
    remark_addresses(context);
    Some(AwsProvider {
        service,
        region: region(spec, context, notes)?,
        auth: Some(auth(context, notes)?),
        role,
        additional_roles: before.into_iter().collect(),
        ..AwsProvider::default()
    })
}

fn region(spec: &ExternalSecretSpec, context: &Context<'_>, notes: &mut Notes) -> Option<String> {
    let settings = context.settings;
    let own = spec.region.clone().filter(|region| !region.is_empty());
    let own = own.or_else(|| settings.text("AWS_REGION").map(str::to_owned));
    let usual = || settings.is_set("LOCALSTACK").then(|| LOCALSTACK_REGION.to_owned());
    let region = own.or_else(usual);
    if region.is_none() {
        let place = settings.unknown("AWS_REGION").map(|place| format!(" (it lies in {place})")).unwrap_or_default();
        notes.refuse(format!("its region is not known{place}"), "give KES's own with --set AWS_REGION=…");
    }
    region
}

/// As whom KES asks: by an access key, by its service account, or as whatever its pod is.
fn auth(context: &mut Context<'_>, notes: &mut Notes) -> Option<AwsAuth> {
    let access_key_id = context.selector("AWS_ACCESS_KEY_ID", SECRET, "access-key-id");
    let secret_access_key = context.selector("AWS_SECRET_ACCESS_KEY", SECRET, "secret-access-key");
    if access_key_id.is_some() && secret_access_key.is_some() {
        let session_token = context.selector("AWS_SESSION_TOKEN", SECRET, "session-token");
        let secret_ref = AwsAuthSecretRef { access_key_id, secret_access_key, session_token };
        return Some(AwsAuth { secret_ref: Some(secret_ref), jwt: None });
    }
    let settings = context.settings;
    if let Some(account) = &settings.account
        && account.annotations.contains_key("eks.amazonaws.com/role-arn")
    {
        let service_account_ref = Some(context.account(account, notes)?);
        return Some(AwsAuth { jwt: Some(AwsJwtAuth { service_account_ref }), secret_ref: None });
    }
    context.ambient(
        "no identity is found in KES's settings: the operator's own is used, which needs the same rights as KES's pod \
         or node has",
    );
    Some(AwsAuth::default())
}

/// What the operator is told, and not the store.
fn remark_addresses(context: &mut Context<'_>) {
    let settings = context.settings;
    let told = [
        ("LOCALSTACK", "AWS_SECRETSMANAGER_ENDPOINT, AWS_SSM_ENDPOINT and AWS_STS_ENDPOINT"),
        ("AWS_STS_ENDPOINT", "AWS_STS_ENDPOINT"),
        ("HTTP_PROXY", "HTTPS_PROXY"),
    ];
    for (variable, ours) in told.into_iter().filter(|(variable, _)| settings.is_set(variable)) {
        context.remark(format!("KES has {variable}: give the operator {ours}"));
    }
}

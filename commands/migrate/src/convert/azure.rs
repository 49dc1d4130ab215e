//! `azureKeyVault`.

use strongroom_api::external_secrets::provider::{AzureAuth, AzureAuthType, AzureEnvironmentType, AzureProvider};
use strongroom_api::kes::ExternalSecretSpec;

use super::stores::Context;
use crate::report::Notes;

/// The Secret to which credentials are copied.
const SECRET: &str = "kes-azure-credentials";

/// The domain of vaults where KES is told no other.
const USUAL_DOMAIN: &str = "vault.azure.net";

/// The Key Vault as KES asks it; `None` where that cannot be known, with the reason among `notes`.
pub(super) fn provider(
    spec: &ExternalSecretSpec,
    context: &mut Context<'_>,
    notes: &mut Notes,
) -> Option<AzureProvider> {
    let settings = context.settings;
    let domain = settings.text("AZURE_KEY_VAULT_DNS_SUFFIX").unwrap_or(USUAL_DOMAIN).trim_start_matches('.');
    let vault_url = format!("https://{}.{domain}", spec.key_vault_name.as_deref().unwrap_or_default());
    let environment_type = environment(context, notes)?;
    if domain != domain_of(environment_type) {
        context.remark(format!(
            "AZURE_KEY_VAULT_DNS_SUFFIX ({domain}) is not of the cloud that AZURE_ENVIRONMENT names: a vault outside \
             of it needs customCloudConfig"
        ));
    }
    let provider = AzureProvider { vault_url, environment_type, ..AzureProvider::default() };
    identity(provider, context, notes)
}

fn environment(context: &Context<'_>, notes: &mut Notes) -> Option<AzureEnvironmentType> {
    match context.settings.text("AZURE_ENVIRONMENT") {
        None | Some("AzureCloud") => Some(AzureEnvironmentType::PublicCloud),
        Some("AzureChinaCloud") => Some(AzureEnvironmentType::ChinaCloud),
        Some("AzureGermanCloud") => Some(AzureEnvironmentType::GermanCloud),
        Some("AzureUSGovernmentCloud" | "AzureUSGovernment") => Some(AzureEnvironmentType::UsGovernmentCloud),
        Some(_) => {
            let cure = "give KES's cloud with --set AZURE_ENVIRONMENT=AzureCloud (or …China…, …USGovernment…)";
            notes.refuse("AZURE_ENVIRONMENT names no cloud that is known", cure);
            None
        }
    }
}

fn domain_of(environment: AzureEnvironmentType) -> &'static str {
    match environment {
        AzureEnvironmentType::ChinaCloud => "vault.azure.cn",
        AzureEnvironmentType::UsGovernmentCloud => "vault.usgovcloudapi.net",
        AzureEnvironmentType::GermanCloud => "vault.microsoftazure.de",
        AzureEnvironmentType::PublicCloud | AzureEnvironmentType::AzureStackCloud => USUAL_DOMAIN,
    }
}

/// As whom KES asks: an application with its secret, its service account, or the machine's identity.
fn identity(mut provider: AzureProvider, context: &mut Context<'_>, notes: &mut Notes) -> Option<AzureProvider> {
    let settings = context.settings;
    if settings.credential("AZURE_CLIENT_SECRET").is_some() && settings.credential("AZURE_CLIENT_ID").is_some() {
        let Some(tenant) = settings.text("AZURE_TENANT_ID") else {
            let place = settings.unknown("AZURE_TENANT_ID").map(|place| format!(": it lies in {place}"));
            let why = format!("Azure's tenant is not known{}", place.unwrap_or_default());
            notes.refuse(why, "give it with --set AZURE_TENANT_ID=…");
            return None;
        };
        provider.auth_type = AzureAuthType::ServicePrincipal;
        provider.tenant_id = Some(tenant.to_owned());
        provider.auth_secret_ref = Some(AzureAuth {
            client_id: context.selector("AZURE_CLIENT_ID", SECRET, "client-id"),
            client_secret: context.selector("AZURE_CLIENT_SECRET", SECRET, "client-secret"),
            ..AzureAuth::default()
        });
        return Some(provider);
    }
    if let Some(account) = &settings.account
        && account.annotations.contains_key("azure.workload.identity/client-id")
    {
        provider.auth_type = AzureAuthType::WorkloadIdentity;
        provider.tenant_id = settings.text("AZURE_TENANT_ID").map(str::to_owned);
        provider.service_account_ref = Some(context.account(account, notes)?);
        return Some(provider);
    }
    provider.auth_type = AzureAuthType::ManagedIdentity;
    provider.identity_id = settings.text("AZURE_CLIENT_ID").map(str::to_owned);
    context.ambient(
        "no application is found in KES's settings: the managed identity of the operator's pod or node is used, which \
         needs the same rights as KES's has",
    );
    Some(provider)
}

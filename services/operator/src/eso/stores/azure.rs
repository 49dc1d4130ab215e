use std::sync::Arc;

use strongroom_api::external_secrets::ServiceAccountSelector;
use strongroom_api::external_secrets::provider::{AzureAuth, AzureAuthType, AzureEnvironmentType, AzureProvider};
use strongroom_azure::{Cloud, Credentials, Form, KeyVault, ManagedEndpoint, Settings, Timeouts, TokenFile, Vaults};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Proxy, TlsSettings};
use strongroom_provider::Provider;
use strongroom_secret::SecretBytes;

use super::Scope;

const CLIENT_ANNOTATION: &str = "azure.workload.identity/client-id";
const TENANT_ANNOTATION: &str = "azure.workload.identity/tenant-id";

/// Whom a service account's token is for where a private cloud names nobody else.
const AUDIENCE: &str = "api://AzureADTokenExchange";

/// Opens Azure Key Vault as `spec` says.
pub(super) async fn open(spec: &AzureProvider, scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    let lookup = |name: &str| scope.variable(name);
    let settings = Settings {
        vault_url: spec.vault_url.clone(),
        cloud: cloud(spec)?,
        credentials: credentials(spec, scope).await?,
        form: if spec.use_azure_sdk == Some(true) { Form::Current } else { Form::Classic },
        tls: TlsSettings::from_environment(&lookup),
        proxy: Proxy::from_environment(&lookup)?,
        addresses: scope.addresses(),
        timeouts: Timeouts::default(),
    };
    Ok(Arc::new(KeyVault::open(settings, scope.meter()).map_err(in_spec)?))
}

fn cloud(spec: &AzureProvider) -> Result<Cloud, Failure> {
    let Some(custom) = &spec.custom_cloud_config else {
        return match spec.environment_type {
            AzureEnvironmentType::PublicCloud => Ok(Cloud::public()),
            AzureEnvironmentType::UsGovernmentCloud => Ok(Cloud::us_government()),
            AzureEnvironmentType::ChinaCloud => Ok(Cloud::china()),
            AzureEnvironmentType::GermanCloud => Ok(Cloud::germany()),
            AzureEnvironmentType::AzureStackCloud => {
                Err(invalid("customCloudConfig", "AzureStackCloud needs the addresses of the cloud"))
            }
        };
    };
    // A private cloud's vaults say themselves what tokens must be for, as External Secrets Operator asks them.
    Ok(Cloud {
        login: custom.active_directory_endpoint.clone(),
        vaults: Vaults::Asked(custom.key_vault_endpoint.clone()),
    })
}

async fn credentials(spec: &AzureProvider, scope: &Scope) -> Result<Credentials, Failure> {
    match spec.auth_type {
        AzureAuthType::ServicePrincipal => service_principal(spec, scope).await,
        AzureAuthType::WorkloadIdentity => match &spec.service_account_ref {
            Some(account) => workload_identity(spec, account, scope).await,
            None => own_workload_identity(spec, scope),
        },
        AzureAuthType::ManagedIdentity => {
            lend(spec, scope)?;
            let endpoint = ManagedEndpoint::from_environment(&|name| scope.variable(name));
            let id = spec.identity_id.clone().filter(|id| !id.is_empty());
            Ok(Credentials::Managed { id, endpoint: endpoint.map_err(|failure| failure.in_field(field("authType")))? })
        }
    }
}

async fn service_principal(spec: &AzureProvider, scope: &Scope) -> Result<Credentials, Failure> {
    let auth = spec.auth_secret_ref.as_ref();
    let auth = auth.ok_or_else(|| invalid("authSecretRef", "ServicePrincipal needs a client id and a secret"))?;
    let client_id = client_id(auth, scope).await?;
    let client_id = client_id.ok_or_else(|| invalid("authSecretRef.clientId", "ServicePrincipal needs a client id"))?;
    let tenant = named_tenant(spec, scope).await?;
    let tenant = tenant.ok_or_else(|| invalid("tenantId", "ServicePrincipal needs a tenant"))?;
    match (&auth.client_secret, &auth.client_certificate) {
        (Some(secret), None) => {
            let place = field("authSecretRef.clientSecret");
            let secret = trimmed(&scope.secret(&place, secret, "").await?, &place)?;
            Ok(Credentials::Secret { tenant, client_id, secret: SecretBytes::from(secret) })
        }
        (None, Some(certificate)) => {
            let pem = scope.secret(&field("authSecretRef.clientCertificate"), certificate, "").await?;
            Ok(Credentials::Certificate { tenant, client_id, pem })
        }
        (Some(_), Some(_)) => Err(invalid("authSecretRef", "give clientSecret or clientCertificate, not both")),
        (None, None) => Err(invalid("authSecretRef", "clientSecret or clientCertificate is needed")),
    }
}

/// A service account's token, exchanged for the application's.
async fn workload_identity(
    spec: &AzureProvider,
    account: &ServiceAccountSelector,
    scope: &Scope,
) -> Result<Credentials, Failure> {
    let place = field("serviceAccountRef");
    let annotations = scope.annotations(&place, account).await?;
    let annotation =
        |name: &str| annotations.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let named = match &spec.auth_secret_ref {
        Some(auth) => client_id(auth, scope).await?,
        None => None,
    };
    let client_id = one("client id", named, annotation(CLIENT_ANNOTATION), false)?.ok_or_else(|| {
        let words = format!("the service account {} has no annotation {CLIENT_ANNOTATION}", account.name);
        Failure::new(Class::Invalid, words).in_field(&place)
    })?;
    let may_stand_over = spec.use_azure_sdk == Some(true);
    let tenant = one("tenant", named_tenant(spec, scope).await?, annotation(TENANT_ANNOTATION), may_stand_over)?;
    // The operator's own pod may have it, from Azure's webhook.
    let tenant = tenant.or_else(|| scope.variable("AZURE_TENANT_ID")).filter(|tenant| !tenant.is_empty());
    let tenant =
        tenant.ok_or_else(|| invalid("tenantId", "neither the store nor the service account names a tenant"))?;
    let custom = spec.custom_cloud_config.as_ref().and_then(|custom| custom.audience.clone());
    let audience = custom.unwrap_or_else(|| AUDIENCE.to_owned());
    let tokens = scope.tokens(&place, account, &[audience])?;
    Ok(Credentials::Federated { tenant, client_id, tokens })
}

/// The one that is named; twice only where both say the same, or where the store's may stand over the account's.
fn one(
    what: &str,
    named: Option<String>,
    annotated: Option<String>,
    may_stand_over: bool,
) -> Result<Option<String>, Failure> {
    match (named, annotated) {
        (Some(named), Some(annotated)) if named != annotated && !may_stand_over => {
            let words = format!("the store and the service account name different ones as {what}");
            Err(Failure::new(Class::Invalid, words).in_field(field("serviceAccountRef")))
        }
        (named, annotated) => Ok(named.or(annotated)),
    }
}

/// The operator's own, as Azure's webhook puts it into its pod.
fn own_workload_identity(spec: &AzureProvider, scope: &Scope) -> Result<Credentials, Failure> {
    lend(spec, scope)?;
    let variable = |name: &str| {
        scope.variable(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            invalid("serviceAccountRef", format!("it is missing, and the operator has no variable {name} either"))
                .with_hint("name a service account, or label the operator's pod azure.workload.identity/use: \"true\"")
        })
    };
    let (client_id, tenant) = (variable("AZURE_CLIENT_ID")?, variable("AZURE_TENANT_ID")?);
    let tokens = Arc::new(TokenFile(variable("AZURE_FEDERATED_TOKEN_FILE")?.into()));
    Ok(Credentials::Federated { tenant, client_id, tokens })
}

/// Allows the operator's own identity to be used, and never at addresses that a tenant chose.
fn lend(spec: &AzureProvider, scope: &Scope) -> Result<(), Failure> {
    scope.ambient(&field("authType"))?;
    if spec.custom_cloud_config.is_some() && !scope.is_cluster_store() {
        let words = "a SecretStore may not take the operator's own identity to a cloud of its choice";
        return Err(Failure::new(Class::Denied, words).in_field(field("customCloudConfig")));
    }
    Ok(())
}

async fn client_id(auth: &AzureAuth, scope: &Scope) -> Result<Option<String>, Failure> {
    let place = field("authSecretRef.clientId");
    match &auth.client_id {
        Some(selector) => trimmed(&scope.secret(&place, selector, "").await?, &place).map(Some),
        None => Ok(None),
    }
}

async fn named_tenant(spec: &AzureProvider, scope: &Scope) -> Result<Option<String>, Failure> {
    let place = field("authSecretRef.tenantId");
    match spec.auth_secret_ref.as_ref().and_then(|auth| auth.tenant_id.as_ref()) {
        Some(selector) => trimmed(&scope.secret(&place, selector, "").await?, &place).map(Some),
        None => Ok(spec.tenant_id.clone().filter(|tenant| !tenant.is_empty())),
    }
}

/// A value as text, without the line break that people's tools put behind it.
fn trimmed(value: &SecretBytes, place: &str) -> Result<String, Failure> {
    let text = value.expose_text().map(str::trim).filter(|text| !text.is_empty());
    let unfit = || Failure::new(Class::Invalid, "the value is empty or no text").in_field(place);
    text.map(ToOwned::to_owned).ok_or_else(unfit)
}

/// The provider's own names of fields, as the spec has them.
fn in_spec(failure: Failure) -> Failure {
    let place = match failure.subject.field.as_deref() {
        Some("activeDirectoryEndpoint") => "customCloudConfig.activeDirectoryEndpoint".to_owned(),
        Some(name) => name.to_owned(),
        None => "authSecretRef".to_owned(),
    };
    failure.in_field(field(&place))
}

fn field(name: &str) -> String {
    format!("spec.provider.azurekv.{name}")
}

fn invalid(name: &str, words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words).in_field(field(name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strongroom_provider::{RemoteKey, Validation};
    use world::azure::AzureStandIn;

    use super::super::table::{Cluster, cluster_scope, scope_with, team_scope};
    use super::*;

    fn cluster() -> Cluster {
        let mut cluster = Cluster::default();
        for namespace in ["team-a", "shared"] {
            let values =
                [("id", "client-1\n"), ("secret", "canary-secret\n"), ("tenant", "tenant-1"), ("empty", " \n")];
            cluster.secret(namespace, "azure", &values);
            cluster.account(namespace, "app", &[(CLIENT_ANNOTATION, "client-2"), (TENANT_ANNOTATION, "tenant-2")]);
            cluster.account(namespace, "client", &[(CLIENT_ANNOTATION, "client-2")]);
            cluster.account(namespace, "bare", &[]);
        }
        cluster
    }

    fn key(name: &str) -> Value {
        json!({"name": "azure", "key": name})
    }

    fn spec(more: &Value) -> AzureProvider {
        let mut spec = json!({"vaultUrl": "https://v.vault.azure.net"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    /// Opens `more`, and tells what is shown of it, or why not.
    async fn opened(more: &Value, scope: &Scope) -> Result<String, String> {
        let opened = open(&spec(more), scope).await.map(|store| (store.describe(), store.identity()));
        assert!(!format!("{opened:?}").contains("canary"), "a secret is shown");
        match opened {
            Ok((store, identity)) => Ok(format!("{store} as {identity}")),
            Err(failure) => Err(format!("{:?} {failure}", failure.class)),
        }
    }

    #[tokio::test]
    async fn the_spec_says_which_vault_and_as_whom() {
        let check = async |more: Value, expected: &str| {
            for scope in [team_scope(cluster()), cluster_scope(cluster())] {
                assert_eq!(opened(&more, &scope).await, Ok(expected.to_owned()), "{more}");
            }
        };
        let vault = "Azure Key Vault (v.vault.azure.net) as";
        let auth = json!({"clientId": key("id"), "clientSecret": key("secret")});
        check(
            json!({"tenantId": "t", "authSecretRef": auth}),
            &format!("{vault} application client-1 of tenant t by its secret"),
        )
        .await;
        check(
            json!({"authType": "ServicePrincipal", "environmentType": "USGovernmentCloud", "tenantId": "t",
                   "vaultUrl": "https://v.vault.usgovcloudapi.net/", "authSecretRef": auth}),
            "Azure Key Vault (v.vault.usgovcloudapi.net) as application client-1 of tenant t by its secret",
        )
        .await;
        let workload = |name: &str| json!({"authType": "WorkloadIdentity", "serviceAccountRef": {"name": name}});
        let by = format!("by service account team-a/app (audience {AUDIENCE})");
        check(workload("app"), &format!("{vault} application client-2 of tenant tenant-2 {by}")).await;
        let mut more = workload("bare");
        more["tenantId"] = json!("t");
        more["serviceAccountRef"]["audiences"] = json!(["more"]);
        more["authSecretRef"] = json!({"clientId": key("id")});
        let by = format!("by service account team-a/bare (audience {AUDIENCE}, more)");
        check(more.clone(), &format!("{vault} application client-1 of tenant t {by}")).await;
        more["authSecretRef"]["tenantId"] = key("tenant");
        check(more.clone(), &format!("{vault} application client-1 of tenant tenant-1 {by}")).await;
        more["customCloudConfig"] = json!({"activeDirectoryEndpoint": "https://login.x", "audience": "own"});
        let by = "by service account team-a/bare (audience own, more)";
        check(more, &format!("{vault} application client-1 of tenant tenant-1 {by}")).await;
    }

    #[tokio::test]
    async fn the_operators_own_identity_is_lent_to_those_who_may_have_it() {
        let own = || {
            let mut cluster = cluster();
            cluster.variable("AZURE_CLIENT_ID", "operator");
            cluster.variable("AZURE_TENANT_ID", "t");
            cluster.variable("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token");
            cluster
        };
        let managed = json!({"authType": "ManagedIdentity", "identityId": "client-9"});
        let workload = json!({"authType": "WorkloadIdentity"});
        let vault = "Azure Key Vault (v.vault.azure.net) as";
        for scope in [cluster_scope(own()), scope_with(own(), Some("team-a"), true)] {
            let expected = format!("{vault} the managed identity client-9");
            assert_eq!(opened(&managed, &scope).await, Ok(expected));
            let expected = format!("{vault} application operator of tenant t by the token in /var/run/token");
            assert_eq!(opened(&workload, &scope).await, Ok(expected));
        }
        for spec in [&managed, &workload] {
            let refused = opened(spec, &team_scope(own())).await.unwrap_err();
            assert!(refused.starts_with("Denied spec.provider.azurekv.authType: "), "{refused}");
            // Not even then to a login, or a vault, that a tenant chose.
            let mut elsewhere = spec.clone();
            elsewhere["customCloudConfig"] = json!({"activeDirectoryEndpoint": "https://evil.example"});
            elsewhere["vaultUrl"] = json!("https://evil.example");
            let refused = opened(&elsewhere, &scope_with(own(), Some("team-a"), true)).await.unwrap_err();
            assert!(refused.starts_with("Denied spec.provider.azurekv.customCloudConfig: "), "{refused}");
            let mut elsewhere = spec.clone();
            elsewhere["vaultUrl"] = json!("https://evil.example");
            let refused = opened(&elsewhere, &cluster_scope(own())).await.unwrap_err();
            assert!(refused.contains("vaultUrl: evil.example is no vault of this cloud"), "{refused}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_opened_names_its_field() {
        let check = async |more: Value, expected: &str| {
            for scope in [team_scope(cluster()), cluster_scope(cluster())] {
                let refused = opened(&more, &scope).await.unwrap_err();
                assert!(refused.contains(expected), "{more}: {refused}");
            }
        };
        let path = "Invalid spec.provider.azurekv";
        let principal = |auth: Value| json!({"tenantId": "t", "authSecretRef": auth});
        check(json!({"tenantId": "t"}), &format!("{path}.authSecretRef: ")).await;
        check(principal(json!({"clientSecret": key("secret")})), &format!("{path}.authSecretRef.clientId: ")).await;
        check(principal(json!({"clientId": key("id")})), "clientSecret or clientCertificate is needed").await;
        let both = json!({"clientId": key("id"), "clientSecret": key("secret"), "clientCertificate": key("secret")});
        check(principal(both), "not both").await;
        let no_tenant = json!({"authSecretRef": {"clientId": key("id"), "clientSecret": key("secret")}});
        check(no_tenant, &format!("{path}.tenantId: ServicePrincipal needs a tenant")).await;
        let missing = json!({"clientId": key("id"), "clientSecret": key("none")});
        check(principal(missing), "NotFound spec.provider.azurekv.authSecretRef.clientSecret: ").await;
        check(principal(json!({"clientId": key("empty"), "clientSecret": key("secret")})), "empty or no text").await;
        let certificate = json!({"clientId": key("id"), "clientCertificate": key("secret")});
        check(principal(certificate), &format!("{path}.authSecretRef: the client certificate holds no ")).await;
        let workload = |name: &str| json!({"authType": "WorkloadIdentity", "serviceAccountRef": {"name": name}});
        check(workload("bare"), "bare has no annotation azure.workload.identity/client-id").await;
        check(workload("client"), &format!("{path}.tenantId: neither the store nor")).await;
        check(workload("none"), "NotFound spec.provider.azurekv.serviceAccountRef: ").await;
        let mut twice = workload("app");
        twice["tenantId"] = json!("t");
        check(twice, "name different ones as tenant").await;
        check(json!({"environmentType": "AzureStackCloud"}), &format!("{path}.customCloudConfig: ")).await;
        let mut private = principal(json!({"clientId": key("id"), "clientSecret": key("secret")}));
        private["customCloudConfig"] = json!({"activeDirectoryEndpoint": "http://login.x"});
        check(private, &format!("{path}.customCloudConfig.activeDirectoryEndpoint: ")).await;
    }

    #[tokio::test]
    async fn a_secret_store_stays_in_its_namespace() {
        let mut elsewhere = key("secret");
        elsewhere["namespace"] = json!("shared");
        let auth = json!({"clientId": key("id"), "clientSecret": elsewhere});
        let more = json!({"tenantId": "t", "authSecretRef": auth});
        let refused = opened(&more, &team_scope(cluster())).await.unwrap_err();
        assert!(refused.starts_with("Denied spec.provider.azurekv.authSecretRef.clientSecret: "), "{refused}");
        let scope = cluster_scope(cluster());
        assert!(opened(&more, &scope).await.is_ok());
        assert!(scope.depends_on_asker(), "the client id is the asker's own");
        let account =
            json!({"authType": "WorkloadIdentity", "serviceAccountRef": {"name": "app", "namespace": "shared"}});
        let refused = opened(&account, &team_scope(cluster())).await.unwrap_err();
        assert!(refused.starts_with("Denied spec.provider.azurekv.serviceAccountRef: "), "{refused}");
        let scope = cluster_scope(cluster());
        assert!(opened(&account, &scope).await.unwrap().contains("service account shared/app"));
        assert!(!scope.depends_on_asker());
    }

    #[tokio::test]
    async fn a_store_written_for_external_secrets_reads_the_stand_in() {
        let azure = AzureStandIn::start().unwrap();
        azure.put_secret("db", "value");
        let cluster = || {
            let mut cluster = Cluster::default();
            let (client, secret, certificate) = (azure.client_id(), azure.client_secret(), azure.client_certificate());
            cluster.secret("team-a", "azure", &[("id", &client), ("secret", &secret), ("certificate", &certificate)]);
            cluster.account("team-a", "app", &[(CLIENT_ANNOTATION, &client), (TENANT_ANNOTATION, &azure.tenant())]);
            cluster.token = azure.federated_token(AUDIENCE).unwrap();
            cluster.variable("SSL_CERT_FILE", &azure.authority().certificate_file().display().to_string());
            cluster.variable("AZURE_POD_IDENTITY_AUTHORITY_HOST", &format!("http://{}", azure.metadata_host()));
            cluster
        };
        let store = |more: Value| {
            let mut all = json!({
                "vaultUrl": azure.endpoint(), "tenantId": azure.tenant(), "environmentType": "AzureStackCloud",
                "useAzureSDK": true,
                "customCloudConfig": {"activeDirectoryEndpoint": azure.endpoint(),
                                      "keyVaultEndpoint": "https://vault.azure.net"},
            });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let ways = [
            json!({"authSecretRef": {"clientId": key("id"), "clientSecret": key("secret")}}),
            json!({"authSecretRef": {"clientId": key("id"), "clientCertificate": key("certificate")}}),
            json!({"authType": "WorkloadIdentity", "serviceAccountRef": {"name": "app"}}),
            json!({"authType": "ManagedIdentity"}),
            json!({"authType": "ManagedIdentity", "identityId": azure.user_assigned_identity().0}),
        ];
        for way in ways {
            let opened = open(&spec(&store(way)), &cluster_scope(cluster())).await.unwrap();
            assert_eq!(opened.validate().await.unwrap(), Validation::Valid, "{}", opened.identity());
            let read = opened.read(&[RemoteKey::current("db")]).await.remove(0).unwrap();
            assert_eq!(read.value.expose_text(), Some("value"));
        }
        // A tenant's store reaches no local address.
        let way = json!({"authSecretRef": {"clientId": key("id"), "clientSecret": key("secret")}});
        let opened = open(&spec(&store(way)), &team_scope(cluster())).await.unwrap();
        assert!(opened.validate().await.unwrap_err().to_string().contains("loopback address"));
    }
}

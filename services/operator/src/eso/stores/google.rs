use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use strongroom_api::external_secrets::ServiceAccountSelector;
use strongroom_api::external_secrets::provider::{
    ConfigMapReference, GoogleAuthSecretRef, GoogleProvider, GoogleVersionSelection, GoogleWorkloadIdentity,
    GoogleWorkloadIdentityFederation,
};
use strongroom_failure::{Class, Failure};
use strongroom_google::{Cluster, Credentials, Exchange, Federation, SecretManager, Settings};
use strongroom_provider::Provider;
use strongroom_secret::SecretBytes;

use super::Scope;

const ACCOUNT_ANNOTATION: &str = "iam.gke.io/gcp-service-account";

/// Where outside tokens are exchanged, and nowhere else.
const EXCHANGE_ADDRESS: &str = "https://sts.googleapis.com/v1/token";

/// Where a service account is acted as, and nowhere else; the account's e-mail address stands between.
const IMPERSONATION: (&str, &str) =
    ("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/", ":generateAccessToken");

/// The token of the operator's own service account: who means it names the account.
const OWN_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Opens Google Secret Manager as `spec` says.
pub(super) async fn open(spec: &GoogleProvider, scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    let settings = Settings {
        project: named(spec.project_id.as_deref()),
        location: named(spec.location.as_deref()),
        credentials: credentials(spec, scope).await?,
        latest_enabled: spec.secret_version_selection_policy == GoogleVersionSelection::LatestOrFetch,
        addresses: scope.addresses(),
        // A store's project is all that its users may read: a key that names another one would widen it.
        is_confined: true,
        ..Settings::default()
    };
    let settings = settings.completed(&|name| scope.variable(name))?;
    Ok(Arc::new(SecretManager::open(settings, scope.meter()).map_err(in_spec)?))
}

/// What is written and not empty.
fn named(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// As whom; `None` is the operator itself. Where several are written, External Secrets Operator takes them in this order.
async fn credentials(spec: &GoogleProvider, scope: &Scope) -> Result<Option<Credentials>, Failure> {
    let auth = &spec.auth;
    if let Some(reference) = &auth.secret_ref {
        return account_key(reference, scope).await.map(Some);
    }
    if let Some(identity) = &auth.workload_identity {
        return workload_identity(identity, scope).await.map(Some);
    }
    if let Some(federation) = &auth.workload_identity_federation {
        return federated(federation, scope).await.map(Some);
    }
    scope.ambient(&field("auth")).map(|()| None)
}

/// What decides whether credentials may come from a tenant.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    source_credentials: Option<Box<Kind>>,
}

impl Kind {
    /// Whether they hold all that they need: others would have the operator read files of its own, or ask addresses.
    fn is_whole(&self) -> bool {
        match (self.kind.as_str(), &self.source_credentials) {
            ("service_account" | "authorized_user", _) => true,
            ("impersonated_service_account", Some(source)) => source.is_whole(),
            _ => false,
        }
    }
}

async fn account_key(reference: &GoogleAuthSecretRef, scope: &Scope) -> Result<Credentials, Failure> {
    let place = field("auth.secretRef.secretAccessKeySecretRef");
    let json = scope.secret(&place, &reference.secret_access_key, "").await?;
    let unfit = |words: &str| Failure::new(Class::Invalid, words).in_field(&place);
    let kind: Kind =
        serde_json::from_slice(json.expose()).map_err(|_| unfit("the value is not the JSON of a service account"))?;
    if !kind.is_whole() {
        return Err(unfit("credentials of this type are not taken from a Secret")
            .with_hint("give a service account's key, or use workloadIdentityFederation"));
    }
    Ok(Credentials::Json(json))
}

/// A Kubernetes service account of a GKE cluster.
async fn workload_identity(identity: &GoogleWorkloadIdentity, scope: &Scope) -> Result<Credentials, Failure> {
    let place = field("auth.workloadIdentity.serviceAccountRef");
    let GoogleWorkloadIdentity { service_account_ref, cluster_location, cluster_name, cluster_project_id } = identity;
    let service_account = acted_as(service_account_ref, &place, scope).await?;
    let host = scope.variable("GCE_METADATA_HOST").filter(|host| !host.is_empty());
    let parts = (cluster_project_id.as_deref(), cluster_location.as_deref(), cluster_name.as_deref());
    let cluster = Cluster::completed(parts.0, parts.1, parts.2, host.as_deref()).await.map_err(|failure| {
        let name = failure.subject.field.clone().unwrap_or_default();
        failure.in_field(field(&format!("auth.workloadIdentity.{name}")))
    })?;
    let tokens = scope.tokens(&place, service_account_ref, &[cluster.pool()])?;
    let (audience, exchange) = (cluster.audience(), Exchange::IdentityBinding);
    Ok(Credentials::Federated(Federation { tokens, audience, exchange, service_account }))
}

/// The Google service account that a Kubernetes service account's annotation names.
async fn acted_as(account: &ServiceAccountSelector, place: &str, scope: &Scope) -> Result<Option<String>, Failure> {
    let mut annotations = scope.annotations(place, account).await?;
    Ok(annotations.remove(ACCOUNT_ANNOTATION).filter(|email| !email.is_empty()))
}

async fn federated(spec: &GoogleWorkloadIdentityFederation, scope: &Scope) -> Result<Credentials, Failure> {
    let audience = named(spec.audience.as_deref());
    match (&spec.cred_config, &spec.service_account_ref, &spec.aws_security_credentials) {
        (Some(reference), None, None) => written_down(reference, spec, audience, scope).await,
        (None, Some(account), None) => {
            let place = field("auth.workloadIdentityFederation.serviceAccountRef");
            let audience = audience.ok_or_else(|| unfit("audience", "serviceAccountRef needs it"))?;
            let service_account = match named(spec.gcp_service_account_email.as_deref()) {
                Some(email) => Some(email),
                None => acted_as(account, &place, scope).await?,
            };
            let tokens = scope.tokens(&place, account, &[])?;
            let exchange = Exchange::SecurityTokenService;
            Ok(Credentials::Federated(Federation { tokens, audience, exchange, service_account }))
        }
        (None, None, Some(_)) => Err(unfit("awsSecurityCredentials", "federation with AWS is not served")
            .with_hint("use serviceAccountRef: the pool can trust the cluster's own issuer")),
        _ => {
            let words = "exactly one of credConfig, serviceAccountRef and awsSecurityCredentials is needed";
            Err(Failure::new(Class::Invalid, words).in_field(field("auth.workloadIdentityFederation")))
        }
    }
}

/// Credentials of the type `external_account`, from a ConfigMap.
async fn written_down(
    reference: &ConfigMapReference,
    spec: &GoogleWorkloadIdentityFederation,
    audience: Option<String>,
    scope: &Scope,
) -> Result<Credentials, Failure> {
    let place = field("auth.workloadIdentityFederation.credConfig");
    let ConfigMapReference { name, namespace, key } = reference;
    let text = scope.config_map(&place, name, namespace.as_deref(), key).await?;
    let mut account: Value = serde_json::from_str(&text).map_err(|_| unfit("credConfig", "the value is not JSON"))?;
    // Whether they are written in the cluster or not, these hold no secret.
    check_account(&account, spec)?;
    if let Some(email) = named(spec.gcp_service_account_email.as_deref()) {
        account["service_account_impersonation_url"] =
            Value::String(format!("{}{email}{}", IMPERSONATION.0, IMPERSONATION.1));
        check_account(&account, spec)?;
    }
    if !account["credential_source"]["file"].is_null() {
        scope.ambient(&place)?;
    }
    if let Some(audience) = audience {
        account["audience"] = Value::String(audience);
    }
    let defaults = [("token_url", EXCHANGE_ADDRESS), ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")];
    for (name, default) in defaults {
        if account[name].as_str().is_none_or(str::is_empty) {
            account[name] = Value::String(default.to_owned());
        }
    }
    Ok(Credentials::Json(SecretBytes::from(account.to_string())))
}

/// Refuses what would send a token elsewhere than to Google, or take one from where the store's owner must not.
fn check_account(account: &Value, spec: &GoogleWorkloadIdentityFederation) -> Result<(), Failure> {
    let refuse = |words: &str| Err(unfit("credConfig", words));
    let text = |name: &str| account[name].as_str().filter(|text| !text.is_empty());
    if text("type") != Some("external_account") {
        return refuse("the type must be external_account");
    }
    if text("universe_domain").is_some_and(|domain| domain != "googleapis.com") {
        return refuse("universe_domain must be googleapis.com");
    }
    if text("token_url").is_some_and(|address| address != EXCHANGE_ADDRESS) {
        return refuse("token_url must be https://sts.googleapis.com/v1/token");
    }
    let is_googles = |address: &str| {
        let email = address.strip_prefix(IMPERSONATION.0).and_then(|rest| rest.strip_suffix(IMPERSONATION.1));
        email.is_some_and(|email| !email.is_empty() && !email.contains(['/', '?', '#', ' ']))
    };
    if text("service_account_impersonation_url").is_some_and(|address| !is_googles(address)) {
        return refuse("service_account_impersonation_url must be one of https://iamcredentials.googleapis.com");
    }
    let source = &account["credential_source"];
    if source["file"] == OWN_TOKEN {
        return refuse("the operator's own token is not given away; name its account in serviceAccountRef");
    }
    if source["url"].as_str().unwrap_or_default() != spec.external_token_endpoint.as_deref().unwrap_or_default() {
        return Err(unfit("externalTokenEndpoint", "it is not the credential_source.url of credConfig"));
    }
    Ok(())
}

/// The provider's own names of fields, as the spec has them.
fn in_spec(failure: Failure) -> Failure {
    let place = match failure.subject.field.as_deref() {
        Some("project") => "projectID",
        Some("location") => "location",
        Some("credentials" | "serviceAccount") => "auth",
        // What is left are variables of the operator's own environment, and what they name.
        _ => return failure,
    };
    failure.in_field(field(place))
}

fn field(name: &str) -> String {
    format!("spec.provider.gcpsm.{name}")
}

fn unfit(name: &str, words: &str) -> Failure {
    Failure::new(Class::Invalid, words).in_field(field(&format!("auth.workloadIdentityFederation.{name}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use strongroom_provider::{RemoteKey, Validation};
    use world::google::GoogleStandIn;
    use world::proxy::ForwardProxy;

    use super::super::table::{Cluster as Table, cluster_scope, scope_with, team_scope};
    use super::*;

    fn external(source: Value) -> Value {
        json!({"type": "external_account", "audience": "//iam/written", "credential_source": source})
    }

    fn cluster() -> Table {
        let mut cluster = Table::default();
        let user = json!({"type": "authorized_user", "client_id": "c", "client_secret": "canary",
                          "refresh_token": "canary"});
        let acting = json!({"type": "impersonated_service_account", "source_credentials": user,
            "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/x/a@b:generateAccessToken"});
        let file = external(json!({"file": "/var/run/other"}));
        for namespace in ["team-a", "shared"] {
            let values = [
                ("user", user.to_string()),
                ("acting", acting.to_string()),
                ("external", file.to_string()),
                ("hidden", json!({"type": "impersonated_service_account", "source_credentials": file}).to_string()),
                ("broken", "canary".to_owned()),
            ];
            let values: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
            cluster.secret(namespace, "google", &values);
            cluster.account(namespace, "app", &[(ACCOUNT_ANNOTATION, "app@p.iam.gserviceaccount.com")]);
            cluster.account(namespace, "bare", &[]);
        }
        let own = json!({"file": OWN_TOKEN});
        let address = json!({"url": "https://tokens.example/t"});
        let elsewhere = |name: &str, value: &str| {
            let mut account = external(address.clone());
            account[name] = json!(value);
            account.to_string()
        };
        let impersonation = "service_account_impersonation_url";
        let good = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b:generateAccessToken";
        let maps = [
            ("file", file.to_string()),
            ("own", external(own).to_string()),
            ("address", elsewhere(impersonation, good)),
            ("aws", external(json!({"environment_id": "aws1"})).to_string()),
            ("program", external(json!({"executable": {"command": "x"}})).to_string()),
            ("exchange", elsewhere("token_url", "https://evil.example/v1/token")),
            ("universe", elsewhere("universe_domain", "evil.example")),
            ("impersonation", elsewhere(impersonation, "https://evil.example/a@b:generateAccessToken")),
            ("path", elsewhere(impersonation, &good.replace("a@b", "../a@b"))),
            ("type", elsewhere("type", "service_account")),
            ("broken", "canary".to_owned()),
        ];
        let maps: Vec<_> = maps.iter().map(|(key, value)| (*key, value.as_str())).collect();
        cluster.config_map("team-a", "google", &maps);
        cluster.variable("GCE_METADATA_HOST", "127.0.0.1:9");
        cluster
    }

    /// Opens `more`, and tells what is shown of it, or why not.
    async fn opened(more: &Value, scope: &Scope) -> Result<String, String> {
        let spec: GoogleProvider = serde_json::from_value(more.clone()).unwrap();
        let opened = open(&spec, scope).await.map(|store| (store.describe(), store.identity()));
        assert!(!format!("{opened:?}").contains("canary"), "a secret is shown");
        match opened {
            Ok((store, identity)) => Ok(format!("{store} as {identity}")),
            Err(failure) => Err(format!("{:?} {failure}", failure.class)),
        }
    }

    fn secret(key: &str) -> Value {
        json!({"projectID": "p", "auth": {"secretRef": {"secretAccessKeySecretRef": {"name": "google", "key": key}}}})
    }

    fn workload(account: &str) -> Value {
        json!({"projectID": "p", "auth": {"workloadIdentity": {"serviceAccountRef": {"name": account},
            "clusterProjectID": "cp", "clusterLocation": "us-east1", "clusterName": "c"}}})
    }

    fn federation(more: Value) -> Value {
        json!({"projectID": "p", "auth": {"workloadIdentityFederation": more}})
    }

    fn written(key: &str) -> Value {
        json!({"credConfig": {"name": "google", "key": key}, "externalTokenEndpoint": "https://tokens.example/t"})
    }

    #[tokio::test]
    async fn the_spec_says_which_project_and_as_whom() {
        let check = async |more: Value, expected: &str| {
            for scope in [team_scope(cluster()), cluster_scope(cluster())] {
                let found = opened(&more, &scope).await;
                assert_eq!(found, Ok(format!("Google Secret Manager (project p) as {expected}")), "{more}");
            }
        };
        check(secret("user"), "the user who logged in (the settings)").await;
        check(secret("acting"), "service account a@b, acted for by the user who logged in (the settings)").await;
        let audience = "identitynamespace:cp.svc.id.goog:https://container.googleapis.com/v1/projects/cp/locations/\
                        us-east1/clusters/c";
        let by = |account: &str| {
            format!(
                "the federated identity of {audience} by service account team-a/{account} (audience cp.svc.id.goog)"
            )
        };
        check(workload("bare"), &by("bare")).await;
        let acting = "service account app@p.iam.gserviceaccount.com, acted for by";
        check(workload("app"), &format!("{acting} {}", by("app"))).await;
        let account =
            |name: &str| json!({"serviceAccountRef": {"name": name, "audiences": ["x"]}, "audience": "//iam/y"});
        let by = "the federated identity of //iam/y by service account team-a";
        check(federation(account("bare")), &format!("{by}/bare (audience x)")).await;
        check(federation(account("app")), &format!("{acting} {by}/app (audience x)")).await;
        let by = "by the token from https://tokens.example/t (the settings)";
        let acting = "service account a@b, acted for by the federated identity of";
        check(federation(written("address")), &format!("{acting} //iam/written {by}")).await;
        let mut over = written("address");
        over["audience"] = json!("//iam/over");
        check(federation(over), &format!("{acting} //iam/over {by}")).await;
        // An account that the store names stands over all others.
        let other = "service account other@p.iam.gserviceaccount.com, acted for by";
        let named = |mut more: Value| {
            more["gcpServiceAccountEmail"] = json!("other@p.iam.gserviceaccount.com");
            federation(more)
        };
        check(
            named(account("app")),
            &format!("{other} the federated identity of //iam/y by service account team-a/app (audience x)"),
        )
        .await;
        check(named(written("address")), &format!("{other} the federated identity of //iam/written {by}")).await;
        // The first that is written counts.
        let mut all = secret("user");
        all["auth"]["workloadIdentity"] = workload("app")["auth"]["workloadIdentity"].clone();
        check(all, "the user who logged in (the settings)").await;
    }

    #[tokio::test]
    async fn the_operators_own_identity_is_lent_to_those_who_may_have_it() {
        let file = json!({"credConfig": {"name": "google", "key": "file"}});
        for more in [json!({"projectID": "p"}), json!({"projectID": "p", "auth": {}}), federation(file)] {
            let refused = opened(&more, &team_scope(cluster())).await.unwrap_err();
            assert!(refused.starts_with("Denied spec.provider.gcpsm.auth"), "{refused}");
            for scope in [cluster_scope(cluster()), scope_with(cluster(), Some("team-a"), true)] {
                assert!(opened(&more, &scope).await.is_ok(), "{more}");
            }
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
        let path = "spec.provider.gcpsm";
        let key = format!("{path}.auth.secretRef.secretAccessKeySecretRef");
        check(secret("none"), &format!("NotFound {key}: ")).await;
        check(secret("broken"), &format!("Invalid {key}: the value is not the JSON of a service account")).await;
        for key in ["external", "hidden"] {
            check(secret(key), "credentials of this type are not taken from a Secret").await;
        }
        let mut place = secret("user");
        place["location"] = json!("Frankfurt/");
        check(place, &format!("{path}.location: this is not a region")).await;
        let mut place = secret("user");
        place["projectID"] = json!("a/b");
        check(place, &format!("{path}.projectID: ")).await;
        check(workload("none"), &format!("NotFound {path}.auth.workloadIdentity.serviceAccountRef: ")).await;
        let mut nowhere = workload("app");
        nowhere["auth"]["workloadIdentity"]["clusterName"] = json!("");
        check(nowhere, &format!("{path}.auth.workloadIdentity.clusterName: the metadata server 127.0.0.1:9")).await;
        let path = format!("{path}.auth.workloadIdentityFederation");
        check(federation(json!({})), "exactly one of").await;
        let mut two = written("address");
        two["serviceAccountRef"] = json!({"name": "app"});
        check(federation(two), "exactly one of").await;
        check(federation(json!({"serviceAccountRef": {"name": "app"}})), &format!("{path}.audience: ")).await;
        let aws = json!({"region": "eu-west-1", "awsCredentialsSecretRef": {"name": "x"}});
        check(federation(json!({"awsSecurityCredentials": aws})), &format!("{path}.awsSecurityCredentials: ")).await;
        for (key, words) in [
            ("none", "has no key \"none\""),
            ("broken", "the value is not JSON"),
            ("type", "the type must be external_account"),
            ("exchange", "token_url must be"),
            ("universe", "universe_domain must be"),
            ("impersonation", "service_account_impersonation_url must be"),
            ("path", "service_account_impersonation_url must be"),
            ("own", "the operator's own token"),
        ] {
            check(federation(written(key)), &format!("{path}.credConfig: ")).await;
            check(federation(written(key)), words).await;
        }
        let mut nobody = written("address");
        nobody["gcpServiceAccountEmail"] = json!("a/../b");
        check(federation(nobody), "service_account_impersonation_url must be").await;
        let unnamed = json!({"credConfig": {"name": "google", "key": "address"}});
        check(federation(unnamed), &format!("{path}.externalTokenEndpoint: ")).await;
        let without = |key: &str| json!({"credConfig": {"name": "google", "key": key}});
        check(federation(without("aws")), "credentials of AWS").await;
        check(federation(without("program")), "an executable").await;
    }

    #[tokio::test]
    async fn a_secret_store_stays_in_its_namespace() {
        let elsewhere = |mut more: Value, pointer: &str| {
            more.pointer_mut(pointer).unwrap()["namespace"] = json!("shared");
            more
        };
        let all = [
            elsewhere(secret("user"), "/auth/secretRef/secretAccessKeySecretRef"),
            elsewhere(workload("app"), "/auth/workloadIdentity/serviceAccountRef"),
        ];
        for more in all {
            let refused = opened(&more, &team_scope(cluster())).await.unwrap_err();
            assert!(refused.starts_with("Denied spec.provider.gcpsm.auth."), "{refused}");
            let scope = cluster_scope(cluster());
            assert!(opened(&more, &scope).await.is_ok(), "{more}");
            assert!(!scope.depends_on_asker());
        }
        let more = elsewhere(federation(written("address")), "/auth/workloadIdentityFederation/credConfig");
        assert!(opened(&more, &team_scope(cluster())).await.unwrap_err().starts_with("Denied "));
        let scope = cluster_scope(cluster());
        assert!(opened(&secret("user"), &scope).await.is_ok());
        assert!(scope.depends_on_asker());
    }

    #[tokio::test]
    async fn a_store_written_for_external_secrets_reads_the_stand_in() {
        let google = GoogleStandIn::start().unwrap();
        google.put(google.project(), "db", b"value");
        let proxy = ForwardProxy::start().unwrap();
        let address = google.endpoint().trim_start_matches("https://").parse().unwrap();
        for host in ["secretmanager", "sts", "securetoken", "iamcredentials"] {
            proxy.route(&format!("{host}.googleapis.com"), address);
        }
        let (token, audience) = google.subject_token();
        let key = std::fs::read_to_string(google.service_account_file()).unwrap();
        let cluster = || {
            let mut cluster = Table::default();
            cluster.secret("team-a", "google", &[("key", &key)]);
            cluster.account("team-a", "app", &[(ACCOUNT_ANNOTATION, google.service_account())]);
            cluster.account("team-a", "bare", &[]);
            cluster.token = token.to_owned();
            cluster.variable("SSL_CERT_FILE", &google.certificate_file().display().to_string());
            cluster.variable("GCE_METADATA_HOST", google.metadata_host());
            cluster.variable("HTTPS_PROXY", proxy.url());
            cluster.variable("NO_PROXY", "127.0.0.1");
            cluster
        };
        let own_cluster = |account: &str| json!({"workloadIdentity": {"serviceAccountRef": {"name": account}}});
        let pool = |account: &str| json!({"workloadIdentityFederation": {"serviceAccountRef": {"name": account}, "audience": audience}});
        let ways = [
            json!({"secretRef": {"secretAccessKeySecretRef": {"name": "google", "key": "key"}}}),
            own_cluster("bare"),
            own_cluster("app"),
            pool("bare"),
            pool("app"),
            json!({}),
        ];
        for auth in ways {
            let spec: GoogleProvider = serde_json::from_value(json!({"auth": auth})).unwrap();
            let opened = open(&spec, &cluster_scope(cluster())).await.unwrap();
            assert_eq!(opened.validate().await.unwrap(), Validation::Valid, "{}", opened.identity());
            let read = opened.read(&[RemoteKey::current("db")]).await.remove(0).unwrap();
            assert_eq!(read.value.expose_text(), Some("value"));
            // No key leads out of the store's project.
            let other = format!("projects/{}/secrets/db", google.project());
            let refused = opened.read(&[RemoteKey::current(other)]).await.remove(0).unwrap_err();
            assert_eq!(refused.class, Class::Invalid);
        }
    }
}

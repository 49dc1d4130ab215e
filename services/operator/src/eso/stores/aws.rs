use std::collections::BTreeMap;
use std::sync::Arc;

use strongroom_api::external_secrets::provider::{
    AwsAuthSecretRef, AwsJwtAuth, AwsProvider, AwsSecretsManager, AwsService, AwsSessionTagsPolicy,
};
use strongroom_api::external_secrets::{SecretKeySelector, ServiceAccountSelector};
use strongroom_aws::{AccessKey, Deletion, Endpoints, Role, Session, Settings, WebIdentity, WebToken};
use strongroom_failure::{Class, Failure};
use strongroom_provider::Provider;
use strongroom_secret::SecretBytes;

use super::Scope;

const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";
const AUDIENCE_ANNOTATION: &str = "eks.amazonaws.com/audience";

/// Whom a service account's token is for where its annotation names nobody else.
const AUDIENCE: &str = "sts.amazonaws.com";

/// What External Secrets Operator calls the sessions of service accounts: people search for it in CloudTrail, and trust
/// policies may name it.
const SESSION_NAME: &str = "external-secrets-provider-aws";

/// The longest id of an access key. AWS's have 20 characters; the keys themselves have 40.
const LONGEST_ID: usize = 32;

/// The tags by which a role's trust policy tells who asks.
const TAGS_OF_ASKER: [&str; 3] = ["esoNamespace", "esoStoreName", "esoStoreKind"];

/// Opens AWS Secrets Manager, Parameter Store or Certificate Manager as `spec` says.
pub(super) async fn open(spec: &AwsProvider, scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    check_deletion(spec.secrets_manager.as_ref())?;
    let session = session(spec, scope).await?;
    let prefix = spec.prefix.clone().unwrap_or_default();
    Ok(match spec.service {
        AwsService::ParameterStore => Arc::new(session.parameter_store(None).with_prefix(prefix)),
        AwsService::CertificateManager => Arc::new(session.certificate_manager(None).with_prefix(prefix)),
        AwsService::SecretsManager => {
            let deletion = deletion(spec.secrets_manager.as_ref());
            Arc::new(session.secrets_manager(None).with_prefix(prefix).with_deletion(deletion))
        }
    })
}

/// The identity that `spec` names, without asking anybody.
pub(crate) async fn session(spec: &AwsProvider, scope: &Scope) -> Result<Session, Failure> {
    let settings = settings(spec, scope).await?;
    Session::new(settings, scope.meter()).map_err(|failure| in_spec(failure, spec))
}

/// The settings of one identity. Static keys are read now, a service account's tokens when a login needs them.
async fn settings(spec: &AwsProvider, scope: &Scope) -> Result<Settings, Failure> {
    let mut settings = Settings {
        region: Some(spec.region.clone()),
        roles: roles(spec, scope)?,
        endpoints: endpoints(scope),
        ..Settings::default()
    };
    let auth = spec.auth.as_ref();
    // Where both are written, External Secrets Operator takes the service account.
    match (auth.and_then(|auth| auth.jwt.as_ref()), auth.and_then(|auth| auth.secret_ref.as_ref())) {
        (Some(jwt), _) => settings.web_identity = Some(web_identity(jwt, scope).await?),
        (None, Some(reference)) => settings.access_key = Some(access_key(reference, scope).await?),
        (None, None) => scope.ambient(&field("auth"))?,
    }
    Ok(settings)
}

pub(super) async fn web_identity(jwt: &AwsJwtAuth, scope: &Scope) -> Result<WebIdentity, Failure> {
    const FIELD: &str = "auth.jwt.serviceAccountRef";
    let account = jwt.service_account_ref.as_ref();
    let account = account.ok_or_else(|| invalid(FIELD, "no service account is named"))?;
    let mut annotations = scope.annotations(&field(FIELD), account).await?;
    let mut annotation = |name: &str| annotations.remove(name).filter(|text| !text.is_empty());
    let role_arn = annotation(ROLE_ANNOTATION).ok_or_else(|| unannotated(FIELD, account))?;
    let audience = annotation(AUDIENCE_ANNOTATION).unwrap_or_else(|| AUDIENCE.to_owned());
    let token = WebToken::Source(scope.tokens(&field(FIELD), account, &[audience])?);
    Ok(WebIdentity { token, role_arn, session_name: Some(SESSION_NAME.to_owned()) })
}

fn unannotated(name: &str, account: &ServiceAccountSelector) -> Failure {
    let words =
        format!("the service account {} has no annotation {ROLE_ANNOTATION}, which names its role", account.name);
    invalid(name, words).with_hint("annotate it; accounts of EKS Pod Identity cannot be used by others")
}

pub(super) async fn access_key(reference: &AwsAuthSecretRef, scope: &Scope) -> Result<AccessKey, Failure> {
    let id = named("accessKeyIDSecretRef", reference.access_key_id.as_ref())?;
    let secret = named("secretAccessKeySecretRef", reference.secret_access_key.as_ref())?;
    let id = text("accessKeyIDSecretRef", id, scope).await?;
    let id = id.expose_text().filter(|id| is_id(id)).map(str::to_owned).ok_or_else(|| {
        // Ids are shown to people: a key that was written in its place must not be.
        invalid("auth.secretRef.accessKeyIDSecretRef", "the value is not the id of an access key")
    })?;
    let secret = text("secretAccessKeySecretRef", secret, scope).await?;
    let session_token = match &reference.session_token {
        Some(selector) => Some(text("sessionTokenSecretRef", selector, scope).await?),
        None => None,
    };
    Ok(AccessKey { id, secret, session_token })
}

fn named<'a>(name: &str, selector: Option<&'a SecretKeySelector>) -> Result<&'a SecretKeySelector, Failure> {
    selector.ok_or_else(|| {
        invalid(&format!("auth.secretRef.{name}"), "it is missing; an access key has an id and a secret")
    })
}

/// A value without the line's end that editors leave behind, which no key has.
async fn text(name: &str, selector: &SecretKeySelector, scope: &Scope) -> Result<SecretBytes, Failure> {
    let name = format!("auth.secretRef.{name}");
    let value = scope.secret(&field(&name), selector, "").await?;
    let trimmed = value.expose_text().map(|text| SecretBytes::from(text.trim().to_owned()));
    trimmed.filter(|value| !value.is_empty()).ok_or_else(|| invalid(&name, "the value is empty or no text"))
}

fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The chain of roles; what is said of a session is said of the last one.
fn roles(spec: &AwsProvider, scope: &Scope) -> Result<Vec<Role>, Failure> {
    let lower = spec.additional_roles.iter().map(|arn| Role { arn: arn.clone(), ..Role::default() });
    let mut roles: Vec<Role> = lower.collect();
    if let Some(arn) = &spec.role {
        roles.push(Role {
            arn: arn.clone(),
            external_id: spec.external_id.clone(),
            session_tags: session_tags(spec, scope)?,
            transitive_tag_keys: spec.transitive_tag_keys.clone(),
            ..Role::default()
        });
    }
    Ok(roles)
}

fn session_tags(spec: &AwsProvider, scope: &Scope) -> Result<BTreeMap<String, String>, Failure> {
    let store = scope.store();
    let asker = store.namespace.as_ref().unwrap_or(&store.asker);
    let kind = if scope.is_cluster_store() { "ClusterSecretStore" } else { "SecretStore" };
    let of_asker: BTreeMap<&str, &str> = TAGS_OF_ASKER.into_iter().zip([asker.as_str(), &store.name, kind]).collect();
    // A trust policy believes these tags. A tenant must not be able to say that somebody else asks.
    let is_false = |key: &str, value: &str| of_asker.get(key).is_some_and(|truth| *truth != value);
    if let Some(tag) = spec.session_tags.iter().find(|tag| !scope.is_cluster_store() && is_false(&tag.key, &tag.value))
    {
        let words = format!("a SecretStore may not choose the tag {}; sessionTagsPolicy sets it", tag.key);
        return Err(Failure::new(Class::Denied, words).in_field(field("sessionTags")));
    }
    let mut tags: BTreeMap<String, String> =
        spec.session_tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    if spec.session_tags_policy == AwsSessionTagsPolicy::Custom {
        let custom = spec.custom_session_tags.iter().filter(|(key, value)| !key.is_empty() && !value.is_empty());
        tags.extend(custom.map(|(key, value)| (key.clone(), value.clone())));
    }
    if spec.session_tags_policy != AwsSessionTagsPolicy::None {
        if scope.is_cluster_store() {
            scope.mark_dependent_on_asker();
        }
        tags.extend(of_asker.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    Ok(tags)
}

/// Addresses of the operator's own environment: External Secrets Operator's variables before those of AWS's tools.
pub(super) fn endpoints(scope: &Scope) -> Endpoints {
    endpoints_of(&|name| scope.variable(name))
}

/// The addresses that an operator's variables name.
pub(crate) fn endpoints_of(lookup: &dyn Fn(&str) -> Option<String>) -> Endpoints {
    let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let are_ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|value| value == "true");
    let of_tools = |of_service: &str| {
        let of_tools = || variable(of_service).or_else(|| variable("AWS_ENDPOINT_URL"));
        if are_ignored { None } else { of_tools() }
    };
    let endpoint = |own: &str, of_service: &str| variable(own).or_else(|| of_tools(of_service));
    Endpoints {
        secrets_manager: endpoint("AWS_SECRETSMANAGER_ENDPOINT", "AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        parameter_store: endpoint("AWS_SSM_ENDPOINT", "AWS_ENDPOINT_URL_SSM"),
        certificate_manager: endpoint("AWS_ACM_ENDPOINT", "AWS_ENDPOINT_URL_ACM"),
        resource_tags: of_tools("AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API"),
        sts: endpoint("AWS_STS_ENDPOINT", "AWS_ENDPOINT_URL_STS"),
        ecr: endpoint("AWS_ECR_ENDPOINT", "AWS_ENDPOINT_URL_ECR"),
        ecr_public: endpoint("AWS_ECR_PUBLIC_ENDPOINT", "AWS_ENDPOINT_URL_ECR_PUBLIC"),
        kms: of_tools("AWS_ENDPOINT_URL_KMS"),
    }
}

/// External Secrets Operator refuses such stores, whether anything is deleted by them or not.
fn check_deletion(settings: Option<&AwsSecretsManager>) -> Result<(), Failure> {
    let Some(settings) = settings else { return Ok(()) };
    let days = settings.recovery_window_in_days.unwrap_or_default();
    if settings.force_delete_without_recovery == Some(true) && days != 0 {
        let words = "forceDeleteWithoutRecovery and recoveryWindowInDays exclude each other";
        return Err(invalid("secretsManager", words));
    }
    if days != 0 && !(7..=30).contains(&days) {
        return Err(invalid("secretsManager.recoveryWindowInDays", "AWS waits 7 to 30 days"));
    }
    Ok(())
}

/// How what was pushed is deleted; no days are as good as none.
fn deletion(settings: Option<&AwsSecretsManager>) -> Deletion {
    match settings {
        Some(settings) if settings.force_delete_without_recovery == Some(true) => Deletion::Final,
        settings => {
            let days = settings.and_then(|settings| settings.recovery_window_in_days);
            Deletion::Recoverable(days.filter(|days| *days != 0))
        }
    }
}

/// A failure of our settings, about the field of the spec that it came from.
fn in_spec(failure: Failure, spec: &AwsProvider) -> Failure {
    let ours = failure.subject.field.clone().unwrap_or_default();
    let role = ours.strip_prefix("roles[").and_then(|rest| rest.split_once("]."));
    let theirs = match (role, ours.as_str()) {
        (Some((place, part)), _) => match (place.parse::<usize>(), part) {
            (Ok(place), _) if place < spec.additional_roles.len() => format!("additionalRoles[{place}]"),
            (_, "sessionTags" | "transitiveTagKeys") => part.to_owned(),
            _ => "role".to_owned(),
        },
        (None, "region") => ours,
        (None, "webIdentity.roleArn") => "auth.jwt.serviceAccountRef".to_owned(),
        (None, "endpoints.secretsManager") => return failure.in_field("AWS_SECRETSMANAGER_ENDPOINT"),
        (None, "endpoints.parameterStore") => return failure.in_field("AWS_SSM_ENDPOINT"),
        (None, "endpoints.certificateManager") => return failure.in_field("AWS_ACM_ENDPOINT"),
        (None, "endpoints.resourceTags") => {
            return failure.in_field("AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API");
        }
        (None, "endpoints.sts") => return failure.in_field("AWS_STS_ENDPOINT"),
        (None, "endpoints.ecr") => return failure.in_field("AWS_ECR_ENDPOINT"),
        (None, "endpoints.ecrPublic") => return failure.in_field("AWS_ECR_PUBLIC_ENDPOINT"),
        // Proxies and authorities are the operator's own.
        (None, _) => return failure,
    };
    failure.in_field(field(&theirs))
}

fn field(name: &str) -> String {
    format!("spec.provider.aws.{name}")
}

fn invalid(name: &str, words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words).in_field(field(name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strongroom_provider::Validation;

    use super::super::table::{Cluster, scope_with};
    use super::*;

    // The account in which the emulator keeps what is stored without a role.
    const ROLE: &str = "arn:aws:iam::123456789012:role/app";

    fn cluster() -> Cluster {
        let mut cluster = Cluster { token: "canary-token-of-app".to_owned(), ..Cluster::default() };
        for namespace in ["team-a", "shared"] {
            let secrets = [
                ("id", "AKIATEST\n"),
                ("secret", "canary-secret\n"),
                ("token", "canary-token"),
                ("empty", " \n"),
                ("swapped", "canary7wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMP"),
            ];
            for (name, value) in secrets {
                cluster.secret(namespace, name, &[("key", value)]);
            }
            cluster.account(namespace, "app", &[(ROLE_ANNOTATION, ROLE)]);
            let annotations = [(ROLE_ANNOTATION, ROLE), (AUDIENCE_ANNOTATION, "sts.amazonaws.com.cn")];
            cluster.account(namespace, "elsewhere", &annotations);
            cluster.account(namespace, "bare", &[]);
        }
        cluster
    }

    /// A SecretStore of team-a, and a ClusterSecretStore that team-a asks.
    fn scopes() -> [Scope; 2] {
        [scope_with(cluster(), Some("team-a"), false), scope_with(cluster(), None, false)]
    }

    fn spec(more: Value) -> AwsProvider {
        let mut spec = json!({"service": "SecretsManager", "region": "eu-west-1"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    fn keys(id: Value, secret: Value) -> Value {
        json!({"auth": {"secretRef": {"accessKeyIDSecretRef": id, "secretAccessKeySecretRef": secret}}})
    }

    fn key(name: &str) -> Value {
        json!({"name": name, "key": "key"})
    }

    /// Opens `more` as `scope` says, and tells what is shown of it, or why not.
    async fn opened(more: Value, scope: &Scope) -> Result<(String, String), String> {
        let opened = open(&spec(more), scope).await;
        let shown = opened.map(|provider| (provider.describe(), provider.identity()));
        assert!(!format!("{shown:?}").contains("canary"), "a secret is shown");
        shown.map_err(|failure| format!("{:?} {failure}", failure.class))
    }

    #[tokio::test]
    async fn the_spec_says_which_service_where_and_as_whom() {
        let check = async |more: Value, store: &str, identity: &str| {
            for scope in scopes() {
                let found = opened(more.clone(), &scope).await;
                assert_eq!(found, Ok((store.to_owned(), identity.to_owned())), "{more}");
            }
        };
        let secrets = "AWS Secrets Manager (eu-west-1)";
        check(keys(key("id"), key("secret")), secrets, "access key AKIATEST from the settings").await;
        let mut parameters = keys(key("id"), key("secret"));
        parameters["service"] = json!("ParameterStore");
        parameters["region"] = json!("us-gov-west-1");
        check(parameters, "AWS Parameter Store (us-gov-west-1)", "access key AKIATEST from the settings").await;
        let mut certificates = keys(key("id"), key("secret"));
        certificates["service"] = json!("CertificateManager");
        check(certificates, "AWS Certificate Manager (eu-west-1)", "access key AKIATEST from the settings").await;
        let account = |name: &str| json!({"auth": {"jwt": {"serviceAccountRef": {"name": name}}}});
        let by = format!("role {ROLE} by service account team-a");
        check(account("app"), secrets, &format!("{by}/app (audience sts.amazonaws.com)")).await;
        check(account("elsewhere"), secrets, &format!("{by}/elsewhere (audience sts.amazonaws.com.cn)")).await;
        let more = json!({"auth": {"jwt": {"serviceAccountRef": {"name": "app", "audiences": ["other"]}},
                                   "secretRef": {}}});
        check(more, secrets, &format!("{by}/app (audience sts.amazonaws.com, other)")).await;
        let mut chain = keys(key("id"), key("secret"));
        chain["additionalRoles"] = json!(["arn:aws:iam::1:role/lower"]);
        chain["role"] = json!(ROLE);
        let chained = "assumed by role arn:aws:iam::1:role/lower assumed by access key AKIATEST from the settings";
        check(chain, secrets, &format!("role {ROLE} {chained}")).await;
    }

    #[tokio::test]
    async fn what_cannot_be_opened_names_its_field() {
        let check = async |more: Value, expected: &str| {
            for scope in scopes() {
                let refused = opened(more.clone(), &scope).await.unwrap_err();
                assert!(refused.contains(expected), "{more}: {refused}");
            }
        };
        let path = "spec.provider.aws";
        check(json!({"auth": {"jwt": {}}}), &format!("Invalid {path}.auth.jwt.serviceAccountRef: no service")).await;
        let account = |name: &str| json!({"auth": {"jwt": {"serviceAccountRef": {"name": name}}}});
        check(account("bare"), "the service account bare has no annotation eks.amazonaws.com/role-arn").await;
        check(account("none"), &format!("NotFound {path}.auth.jwt.serviceAccountRef: there is no")).await;
        check(json!({"auth": {"secretRef": {}}}), &format!("{path}.auth.secretRef.accessKeyIDSecretRef: it is")).await;
        check(keys(key("id"), key("none")), &format!("NotFound {path}.auth.secretRef.secretAccessKeySecretRef")).await;
        check(keys(key("id"), json!({"name": "secret"})), "has no key \"\"").await;
        check(keys(key("id"), key("empty")), "secretAccessKeySecretRef: the value is empty or no text").await;
        check(keys(key("swapped"), key("id")), "the value is not the id of an access key").await;
        let with = |name: &str, value: Value| {
            let mut more = keys(key("id"), key("secret"));
            more[name] = value;
            more
        };
        check(with("region", json!("Ireland")), &format!("{path}.region: this is not the name")).await;
        check(with("role", json!("team-b")), &format!("{path}.role: a role is named by its ARN")).await;
        check(with("additionalRoles", json!(["b"])), &format!("{path}.additionalRoles[0]: a role is named")).await;
        let mut stray = with("role", json!(ROLE));
        stray["transitiveTagKeys"] = json!(["team"]);
        check(stray, &format!("{path}.transitiveTagKeys: \"team\" is not one of")).await;
        let both = json!({"forceDeleteWithoutRecovery": true, "recoveryWindowInDays": 7});
        check(with("secretsManager", both), "exclude each other").await;
        check(with("secretsManager", json!({"recoveryWindowInDays": 31})), "AWS waits 7 to 30 days").await;
    }

    #[tokio::test]
    async fn namespaces_of_others_are_for_cluster_stores() {
        let elsewhere = |name: &str| json!({"name": name, "key": "key", "namespace": "shared"});
        let account = json!({"auth": {"jwt": {"serviceAccountRef": {"name": "app", "namespace": "shared"}}}});
        let [own, cluster_store] = scopes();
        for more in [keys(elsewhere("id"), elsewhere("secret")), account] {
            let refused = opened(more.clone(), &own).await.unwrap_err();
            assert!(refused.starts_with("Denied") && refused.contains("its own namespace, team-a"), "{refused}");
            opened(more, &cluster_store).await.unwrap();
        }
        assert!(!cluster_store.depends_on_asker());
        opened(keys(key("id"), key("secret")), &cluster_store).await.unwrap();
        assert!(cluster_store.depends_on_asker());
        let seen = cluster_store.secrets_seen();
        assert!(seen.contains(&("team-a".to_owned(), "id".to_owned())), "{seen:?}");
    }

    #[tokio::test]
    async fn the_operators_own_identity_is_lent_only_where_that_is_allowed() {
        let refused = opened(json!({}), &scope_with(cluster(), Some("team-a"), false)).await.unwrap_err();
        assert!(refused.starts_with("Denied spec.provider.aws.auth: the store names no credentials"), "{refused}");
        // A role that is assumed by the operator's own identity is that identity's doing.
        let role = json!({"role": ROLE, "auth": {}});
        assert!(opened(role, &scope_with(cluster(), Some("team-a"), false)).await.is_err());
        opened(json!({}), &scope_with(cluster(), Some("team-a"), true)).await.unwrap();
        opened(json!({}), &scope_with(cluster(), None, false)).await.unwrap();
    }

    #[tokio::test]
    async fn the_last_role_of_a_chain_gets_what_is_said_of_the_session() {
        let mut more = keys(key("id"), key("secret"));
        more["auth"]["secretRef"]["sessionTokenSecretRef"] = key("token");
        more["additionalRoles"] = json!(["arn:aws:iam::1:role/lower"]);
        more["role"] = json!(ROLE);
        more["externalID"] = json!("external-7");
        more["sessionTags"] = json!([{"key": "team", "value": "x"}]);
        more["transitiveTagKeys"] = json!(["team"]);
        let [own, _] = scopes();
        let made = settings(&spec(more), &own).await.unwrap();
        let [lower, upper] = made.roles.as_slice() else { panic!("two roles") };
        assert_eq!((lower.external_id.as_deref(), lower.session_tags.len()), (None, 0));
        assert_eq!((upper.arn.as_str(), upper.external_id.as_deref()), (ROLE, Some("external-7")));
        assert_eq!(upper.session_tags, [("team".to_owned(), "x".to_owned())].into());
        assert_eq!(upper.transitive_tag_keys, ["team"]);
        let access_key = made.access_key.unwrap();
        assert_eq!(access_key.id, "AKIATEST");
        assert!(access_key.secret.expose() == b"canary-secret");
        assert!(access_key.session_token.unwrap().expose() == b"canary-token");
    }

    #[tokio::test]
    async fn the_sessions_tags_say_who_asks_where_the_policy_wants_it() {
        let check = |more: Value, scope: &Scope, expected: &[(&str, &str)]| {
            let tags = session_tags(&spec(more.clone()), scope).unwrap();
            let tags: Vec<_> = tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!(tags, expected, "{more}");
        };
        let [own, cluster_store] = scopes();
        let simple = json!({"sessionTagsPolicy": "Simple", "customSessionTags": {"env": "prod"}});
        let custom = json!({
            "sessionTagsPolicy": "Custom", "sessionTags": [{"key": "team", "value": "x"}],
            "customSessionTags": {"env": "prod", "empty": "", "esoNamespace": "other"},
        });
        check(json!({"customSessionTags": {"env": "prod"}}), &cluster_store, &[]);
        assert!(!cluster_store.depends_on_asker());
        let [namespace, name] = [("esoNamespace", "team-a"), ("esoStoreName", "store")];
        check(simple.clone(), &own, &[namespace, ("esoStoreKind", "SecretStore"), name]);
        assert!(!own.depends_on_asker());
        check(simple, &cluster_store, &[namespace, ("esoStoreKind", "ClusterSecretStore"), name]);
        assert!(cluster_store.depends_on_asker());
        let kind = ("esoStoreKind", "ClusterSecretStore");
        check(custom, &cluster_store, &[("env", "prod"), namespace, kind, name, ("team", "x")]);

        let lie = json!({"sessionTags": [{"key": "esoNamespace", "value": "team-b"}]});
        let refused = session_tags(&spec(lie.clone()), &own).unwrap_err();
        assert_eq!(
            (refused.class, refused.subject.field.as_deref()),
            (Class::Denied, Some("spec.provider.aws.sessionTags"))
        );
        check(lie, &cluster_store, &[("esoNamespace", "team-b")]);
    }

    #[tokio::test]
    async fn endpoints_come_from_the_operators_variables() {
        let check = |variables: &[(&str, &str)], expected: [Option<&str>; 4]| {
            let mut cluster = Cluster::default();
            variables.iter().for_each(|(name, value)| cluster.variable(name, value));
            let made = endpoints(&scope_with(cluster, None, false));
            let found = [made.secrets_manager, made.parameter_store, made.sts, made.ecr];
            assert_eq!(found.each_ref().map(Option::as_deref), expected);
        };
        check(&[], [None; 4]);
        check(&[("AWS_SSM_ENDPOINT", "http://ssm"), ("AWS_STS_ENDPOINT", "")], [None, Some("http://ssm"), None, None]);
        let general = [("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_STS", "http://sts")];
        check(&general, [Some("http://all"), Some("http://all"), Some("http://sts"), Some("http://all")]);
        let [all, sts] = general;
        let mut cluster_of_acm = Cluster::default();
        cluster_of_acm.variable("AWS_ACM_ENDPOINT", "http://acm");
        cluster_of_acm.variable("AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API", "http://tags");
        let made = endpoints(&scope_with(cluster_of_acm, None, false));
        assert_eq!(made.certificate_manager.as_deref(), Some("http://acm"));
        assert_eq!(made.resource_tags.as_deref(), Some("http://tags"));
        let own = ("AWS_SECRETSMANAGER_ENDPOINT", "http://sm");
        check(&[all, sts, own], [Some("http://sm"), Some("http://all"), Some("http://sts"), Some("http://all")]);
        check(&[all, own, ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")], [Some("http://sm"), None, None, None]);
        let mut cluster = cluster();
        cluster.variable("AWS_STS_ENDPOINT", "sts");
        let refused = opened(json!({}), &scope_with(cluster, None, false)).await.unwrap_err();
        assert!(refused.starts_with("Invalid AWS_STS_ENDPOINT: an endpoint is"), "{refused}");
    }

    /// The whole way: a service account's token becomes a role, the role another one with tags, and that reads.
    #[tokio::test]
    async fn a_store_reads_and_searches_behind_its_prefix() {
        let moto = world::moto::Moto::start().unwrap();
        let switchboard = world::switchboard::Switchboard::to(moto.host_port()).unwrap();
        moto.put_secret("eu-west-1", "team-a/db", world::moto::Value::Text("canary")).unwrap();
        let mut cluster = cluster();
        cluster.variable("AWS_ENDPOINT_URL", switchboard.address());
        let scope = scope_with(cluster, None, false);
        let more = json!({
            "prefix": "team-a/", "role": "arn:aws:iam::123456789012:role/reader", "sessionTagsPolicy": "Simple",
            "auth": {"jwt": {"serviceAccountRef": {"name": "app"}}},
        });
        let provider = open(&spec(more), &scope).await.unwrap();
        assert_eq!(provider.validate().await, Ok(Validation::Valid));
        let found = provider.find(&strongroom_provider::Find::default()).await.unwrap();
        let shown: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.key.name.as_str())).collect();
        assert_eq!(shown, [("team-a/db", "db")]);
        let answers = provider.read(&[found[0].key.clone()]).await;
        assert!(answers[0].as_ref().unwrap().value.expose() == b"canary");
        let counts = switchboard.counts();
        assert_eq!((counts.of("AssumeRoleWithWebIdentity"), counts.of("AssumeRole")), (1, 1));
        let asked = switchboard.requests().into_iter().map(|asked| String::from_utf8_lossy(&asked.body).into_owned());
        let asked: Vec<String> = asked.collect();
        for part in ["WebIdentityToken=canary-token-of-app", "RoleSessionName=external-secrets-provider-aws"] {
            assert!(asked[0].contains(part), "{part} was not sent");
        }
        for part in ["Tags.member.1.Key=esoNamespace", "Tags.member.1.Value=team-a", "Value=ClusterSecretStore"] {
            assert!(asked[1].contains(part), "{part} was not sent");
        }
    }
}

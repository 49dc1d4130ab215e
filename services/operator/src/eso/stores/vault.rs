use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use strongroom_api::external_secrets::provider::{
    OpenBaoAuth, OpenBaoProvider, VaultAppRole, VaultAuth, VaultCertAuth, VaultIamAuth, VaultJwtAuth,
    VaultKubernetesAuth, VaultKvVersion, VaultProvider, VaultUserPassAuth,
};
use strongroom_api::external_secrets::{CaProvider, SecretKeySelector, ServiceAccountSelector};
use strongroom_failure::{Class, Failure};
use strongroom_http::{ClientCertificate, Pem, Roots, TlsSettings};
use strongroom_provider::Provider;
use strongroom_secret::SecretBytes;
use strongroom_vault::{
    AppRole, Auth, Aws, AwsCaller, Certificate, Consistency, Credential, HeaderText, Jwt, KvVersion, Password,
    Settings, SignedRequest, Token, Vault,
};

use super::{Scope, aws};

/// Where in a store's spec this slot is.
const VAULT: &str = "spec.provider.vault";
const OPEN_BAO: &str = "spec.provider.openBao";

/// Where in a generator's spec they are.
const GENERATOR: &str = "spec.provider";

/// The most seconds that one request of a generator may take.
const GENERATOR_SECONDS: u64 = 25;

/// Whom a JWT of a service account is for where nobody is named.
const AUDIENCE: &str = "vault";

/// The region whose token service Vault asks by default.
const REGION: &str = "us-east-1";

/// The mount of OpenBao's KV engine where the store names none.
const OPEN_BAO_MOUNT: &str = "kv";

/// What External Secrets Operator calls the sessions of service accounts: people search for it in CloudTrail, and trust
/// policies may name it.
const SESSION_NAME: &str = "external-secrets-provider-vault";

/// Opens HashiCorp Vault, and OpenBao by the same slot, as `spec` says.
pub(super) async fn open(spec: &VaultProvider, scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    let slot = Slot { name: VAULT, scope };
    opened(slot, slot.vault(spec).await?)
}

/// Opens OpenBao by its own slot.
pub(super) async fn open_bao(spec: &OpenBaoProvider, scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    let slot = Slot { name: OPEN_BAO, scope };
    opened(slot, slot.open_bao(spec).await?)
}

/// Opens the server of a generator, whose spec has the slot's fields in `spec.provider` itself.
pub(crate) async fn open_generator(spec: &VaultProvider, scope: &Scope) -> Result<Vault, Failure> {
    let slot = Slot { name: GENERATOR, scope };
    // A round has to end: what takes longer is found by the next one.
    let settings = Settings { timeout_seconds: Some(GENERATOR_SECONDS), ..slot.vault(spec).await? };
    Vault::open(settings, scope.meter()).map_err(|failure| failure.in_field(slot.name))
}

fn opened(slot: Slot<'_>, settings: Settings) -> Result<Arc<dyn Provider>, Failure> {
    let vault = Vault::open(settings, slot.scope.meter()).map_err(|failure| failure.in_field(slot.name))?;
    Ok(Arc::new(vault))
}

/// One of the two slots and what it may look at. The parts that both have are read here once.
#[derive(Clone, Copy)]
struct Slot<'a> {
    name: &'static str,
    scope: &'a Scope,
}

impl Slot<'_> {
    async fn vault(self, spec: &VaultProvider) -> Result<Settings, Failure> {
        let auth = match &spec.auth {
            Some(auth) => self.vault_auth(auth).await?,
            None => Auth::Agent,
        };
        let header = |(name, value): (&String, &String)| (name.clone(), HeaderText::from(value.clone()));
        let mut tls = self.tls(spec.ca_bundle.as_deref(), spec.ca_provider.as_ref()).await?;
        tls.client = self.client_certificate(spec).await?;
        Ok(Settings {
            namespace: spec.namespace.clone(),
            login_namespace: spec.auth.as_ref().and_then(|auth| auth.namespace.clone()),
            mount: spec.path.clone(),
            kv_version: Some(kv_version(spec.version)),
            headers: spec.headers.iter().map(header).collect::<BTreeMap<_, _>>(),
            consistency: match (spec.forward_inconsistent, spec.read_your_writes) {
                (true, _) => Consistency::Forward,
                (false, true) => Consistency::ReadYourWrites,
                (false, false) => Consistency::Eventual,
            },
            ..self.settings(&spec.server, auth, tls)?
        })
    }

    async fn open_bao(self, spec: &OpenBaoProvider) -> Result<Settings, Failure> {
        if spec.ca_bundle.is_some() && spec.ca_provider.is_some() {
            return Err(self.invalid("caBundle", "give caBundle or caProvider, not both"));
        }
        let auth = match &spec.auth {
            Some(auth) => self.open_bao_auth(auth).await?,
            None => Auth::Agent,
        };
        let tls = self.tls(spec.ca_bundle.as_deref(), spec.ca_provider.as_ref()).await?;
        Ok(Settings {
            namespace: spec.namespace.clone(),
            login_namespace: spec.auth.as_ref().and_then(|auth| auth.namespace.clone()),
            mount: Some(spec.path.clone().unwrap_or_else(|| OPEN_BAO_MOUNT.to_owned())),
            kv_version: Some(kv_version(spec.version)),
            ..self.settings(&spec.server, auth, tls)?
        })
    }

    /// What stores do not say: proxies are the operator's, and who wrote the address decides where it may lead.
    fn settings(self, server: &str, auth: Auth, tls: TlsSettings) -> Result<Settings, Failure> {
        let settings = Settings { tls, addresses: self.scope.addresses(), ..Settings::new(server, auth) };
        settings.with_ambient_proxy(&|name| self.scope.variable(name))
    }

    async fn tls(self, bundle: Option<&str>, provider: Option<&CaProvider>) -> Result<TlsSettings, Failure> {
        let mut tls = TlsSettings::from_environment(&|name| self.scope.variable(name));
        let authorities = self.scope.authorities(bundle, provider).await;
        let authorities = authorities.map_err(|failure| match failure.subject.field.clone() {
            Some(field) => failure.in_field(self.field(&field)),
            None => failure.in_field(self.field("caBundle")),
        })?;
        if let Some(authorities) = authorities {
            tls.roots = Roots::Only(vec![Pem::Text(authorities)]);
        }
        Ok(tls)
    }

    async fn client_certificate(self, spec: &VaultProvider) -> Result<Option<ClientCertificate>, Failure> {
        match (&spec.tls.cert_secret_ref, &spec.tls.key_secret_ref) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(ClientCertificate {
                certificate: Pem::Text(self.secret("tls.certSecretRef", certificate, "tls.crt").await?),
                key: Pem::Text(self.secret("tls.keySecretRef", key, "tls.key").await?),
            })),
            _ => Err(self.invalid("tls", "certSecretRef and keySecretRef go together; give both or neither")),
        }
    }

    /// The way to log in. Where several are written, External Secrets Operator takes the first in this order.
    async fn vault_auth(self, auth: &VaultAuth) -> Result<Auth, Failure> {
        if let Some(selector) = &auth.token_secret_ref {
            return self.token(selector).await;
        }
        if let Some(role) = &auth.app_role {
            return self.app_role(role).await;
        }
        if let Some(kubernetes) = &auth.kubernetes {
            return self.kubernetes(kubernetes).await;
        }
        if let Some(ldap) = &auth.ldap {
            let password = self.password("auth.ldap", &ldap.username, &ldap.secret_ref).await?;
            return Ok(Auth::Ldap(Password { mount: ldap.path.clone(), ..password }));
        }
        if let Some(user) = &auth.user_pass {
            return self.user_pass(user).await;
        }
        if let Some(jwt) = &auth.jwt {
            return self.jwt(jwt).await;
        }
        if let Some(certificate) = &auth.cert {
            return self.certificate(certificate).await;
        }
        if let Some(iam) = &auth.iam {
            return self.iam(iam).await;
        }
        if auth.gcp.is_some() {
            let failure = self.invalid("auth.gcp", "logins by an identity of Google are not served yet");
            return Err(
                failure.with_hint("log in as a Kubernetes service account (auth.kubernetes), which needs no key")
            );
        }
        Err(self.invalid("auth", "no way to log in is named"))
    }

    async fn open_bao_auth(self, auth: &OpenBaoAuth) -> Result<Auth, Failure> {
        let OpenBaoAuth { app_role, kubernetes, token_secret_ref, user_pass, namespace: _ } = auth;
        match (app_role, kubernetes, token_secret_ref, user_pass) {
            (Some(role), None, None, None) => self.app_role(role).await,
            (None, Some(kubernetes), None, None) => {
                const FIELD: &str = "auth.kubernetes";
                let (account, secret) = (&kubernetes.service_account_ref, &kubernetes.secret_ref);
                if account.is_some() == secret.is_some() {
                    return Err(self.invalid(FIELD, "exactly one of serviceAccountRef and secretRef must be set"));
                }
                let jwt = self.account_token(FIELD, account.as_ref(), secret.as_ref()).await?;
                let (mount, role) = (kubernetes.path.clone(), Some(kubernetes.role.clone()));
                Ok(Auth::Kubernetes(Jwt { mount, role, jwt }))
            }
            (None, None, Some(selector), None) => self.token(selector).await,
            (None, None, None, Some(user)) => self.user_pass(user).await,
            _ => {
                let words = "exactly one of appRole, kubernetes, tokenSecretRef and userPass must be set";
                Err(self.invalid("auth", words))
            }
        }
    }

    async fn token(self, selector: &SecretKeySelector) -> Result<Auth, Failure> {
        Ok(Auth::Token(Token(self.credential("auth.tokenSecretRef", selector, "").await?)))
    }

    async fn app_role(self, role: &VaultAppRole) -> Result<Auth, Failure> {
        let role_id = match (&role.role_id, &role.role_ref) {
            (Some(id), _) => Credential::Value { value: id.clone().into(), origin: "the store".to_owned() },
            (None, Some(selector)) => self.credential("auth.appRole.roleRef", selector, "").await?,
            (None, None) => return Err(self.invalid("auth.appRole", "neither roleId nor roleRef is set")),
        };
        let secret_id = Some(self.credential("auth.appRole.secretRef", &role.secret_ref, "").await?);
        Ok(Auth::AppRole(AppRole { mount: role.path.clone(), role_id, secret_id, wrapped: false }))
    }

    async fn kubernetes(self, spec: &VaultKubernetesAuth) -> Result<Auth, Failure> {
        const FIELD: &str = "auth.kubernetes";
        let (account, secret) = (spec.service_account_ref.as_ref(), spec.secret_ref.as_ref());
        let jwt = self.account_token(FIELD, account, secret).await?;
        Ok(Auth::Kubernetes(Jwt { mount: spec.mount_path.clone(), role: Some(spec.role.clone()), jwt }))
    }

    /// A service account's token: requested, from a Secret, or the operator's own.
    async fn account_token(
        self,
        name: &str,
        account: Option<&ServiceAccountSelector>,
        secret: Option<&SecretKeySelector>,
    ) -> Result<Credential, Failure> {
        match (account, secret) {
            (Some(account), _) => self.issued(&format!("{name}.serviceAccountRef"), account, &[]),
            (None, Some(selector)) => self.credential(&format!("{name}.secretRef"), selector, "token").await,
            (None, None) => {
                self.scope.ambient(&self.field(name))?;
                Ok(Credential::own_token())
            }
        }
    }

    async fn user_pass(self, user: &VaultUserPassAuth) -> Result<Auth, Failure> {
        let password = self.password("auth.userPass", &user.username, &user.secret_ref).await?;
        Ok(Auth::UserPass(Password { mount: user.path.clone(), ..password }))
    }

    async fn password(self, name: &str, username: &str, selector: &SecretKeySelector) -> Result<Password, Failure> {
        let password = self.credential(&format!("{name}.secretRef"), selector, "").await?;
        Ok(Password { mount: None, username: username.trim().to_owned(), password })
    }

    async fn jwt(self, spec: &VaultJwtAuth) -> Result<Auth, Failure> {
        let jwt = match (&spec.secret_ref, &spec.kubernetes_service_account_token) {
            (Some(selector), _) => self.credential("auth.jwt.secretRef", selector, "").await?,
            (None, Some(account)) => {
                let audiences = account.audiences.clone().unwrap_or_else(|| vec![AUDIENCE.to_owned()]);
                let name = "auth.jwt.kubernetesServiceAccountToken.serviceAccountRef";
                self.issued(name, &account.service_account_ref, &audiences)?
            }
            (None, None) => {
                let words = "neither secretRef nor kubernetesServiceAccountToken is set";
                return Err(self.invalid("auth.jwt", words));
            }
        };
        let role = spec.role.as_deref().map(str::trim).filter(|role| !role.is_empty()).map(str::to_owned);
        Ok(Auth::Jwt(Jwt { mount: spec.path.clone(), role, jwt }))
    }

    async fn certificate(self, spec: &VaultCertAuth) -> Result<Auth, Failure> {
        let certificate = ClientCertificate {
            certificate: Pem::Text(self.secret("auth.cert.clientCert", &spec.client_cert, "tls.crt").await?),
            key: Pem::Text(self.secret("auth.cert.secretRef", &spec.secret_ref, "tls.key").await?),
        };
        let (mount, role) = (spec.path.clone(), spec.vault_role.clone());
        Ok(Auth::Certificate(Certificate { mount, role, certificate: Some(certificate) }))
    }

    async fn iam(self, spec: &VaultIamAuth) -> Result<Auth, Failure> {
        let region = spec.region.clone().unwrap_or_else(|| REGION.to_owned());
        let mut settings = strongroom_aws::Settings {
            region: Some(region.clone()),
            endpoints: aws::endpoints(self.scope),
            ..strongroom_aws::Settings::default()
        };
        // Where both are written, External Secrets Operator takes the service account.
        match (&spec.jwt, &spec.secret_ref) {
            (Some(jwt), _) => {
                let identity = aws::web_identity(jwt, self.scope).await.map_err(|failure| self.of_iam(failure))?;
                let session_name = Some(SESSION_NAME.to_owned());
                settings.web_identity = Some(strongroom_aws::WebIdentity { session_name, ..identity });
            }
            (None, Some(reference)) => {
                let key = aws::access_key(reference, self.scope).await.map_err(|failure| self.of_iam(failure))?;
                settings.access_key = Some(key);
            }
            (None, None) => self.scope.ambient(&self.field("auth.iam"))?,
        }
        if let Some(arn) = &spec.role {
            let external_id = spec.external_id.clone();
            settings.roles = vec![strongroom_aws::Role { arn: arn.clone(), external_id, ..Default::default() }];
        }
        let session = strongroom_aws::Session::new(settings, self.scope.meter());
        let session = session.map_err(|failure| failure.in_field(self.field("auth.iam")))?;
        let (mount, role, server_id) = (spec.path.clone(), spec.vault_role.clone(), spec.server_id.clone());
        Ok(Auth::Aws(Aws { mount, role, server_id, caller: Arc::new(Caller { session, region }) }))
    }

    /// A failure about AWS credentials, which in the slot of AWS stand elsewhere.
    fn of_iam(self, failure: Failure) -> Failure {
        let named = failure.subject.field.as_deref().and_then(|field| field.strip_prefix("spec.provider.aws.auth."));
        let field = match named {
            Some(rest) => self.field(&format!("auth.iam.{rest}")),
            None => self.field("auth.iam"),
        };
        failure.in_field(field)
    }

    /// Tokens of a service account, one for each login.
    fn issued(self, name: &str, account: &ServiceAccountSelector, audiences: &[String]) -> Result<Credential, Failure> {
        Ok(Credential::Source(self.scope.tokens(&self.field(name), account, audiences)?))
    }

    async fn credential(
        self,
        name: &str,
        selector: &SecretKeySelector,
        default_key: &str,
    ) -> Result<Credential, Failure> {
        let value = self.secret(name, selector, default_key).await?;
        let secret = selector.name.as_deref().unwrap_or_default();
        Ok(Credential::Value { value, origin: format!("the Secret {secret}") })
    }

    async fn secret(self, name: &str, selector: &SecretKeySelector, default_key: &str) -> Result<SecretBytes, Failure> {
        self.scope.secret(&self.field(name), selector, default_key).await
    }

    fn field(self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    fn invalid(self, name: &str, words: &str) -> Failure {
        Failure::new(Class::Invalid, words).in_field(self.field(name))
    }
}

fn kv_version(version: VaultKvVersion) -> KvVersion {
    match version {
        VaultKvVersion::One => KvVersion::One,
        VaultKvVersion::Two => KvVersion::Two,
    }
}

/// Signs as one of AWS's identities for Vault's login.
#[derive(Debug)]
struct Caller {
    session: strongroom_aws::Session,
    region: String,
}

#[async_trait]
impl AwsCaller for Caller {
    fn describe(&self) -> String {
        self.session.identity()
    }

    async fn sign(&self, headers: &[(&str, &str)]) -> Result<SignedRequest, Failure> {
        let signed = self.session.sign_caller_identity(&self.region, headers).await?;
        let (method, body) = (signed.method.to_owned(), signed.body.to_owned());
        Ok(SignedRequest { method, url: signed.url, headers: signed.headers, body })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strongroom_http::AddressPolicy;

    use super::super::table::{Cluster, cluster_scope, scope_with, team_scope};
    use super::*;

    fn cluster() -> Cluster {
        let mut cluster = Cluster { token: "canary".to_owned(), ..Cluster::default() };
        for namespace in ["team-a", "team-b"] {
            let data = [("token", "canary-t"), ("id", "role-1"), ("tls.crt", "canary-c"), ("tls.key", "canary-k")];
            cluster.secret(namespace, "vault", &data);
            cluster.secret(namespace, "aws", &[("id", "AKIA1"), ("key", "canary-a")]);
            let role = [("eks.amazonaws.com/role-arn", "arn:aws:iam::111122223333:role/app")];
            cluster.account(namespace, "app", &role);
        }
        cluster.config_map("team-a", "ca", &[("ca.crt", "-----BEGIN CERTIFICATE-----")]);
        cluster
    }

    fn spec(auth: Value) -> VaultProvider {
        serde_json::from_value(json!({"server": "https://vault.example:8200", "path": "kv", "auth": auth})).unwrap()
    }

    /// How one logs in, or the field and words of what is wrong.
    async fn identity(auth: Value, scope: &Scope) -> String {
        match open(&spec(auth), scope).await {
            Ok(vault) => vault.identity(),
            Err(failure) => {
                assert!(!format!("{failure:?}").contains("canary"));
                format!("{:?} {failure}", failure.class)
            }
        }
    }

    #[tokio::test]
    async fn each_way_to_log_in_becomes_ours() {
        let check = async |auth: Value, expected: &str| {
            assert_eq!(identity(auth.clone(), &team_scope(cluster())).await, expected, "{auth}");
        };
        let token = json!({"name": "vault", "key": "token"});
        check(json!({"tokenSecretRef": token}), "token from the Secret vault").await;
        check(
            json!({"appRole": {"path": "approle", "roleId": "r", "secretRef": token}}),
            "the AppRole of the store by auth/approle with the secret id from the Secret vault",
        )
        .await;
        check(
            json!({"appRole": {"path": "team", "roleRef": {"name": "vault", "key": "id"}, "secretRef": token}}),
            "the AppRole of the Secret vault by auth/team with the secret id from the Secret vault",
        )
        .await;
        check(
            json!({"kubernetes": {"mountPath": "kubernetes", "role": "app", "serviceAccountRef": {"name": "app"}}}),
            "role app by auth/kubernetes with the token of service account team-a/app",
        )
        .await;
        check(
            json!({"kubernetes": {"mountPath": "k", "role": "app", "secretRef": {"name": "vault"}}}),
            "role app by auth/k with the token from the Secret vault",
        )
        .await;
        check(
            json!({"ldap": {"path": "ldap", "username": "alice", "secretRef": token}}),
            "user alice by auth/ldap with the password from the Secret vault",
        )
        .await;
        check(
            json!({"userPass": {"username": "alice", "secretRef": token}}),
            "user alice by auth/userpass with the password from the Secret vault",
        )
        .await;
        check(
            json!({"jwt": {"secretRef": token}}),
            "the default role by auth/jwt with the token from the Secret vault",
        )
        .await;
        check(
            json!({"jwt": {"path": "jwt", "role": " app ", "kubernetesServiceAccountToken": {
                "serviceAccountRef": {"name": "app"}}}}),
            "role app by auth/jwt with the token of service account team-a/app (audience vault)",
        )
        .await;
        check(
            json!({"jwt": {"kubernetesServiceAccountToken": {
                "serviceAccountRef": {"name": "app", "audiences": ["b"]}, "audiences": ["a"]}}}),
            "the default role by auth/jwt with the token of service account team-a/app (audience a, b)",
        )
        .await;
        check(
            json!({"cert": {"clientCert": {"name": "vault"}, "secretRef": {"name": "vault"}, "vaultRole": "web"}}),
            "the client certificate by auth/cert in role web",
        )
        .await;
    }

    #[tokio::test]
    async fn identities_of_aws_sign_for_us() {
        let check = async |iam: Value, scope: &Scope, expected: &str| {
            assert_eq!(identity(json!({"iam": iam}), scope).await, expected, "{iam}");
        };
        let team = team_scope(cluster());
        let key = json!({
            "accessKeyIDSecretRef": {"name": "aws", "key": "id"}, "secretAccessKeySecretRef": {"name": "aws", "key": "key"},
        });
        let arn = "arn:aws:iam::111122223333:role/reader";
        check(
            json!({"vaultRole": "app", "secretRef": key, "role": arn, "externalID": "x"}),
            &team,
            &format!("role app by auth/aws as role {arn} assumed by access key AKIA1 from the settings"),
        )
        .await;
        check(
            json!({"path": "cloud", "vaultRole": "app", "jwt": {"serviceAccountRef": {"name": "app"}}}),
            &team,
            "role app by auth/cloud as role arn:aws:iam::111122223333:role/app by service account team-a/app (audience \
             sts.amazonaws.com)",
        )
        .await;
        check(
            json!({"vaultRole": "app", "jwt": {"serviceAccountRef": {"name": "nobody"}}}),
            &team,
            "NotFound spec.provider.vault.auth.iam.jwt.serviceAccountRef: there is no team-a/nobody",
        )
        .await;
        let ambient = identity(json!({"iam": {"vaultRole": "app"}}), &team).await;
        assert!(ambient.starts_with("Denied spec.provider.vault.auth.iam: "), "{ambient}");
        let lent = identity(json!({"iam": {"vaultRole": "app"}}), &scope_with(cluster(), Some("team-a"), true)).await;
        assert!(lent.starts_with("role app by auth/aws as "), "{lent}");
    }

    #[tokio::test]
    async fn a_store_reaches_no_further_than_its_namespace() {
        let elsewhere = json!({"tokenSecretRef": {"name": "vault", "key": "token", "namespace": "team-b"}});
        let refused = identity(elsewhere.clone(), &team_scope(cluster())).await;
        assert_eq!(
            refused,
            "Denied spec.provider.vault.auth.tokenSecretRef: a SecretStore may only refer to its own namespace, team-a"
        );
        assert_eq!(identity(elsewhere, &cluster_scope(cluster())).await, "token from the Secret vault");
        let account =
            json!({"kubernetes": {"role": "app", "serviceAccountRef": {"name": "app", "namespace": "team-b"}}});
        let refused = identity(account, &team_scope(cluster())).await;
        assert!(refused.starts_with("Denied spec.provider.vault.auth.kubernetes.serviceAccountRef"), "{refused}");
        let own = json!({"kubernetes": {"role": "app"}});
        let refused = identity(own.clone(), &team_scope(cluster())).await;
        assert!(refused.starts_with("Denied spec.provider.vault.auth.kubernetes: "), "{refused}");
        let lent = "role app by auth/kubernetes with the token in /var/run/secrets/kubernetes.io/serviceaccount/token";
        assert_eq!(identity(own, &cluster_scope(cluster())).await, lent);
        let scope = cluster_scope(cluster());
        identity(json!({"tokenSecretRef": {"name": "vault", "key": "token"}}), &scope).await;
        assert!(scope.depends_on_asker(), "a reference without namespace means whoever asks");
    }

    #[tokio::test]
    async fn mistakes_are_named() {
        let check = async |auth: Value, expected: &str| {
            let said = identity(auth, &team_scope(cluster())).await;
            assert!(said.starts_with(expected), "{said}");
        };
        check(json!({}), "Invalid spec.provider.vault.auth: no way to log in").await;
        check(json!({"gcp": {"role": "app"}}), "Invalid spec.provider.vault.auth.gcp: logins by an identity").await;
        check(json!({"jwt": {}}), "Invalid spec.provider.vault.auth.jwt: neither").await;
        check(
            json!({"appRole": {"secretRef": {"name": "vault", "key": "token"}}}),
            "Invalid spec.provider.vault.auth.appRole: neither roleId",
        )
        .await;
        check(json!({"tokenSecretRef": {"key": "token"}}), "Invalid spec.provider.vault.auth.tokenSecretRef: the Se")
            .await;
        check(
            json!({"tokenSecretRef": {"name": "vault", "key": "none"}}),
            "NotFound spec.provider.vault.auth.tokenSecretRef: the Secret team-a/vault has no key",
        )
        .await;
        let half = VaultProvider {
            tls: serde_json::from_value(json!({"certSecretRef": {"name": "vault"}})).unwrap(),
            ..spec(json!({}))
        };
        let slot_of = team_scope(cluster());
        let failure = Slot { name: VAULT, scope: &slot_of }.client_certificate(&half).await.unwrap_err();
        assert_eq!(failure.subject.field.as_deref(), Some("spec.provider.vault.tls"));
    }

    #[tokio::test]
    async fn the_rest_of_the_spec_becomes_settings() {
        let spec: VaultProvider = serde_json::from_value(json!({
            "server": "https://vault.example:8200", "path": "team/kv", "version": "v1", "namespace": "ns",
            "caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt"},
            "tls": {"certSecretRef": {"name": "vault"}, "keySecretRef": {"name": "vault"}},
            "readYourWrites": true, "headers": {"X-Gateway": "canary"},
            "auth": {"namespace": "login", "tokenSecretRef": {"name": "vault", "key": "token"}},
        }))
        .unwrap();
        let mut cluster = cluster();
        cluster.variable("HTTPS_PROXY", "http://proxy.example:3128");
        let scope = team_scope(cluster);
        let slot = Slot { name: VAULT, scope: &scope };
        let settings = slot.vault(&spec).await.unwrap();
        assert_eq!((settings.mount.as_deref(), settings.kv_version), (Some("team/kv"), Some(KvVersion::One)));
        assert_eq!((settings.namespace.as_deref(), settings.login_namespace.as_deref()), (Some("ns"), Some("login")));
        assert_eq!((settings.consistency, settings.addresses), (Consistency::ReadYourWrites, AddressPolicy::NoLocal));
        assert!(matches!(&settings.tls.roots, Roots::Only(roots) if roots.len() == 1));
        assert!(settings.tls.client.is_some() && settings.headers.contains_key("X-Gateway"));
        assert!(settings.proxy.hop(&"https://vault.example:8200".parse().unwrap()).is_some());
        assert!(!format!("{settings:?}").contains("canary"));
        let forward = VaultProvider { forward_inconsistent: true, ..spec.clone() };
        assert_eq!(slot.vault(&forward).await.unwrap().consistency, Consistency::Forward);
        let bare: VaultProvider = serde_json::from_value(json!({"server": "http://127.0.0.1:8100"})).unwrap();
        let settings = slot.vault(&bare).await.unwrap();
        assert!(matches!(settings.auth, Auth::Agent) && settings.kv_version == Some(KvVersion::Two));
    }

    #[tokio::test]
    async fn open_bao_has_four_ways_and_a_mount_of_its_own() {
        let scope = team_scope(cluster());
        let slot = Slot { name: OPEN_BAO, scope: &scope };
        let check = async |auth: Value, expected: &str| {
            let spec = json!({"server": "https://bao.example:8200", "auth": auth});
            let spec: OpenBaoProvider = serde_json::from_value(spec).unwrap();
            match open_bao(&spec, &scope).await {
                Ok(opened) => assert_eq!(opened.identity(), expected),
                Err(failure) => assert!(format!("{:?} {failure}", failure.class).starts_with(expected), "{failure}"),
            }
            slot.open_bao(&spec).await.map(|settings| settings.mount)
        };
        let token = json!({"name": "vault", "key": "token"});
        let mount = check(json!({"tokenSecretRef": token}), "token from the Secret vault").await;
        assert_eq!(mount.unwrap().as_deref(), Some("kv"));
        let _ = check(
            json!({"kubernetes": {"path": "k", "role": "app", "serviceAccountRef": {"name": "app"}}}),
            "role app by auth/k with the token of service account team-a/app",
        )
        .await;
        let _ = check(
            json!({"userPass": {"username": "app", "secretRef": token}}),
            "user app by auth/userpass with the password from the Secret vault",
        )
        .await;
        let _ = check(
            json!({"appRole": {"roleId": "r", "secretRef": token}}),
            "the AppRole of the store by auth/approle with the secret id from the Secret vault",
        )
        .await;
        let own = json!({"kubernetes": {"role": "app"}});
        let _ = check(own, "Invalid spec.provider.openBao.auth.kubernetes: exactly one of").await;
        let _ = check(json!({}), "Invalid spec.provider.openBao.auth: exactly one of").await;
        let both: OpenBaoProvider = serde_json::from_value(json!({
            "server": "https://b", "caBundle": "x", "caProvider": {"type": "ConfigMap", "name": "ca"},
        }))
        .unwrap();
        assert_eq!(slot.open_bao(&both).await.unwrap_err().class, Class::Invalid);
    }
}

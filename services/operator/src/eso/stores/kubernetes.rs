use std::sync::Arc;

use strongroom_api::external_secrets::SecretKeySelector;
use strongroom_api::external_secrets::provider::{KubernetesAuth, KubernetesProvider, KubernetesServer, THIS_CLUSTER};
use strongroom_failure::{Class, Failure};
use strongroom_http::{ClientCertificate, Pem, Proxy, Roots, TlsSettings};
use strongroom_kubernetes::{ConnectionSettings, Secrets, Token, from_kubeconfig};
use strongroom_provider::Provider;
use strongroom_secret::SecretBytes;

use super::Scope;

/// The namespace that is read where a store names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Opens Secrets of a Kubernetes API server as `spec` says.
pub(super) async fn open(spec: &KubernetesProvider, scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    let login = Login {
        slot: "kubernetes",
        server: spec.server.as_ref(),
        auth: spec.auth.as_ref(),
        auth_ref: spec.auth_ref.as_ref(),
    };
    let connection = login.connection(scope).await?;
    let namespace = spec.remote_namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_NAMESPACE);
    let opened = Secrets::open(connection, namespace, scope.meter());
    let opened = opened.map_err(|failure| within(failure, login.slot))?;
    // Its owner set it up for the whole cluster, and its identity decides.
    Ok(if scope.is_cluster_store() { Arc::new(opened.with_other_namespaces()) } else { Arc::new(opened) })
}

/// How a spec says which API server is asked, and as whom.
pub(super) struct Login<'a> {
    /// The name of the spec's slot, for messages.
    pub(super) slot: &'static str,
    pub(super) server: Option<&'a KubernetesServer>,
    pub(super) auth: Option<&'a KubernetesAuth>,
    pub(super) auth_ref: Option<&'a SecretKeySelector>,
}

impl Login<'_> {
    /// The connection that is described. Credentials in Secrets are read now, tokens of accounts when they are needed.
    pub(super) async fn connection(&self, scope: &Scope) -> Result<ConnectionSettings, Failure> {
        if let Some(selector) = self.auth_ref {
            let field = self.field("authRef");
            let kubeconfig = scope.secret(&field, selector, "").await?;
            let connection = from_kubeconfig(&kubeconfig, scope.addresses(), proxy(scope)?);
            return connection.map_err(|failure| failure.in_field(field));
        }
        let mut connection = self.server(scope).await?;
        if let Some(auth) = self.auth {
            self.log_in(&mut connection, auth, scope).await?;
        }
        Ok(connection)
    }

    /// The server with nobody's credentials.
    async fn server(&self, scope: &Scope) -> Result<ConnectionSettings, Failure> {
        let url = self.server.and_then(|server| server.url.as_deref()).map(str::trim).unwrap_or_default();
        let authorities = match self.server {
            Some(server) => {
                let (bundle, provider) = (server.ca_bundle.as_deref(), server.ca_provider.as_ref());
                authorities(&self.field("server"), bundle, provider, scope).await?
            }
            None => None,
        };
        if url.is_empty() || url == THIS_CLUSTER {
            // Our own server's address was not a tenant's choice.
            let (server, own) = scope.api_server();
            let authorities = authorities.or_else(|| own.map(SecretBytes::from));
            return Ok(ConnectionSettings { server, tls: trusting(authorities), ..ConnectionSettings::default() });
        }
        let server = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
        let (addresses, proxy) = (scope.addresses(), proxy(scope)?);
        Ok(ConnectionSettings { server, tls: trusting(authorities), addresses, proxy, ..ConnectionSettings::default() })
    }

    async fn log_in(
        &self,
        connection: &mut ConnectionSettings,
        auth: &KubernetesAuth,
        scope: &Scope,
    ) -> Result<(), Failure> {
        match (&auth.cert, &auth.token, &auth.service_account) {
            (Some(cert), None, None) => {
                let (certificate, key) = (self.field("auth.cert.clientCert"), self.field("auth.cert.clientKey"));
                connection.tls.client = Some(ClientCertificate {
                    certificate: Pem::Text(scope.secret(&certificate, &cert.client_cert, "tls.crt").await?),
                    key: Pem::Text(scope.secret(&key, &cert.client_key, "tls.key").await?),
                });
            }
            (None, Some(token), None) => {
                let field = self.field("auth.token.bearerToken");
                let value = scope.secret(&field, &token.bearer_token, "token").await?;
                // Editors leave a line's end behind, which no token has.
                let trimmed = SecretBytes::new(value.expose().trim_ascii().to_vec());
                connection.token = Some(Token::Fixed(trimmed));
            }
            (None, None, Some(account)) => {
                let tokens = scope.tokens(&self.field("auth.serviceAccount"), account, &[])?;
                connection.token = Some(Token::Issued(tokens));
            }
            _ => {
                let words = "exactly one of cert, token and serviceAccount must be named";
                return Err(Failure::new(Class::Invalid, words).in_field(self.field("auth")));
            }
        }
        Ok(())
    }

    fn field(&self, name: &str) -> String {
        format!("spec.provider.{}.{name}", self.slot)
    }
}

/// The authorities that a spec names at `field`, if any.
///
/// # Errors
/// As [`Scope::authorities`]; a cluster store must say where they lie, because whoever asks could otherwise choose whom
/// its credentials are shown to.
pub(super) async fn authorities(
    field: &str,
    bundle: Option<&str>,
    provider: Option<&strongroom_api::external_secrets::CaProvider>,
    scope: &Scope,
) -> Result<Option<SecretBytes>, Failure> {
    let has_bundle = bundle.is_some_and(|bundle| !bundle.is_empty());
    let is_named = |name: Option<&str>| name.is_some_and(|name| !name.is_empty());
    if let Some(provider) = provider.filter(|_| !has_bundle && scope.is_cluster_store())
        && !is_named(provider.namespace.as_deref())
    {
        let words = "a ClusterSecretStore must name the namespace of its authorities";
        return Err(Failure::new(Class::Invalid, words).in_field(format!("{field}.caProvider.namespace")));
    }
    scope.authorities(bundle, provider).await.map_err(|failure| {
        let place = failure.subject.field.clone().unwrap_or_else(|| "caBundle".to_owned());
        failure.in_field(format!("{field}.{place}"))
    })
}

/// Trusts `authorities` alone, or the system's where there are none.
pub(super) fn trusting(authorities: Option<SecretBytes>) -> TlsSettings {
    let roots = authorities.map(|pem| Roots::Only(vec![Pem::Text(pem)])).unwrap_or_default();
    TlsSettings { roots, ..TlsSettings::default() }
}

/// The proxies of the operator's own environment.
pub(super) fn proxy(scope: &Scope) -> Result<Proxy, Failure> {
    Ok(Proxy::from_environment(&|name| scope.variable(name))?)
}

/// Puts the field that a provider names below its slot.
pub(super) fn within(failure: Failure, slot: &str) -> Failure {
    match failure.subject.field.clone() {
        Some(field) => failure.in_field(format!("spec.provider.{slot}.{field}")),
        None => failure.in_field(format!("spec.provider.{slot}")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use async_trait::async_trait;
    use serde_json::{Value, json};
    use strongroom_provider::Meter;

    use super::super::{ClusterReader, LabelledSecret, ServiceAccount, StoreIdentity};
    use super::*;
    use strongroom_http::AddressPolicy;

    /// A cluster in which every Secret of `team-a` and `shared` has the same entries and the label of webhooks, but
    /// for `plain`, and every account exists.
    pub(in super::super) struct Cluster;

    pub(in super::super) const KUBECONFIG: &str = "{current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], \
        clusters: [{name: c, cluster: {server: 'https://remote:6443'}}], users: [{name: u, user: {token: canary}}]}";

    #[async_trait]
    impl ClusterReader for Cluster {
        async fn secret(&self, namespace: &str, _: &str) -> Result<BTreeMap<String, SecretBytes>, Failure> {
            if !["team-a", "shared"].contains(&namespace) {
                return Err(Failure::new(Class::NotFound, "no such Secret"));
            }
            let entries = [("token", "canary\n"), ("tls.crt", "canary"), ("tls.key", "canary"), ("config", KUBECONFIG)];
            Ok(entries.map(|(key, value)| (key.to_owned(), SecretBytes::from(value.to_owned()))).into())
        }

        async fn labelled_secret(&self, namespace: &str, name: &str) -> Result<LabelledSecret, Failure> {
            let data = self.secret(namespace, name).await?;
            let label = ("external-secrets.io/type".to_owned(), "webhook".to_owned());
            Ok(LabelledSecret { data, labels: Some(label).filter(|_| name != "plain").into_iter().collect() })
        }

        async fn config_map(&self, _: &str, _: &str) -> Result<BTreeMap<String, String>, Failure> {
            Ok([("ca.crt".to_owned(), "PEM".to_owned())].into())
        }

        async fn service_account(&self, _: &str, _: &str) -> Result<ServiceAccount, Failure> {
            Ok(ServiceAccount::default())
        }

        async fn token(&self, _: &str, _: &str, _: &[String], _: u32) -> Result<SecretBytes, Failure> {
            Ok(SecretBytes::from("canary".to_owned()))
        }

        fn api_server(&self) -> (String, Option<String>) {
            ("https://10.0.0.1".to_owned(), Some("PEM".to_owned()))
        }

        fn variable(&self, _: &str) -> Option<String> {
            None
        }
    }

    /// A SecretStore of team-a, or a ClusterSecretStore that team-a asks.
    pub(in super::super) fn scope(is_cluster_store: bool) -> Scope {
        let namespace = (!is_cluster_store).then(|| "team-a".to_owned());
        let store = StoreIdentity { namespace, name: "store".to_owned(), asker: "team-a".to_owned() };
        Scope::new(Arc::new(Cluster), store, false, false, Arc::new(Meter::default()))
    }

    /// Opens `spec`, and tells what is shown of it, or why not.
    async fn opened(spec: &Value, scope: &Scope) -> Result<(String, String), String> {
        let spec: KubernetesProvider = serde_json::from_value(spec.clone()).unwrap();
        let opened = open(&spec, scope).await;
        let shown = opened.map(|provider| (provider.describe(), provider.identity()));
        assert!(!format!("{shown:?}").contains("canary"), "a secret is shown");
        shown.map_err(|failure| format!("{:?} {failure}", failure.class))
    }

    #[tokio::test]
    async fn the_spec_says_which_server_and_as_whom() {
        let check = async |spec: Value, store: &str, identity: &str| {
            for is_cluster_store in [false, true] {
                let found = opened(&spec, &scope(is_cluster_store)).await;
                assert_eq!(found, Ok((store.to_owned(), identity.to_owned())), "{spec}");
            }
        };
        let own = "the Secrets of namespace default at 10.0.0.1";
        let token = json!({"token": {"bearerToken": {"name": "a", "key": "token"}}});
        let account = json!({"serviceAccount": {"name": "app", "audiences": ["x"]}});
        let certificate = json!({"cert": {"clientCert": {"name": "a", "key": "tls.crt"}, "clientKey": {"name": "a", "key": "tls.key"}}});
        check(json!({"auth": token}), own, "the token in the settings").await;
        check(json!({"auth": account}), own, "service account team-a/app (audience x)").await;
        check(json!({"auth": certificate}), own, "the client certificate in the settings").await;
        check(json!({}), own, "nobody (anonymous)").await;
        check(json!({"auth": token, "server": {"url": "kubernetes.default"}}), own, "the token in the settings").await;
        let remote = json!({"auth": token, "remoteNamespace": "prod", "server": {"url": "api.example:6443"}});
        check(remote, "the Secrets of namespace prod at api.example:6443", "the token in the settings").await;
        let kubeconfig = json!({"authRef": {"name": "a", "key": "config"}});
        check(kubeconfig, "the Secrets of namespace default at remote:6443", "the token in the settings").await;
    }

    #[tokio::test]
    async fn whom_to_trust_and_where_requests_may_go_follow_the_kind_of_store() {
        let check = async |server: Value, is_cluster_store: bool, addresses: AddressPolicy, trusted: Option<&str>| {
            let server: KubernetesServer = serde_json::from_value(server).unwrap();
            let login = Login { slot: "kubernetes", server: Some(&server), auth: None, auth_ref: None };
            let connection = login.connection(&scope(is_cluster_store)).await.unwrap();
            assert_eq!(connection.addresses, addresses);
            let roots = match &connection.tls.roots {
                Roots::Only(roots) => match roots.as_slice() {
                    [Pem::Text(pem)] => pem.expose_text(),
                    _ => panic!("one text"),
                },
                Roots::System(_) => None,
            };
            assert_eq!(roots, trusted);
        };
        let remote = json!({"url": "https://api"});
        check(json!({}), false, AddressPolicy::Any, Some("PEM")).await;
        check(json!({"caBundle": "T1dO"}), false, AddressPolicy::Any, Some("OWN")).await;
        check(remote.clone(), false, AddressPolicy::NoLocal, None).await;
        check(remote.clone(), true, AddressPolicy::Any, None).await;
        let mut mapped = remote;
        mapped["caProvider"] = json!({"type": "ConfigMap", "name": "ca", "key": "ca.crt"});
        check(mapped.clone(), false, AddressPolicy::NoLocal, Some("PEM")).await;
        mapped["caProvider"]["namespace"] = json!("shared");
        check(mapped, true, AddressPolicy::Any, Some("PEM")).await;
    }

    #[tokio::test]
    async fn what_a_store_may_not_name_is_refused() {
        let check = async |spec: Value, is_cluster_store: bool, expected: &str| {
            let refused = opened(&spec, &scope(is_cluster_store)).await.unwrap_err();
            assert!(refused.starts_with(expected), "{refused}");
        };
        let foreign = json!({"name": "a", "key": "token", "namespace": "shared"});
        let token = json!({"auth": {"token": {"bearerToken": foreign}}});
        check(token.clone(), false, "Denied spec.provider.kubernetes.auth.token.bearerToken: ").await;
        assert!(opened(&token, &scope(true)).await.is_ok());
        let account = json!({"auth": {"serviceAccount": {"name": "a", "namespace": "kube-system"}}});
        check(account, false, "Denied spec.provider.kubernetes.auth.serviceAccount: ").await;
        check(json!({"authRef": foreign}), false, "Denied spec.provider.kubernetes.authRef: ").await;
        let authority = json!({"server": {"caProvider": {"type": "Secret", "name": "a", "key": "tls.crt"}}});
        check(authority, true, "Invalid spec.provider.kubernetes.server.caProvider.namespace: ").await;
        check(json!({"auth": {}}), false, "Invalid spec.provider.kubernetes.auth: exactly one").await;
        let no_kubeconfig = json!({"authRef": {"name": "a", "key": "token"}});
        check(no_kubeconfig, false, "Invalid spec.provider.kubernetes.authRef: this is no kubeconfig").await;
        let address = json!({"server": {"url": "ftp://api"}});
        check(address, false, "Invalid spec.provider.kubernetes.server.url: ").await;
        let namespace = json!({"remoteNamespace": "a/b"});
        check(namespace, false, "Invalid spec.provider.kubernetes.remoteNamespace: ").await;
    }

    #[tokio::test]
    async fn credentials_of_the_asker_bind_the_provider_to_it() {
        let check = async |spec: Value, expected: bool| {
            let scope = scope(true);
            opened(&spec, &scope).await.unwrap();
            assert_eq!(scope.depends_on_asker(), expected, "{spec}");
        };
        check(json!({"auth": {"serviceAccount": {"name": "app"}}}), true).await;
        check(json!({"auth": {"serviceAccount": {"name": "app", "namespace": "shared"}}}), false).await;
        check(json!({"auth": {"token": {"bearerToken": {"name": "a"}}}}), true).await;
    }
}

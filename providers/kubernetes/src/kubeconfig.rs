//! A kubeconfig that somebody put into a Secret: the part of it that needs no file and starts no program.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use strongroom_failure::{Class, Failure};
use strongroom_http::{AddressPolicy, ClientCertificate, Pem, Proxy, Roots, TlsSettings};
use strongroom_secret::SecretBytes;

use crate::connection::{ConnectionSettings, Token};

/// The largest kubeconfig that is read, in bytes: those of people with hundreds of clusters stay below it.
const SIZE_LIMIT: usize = 256 * 1024;

/// The connection that the current context of a kubeconfig describes.
///
/// The context's namespace is not looked at: a store names its own.
///
/// # Errors
/// `Invalid` where the text is no kubeconfig, or where it names a program to start (`exec`, `auth-provider`), a file
/// (it would be one of ours, not of who wrote the text) or a proxy. The words never quote it.
pub fn from_kubeconfig(
    text: &SecretBytes,
    addresses: AddressPolicy,
    proxy: Proxy,
) -> Result<ConnectionSettings, Failure> {
    if text.len() > SIZE_LIMIT {
        return Err(invalid(format!("the kubeconfig has more than {SIZE_LIMIT} bytes")));
    }
    let text = text.expose_text().ok_or_else(|| invalid("the kubeconfig is no text"))?;
    let kubeconfig: Kubeconfig = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
        invalid(format!("this is no kubeconfig{}", place.unwrap_or_default()))
    })?;
    let wanted = kubeconfig.current_context.filter(|name| !name.is_empty());
    let wanted = wanted.ok_or_else(|| invalid("the kubeconfig has no current-context"))?;
    let context = named(kubeconfig.contexts, &wanted, "context")?.context;
    let cluster = named(kubeconfig.clusters, &context.cluster, "cluster")?.cluster;
    let user = match context.user.as_str() {
        "" => User::default(),
        name => named(kubeconfig.users, name, "user")?.user,
    };
    cluster.check()?;
    user.check()?;
    let tls = TlsSettings {
        roots: match &cluster.certificate_authority_data {
            Some(data) => Roots::Only(vec![pem(data, "certificate-authority-data")?]),
            None => Roots::default(),
        },
        client: user.certificate()?,
        server_name: cluster.tls_server_name,
        insecure_skip_verify: cluster.insecure_skip_tls_verify,
        ..TlsSettings::default()
    };
    let token = user.token.map(|Text(token)| Token::Fixed(token));
    Ok(ConnectionSettings { server: cluster.server, tls, token, impersonate: user.impersonate, addresses, proxy })
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    #[serde(default)]
    current_context: Option<String>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    #[serde(default)]
    certificate_authority: Option<IgnoredAny>,
    #[serde(default)]
    certificate_authority_data: Option<Text>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    #[serde(default)]
    tls_server_name: Option<String>,
    #[serde(default)]
    proxy_url: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    #[serde(default)]
    token: Option<Text>,
    #[serde(default, rename = "tokenFile")]
    token_file: Option<IgnoredAny>,
    #[serde(default)]
    client_certificate: Option<IgnoredAny>,
    #[serde(default)]
    client_certificate_data: Option<Text>,
    #[serde(default)]
    client_key: Option<IgnoredAny>,
    #[serde(default)]
    client_key_data: Option<Text>,
    #[serde(default)]
    username: Option<IgnoredAny>,
    #[serde(default)]
    exec: Option<IgnoredAny>,
    #[serde(default)]
    auth_provider: Option<IgnoredAny>,
    #[serde(default, rename = "as")]
    impersonate: Option<String>,
    #[serde(default)]
    as_uid: Option<IgnoredAny>,
    #[serde(default)]
    as_groups: Option<IgnoredAny>,
    #[serde(default)]
    as_user_extra: Option<IgnoredAny>,
}

/// Text that may be a secret.
struct Text(SecretBytes);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretBytes::from(text)))
    }
}

trait Named {
    fn name(&self) -> &str;
}

impl Named for NamedContext {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for NamedCluster {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for NamedUser {
    fn name(&self) -> &str {
        &self.name
    }
}

fn named<T: Named>(entries: Vec<T>, name: &str, what: &str) -> Result<T, Failure> {
    let found = entries.into_iter().find(|entry| entry.name() == name);
    found.ok_or_else(|| invalid(format!("the kubeconfig names a {what} that it does not have")))
}

impl Cluster {
    fn check(&self) -> Result<(), Failure> {
        refuse_file(&self.certificate_authority, "certificate-authority")?;
        match &self.proxy_url {
            Some(_) => Err(invalid("the kubeconfig names a proxy, which a store may not choose")),
            None => Ok(()),
        }
    }
}

impl User {
    fn check(&self) -> Result<(), Failure> {
        if self.exec.is_some() || self.auth_provider.is_some() {
            let words = "the kubeconfig logs in by a plugin (exec or auth-provider), and stores start no programs";
            return Err(invalid(words).with_hint("put a service account's token or a client certificate into it"));
        }
        if self.username.is_some() {
            return Err(invalid("the kubeconfig has a user's name and password, which no API server accepts any more"));
        }
        if self.as_uid.is_some() || self.as_groups.is_some() || self.as_user_extra.is_some() {
            return Err(invalid("the kubeconfig impersonates more than a user's name, which is not served"));
        }
        refuse_file(&self.token_file, "tokenFile")?;
        refuse_file(&self.client_certificate, "client-certificate")?;
        refuse_file(&self.client_key, "client-key")
    }

    fn certificate(&self) -> Result<Option<ClientCertificate>, Failure> {
        match (&self.client_certificate_data, &self.client_key_data) {
            (Some(certificate), Some(key)) => Ok(Some(ClientCertificate {
                certificate: pem(certificate, "client-certificate-data")?,
                key: pem(key, "client-key-data")?,
            })),
            (None, None) => Ok(None),
            _ => Err(invalid("client-certificate-data and client-key-data belong together")),
        }
    }
}

fn refuse_file(file: &Option<IgnoredAny>, field: &str) -> Result<(), Failure> {
    match file {
        Some(_) => Err(invalid(format!("the kubeconfig names a file in {field}; the content itself must be in it"))),
        None => Ok(()),
    }
}

fn pem(data: &Text, field: &str) -> Result<Pem, Failure> {
    let decoded = STANDARD.decode(data.0.expose().trim_ascii());
    decoded
        .map(|pem| Pem::Text(SecretBytes::new(pem)))
        .map_err(|_| invalid(format!("{field} in the kubeconfig is not base64")))
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cluster: &str, user: &str) -> Result<ConnectionSettings, Failure> {
        let text = format!(
            "{{current-context: b, contexts: [{{name: a, context: {{cluster: x, user: y}}}}, \
             {{name: b, context: {{cluster: c, user: u, namespace: n}}}}], \
             clusters: [{{name: c, cluster: {{server: 'https://api:6443'{cluster}}}}}], \
             users: [{{name: u, user: {{{user}}}}}]}}"
        );
        from_kubeconfig(&SecretBytes::from(text), AddressPolicy::Any, Proxy::none())
    }

    #[test]
    fn the_current_context_decides() {
        let settings =
            read(", certificate-authority-data: eA==, tls-server-name: api", "token: canary, as: bob").unwrap();
        assert_eq!(settings.server, "https://api:6443");
        assert!(matches!(&settings.token, Some(Token::Fixed(token)) if token.expose() == b"canary"));
        assert!(matches!(&settings.tls.roots, Roots::Only(roots) if roots.len() == 1));
        assert_eq!(settings.tls.server_name.as_deref(), Some("api"));
        assert_eq!(settings.impersonate.as_deref(), Some("bob"));
        assert!(!format!("{settings:?}").contains("canary"));
        let certificate =
            read(", insecure-skip-tls-verify: true", "client-certificate-data: eA==, client-key-data: eA==");
        let certificate = certificate.unwrap();
        assert!(
            certificate.tls.client.is_some() && certificate.tls.insecure_skip_verify && certificate.token.is_none()
        );
    }

    #[test]
    fn what_starts_a_program_or_reads_our_files_is_refused() {
        let check = |cluster: &str, user: &str, expected: &str| {
            let words = read(cluster, user).unwrap_err().words;
            assert!(words.contains(expected), "{words}");
            assert!(!words.contains("canary"), "{words}");
        };
        check("", "exec: {command: canary}", "stores start no programs");
        check("", "auth-provider: {name: oidc}", "stores start no programs");
        check("", "tokenFile: /canary", "names a file in tokenFile");
        check("", "client-key: /canary", "names a file in client-key");
        check("", "client-certificate: /canary", "names a file in client-certificate");
        check(", certificate-authority: /canary", "", "names a file in certificate-authority");
        check(", proxy-url: 'http://canary'", "", "names a proxy");
        check("", "username: canary, password: canary", "no API server accepts");
        check("", "as: a, as-groups: ['system:masters']", "more than a user's name");
        check("", "client-key-data: eA==", "belong together");
        check(
            "",
            "client-key-data: canary!, client-certificate-data: eA==",
            "client-key-data in the kubeconfig is not base64",
        );
    }

    #[test]
    fn what_is_no_kubeconfig_is_not_quoted() {
        let check = |text: &str, expected: &str| {
            let read = from_kubeconfig(&SecretBytes::from(text.to_owned()), AddressPolicy::Any, Proxy::none());
            let words = read.unwrap_err().words;
            assert!(words.contains(expected), "{words}");
            assert!(!words.contains("canary"), "{words}");
        };
        check("canary", "this is no kubeconfig");
        check("{current-context: [canary]}", "this is no kubeconfig (line 1");
        check("{}", "no current-context");
        check("{current-context: canary}", "names a context that it does not have");
        check(
            "{current-context: a, contexts: [{name: a, context: {cluster: canary}}]}",
            "names a cluster that it does not have",
        );
        check(&"x".repeat(SIZE_LIMIT + 1), "more than 262144 bytes");
    }
}

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use http::{HeaderValue, header};
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use strongroom_failure::{Class, Failure};

use crate::traffic::{Gate, Traffic};

/// Where the cluster is and who we are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// As the service account of the pod that this is.
    InCluster,
    /// As kubeconfig files say, merged as kubectl does; a context other than the current one by its name.
    Kubeconfig {
        /// At least one; the first that sets a thing wins.
        files: Vec<PathBuf>,
        /// The context to use in place of `current-context`.
        context: Option<String>,
    },
}

impl Access {
    /// What a program finds without being told: `KUBECONFIG` first, then the pod's service account, then
    /// `~/.kube/config`, where that exists. `None` where there is nothing.
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let kubeconfig = |files: Vec<PathBuf>| Self::Kubeconfig { files, context: None };
        let named: Vec<PathBuf> = lookup("KUBECONFIG")
            .map(|list| std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect())
            .unwrap_or_default();
        if !named.is_empty() {
            return Some(kubeconfig(named));
        }
        if lookup("KUBERNETES_SERVICE_HOST").is_some() {
            return Some(Self::InCluster);
        }
        let usual = Path::new(&lookup("HOME")?).join(".kube/config");
        usual.is_file().then(|| kubeconfig(vec![usual]))
    }
}

/// What a [`Connection`] is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the cluster is.
    pub access: Access,
    /// What this program does, for the API server's logs: `operator` in `strongroom/0.1.0 (operator)`.
    pub role: &'static str,
    /// Requests a second, on average; none or a number below 0 is no limit.
    pub queries_per_second: f64,
    /// Requests that may go out at once after a rest.
    pub burst: u32,
}

/// A client for one cluster, with what others want to know about it.
#[derive(Clone)]
pub struct Connection {
    client: Client,
    url: String,
    authority: Option<String>,
    namespace: String,
    traffic: Traffic,
}

impl Connection {
    /// Reads the credentials and builds the client; nothing is asked of the cluster yet.
    ///
    /// # Errors
    /// Where the configuration cannot be read or used. The words name files and contexts, never what is in them.
    pub async fn open(settings: &Settings) -> Result<Self, Failure> {
        let mut config = config(&settings.access).await?;
        let agent = format!("strongroom/{} ({})", env!("CARGO_PKG_VERSION"), settings.role);
        if let Ok(agent) = HeaderValue::try_from(agent) {
            config.headers.push((header::USER_AGENT, agent));
        }
        // Watches are quiet for at most a minute (bookmarks) and end after 290 s; a body that says nothing for longer
        // is a dead connection. The head of an answer has a shorter limit of its own, in `Gate`.
        config.read_timeout = Some(Duration::from_secs(300));
        config.reset_reader_on_write = true;
        let (url, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
        let authority = config.root_cert.as_deref().map(pem);
        let inner = Client::try_from(config).map_err(|error| unusable(&error))?;
        let traffic = Traffic::new(settings.queries_per_second, settings.burst);
        let until = *inner.valid_until();
        let client = Client::new(Gate::new(inner, traffic.clone()), namespace.clone()).with_valid_until(until);
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), authority, namespace, traffic })
    }

    /// The client; cheap to clone, with one pool of HTTP/1.1 connections and one limiter for all clones.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The API server's address and the authority of its certificate as PEM (`None`: the system's), for those who talk
    /// to it under another identity.
    pub fn server(&self) -> (String, Option<String>) {
        (self.url.clone(), self.authority.clone())
    }

    /// The namespace of the pod, or of the kubeconfig's context.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What was asked of the API server so far.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

async fn config(access: &Access) -> Result<Config, Failure> {
    match access {
        Access::InCluster => Config::incluster().map_err(|error| outside_of_a_pod(&error)),
        Access::Kubeconfig { files, context } => {
            let named = || files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
            let merged = files.iter().try_fold(Kubeconfig::default(), |merged, file| {
                Kubeconfig::read_from(file).and_then(|next| merged.merge(next))
            });
            let merged = merged.map_err(|error| unread(&error, &named()))?;
            let clusters = merged.clusters.iter().filter_map(|cluster| cluster.cluster.as_ref());
            let names_proxy = clusters.into_iter().any(|cluster| cluster.proxy_url.is_some());
            let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
            let read = Config::from_custom_kubeconfig(merged, &options).await;
            let mut config = read.map_err(|error| unread(&error, &named()))?;
            if !names_proxy {
                // HTTPS_PROXY is for stores outside: kube takes it without looking at NO_PROXY, and in a pod not at all.
                config.proxy_url = None;
            }
            Ok(config)
        }
    }
}

fn outside_of_a_pod(error: &InClusterError) -> Failure {
    Failure::new(Class::Invalid, format!("cannot use the pod's service account: {error}"))
        .with_hint("set KUBECONFIG, or run in a pod with its service account's token mounted")
}

/// Why a kubeconfig cannot be used. What a parser says is left out: it quotes the file, and the file holds credentials.
fn unread(error: &KubeconfigError, files: &str) -> Failure {
    let why = match error {
        KubeconfigError::ReadConfig(error, _) => format!("it cannot be read: {error}"),
        KubeconfigError::Parse(_) => "it is not the YAML of a kubeconfig".to_owned(),
        KubeconfigError::CurrentContextNotSet => "it has no current-context".to_owned(),
        KubeconfigError::LoadContext(name) => format!("it has no context \"{name}\""),
        KubeconfigError::LoadClusterOfContext(name) => format!("it has no cluster for context \"{name}\""),
        KubeconfigError::MissingClusterUrl | KubeconfigError::ParseClusterUrl(_) => {
            "its cluster has no usable server address".to_owned()
        }
        KubeconfigError::ParseProxyUrl(_) => "its proxy-url is not an address".to_owned(),
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
            "its certificate authority cannot be used".to_owned()
        }
        KubeconfigError::LoadClientCertificate(_) => "its client certificate cannot be used".to_owned(),
        KubeconfigError::LoadClientKey(_) => "its client key cannot be used".to_owned(),
        _ => "it cannot be used".to_owned(),
    };
    Failure::new(Class::Invalid, format!("kubeconfig {files}: {why}"))
}

/// Why no client could be made of a configuration that was read.
fn unusable(error: &kube::Error) -> Failure {
    let why = match error {
        kube::Error::Auth(_) => "its credentials cannot be used, or the command that should give them failed",
        kube::Error::RustlsTls(_) => "TLS cannot be set up with its certificates",
        kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
            "its proxy-url names a kind of proxy that is not supported"
        }
        _ => "it cannot be used",
    };
    Failure::new(Class::Invalid, format!("the configuration of the cluster: {why}"))
}

fn pem(certificates: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = base64::engine::general_purpose::STANDARD.encode(certificate);
        // 64 characters a line, as RFC 7468 wants it.
        for line in encoded.as_bytes().chunks(64) {
            text.extend(line.iter().copied().map(char::from));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "nobody reads these files meanwhile")]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_without_being_told() {
        let check = |variables: &[(&str, &str)], expected: Option<Access>| {
            let lookup =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(Access::from_environment(&lookup), expected, "{variables:?}");
        };
        let files = |files: &[&str]| {
            Some(Access::Kubeconfig { files: files.iter().map(PathBuf::from).collect(), context: None })
        };
        check(&[("KUBECONFIG", "/a:/b"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")], files(&["/a", "/b"]));
        check(&[("KUBECONFIG", ""), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")], Some(Access::InCluster));
        check(&[("HOME", "/nowhere")], None);
        check(&[], None);
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".kube")).unwrap();
        std::fs::write(home.path().join(".kube/config"), "").unwrap();
        let file = home.path().join(".kube/config");
        check(&[("HOME", home.path().to_str().unwrap())], files(&[file.to_str().unwrap()]));
    }

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_is_told_without_quoting_it() {
        let check = async |content: &str, expected: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), content).unwrap();
            let access = Access::Kubeconfig { files: vec![file.path().to_owned()], context: None };
            let settings = Settings { access, role: "test", queries_per_second: 0.0, burst: 0 };
            let failure = Connection::open(&settings).await.err().unwrap().to_string();
            assert!(failure.ends_with(expected), "{failure}");
            assert!(!failure.contains("canary"), "{failure}");
        };
        check("users: [{name: a, user: {token: canary", ": it is not the YAML of a kubeconfig").await;
        check("users: {token: canary}", ": it is not the YAML of a kubeconfig").await;
        check("kind: Config", ": it has no current-context").await;
        check("{kind: Config, current-context: a}", ": it has no context \"a\"").await;
    }
}

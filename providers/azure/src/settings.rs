//! How to reach a vault and as whom.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use strongroom_failure::{Class, Failure};
use strongroom_http::{AddressPolicy, Client, Proxy, TlsSettings, Uri};
use strongroom_provider::TokenSource;
use strongroom_secret::SecretBytes;

/// The largest federated token that is read from a file, in bytes; real ones have 1 to 2 KiB.
const TOKEN_LIMIT: u64 = 64 * 1024;

/// Where a machine's managed identities are asked for.
const MACHINE: &str = "http://169.254.169.254";

/// How to reach a vault and as whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The vault: `https://NAME.vault.azure.net`.
    pub vault_url: String,
    /// As whom.
    pub credentials: Credentials,
    /// In which of Microsoft's clouds.
    pub cloud: Cloud,
    /// How what is read is written down.
    pub form: Form,
    /// Whom to trust.
    pub tls: TlsSettings,
    /// The proxies, never asked for managed identities.
    pub proxy: Proxy,
    /// Where the vault and the login may be; managed identities are asked where [`ManagedEndpoint`] says.
    pub addresses: AddressPolicy,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// As whom to ask.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// An application, by its secret.
    Secret {
        /// Whose application it is: the tenant's id or domain.
        tenant: String,
        /// Its client id.
        client_id: String,
        /// What proves it.
        secret: SecretBytes,
    },
    /// An application, by its certificate.
    Certificate {
        /// Whose application it is.
        tenant: String,
        /// Its client id.
        client_id: String,
        /// The certificate and its private RSA key, both as PEM.
        pem: SecretBytes,
    },
    /// An application (or managed identity) that trusts somebody else's tokens: workload identity.
    Federated {
        /// Whose application it is.
        tenant: String,
        /// Its client id.
        client_id: String,
        /// Where the tokens come from.
        tokens: Arc<dyn TokenSource>,
    },
    /// The identity of the machine or pod.
    Managed {
        /// Which one, where there are several: a client id, or a resource id (`/subscriptions/…`).
        id: Option<String>,
        /// Where it is asked for.
        endpoint: ManagedEndpoint,
    },
}

impl Credentials {
    /// As Azure's default credentials go: an application's secret (`AZURE_CLIENT_SECRET`), workload identity
    /// (`AZURE_FEDERATED_TOKEN_FILE`), each with `AZURE_TENANT_ID` and `AZURE_CLIENT_ID`; else the machine's identity
    /// ([`ManagedEndpoint::from_environment`]), where `AZURE_CLIENT_ID` may say which.
    ///
    /// # Errors
    /// `Invalid` where a variable is missing beside another.
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let find = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let required =
            |name: &str| find(name).ok_or_else(|| Failure::new(Class::Invalid, format!("there is no variable {name}")));
        if let Some(secret) = find("AZURE_CLIENT_SECRET") {
            let (tenant, client_id) = (required("AZURE_TENANT_ID")?, required("AZURE_CLIENT_ID")?);
            return Ok(Self::Secret { tenant, client_id, secret: SecretBytes::from(secret) });
        }
        if let Some(file) = find("AZURE_FEDERATED_TOKEN_FILE") {
            let (tenant, client_id) = (required("AZURE_TENANT_ID")?, required("AZURE_CLIENT_ID")?);
            return Ok(Self::Federated { tenant, client_id, tokens: Arc::new(TokenFile(file.into())) });
        }
        let endpoint = ManagedEndpoint::from_environment(lookup)?;
        Ok(Self::Managed { id: find("AZURE_CLIENT_ID"), endpoint })
    }
}

/// Where managed identities are asked for.
#[derive(Clone, Debug)]
pub enum ManagedEndpoint {
    /// The metadata service of a virtual machine, without a path: `http://169.254.169.254`.
    Machine(String),
    /// App Service, Functions and Container Apps: `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`.
    AppService {
        /// The whole address.
        address: String,
        /// What proves that the caller runs there.
        header: SecretBytes,
    },
}

impl ManagedEndpoint {
    /// The one that Azure's own tools would take: by `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`, else the machine's
    /// (`AZURE_POD_IDENTITY_AUTHORITY_HOST` in place of 169.254.169.254).
    ///
    /// # Errors
    /// `Invalid` on Azure Arc, whose form needs a file of the machine.
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let find = |name: &str| lookup(name).filter(|value| !value.is_empty());
        match (find("IDENTITY_ENDPOINT"), find("IDENTITY_HEADER")) {
            (Some(address), Some(header)) => Ok(Self::AppService { address, header: SecretBytes::from(header) }),
            (Some(_), None) => {
                let words = "IDENTITY_ENDPOINT without IDENTITY_HEADER is Azure Arc, whose managed identities are not \
                             served";
                Err(Failure::new(Class::Invalid, words).with_hint("use a client certificate or workload identity"))
            }
            (None, _) => {
                let host = find("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or_else(|| MACHINE.to_owned());
                Ok(Self::Machine(host.trim_end_matches('/').to_owned()))
            }
        }
    }
}

/// A federated token in a file, which its owner renews: read anew for each login.
#[derive(Debug)]
pub struct TokenFile(pub PathBuf);

#[async_trait]
impl TokenSource for TokenFile {
    fn describe(&self) -> String {
        format!("the token in {}", self.0.display())
    }

    async fn token(&self) -> Result<SecretBytes, Failure> {
        // A projected token may be a moment late when a pod starts: asking again can help.
        let unusable = |why: String| Failure::new(Class::Unauthenticated, format!("{}: {why}", self.0.display()));
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&self.0).and_then(|file| file.take(TOKEN_LIMIT + 1).read_to_end(&mut bytes));
        let content = SecretBytes::new(bytes);
        read.map_err(|error| unusable(error.to_string()))?;
        let text = content.expose_text().map(str::trim).filter(|text| !text.is_empty());
        match text {
            Some(text) if content.len() as u64 <= TOKEN_LIMIT => Ok(SecretBytes::from(text.to_owned())),
            _ => Err(unusable("this file holds no token".to_owned())),
        }
    }
}

/// One of Microsoft's clouds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Where tokens are asked for: `https://login.microsoftonline.com`.
    pub login: String,
    /// Which vaults belong to it, and what a token must be for.
    pub vaults: Vaults,
}

/// Which vaults belong to a cloud, and what a token must be for: a token for one cloud's vaults must not reach a server
/// of somebody else's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vaults {
    /// Those below this domain; tokens are for `https://DOMAIN`.
    Below(String),
    /// Any, for private clouds: the vault itself says what tokens must be for. That must lie in a domain above its own,
    /// or at this address where one is given (`https://HOST`).
    Asked(Option<String>),
}

impl Cloud {
    /// The public cloud.
    pub fn public() -> Self {
        Self::known("https://login.microsoftonline.com", "vault.azure.net")
    }

    /// The cloud for the government of the United States.
    pub fn us_government() -> Self {
        Self::known("https://login.microsoftonline.us", "vault.usgovcloudapi.net")
    }

    /// The cloud in China.
    pub fn china() -> Self {
        Self::known("https://login.chinacloudapi.cn", "vault.azure.cn")
    }

    /// The cloud that was in Germany until 2021.
    pub fn germany() -> Self {
        Self::known("https://login.microsoftonline.de", "vault.microsoftazure.de")
    }

    fn known(login: &str, domain: &str) -> Self {
        Self { login: login.to_owned(), vaults: Vaults::Below(domain.to_owned()) }
    }
}

/// How what is read is written down, where the two libraries of External Secrets Operator differ: a hash over a Secret
/// tells them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Keys with `kid`, `kty` and `key_ops` first; metadata with the times.
    #[default]
    Classic,
    /// Keys in alphabetical order; metadata is the tags alone.
    Current,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, proxy and TLS included.
    pub connect: Duration,
    /// For one whole call, connection and answer included.
    pub call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        // A connection takes milliseconds; a lost first packet is sent again after 1 s and 3 s. Key Vault answers
        // within a second, the login within two.
        Self { connect: Duration::from_secs(4), call: Duration::from_secs(10) }
    }
}

impl Timeouts {
    /// A client that waits so long and takes answers of at most `body_limit` bytes.
    pub(crate) fn client(
        self,
        tls: TlsSettings,
        proxy: Proxy,
        addresses: AddressPolicy,
        body_limit: usize,
    ) -> Result<Client, Failure> {
        let Self { connect, call } = self;
        let timeouts = strongroom_http::Timeouts { connect, wait: call, total: call };
        let settings = strongroom_http::Settings {
            tls,
            proxy,
            addresses,
            timeouts,
            body_limit,
            ..strongroom_http::Settings::default()
        };
        Ok(Client::new(settings)?)
    }
}

/// A vault's address, checked.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    /// `https://HOST[:PORT]`.
    pub(crate) base: String,
    /// `HOST[:PORT]`, in lower case.
    pub(crate) authority: String,
    /// `HOST`, in lower case.
    pub(crate) host: String,
}

impl Settings {
    /// The vault, where it is one of the cloud's.
    pub(crate) fn vault(&self) -> Result<Vault, Failure> {
        let invalid = |words: String| Failure::new(Class::Invalid, words).in_field("vaultUrl");
        let not_one = || invalid("this is not the address of a vault, https://NAME.vault.azure.net".to_owned());
        let address: Uri = self.vault_url.trim().parse().map_err(|_| not_one())?;
        let authority = address.authority().filter(|authority| !authority.as_str().contains('@'));
        let (Some("https"), Some(authority), "/" | "", None) =
            (address.scheme_str(), authority, address.path(), address.query())
        else {
            return Err(not_one());
        };
        let host = authority.host().to_ascii_lowercase();
        let authority = authority.as_str().to_ascii_lowercase();
        match &self.cloud.vaults {
            Vaults::Below(domain) if !is_below(&host, domain) => {
                Err(invalid(format!("{host} is no vault of this cloud, whose vaults are below {domain}"))
                    .with_hint("choose the cloud by environmentType, or give customCloudConfig for a private one"))
            }
            _ => Ok(Vault { base: format!("https://{authority}"), authority, host }),
        }
    }
}

/// Whether `host` is a name below `domain`.
pub(crate) fn is_below(host: &str, domain: &str) -> bool {
    let rest = host.strip_suffix(&domain.to_ascii_lowercase());
    !domain.is_empty() && rest.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vault_url: &str, cloud: Cloud) -> Settings {
        Settings {
            vault_url: vault_url.to_owned(),
            credentials: Credentials::Managed { id: None, endpoint: ManagedEndpoint::Machine(MACHINE.to_owned()) },
            cloud,
            form: Form::default(),
            tls: TlsSettings::default(),
            proxy: Proxy::none(),
            addresses: AddressPolicy::Any,
            timeouts: Timeouts::default(),
        }
    }

    #[test]
    fn a_vault_is_one_of_its_cloud() {
        let check = |address: &str, cloud: Cloud, expected: Option<&str>| {
            let vault = settings(address, cloud).vault();
            assert_eq!(vault.ok().map(|vault| vault.base).as_deref(), expected, "{address}");
        };
        let public = Cloud::public;
        check("https://a.vault.azure.net", public(), Some("https://a.vault.azure.net"));
        check("https://A.vault.azure.net/", public(), Some("https://a.vault.azure.net"));
        check("https://a.vault.azure.net:443/", public(), Some("https://a.vault.azure.net:443"));
        check("https://a.vault.usgovcloudapi.net/", Cloud::us_government(), Some("https://a.vault.usgovcloudapi.net"));
        let custom = |vaults| Cloud { login: "https://login.example".to_owned(), vaults };
        check("https://10.0.0.1:8443", custom(Vaults::Asked(None)), Some("https://10.0.0.1:8443"));
        for wrong in [
            "",
            "a.vault.azure.net",
            "http://a.vault.azure.net",
            "https://vault.azure.net",
            "https://.vault.azure.net",
            "https://a.vault.azure.net.evil.example",
            "https://evilvault.azure.net",
            "https://a.vault.azure.net@evil.example",
            "https://evil.example/a.vault.azure.net",
            "https://a.vault.azure.net/secrets",
            "https://a.vault.azure.net?x=y",
            "https://a.vault.usgovcloudapi.net",
        ] {
            check(wrong, public(), None);
        }
    }

    #[test]
    fn managed_identities_are_asked_where_azures_tools_ask() {
        let check = |pairs: &[(&str, &str)], expected: Option<&str>| {
            let lookup =
                |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            let found = ManagedEndpoint::from_environment(&lookup).ok().map(|endpoint| match endpoint {
                ManagedEndpoint::Machine(host) => host,
                ManagedEndpoint::AppService { address, .. } => address,
            });
            assert_eq!(found.as_deref(), expected, "{pairs:?}");
        };
        check(&[], Some("http://169.254.169.254"));
        check(&[("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1/")], Some("http://127.0.0.1:1"));
        check(&[("IDENTITY_ENDPOINT", "http://x/msi"), ("IDENTITY_HEADER", "h")], Some("http://x/msi"));
        check(&[("IDENTITY_ENDPOINT", "http://x/msi")], None);
        check(&[("IDENTITY_ENDPOINT", "")], Some("http://169.254.169.254"));
    }

    #[tokio::test]
    async fn a_token_file_is_read_anew_and_bounded() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("token");
        let source = TokenFile(file.clone());
        assert_eq!(source.token().await.unwrap_err().class, Class::Unauthenticated);
        let write =
            |bytes: &[u8]| std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), bytes).unwrap();
        write(b"one\n");
        assert_eq!(source.token().await.unwrap().expose(), b"one");
        write(b"two");
        assert_eq!(source.token().await.unwrap().expose(), b"two");
        for bad in [&b" \n"[..], &b"\xff"[..], &[b'x'; 64 * 1024 + 1][..]] {
            write(bad);
            assert_eq!(source.token().await.unwrap_err().class, Class::Unauthenticated);
        }
    }
}

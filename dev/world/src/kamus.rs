//! Texts as Kamus wrote them, made by a script that knows nothing of ours: only Kamus' formats, and the clouds' own
//! Python clients, which make the keys that are missing.

use anyhow::Result;

use crate::azure::AzureStandIn;
use crate::google::GoogleStandIn;
use crate::moto::Moto;
use crate::proxy::ForwardProxy;
use crate::python;

/// The vault that Azure's client is told to use, and where it logs in: names that its library trusts.
const VAULT: &str = "world.vault.azure.net";
const LOGIN: &str = "login.microsoftonline.com";

/// For whom a text is, and what it holds.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    /// The service account's namespace.
    pub namespace: &'a str,
    /// The service account.
    pub account: &'a str,
    /// The value.
    pub plain: &'a str,
}

impl Value<'_> {
    /// Under a key of the service's own (32 bytes in base64), or under what it makes of that for the account.
    ///
    /// # Errors
    /// When the script fails, here and below.
    pub fn under_key(&self, key: &str, is_derived: bool) -> Result<String> {
        self.made("aes", &[key, if is_derived { "derived" } else { "plain" }], &[])
    }

    /// Under a key of AWS KMS in this region, with Kamus' `CmkPrefix` in its alias.
    ///
    /// # Errors
    /// As above.
    pub fn under_aws(&self, moto: &Moto, region: &str, prefix: &str) -> Result<String> {
        let variables = [
            ("AWS_ENDPOINT_URL", moto.endpoint()),
            ("AWS_DEFAULT_REGION", region),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];
        self.made("aws", &[prefix], &variables)
    }

    /// Under a key of Azure Key Vault, in an envelope where it is longer than `maximum` UTF-16 units (214 as Kamus
    /// comes).
    ///
    /// # Errors
    /// As above.
    pub fn under_azure(&self, azure: &AzureStandIn, maximum: usize) -> Result<String> {
        let certificate = azure.authority().certificate_file().to_string_lossy().into_owned();
        let proxy = ForwardProxy::start()?;
        for host in [VAULT, LOGIN] {
            proxy.route(host, azure.endpoint().trim_start_matches("https://").parse()?);
        }
        let secret = azure.client_secret();
        let variables = [
            ("REQUESTS_CA_BUNDLE", certificate.as_str()),
            ("HTTPS_PROXY", proxy.url()),
            ("NO_PROXY", "127.0.0.1"),
            ("SECRET", &secret),
        ];
        let (tenant, client, maximum) = (azure.tenant(), azure.client_id(), maximum.to_string());
        self.made("azure", &[&format!("https://{VAULT}"), &tenant, &client, &maximum], &variables)
    }

    /// Under a key of Google Cloud KMS in this ring: `projects/P/locations/L/keyRings/R`.
    ///
    /// # Errors
    /// As above.
    pub fn under_google(&self, google: &GoogleStandIn, ring: &str) -> Result<String> {
        let certificate = google.certificate_file().to_string_lossy().into_owned();
        let credentials = google.service_account_file().to_string_lossy().into_owned();
        let variables = [("REQUESTS_CA_BUNDLE", certificate.as_str()), ("NO_PROXY", "127.0.0.1")];
        self.made("google", &[google.endpoint(), &credentials, ring], &variables)
    }

    fn made(&self, provider: &str, settings: &[&str], variables: &[(&str, &str)]) -> Result<String> {
        let script = include_str!("../python/kamus_legacy.py");
        let arguments = [&[provider, self.namespace, self.account], settings].concat();
        let variables = [&[("PLAIN", self.plain)], variables].concat();
        let printed = python::prepare()?.run(script, &arguments, &variables)?;
        Ok(printed.trim_end().to_owned())
    }
}

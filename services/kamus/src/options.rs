use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use kube::Client;
use strongroom_aws::{AccessKey, Endpoints, Session};
use strongroom_azure::{Cloud, Credentials, Form, Vaults};
use strongroom_decrypt::{
    AwsManagement, AzureManagement, Decrypter, GoogleManagement, KeyManagement, LegacyKey, Limits, LocalKey,
    TransitManagement,
};
use strongroom_failure::{Class, Failure};
use strongroom_http::{AddressPolicy, Proxy, TlsSettings};
use strongroom_kamus::legacy::Derivation;
use strongroom_kamus::{Installation, KeyRing};
use strongroom_kube::{Access, Connection, Secrets};
use strongroom_secret::SecretBytes;
use strongroom_vault::Vault;

use crate::ring::RingPlace;

/// A variable of the environment by its name.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

const KEYS: &str = "Keys";
const KAMUS: &str = "Reading what Kamus encrypted";

/// Who wraps an installation's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Management {
    /// A key in a file
    Local,
    /// A key of a transit engine: Vault's, OpenBao's or a built-in store's
    Transit,
    /// A key of AWS KMS
    Aws,
    /// A key of Google Cloud KMS
    Google,
    /// A key of Azure Key Vault
    Azure,
}

/// Where an installation's keys lie, who wraps them, and how texts of Kamus are read.
#[derive(Args, Clone, Debug, Default)]
pub struct KeyOptions {
    /// Who wraps the installation's keys [env: KeyManagement__Provider, as Kamus has it] [default: local]
    #[arg(long, value_name = "KIND", value_enum, help_heading = KEYS)]
    key_management: Option<Management>,

    /// The key management's key: MOUNT/NAME of a transit engine (found and logged in to by VAULT_*); id, ARN or alias of
    /// AWS KMS (AWS_*); projects/P/locations/L/keyRings/R/cryptoKeys/K (GOOGLE_*); https://VAULT.vault.azure.net/keys/NAME
    /// (AZURE_*). Texts of Kamus are opened by the keys that it made in the same account, ring or vault
    #[arg(long, value_name = "KEY", help_heading = KEYS)]
    key: Option<String>,

    /// With --key-management local: a file of 32 bytes in base64 [env: KeyManagement__AES__Key holds the bytes]
    #[arg(long, value_name = "FILE", help_heading = KEYS)]
    local_key_file: Option<PathBuf>,

    /// The file of the installation's keys, wrapped; made where there is none
    #[arg(long, value_name = "FILE", conflicts_with = "keys_secret", help_heading = KEYS)]
    keys_file: Option<PathBuf>,

    /// The Secret of the installation's keys, wrapped, in the pod's namespace or as NAMESPACE/NAME; made where there is none
    #[arg(long, value_name = "NAME", help_heading = KEYS)]
    keys_secret: Option<String>,

    /// What values are bound to besides their service account, where the keys are made
    #[arg(long, value_name = "NAME", default_value = "strongroom", help_heading = KEYS)]
    installation: String,

    /// The key of Kamus' provider AESKey, a file of 32 bytes in base64 [env: KeyManagement__AES__Key holds the bytes]
    #[arg(long, value_name = "FILE", help_heading = KAMUS)]
    kamus_aes_key_file: Option<PathBuf>,

    /// Kamus derived a key for each account [env: KeyManagement__AES__UseKeyDeriviation]
    #[arg(long, help_heading = KAMUS)]
    kamus_key_derivation: bool,

    /// Read what Kamus encrypted without key derivation, its default. Every service account can then read ALL of these
    /// texts, whoever they are for: use it while you move to texts of our own, and not longer
    #[arg(long, help_heading = KAMUS)]
    insecure_any_account_reads_kamus_texts: bool,
}

/// Which cluster is asked.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ClusterOptions {
    /// kubeconfig file; when absent KUBECONFIG, the pod's own service account, or ~/.kube/config
    #[arg(long, value_name = "FILE", help_heading = KEYS)]
    kubeconfig: Option<PathBuf>,
}

impl KeyOptions {
    /// Who wraps keys.
    ///
    /// # Errors
    /// `Invalid` for what is missing or wrong, by its flag.
    pub fn management(&self, lookup: Lookup<'_>) -> Result<Arc<dyn KeyManagement>, Failure> {
        match self.kind(lookup)? {
            Management::Local => {
                let missing = || {
                    invalid("no key is given").in_field("--local-key-file").with_hint(
                        "make one, openssl rand -base64 32 > FILE, or name a key management: --key-management",
                    )
                };
                let (text, field) =
                    named_text(self.local_key_file.as_ref(), "--local-key-file", lookup)?.ok_or_else(missing)?;
                Ok(Arc::new(LocalKey::new(&text).map_err(|failure| failure.in_field(field))?))
            }
            Management::Transit => {
                let place = self.named_key("write MOUNT/NAME")?;
                let vault = Vault::open(strongroom_vault::Settings::from_environment(lookup)?, Arc::default())?;
                Ok(Arc::new(TransitManagement::new(Arc::new(vault), place)))
            }
            Management::Aws => {
                let key = self.named_key("write the id, ARN or alias of a key of KMS")?;
                let prefix = lookup("KeyManagement__AwsKms__CmkPrefix").unwrap_or_default();
                let session = Session::new(aws(lookup), Arc::default())?;
                Ok(Arc::new(AwsManagement::new(session, key.to_owned(), prefix)))
            }
            Management::Google => {
                let key = self.named_key("write projects/P/locations/L/keyRings/R/cryptoKeys/K")?;
                let settings = strongroom_google::Settings::from_environment(lookup)?;
                let endpoint = lookup("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS").filter(|text| !text.is_empty());
                let keys = strongroom_google::KeyManagement::open(&settings, endpoint, Arc::default())?;
                let made = GoogleManagement::new(keys, key.to_owned());
                Ok(Arc::new(made.map_err(|failure| failure.in_field("--key"))?))
            }
            Management::Azure => {
                let hint = "write https://VAULT.vault.azure.net/keys/NAME";
                let wrong = || invalid("names no key of a vault").in_field("--key").with_hint(hint);
                let (vault, name) = self.named_key(hint)?.split_once("/keys/").ok_or_else(wrong)?;
                let keys = strongroom_azure::Keys::open(azure(vault, lookup)?, Arc::default())?;
                let made = AzureManagement::new(keys, name.trim_end_matches('/').to_owned());
                Ok(Arc::new(made.map_err(|failure| failure.in_field("--key"))?))
            }
        }
    }

    fn named_key(&self, hint: &str) -> Result<&str, Failure> {
        let missing = || invalid("no key is named").in_field("--key").with_hint(hint);
        self.key.as_deref().ok_or_else(missing)
    }

    /// A flag, else Kamus' own word.
    fn kind(&self, lookup: Lookup<'_>) -> Result<Management, Failure> {
        if let Some(kind) = self.key_management {
            return Ok(kind);
        }
        match lookup("KeyManagement__Provider").as_deref() {
            None | Some("" | "AESKey") => Ok(Management::Local),
            Some("AwsKms") => Ok(Management::Aws),
            Some("GoogleKms") => Ok(Management::Google),
            Some("AzureKeyVault") => Ok(Management::Azure),
            Some(other) => {
                let words = format!("Unsupported provider type: {other}");
                Err(invalid(words).in_field("KeyManagement__Provider").with_hint("use --key-management"))
            }
        }
    }

    /// The key that texts of Kamus' provider `AESKey` are read by; nothing where they are not.
    ///
    /// # Errors
    /// `Invalid` for what is no key.
    pub fn legacy(&self, lookup: Lookup<'_>) -> Result<Option<LegacyKey>, Failure> {
        let is_true = |name: &str| lookup(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let derivation = match self.kamus_key_derivation || is_true("KeyManagement__AES__UseKeyDeriviation") {
            true => Derivation::ByIdentity,
            false if self.insecure_any_account_reads_kamus_texts => Derivation::Insecure,
            false => return Ok(None),
        };
        if derivation == Derivation::Insecure {
            tracing::warn!(
                "every service account can read all texts that Kamus encrypted without key derivation; encrypt them anew \
                 (strongroom kamus rewrap) and leave out --insecure-any-account-reads-kamus-texts"
            );
        }
        let text = named_text(self.kamus_aes_key_file.as_ref(), "--kamus-aes-key-file", lookup)?;
        let missing = || invalid("Kamus' key is missing").in_field("--kamus-aes-key-file");
        let (text, field) = text.ok_or_else(missing)?;
        LegacyKey::new(&text, derivation).map(Some).map_err(|failure| failure.in_field(field))
    }

    /// Where the keys lie; `client` and `namespace` are for a Secret.
    ///
    /// # Errors
    /// `Invalid` where no place is named, or it is a Secret and there is no cluster.
    pub fn place(&self, cluster: Option<(Client, &str)>) -> Result<RingPlace, Failure> {
        match (&self.keys_file, &self.keys_secret, cluster) {
            (Some(path), _, _) => Ok(RingPlace::File(path.clone())),
            (None, Some(name), Some((client, namespace))) => {
                let (namespace, name) = name.split_once('/').unwrap_or((namespace, name));
                let secrets = Secrets::new(client, "strongroom-kamus");
                Ok(RingPlace::Secret { secrets, namespace: namespace.to_owned(), name: name.to_owned() })
            }
            (None, Some(_), None) => Err(invalid("there is no cluster").in_field("--keys-secret")),
            (None, None, _) => Err(invalid("nothing says where the installation's keys lie")
                .with_hint("give --keys-secret NAME in a cluster, or --keys-file FILE")),
        }
    }

    /// Whether it is said where the keys lie.
    pub fn is_given(&self) -> bool {
        self.keys_file.is_some() || self.keys_secret.is_some()
    }

    /// Whether the keys lie in a Secret.
    pub fn needs_cluster(&self) -> bool {
        self.keys_file.is_none() && self.keys_secret.is_some()
    }

    /// The installation that keys are made for.
    ///
    /// # Errors
    /// A name that none can have.
    pub fn installation(&self) -> Result<Installation, Failure> {
        Installation::new(&self.installation).map_err(|error| invalid(error.to_string()).in_field("--installation"))
    }

    /// What opens and seals, with the keys of a `ring` that is there already.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub(crate) fn opening(&self, ring: KeyRing, lookup: Lookup<'_>) -> Result<Decrypter, Failure> {
        Ok(Decrypter::new(self.management(lookup)?, self.legacy(lookup)?, ring, Limits::default()))
    }

    /// What opens and seals, with the keys at `place`, which are made where there are none.
    ///
    /// # Errors
    /// What is wrong with the options, the keys or the key management.
    pub async fn decrypter(&self, place: &RingPlace, lookup: Lookup<'_>) -> Result<Decrypter, Failure> {
        let management = self.management(lookup)?;
        let ring = place.ensure(&self.installation()?, &*management).await?;
        Ok(Decrypter::new(management, self.legacy(lookup)?, ring, Limits::default()))
    }
}

impl ClusterOptions {
    /// A client for the cluster.
    ///
    /// # Errors
    /// Where no cluster is known.
    pub(crate) async fn connect(&self, lookup: Lookup<'_>) -> Result<Connection, Failure> {
        let access = match &self.kubeconfig {
            Some(file) => Access::Kubeconfig { files: vec![file.clone()], context: None },
            None => Access::from_environment(&lookup).ok_or_else(|| {
                invalid("no cluster is known").with_hint("run in a pod, or give --kubeconfig or KUBECONFIG")
            })?,
        };
        Connection::open(&strongroom_kube::Settings {
            access,
            role: "kamus",
            queries_per_second: 1_000.0,
            burst: 2_000,
        })
        .await
    }
}

/// The ambient identity of AWS, or the one that Kamus' settings name.
fn aws(lookup: Lookup<'_>) -> strongroom_aws::Settings {
    let find = |name: &str| lookup(name).filter(|text| !text.is_empty());
    let of_kamus = |name: &str| find(&format!("KeyManagement__AwsKms__{name}"));
    let key = of_kamus("Key").zip(of_kamus("Secret"));
    strongroom_aws::Settings {
        region: of_kamus("Region"),
        access_key: key.map(|(id, secret)| AccessKey { id, secret: SecretBytes::from(secret), session_token: None }),
        endpoints: Endpoints {
            kms: find("AWS_ENDPOINT_URL_KMS").or_else(|| find("AWS_ENDPOINT_URL")),
            ..Endpoints::default()
        },
        ..strongroom_aws::Settings::default()
    }
}

/// A vault of Azure's public cloud, or of another one that `AZURE_AUTHORITY_HOST` logs in to.
fn azure(vault: &str, lookup: Lookup<'_>) -> Result<strongroom_azure::Settings, Failure> {
    let clouds = [Cloud::public(), Cloud::us_government(), Cloud::china()];
    let login = lookup("AZURE_AUTHORITY_HOST").filter(|text| !text.is_empty());
    let cloud = match login.as_deref().map(|login| login.trim_end_matches('/')) {
        None => Cloud::public(),
        Some(login) => clouds.into_iter().find(|cloud| cloud.login == login).unwrap_or_else(|| Cloud {
            login: login.to_owned(),
            vaults: Vaults::Asked(Some("https://vault.azure.net".to_owned())),
        }),
    };
    Ok(strongroom_azure::Settings {
        vault_url: vault.to_owned(),
        credentials: Credentials::from_environment(lookup)?,
        cloud,
        form: Form::Classic,
        tls: TlsSettings::from_environment(lookup),
        proxy: Proxy::from_environment(lookup)?,
        addresses: AddressPolicy::Any,
        timeouts: strongroom_azure::Timeouts::default(),
    })
}

/// The text of a key and where it is from: a file, or the variable that Kamus' containers have.
fn named_text(
    file: Option<&PathBuf>,
    flag: &'static str,
    lookup: Lookup<'_>,
) -> Result<Option<(SecretBytes, &'static str)>, Failure> {
    const VARIABLE: &str = "KeyManagement__AES__Key";
    match file {
        Some(path) => {
            let unread = |error| invalid(format!("{} cannot be read: {error}", path.display())).in_field(flag);
            let bytes = std::fs::read(path).map(SecretBytes::new).map_err(unread)?;
            Ok(Some((bytes, flag)))
        }
        None => Ok(lookup(VARIABLE).filter(|text| !text.is_empty()).map(|text| (SecretBytes::from(text), VARIABLE))),
    }
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

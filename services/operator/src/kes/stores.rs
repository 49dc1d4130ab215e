//! Opens the stores of kubernetes-external-secrets: as the operator itself, by the variables that KES has them in.

use std::sync::Arc;

use strongroom_aws::{Endpoints, Role, Session};
use strongroom_azure::{Cloud, Credentials, Form, KeyVault, Vaults};
use strongroom_failure::{Class, Failure};
use strongroom_google::SecretManager;
use strongroom_http::{AddressPolicy, Pem, Proxy, Roots, TlsSettings};
use strongroom_kes::Store;
use strongroom_provider::{Meter, Provider};
use strongroom_secret::SecretBytes;
use strongroom_vault::{Auth, Credential, Jwt, KvVersion, Token, Vault};

use crate::eso::stores::aws_endpoints;
use crate::reader::Variables;

/// What KES calls its sessions; trust policies may name it.
const SESSION_NAME: &str = "k8s-external-secrets";

/// Where KES looks for Vault when nothing is said.
const VAULT_ADDRESS: &str = "http://127.0.0.1:8200";

/// Where LocalStack is, and its region, when nothing is said.
const LOCALSTACK: &str = "http://localhost:4566";
const LOCALSTACK_REGION: &str = "us-west-2";

/// Opens `store`, without asking it.
///
/// # Errors
/// `Invalid` where a variable is missing or wrong; it is named.
pub(super) fn open(store: &Store, variables: &Variables, meter: Arc<Meter>) -> Result<Arc<dyn Provider>, Failure> {
    let opening = Opening { variables, meter };
    match store {
        Store::SecretsManager { region, role } => {
            Ok(Arc::new(opening.aws(region.as_ref(), role.as_deref())?.secrets_manager(None)))
        }
        Store::ParameterStore { region, role } => {
            Ok(Arc::new(opening.aws(region.as_ref(), role.as_deref())?.parameter_store(None)))
        }
        Store::Vault { mount, role, kv_version } => opening.vault(mount, role.as_deref(), *kv_version),
        Store::AzureKeyVault { name } => opening.azure(name),
        Store::GoogleSecretManager { project } => opening.google(project.clone()),
    }
}

struct Opening<'a> {
    variables: &'a Variables,
    meter: Arc<Meter>,
}

impl Opening<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned().filter(|value| !value.is_empty())
    }

    /// The role of the object is taken from the intermediate role, where there is one.
    fn aws(&self, region: Option<&String>, role: Option<&str>) -> Result<Session, Failure> {
        let chain = role.map(|role| self.variable("AWS_INTERMEDIATE_ROLE_ARN").into_iter().chain([role.to_owned()]));
        let taken = |arn| Role { arn, session_name: Some(SESSION_NAME.to_owned()), ..Role::default() };
        let (region, endpoints) = self.region_and_endpoints(region.cloned());
        let roles = chain.into_iter().flatten().map(taken).collect();
        let settings = strongroom_aws::Settings { region, roles, endpoints, ..strongroom_aws::Settings::default() };
        Session::new(settings, Arc::clone(&self.meter))
    }

    /// With `LOCALSTACK` everything is there, whatever the object says.
    fn region_and_endpoints(&self, region: Option<String>) -> (Option<String>, Endpoints) {
        if self.variable("LOCALSTACK").is_none() {
            let endpoints = aws_endpoints(&|name| self.variable(name));
            // KES documents this name, and forgot it.
            let secrets_manager = self.variable("AWS_SM_ENDPOINT").or(endpoints.secrets_manager);
            return (region, Endpoints { secrets_manager, ..endpoints });
        }
        let at = |service: &str| {
            let named = self.variable(&format!("LOCALSTACK_{service}_URL"));
            Some(named.unwrap_or_else(|| LOCALSTACK.to_owned()))
        };
        let endpoints =
            Endpoints { secrets_manager: at("SM"), parameter_store: at("SSM"), sts: at("STS"), ..Endpoints::default() };
        (Some(self.variable("AWS_REGION").unwrap_or_else(|| LOCALSTACK_REGION.to_owned())), endpoints)
    }

    fn vault(&self, mount: &str, role: Option<&str>, kv_version: i64) -> Result<Arc<dyn Provider>, Failure> {
        let auth = match self.variable("VAULT_TOKEN") {
            Some(token) => {
                let value = SecretBytes::from(token);
                Auth::Token(Token(Credential::Value { value, origin: "VAULT_TOKEN".to_owned() }))
            }
            None => Auth::Kubernetes(Jwt {
                mount: Some(mount.to_owned()),
                role: Some(role.ok_or_else(no_vault_role)?.to_owned()),
                jwt: Credential::own_token(),
            }),
        };
        let address = self.variable("VAULT_ADDR").unwrap_or_else(|| VAULT_ADDRESS.to_owned());
        let settings = strongroom_vault::Settings {
            namespace: self.variable("VAULT_NAMESPACE"),
            kv_version: Some(if kv_version == 1 { KvVersion::One } else { KvVersion::Two }),
            tls: self.tls(),
            ..strongroom_vault::Settings::new(address, auth)
        };
        let settings = settings.with_ambient_proxy(&|name| self.variable(name))?;
        Ok(Arc::new(Vault::open(settings, Arc::clone(&self.meter))?))
    }

    /// The authorities that Node.js was told of are trusted besides the system's.
    fn tls(&self) -> TlsSettings {
        let mut tls = TlsSettings::from_environment(&|name| self.variable(name));
        if let Some(file) = self.variable("NODE_EXTRA_CA_CERTS") {
            tls.roots = Roots::System(vec![Pem::File(file.into())]);
        }
        tls
    }

    fn azure(&self, name: &str) -> Result<Arc<dyn Provider>, Failure> {
        // Anything else would name another host.
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            let words = "this is no name of a Key Vault: letters, digits and hyphens";
            return Err(Failure::new(Class::Invalid, words).in_field("spec.keyVaultName"));
        }
        let cloud = self.cloud()?;
        let suffix = self.variable("AZURE_KEY_VAULT_DNS_SUFFIX").unwrap_or_else(|| match &cloud.vaults {
            Vaults::Below(domain) => domain.clone(),
            Vaults::Asked(_) => String::new(),
        });
        let settings = strongroom_azure::Settings {
            vault_url: format!("https://{name}.{suffix}"),
            // The domain is the operator's own choice, and with it who gets its tokens.
            cloud: Cloud { vaults: Vaults::Below(suffix), ..cloud },
            credentials: self.azure_credentials()?,
            form: Form::Classic,
            tls: self.tls(),
            proxy: Proxy::from_environment(&|name| self.variable(name))?,
            addresses: AddressPolicy::Any,
            timeouts: strongroom_azure::Timeouts::default(),
        };
        Ok(Arc::new(KeyVault::open(settings, Arc::clone(&self.meter))?))
    }

    fn cloud(&self) -> Result<Cloud, Failure> {
        match self.variable("AZURE_ENVIRONMENT").as_deref() {
            None | Some("AzureCloud") => Ok(Cloud::public()),
            Some("AzureChinaCloud") => Ok(Cloud::china()),
            Some("AzureGermanCloud") => Ok(Cloud::germany()),
            // The chart's comment has the shorter name.
            Some("AzureUSGovernmentCloud" | "AzureUSGovernment") => Ok(Cloud::us_government()),
            Some(_) => Err(Failure::new(Class::Invalid, "there is no such cloud")
                .in_field("AZURE_ENVIRONMENT")
                .with_hint("write AzureCloud, AzureChinaCloud, AzureGermanCloud or AzureUSGovernmentCloud")),
        }
    }

    fn azure_credentials(&self) -> Result<Credentials, Failure> {
        let found = Credentials::from_environment(&|name| self.variable(name));
        found.map_err(|failure| match &failure.hint {
            Some(_) => failure,
            None => {
                failure.with_hint("set in the operator's environment what kubernetes-external-secrets had in its own")
            }
        })
    }

    fn google(&self, project: Option<String>) -> Result<Arc<dyn Provider>, Failure> {
        let settings = strongroom_google::Settings {
            project,
            // A key is a name in the project, never another project's.
            is_confined: true,
            ..strongroom_google::Settings::default()
        };
        let settings = settings.completed(&|name| self.variable(name))?;
        Ok(Arc::new(SecretManager::open(settings, Arc::clone(&self.meter))?))
    }
}

fn no_vault_role() -> Failure {
    Failure::new(Class::Invalid, "no role is named to log in to Vault with")
        .in_field("spec.vaultRole")
        .with_hint("name one, or set DEFAULT_VAULT_ROLE in the operator's environment")
}

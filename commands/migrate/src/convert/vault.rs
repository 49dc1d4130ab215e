//! `vault`.

use strongroom_api::external_secrets::provider::{VaultAuth, VaultKubernetesAuth, VaultKvVersion, VaultProvider};
use strongroom_api::external_secrets::{CaProvider, CaProviderKind};
use strongroom_api::kes::ExternalSecretSpec;

use super::stores::Context;
use crate::report::Notes;
use crate::settings::FileSource;

/// The Secret to which a token is copied.
const SECRET: &str = "kes-vault-credentials";

/// Where KES looks for Vault where it is not told.
const USUAL_ADDRESS: &str = "http://127.0.0.1:8200";

/// Where KES looks for the Kubernetes authentication where it is not told.
const USUAL_MOUNT: &str = "kubernetes";

/// Vault as KES asks it. The store names no mount: keys begin with theirs, as KES's do, so that an object may read
/// several.
pub(super) fn provider(
    spec: &ExternalSecretSpec,
    context: &mut Context<'_>,
    notes: &mut Notes,
) -> Option<VaultProvider> {
    let settings = context.settings;
    if let Some(place) = settings.unknown("VAULT_ADDR") {
        notes.refuse(format!("Vault's address is not known: it lies in {place}"), "give it with --set VAULT_ADDR=…");
        return None;
    }
    if settings.text("VAULT_ADDR").is_none() {
        context.remark(format!("KES has no VAULT_ADDR and asks {USUAL_ADDRESS}: give Vault's with --set VAULT_ADDR=…"));
    }
    for (variable, words) in [
        ("VAULT_SKIP_VERIFY", "certificates are always verified: give the authority as caProvider"),
        ("VAULT_PREFIX", "keys are read below /v1"),
    ] {
        if settings.is_set(variable) {
            context.remark(format!("KES has {variable}: {words}"));
        }
    }
    Some(VaultProvider {
        server: settings.text("VAULT_ADDR").unwrap_or(USUAL_ADDRESS).to_owned(),
        version: if spec.kv_version == Some(1) { VaultKvVersion::One } else { VaultKvVersion::Two },
        namespace: settings.text("VAULT_NAMESPACE").map(str::to_owned),
        ca_provider: authority(context),
        auth: Some(auth(spec, context, notes)?),
        ..VaultProvider::default()
    })
}

/// The authority that KES was told to trust, where it is known in which object it lies.
fn authority(context: &mut Context<'_>) -> Option<CaProvider> {
    let path = context.settings.text("NODE_EXTRA_CA_CERTS")?.to_owned();
    let namespace = context.is_cluster_wide().then(|| context.settings.namespace.clone());
    match context.settings.file(&path) {
        Some(FileSource::Secret(source)) => {
            let reference = context.reference(&source);
            let (name, key) = (reference.name.unwrap_or_default(), reference.key);
            Some(CaProvider { kind: CaProviderKind::Secret, name, key, namespace })
        }
        Some(FileSource::ConfigMap { name, key }) => {
            if !context.is_cluster_wide() {
                let home = &context.settings.namespace;
                context.remark(format!("copy the ConfigMap {home}/{name} to this namespace"));
            }
            Some(CaProvider { kind: CaProviderKind::ConfigMap, name, key: Some(key), namespace })
        }
        None => {
            context.remark(format!("KES trusts the authorities in {path}: give them as caProvider"));
            None
        }
    }
}

fn auth(spec: &ExternalSecretSpec, context: &mut Context<'_>, notes: &mut Notes) -> Option<VaultAuth> {
    if let Some(token) = context.selector("VAULT_TOKEN", SECRET, "token") {
        return Some(VaultAuth { token_secret_ref: Some(token), ..VaultAuth::default() });
    }
    let settings = context.settings;
    let chosen = |own: &Option<String>, usual: &str| {
        let own = own.clone().filter(|own| !own.is_empty());
        own.or_else(|| settings.text(usual).map(str::to_owned))
    };
    let Some(role) = chosen(&spec.vault_role, "DEFAULT_VAULT_ROLE") else {
        let why = "no role of Vault is named, neither by vaultRole nor by DEFAULT_VAULT_ROLE";
        notes.refuse(why, "give KES's own with --set DEFAULT_VAULT_ROLE=…");
        return None;
    };
    let mount = chosen(&spec.vault_mount_point, "DEFAULT_VAULT_MOUNT_POINT").unwrap_or_else(|| USUAL_MOUNT.to_owned());
    let service_account_ref = match &settings.account {
        Some(account) => Some(context.account(account, notes)?),
        None => {
            context.ambient(
                "KES's service account is not known: the operator's own token is used, and Vault's role must be bound \
                 to the operator's service account too",
            );
            None
        }
    };
    let kubernetes = VaultKubernetesAuth { mount_path: Some(mount), service_account_ref, secret_ref: None, role };
    Some(VaultAuth { kubernetes: Some(kubernetes), ..VaultAuth::default() })
}

//! The certificates and keys of one control plane, as files.

use std::path::Path;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rcgen::{KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

use crate::cache;

/// Writes into `folder`: `ca.crt`; `NAME.crt` and `NAME.key` for `apiserver` (for the host names and addresses
/// `servers`), `admin` (group `system:masters`) and `kubelet` (the node [`crate::node::NAME`]); `sa.key`, which signs the tokens
/// of service accounts.
pub(crate) fn write(folder: &Path, servers: &[String]) -> Result<()> {
    cache::make_directory(folder)?;
    let authority = authority()?;
    cache::write(&folder.join("ca.crt"), authority.pem().as_bytes())?;
    let server = CertificateParams::new(servers)?;
    issue(folder, "apiserver", &authority, named(server, "kube-apiserver", None, ExtendedKeyUsagePurpose::ServerAuth))?;
    let node = format!("system:node:{}", crate::node::NAME);
    for (file, user, group) in [("admin", "admin", "system:masters"), ("kubelet", &node, "system:nodes")] {
        let params = named(CertificateParams::default(), user, Some(group), ExtendedKeyUsagePurpose::ClientAuth);
        issue(folder, file, &authority, params)?;
    }
    // RSA, because RS256 is what every verifier of tokens must understand.
    let signer = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
    cache::write(&folder.join("sa.key"), signer.serialize_pem().as_bytes())
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Test World Cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)?)
}

/// Kubernetes takes a certificate's common name for the user and its organisation for the group.
fn named(
    mut params: CertificateParams,
    user: &str,
    group: Option<&str>,
    usage: ExtendedKeyUsagePurpose,
) -> CertificateParams {
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.extended_key_usages = vec![usage];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn issue(
    folder: &Path,
    name: &str,
    authority: &CertifiedIssuer<'static, KeyPair>,
    params: CertificateParams,
) -> Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.signed_by(&key, authority)?;
    cache::write(&folder.join(format!("{name}.crt")), certificate.pem().as_bytes())?;
    cache::write(&folder.join(format!("{name}.key")), key.serialize_pem().as_bytes())
}

//! X.509 certificates: new ones, and what others say.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::pem::{pem_blocks, pem_encode};
use crate::{PrivateKey, Reason, random_bytes};

/// What a new certificate says. It serves for servers and clients.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// The common name.
    pub common_name: String,
    /// Addresses that it is for.
    pub addresses: Vec<IpAddr>,
    /// Host names that it is for.
    pub names: Vec<String>,
    /// When it begins, in seconds since 1970.
    pub begins: i64,
    /// How long it holds, in days; a negative number makes one that is over.
    pub days: i64,
    /// Whether it may sign others.
    pub is_authority: bool,
}

/// The longest that a certificate holds, in days: what a duration of Go can say.
const LONGEST: u64 = 106_751;

impl NewCertificate {
    /// Signs it with its own key; PEM.
    ///
    /// # Errors
    /// A name or a time that no certificate can say, or a key that cannot sign.
    pub fn signed_by_itself(&self, key: &PrivateKey) -> Result<String, Reason> {
        let made = self.parameters()?.self_signed(&pair(key)?).map_err(|_| "error creating certificate")?;
        Ok(pem_encode("CERTIFICATE", made.der()).to_string())
    }

    /// Has it signed by the authority whose certificate and key are given as PEM; PEM.
    ///
    /// # Errors
    /// As [`Self::signed_by_itself`], and where the authority's certificate or key cannot be read.
    pub fn signed_by(&self, key: &PrivateKey, authority: &str, authority_key: &PrivateKey) -> Result<String, Reason> {
        let (blocks, _) = pem_blocks(authority);
        let block = blocks.first().ok_or("unable to decode certificate")?;
        let der = rustls_pki_types::CertificateDer::from(block.bytes.to_vec());
        let issuer = Issuer::from_ca_cert_der(&der, pair(authority_key)?)
            .map_err(|_| "error parsing certificate of the signer")?;
        let mut parameters = self.parameters()?;
        parameters.use_authority_key_identifier_extension = true;
        let made = parameters.signed_by(&pair(key)?, &issuer).map_err(|_| "error creating certificate")?;
        Ok(pem_encode("CERTIFICATE", made.der()).to_string())
    }

    fn parameters(&self) -> Result<CertificateParams, Reason> {
        let mut parameters = CertificateParams::default();
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, self.common_name.as_str());
        parameters.distinguished_name = name;
        for host in &self.names {
            let host = host.as_str().try_into().map_err(|_| "a host name of a certificate is ASCII")?;
            parameters.subject_alt_names.push(SanType::DnsName(host));
        }
        parameters.subject_alt_names.extend(self.addresses.iter().copied().map(SanType::IpAddress));
        parameters.not_before = moment(self.begins)?;
        if self.days.unsigned_abs() > LONGEST {
            return Err("a certificate holds for at most 106751 days");
        }
        parameters.not_after = moment(self.begins.saturating_add(self.days * 24 * 3600))?;
        let serial = random_bytes(16).ok_or("no randomness")?;
        parameters.serial_number = Some(SerialNumber::from_slice(serial.expose()));
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.is_ca = IsCa::ExplicitNoCa;
        if self.is_authority {
            parameters.key_usages.push(KeyUsagePurpose::KeyCertSign);
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        Ok(parameters)
    }
}

pub(crate) fn pair(key: &PrivateKey) -> Result<KeyPair, Reason> {
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(key.expose_pkcs8())).map_err(|_| "the key cannot sign certificates")
}

/// Seconds since 1970 as the library's time, within the years that X.509 has.
pub(crate) fn moment(seconds: i64) -> Result<time::OffsetDateTime, Reason> {
    let latest = 253_402_300_799;
    if !(-2_208_988_800..=latest).contains(&seconds) {
        return Err("a certificate's time lies between 1900 and 9999");
    }
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let distance = Duration::from_secs(seconds.unsigned_abs());
    Ok(if seconds < 0 { epoch - distance } else { epoch + distance })
}

/// What of a certificate chains are ordered by, and whom it is for.
#[derive(Clone, Debug)]
pub struct CertificateFacts {
    /// The certificate itself.
    pub der: Vec<u8>,
    /// The identifier of its key; empty where it says none.
    pub subject_key: Vec<u8>,
    /// The identifier of its signer's key; `None` where it says none.
    pub authority_key: Option<Vec<u8>>,
    /// Host names, addresses, mail addresses and URIs that it is for, in this order.
    pub names: Vec<String>,
}

impl CertificateFacts {
    /// Reads DER; `None` where it is no certificate.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let mut facts = Self { der: der.to_vec(), subject_key: Vec::new(), authority_key: None, names: Vec::new() };
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(key) => facts.subject_key = key.0.to_vec(),
                ParsedExtension::AuthorityKeyIdentifier(key) => {
                    facts.authority_key = key.key_identifier.as_ref().map(|key| key.0.to_vec());
                }
                ParsedExtension::SubjectAlternativeName(names) => facts.names = all_names(&names.general_names),
                _ => {}
            }
        }
        Some(facts)
    }

    /// Whether it is the end of a chain: it names no signer, or itself.
    pub fn is_root(&self) -> bool {
        self.authority_key.as_ref().is_none_or(|key| *key == self.subject_key)
    }
}

pub(crate) fn all_names(names: &[GeneralName<'_>]) -> Vec<String> {
    let mut kinds: [Vec<String>; 4] = Default::default();
    let [hosts, addresses, mails, uris] = &mut kinds;
    for name in names {
        match name {
            GeneralName::DNSName(host) => hosts.push((*host).to_owned()),
            GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
            GeneralName::RFC822Name(mail) => mails.push((*mail).to_owned()),
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            _ => {}
        }
    }
    kinds.concat()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| IpAddr::from(sixteen).to_string())
}

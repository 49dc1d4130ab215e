//! Authorities of our own and the servers' certificates that they sign: ECDSA on P-256 throughout.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::certificates::{all_names, moment, pair};
use crate::pem::{pem_blocks, pem_encode};
use crate::verifying::{Curve, EcdsaForm};
use crate::{Hash, NewKey, PrivateKey, Reason, SignatureAlgorithm, random_bytes, verify_signature};

/// Which times a new certificate holds, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub begins: i64,
    /// The last second.
    pub ends: i64,
}

/// A certificate as PEM, with its key.
#[derive(Debug)]
pub struct KeyedCertificate {
    /// PEM: one certificate.
    pub certificate: String,
    /// The key that belongs to it.
    pub key: PrivateKey,
}

impl KeyedCertificate {
    /// Makes an authority with a key of its own, which can sign for `permitted` names and names below them, and for no
    /// other authority. Each has a name of its own, so that two of them are never taken for one another.
    ///
    /// # Errors
    /// Where a time is none that a certificate can say, or the library fails.
    pub fn authority(permitted: &[String], validity: Validity) -> Result<Self, Reason> {
        let number = random_bytes(8).ok_or("no randomness")?;
        let number: String = number.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut parameters = parameters(&format!("Strongroom webhook authority {number}"), validity)?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let permitted_subtrees = permitted.iter().cloned().map(GeneralSubtree::DnsName).collect();
        parameters.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        let key = PrivateKey::generate(NewKey::P256)?;
        let made = parameters.self_signed(&pair(&key)?).map_err(|_| "the authority's certificate cannot be made")?;
        Ok(Self { certificate: pem_encode("CERTIFICATE", made.der()).to_string(), key })
    }

    /// Makes a certificate for a server of these names and addresses, with a key of its own, signed by this authority.
    ///
    /// # Errors
    /// As [`Self::authority`], where a name is none that a certificate can say, and where this is no authority.
    pub fn sign_server(&self, names: &[String], validity: Validity) -> Result<Self, Reason> {
        let (blocks, _) = pem_blocks(&self.certificate);
        let authority = CertificateDer::from(blocks.first().ok_or("no certificate of an authority")?.bytes.to_vec());
        let issuer =
            Issuer::from_ca_cert_der(&authority, pair(&self.key)?).map_err(|_| "no certificate of an authority")?;
        let mut parameters = parameters("Strongroom webhook", validity)?;
        for name in names {
            parameters.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into().map_err(|_| "a host name is ASCII")?),
            });
        }
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let key = PrivateKey::generate(NewKey::P256)?;
        let made = parameters.signed_by(&pair(&key)?, &issuer).map_err(|_| "the certificate cannot be made")?;
        Ok(Self { certificate: pem_encode("CERTIFICATE", made.der()).to_string(), key })
    }
}

fn parameters(common_name: &str, validity: Validity) -> Result<CertificateParams, Reason> {
    let mut parameters = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    parameters.distinguished_name = name;
    parameters.not_before = moment(validity.begins)?;
    parameters.not_after = moment(validity.ends)?;
    let serial = random_bytes(16).ok_or("no randomness")?;
    parameters.serial_number = Some(SerialNumber::from_slice(serial.expose()));
    Ok(parameters)
}

/// What somebody has to know of a certificate who relies on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate itself.
    pub der: Vec<u8>,
    /// When it holds.
    pub validity: Validity,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// Host names and addresses that it is for.
    pub names: Vec<String>,
    /// Host names that it may sign for, with those below them; empty where it may for all.
    pub permitted: Vec<String>,
    /// Its key: X.509's `SubjectPublicKeyInfo` in DER.
    pub public_key: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    /// Whether it is signed by ECDSA with SHA-256.
    is_ecdsa: bool,
}

/// The identifier of ECDSA with SHA-256.
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";

impl Certificate {
    /// Reads DER; `None` where it is no certificate.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let validity = certificate.validity();
        let mut read = Self {
            der: der.to_vec(),
            validity: Validity { begins: validity.not_before.timestamp(), ends: validity.not_after.timestamp() },
            is_authority: certificate.is_ca(),
            names: Vec::new(),
            permitted: Vec::new(),
            public_key: certificate.public_key().raw.to_vec(),
            signed: certificate.tbs_certificate.as_ref().to_vec(),
            signature: certificate.signature_value.data.to_vec(),
            is_ecdsa: certificate.signature_algorithm.algorithm.to_id_string() == ECDSA_SHA256,
        };
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => read.names = all_names(&names.general_names),
                ParsedExtension::NameConstraints(constraints) => {
                    let permitted = constraints.permitted_subtrees.iter().flatten();
                    let hosts = permitted.filter_map(|subtree| match &subtree.base {
                        GeneralName::DNSName(host) => Some((*host).to_owned()),
                        _ => None,
                    });
                    read.permitted = hosts.collect();
                }
                _ => {}
            }
        }
        Some(read)
    }

    /// Reads the certificates in PEM; `None` where there is none, or one that cannot be read.
    pub fn read_all(pem: &str) -> Option<Vec<Self>> {
        let (blocks, _) = pem_blocks(pem);
        let read: Option<Vec<Self>> = blocks.iter().map(|block| Self::read(&block.bytes)).collect();
        read.filter(|certificates| !certificates.is_empty())
    }

    /// The certificate as PEM.
    pub fn to_pem(&self) -> String {
        pem_encode("CERTIFICATE", &self.der).to_string()
    }

    /// Whether this authority signed it, by ECDSA on P-256 with SHA-256: other signatures are not ours.
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        let algorithm = SignatureAlgorithm::Ecdsa(Curve::P256, Hash::Sha256, EcdsaForm::Asn1);
        authority.is_authority
            && self.is_ecdsa
            && verify_signature(algorithm, &authority.public_key, &self.signed, &self.signature)
    }

    /// Whether the key belongs to it.
    pub fn has_key(&self, key: &PrivateKey) -> bool {
        key.public_key().is_ok_and(|public| public == self.public_key)
    }

    /// Whether it may sign for this host name. Addresses are not limited.
    pub fn may_sign_for(&self, name: &str) -> bool {
        let is_below =
            |host: &String| name.strip_suffix(host.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        self.permitted.is_empty() || name.parse::<std::net::IpAddr>().is_ok() || self.permitted.iter().any(is_below)
    }
}

//! What External Secrets Operator adds: PEM, PKCS#12, JSON Web Keys, RSA-OAEP.

mod chain;
mod jwk;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_crypto as crypto;
use strongroom_crypto::{CertificateFacts, OaepDigest, PrivateKey, pem_blocks, pem_encode};

use super::{Answer, fault, fixed};
use crate::evaluate::{Call, Function, Kind};
use crate::limits::Fault;
use crate::values::{Datum, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("pkcs12key", &[Kind::Text], |call| container_key(call, None)),
    fixed("pkcs12keyPass", &[Kind::Text, Kind::Text], |call| container_key(call, Some(0))),
    fixed("pkcs12cert", &[Kind::Text], |call| container_certificates(call, None)),
    fixed("pkcs12certPass", &[Kind::Text, Kind::Text], |call| container_certificates(call, Some(0))),
    fixed("pemToPkcs12", &[Kind::Text, Kind::Text], |call| to_container(call, false, None)),
    fixed("pemToPkcs12Pass", &[Kind::Text, Kind::Text, Kind::Text], |call| to_container(call, false, Some(2))),
    fixed("fullPemToPkcs12", &[Kind::Text, Kind::Text], |call| to_container(call, true, None)),
    fixed("fullPemToPkcs12Pass", &[Kind::Text, Kind::Text, Kind::Text], |call| to_container(call, true, Some(2))),
    fixed("pemTruststoreToPKCS12", &[Kind::Text], |call| to_trust_store(call, None)),
    fixed("pemTruststoreToPKCS12Pass", &[Kind::Text, Kind::Text], |call| to_trust_store(call, Some(1))),
    fixed("filterPEM", &[Kind::Text, Kind::Text], filter),
    fixed("filterCertChain", &[Kind::Text, Kind::Text], chain::filter),
    fixed("certSANs", &[Kind::Text], |call| {
        let text = counted(call, 0)?;
        let (blocks, _) = pem_blocks(from_begin(&text));
        let Some(block) = blocks.first() else { return fault("failed to decode PEM block") };
        match CertificateFacts::read(&block.bytes) {
            Some(facts) => Ok(Datum::texts(facts.names.into_iter().map(Text::from))),
            None => fault("failed to parse certificate"),
        }
    }),
    fixed("jwkPublicKeyPem", &[Kind::Text], jwk::public_key),
    fixed("jwkPrivateKeyPem", &[Kind::Text], jwk::private_key),
    fixed("rsaDecrypt", &[Kind::Text, Kind::Text, Kind::Text, Kind::Text], decrypt),
];

/// A text whose reading takes time, counted.
fn counted(call: &mut Call<'_>, index: usize) -> Result<String, Fault> {
    let text = call.string(index);
    call.meter.make(text.len().saturating_mul(2))?;
    Ok(text)
}

/// The text from its first block on.
fn from_begin(text: &str) -> &str {
    text.find("-----BEGIN").and_then(|at| text.get(at..)).unwrap_or(text)
}

fn password(call: &Call<'_>, index: Option<usize>) -> String {
    index.map(|index| call.string(index)).unwrap_or_default()
}

/// The container stands after its password.
fn opened(call: &mut Call<'_>, index: Option<usize>) -> Result<crypto::Container, Fault> {
    let password = password(call, index);
    let bytes = call.text(usize::from(index.is_some()));
    call.meter.costly()?;
    let failed = |reason| Fault::new(format!("unable to decode pkcs12 with password: {reason}"));
    crypto::open_container(bytes.bytes(), &password).map_err(failed)
}

fn container_key(call: &mut Call<'_>, password: Option<usize>) -> Answer {
    let container = opened(call, password)?;
    call.make(container.key.to_pkcs8_pem().as_bytes())
}

/// All certificates: from the key's own to the root where they are one chain, else as they stand.
fn container_certificates(call: &mut Call<'_>, password: Option<usize>) -> Answer {
    let container = opened(call, password)?;
    let facts: Option<Vec<_>> = container.certificates.iter().map(|der| CertificateFacts::read(der)).collect();
    let ordered = facts.and_then(|facts| chain::ordered(call.meter, facts).ok());
    let made = match ordered {
        Some(ordered) => chain::written(ordered.iter().map(|facts| facts.der.as_slice())),
        None => chain::written(container.certificates.iter().map(Vec::as_slice)),
    };
    call.make(made)
}

/// Certificates of PEM in DER; an error where a block is none, or something else stands between.
fn certificates(text: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let (blocks, has_rest) = pem_blocks(text);
    if has_rest {
        return fault("something other than PEM stands after the certificates");
    }
    let checked = |block: crypto::PemBlock| match CertificateFacts::read(&block.bytes) {
        Some(facts) => Ok(facts.der),
        None => fault("a block is no certificate"),
    };
    blocks.into_iter().map(checked).collect()
}

/// A container in base64, with the first certificate alone or with all.
fn to_container(call: &mut Call<'_>, is_full: bool, password: Option<usize>) -> Answer {
    let (text, key, password) = (counted(call, 0)?, counted(call, 1)?, self::password(call, password));
    call.meter.costly()?;
    let certificates = match is_full {
        true => certificates(&text)?,
        false => {
            let (blocks, _) = pem_blocks(&text);
            blocks
                .first()
                .and_then(|block| CertificateFacts::read(&block.bytes))
                .map(|facts| facts.der)
                .into_iter()
                .collect()
        }
    };
    if certificates.is_empty() {
        return fault("failed to parse certificate");
    }
    let key = PrivateKey::from_pem(&key).map_err(Fault::new)?;
    let made = crypto::make_container(&key, &certificates, &password).map_err(Fault::new)?;
    call.make(STANDARD.encode(made.as_slice()))
}

fn to_trust_store(call: &mut Call<'_>, password: Option<usize>) -> Answer {
    let (text, password) = (counted(call, 0)?, self::password(call, password));
    call.meter.costly()?;
    let certificates = certificates(&text)?;
    if certificates.is_empty() {
        return fault("failed to parse certificate");
    }
    let made = crypto::make_trust_store(&certificates, &password).map_err(Fault::new)?;
    call.make(STANDARD.encode(made.as_slice()))
}

/// The blocks of one kind.
fn filter(call: &mut Call<'_>) -> Answer {
    let (wanted, text) = (call.string(0), counted(call, 1)?);
    let (blocks, has_rest) = pem_blocks(from_begin(&text));
    let kept = blocks.iter().filter(|block| block.label.eq_ignore_ascii_case(&wanted));
    let made: String = kept.map(|block| pem_encode(&block.label, &block.bytes).to_string()).collect();
    if made.is_empty() && has_rest {
        return fault("error filtering pem: found junk");
    }
    call.make(made)
}

/// `rsaDecrypt SCHEME HASH TEXT KEY`.
fn decrypt(call: &mut Call<'_>) -> Answer {
    let (scheme, digest, encrypted) = (call.text(0), call.text(1), call.text(2));
    match scheme.bytes() {
        b"None" => return Ok(Datum::Text(encrypted)),
        b"RSA-OAEP" => {}
        _ => return fault("decryption scheme is not supported: None and RSA-OAEP are"),
    }
    let digest = match digest.bytes() {
        b"SHA1" => OaepDigest::Sha1,
        b"SHA512" => OaepDigest::Sha512,
        _ => OaepDigest::Sha256,
    };
    call.meter.costly()?;
    let failed = |reason| Fault::new(format!("could not parse private key: {reason}"));
    let key = PrivateKey::from_pem(from_begin(&call.string(3))).map_err(failed)?;
    let plain = crypto::rsa_oaep_decrypt(&key, digest, encrypted.bytes()).map_err(Fault::new)?;
    call.make(plain.as_slice())
}

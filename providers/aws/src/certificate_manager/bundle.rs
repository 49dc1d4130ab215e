//! What of a Secret becomes a certificate at AWS. Pure.

use std::collections::BTreeMap;

use strongroom_crypto::{CertificateFacts, PrivateKey, pem_blocks, pem_encode};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Content, Push, SecretBytes};

const CERTIFICATE: &str = "CERTIFICATE";

/// A certificate in the parts that AWS takes.
#[derive(Debug)]
pub(super) struct Bundle<'a> {
    /// DER of the certificate itself.
    leaf: Vec<u8>,
    /// DER of those that lead to its authority.
    chain: Vec<Vec<u8>>,
    /// As it is written in the Secret.
    pub(super) key: &'a SecretBytes,
}

impl<'a> Bundle<'a> {
    /// Takes `tls.crt` and `tls.key` from what is pushed.
    pub(super) fn of(push: &'a Push) -> Result<Self, Failure> {
        let invalid = |words: &str| Failure::new(Class::Invalid, words);
        if push.place.property.is_some() {
            return Err(invalid("a certificate has no properties").with_hint("leave out remoteRef.property"));
        }
        let Content::Whole(all) = &push.content else {
            return Err(invalid("a certificate is pushed with its key, as a whole Secret")
                .with_hint("leave out match.secretKey; tls.crt and tls.key are taken from the Secret"));
        };
        let (certificates, key) = (member(all, "tls.crt")?, member(all, "tls.key")?);
        let text = certificates.expose_text().unwrap_or_default();
        let mut certificates = each_certificate(text).into_iter();
        let leaf = certificates.next().ok_or_else(|| invalid("tls.crt has no certificate in PEM"))?;
        let chain: Vec<_> = certificates.collect();
        if std::iter::once(&leaf).chain(&chain).any(|der| CertificateFacts::read(der).is_none()) {
            return Err(invalid("tls.crt has a certificate that cannot be read"));
        }
        if key.expose_text().is_none_or(|text| PrivateKey::from_pem(text).is_err()) {
            return Err(invalid("tls.key is no private key in PEM"));
        }
        Ok(Self { leaf, chain, key })
    }

    pub(super) fn leaf_pem(&self) -> String {
        pem_encode(CERTIFICATE, &self.leaf).to_string()
    }

    /// Nothing where there is none.
    pub(super) fn chain_pem(&self) -> Option<String> {
        let pem: String = self.chain.iter().map(|der| pem_encode(CERTIFICATE, der).to_string()).collect();
        Some(pem).filter(|pem| !pem.is_empty())
    }

    /// Whether that is what AWS shows, whose key is then the same as well. AWS gives a certificate without a chain as
    /// its own chain, and may put one certificate behind a chain, its authority's.
    pub(super) fn is_shown_as(&self, certificate: &str, chain: &str) -> bool {
        let shown = each_certificate(chain);
        let has_none = self.chain.is_empty() && shown.as_slice() == std::slice::from_ref(&self.leaf);
        let is_chain = has_none || shown.starts_with(&self.chain) && shown.len() <= self.chain.len() + 1;
        each_certificate(certificate).first() == Some(&self.leaf) && is_chain
    }
}

fn member<'a>(all: &'a BTreeMap<String, SecretBytes>, name: &str) -> Result<&'a SecretBytes, Failure> {
    all.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
        Failure::new(Class::Invalid, format!("the Secret has no {name}"))
            .with_hint("push a Secret of type kubernetes.io/tls, or make tls.crt and tls.key in spec.template")
    })
}

fn each_certificate(pem: &str) -> Vec<Vec<u8>> {
    let blocks = pem_blocks(pem).0.into_iter().filter(|block| block.label == CERTIFICATE);
    blocks.map(|block| block.bytes.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use strongroom_crypto::{NewCertificate, NewKey};
    use strongroom_provider::{Place, Source};

    use super::*;

    fn made(name: &str) -> (String, String) {
        let key = PrivateKey::generate(NewKey::P256).unwrap();
        let certificate = NewCertificate {
            common_name: name.to_owned(),
            addresses: Vec::new(),
            names: vec![name.to_owned()],
            begins: 1_700_000_000,
            days: 3650,
            is_authority: false,
        };
        (certificate.signed_by_itself(&key).unwrap(), key.to_pkcs8_pem().to_string())
    }

    fn push(certificates: &str, key: &str) -> Push {
        let all = [("tls.crt", certificates), ("tls.key", key)];
        let all = all.map(|(name, value)| (name.to_owned(), SecretBytes::from(value.to_owned())));
        Push {
            place: Place { key: "web".to_owned(), ..Place::default() },
            content: Content::Whole(all.into()),
            metadata: None,
            source: Source::default(),
            only_if_absent: false,
        }
    }

    #[test]
    fn a_certificate_is_known_again_as_aws_shows_it() {
        let ((leaf, key), (middle, _), (root, _)) = (made("leaf.example"), made("middle"), made("root"));
        let check = |wanted: &str, shown: &str, chain: &str, expected: bool| {
            let push = push(wanted, &key);
            assert_eq!(Bundle::of(&push).unwrap().is_shown_as(shown, chain), expected);
        };
        check(&leaf, &leaf, "", true);
        check(&leaf, &leaf, &leaf, true);
        check(&leaf, &leaf, &root, true);
        check(&leaf, &middle, &middle, false);
        let long = format!("{leaf}{middle}");
        check(&long, &leaf, &middle, true);
        check(&long, &leaf, &format!("{middle}\n{root}"), true);
        check(&long, &leaf, &root, false);
        check(&long, &leaf, "", false);
        check(&leaf, &leaf, &format!("{middle}{root}"), false);
    }

    #[test]
    fn what_is_no_certificate_with_its_key_is_refused_and_not_shown() {
        let (certificate, key) = made("leaf.example");
        let check = |push: Push, words: &str| {
            let failure = Bundle::of(&push).unwrap_err();
            assert!(failure.class == Class::Invalid && failure.words.contains(words), "{failure}");
            assert!(!format!("{failure:?}").contains("canary"), "a value is shown");
        };
        check(push("", &key), "no tls.crt");
        check(push(&certificate, ""), "no tls.key");
        check(push("canary", &key), "no certificate in PEM");
        check(push("-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n", &key), "cannot be read");
        check(push(&certificate, "canary"), "no private key");
        let place = Place { key: "web".to_owned(), property: Some("tls.crt".to_owned()), ..Place::default() };
        check(Push { place, ..push(&certificate, &key) }, "no properties");
        let content = Content::One(SecretBytes::from("canary".to_owned()));
        check(Push { content, ..push(&certificate, &key) }, "whole Secret");
    }
}

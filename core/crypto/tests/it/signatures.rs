use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use strongroom_crypto::{JwtAlgorithm, JwtSigningKey, sha1, sha256, thumbprint_sha1, thumbprint_sha256};
use strongroom_secret::SecretBytes;

#[test]
fn tokens_are_signed_so_that_others_can_verify() {
    let check = |algorithm: JwtAlgorithm, pair: &KeyPair, verifier: &'static dyn VerificationAlgorithm| {
        let key = JwtSigningKey::from_pem(algorithm, &SecretBytes::from(pair.serialize_pem())).unwrap();
        let signature = key.sign(b"header.body").unwrap();
        let public = UnparsedPublicKey::new(verifier, rcgen::PublicKeyData::der_bytes(pair));
        public.verify(b"header.body", &signature).unwrap();
        assert!(public.verify(b"header.bodz", &signature).is_err());
        assert_eq!(format!("{key:?}"), format!("JwtSigningKey({}, [redacted])", algorithm.name()));
    };
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    check(JwtAlgorithm::Rs256, &rsa, &RSA_PKCS1_2048_8192_SHA256);
    check(JwtAlgorithm::Ps256, &rsa, &RSA_PSS_2048_8192_SHA256);
    check(JwtAlgorithm::Es256, &p256, &ECDSA_P256_SHA256_FIXED);
}

#[test]
fn a_key_of_another_kind_is_no_key() {
    let p256 = SecretBytes::from(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem());
    assert!(JwtSigningKey::from_pem(JwtAlgorithm::Rs256, &p256).is_none());
    assert!(JwtSigningKey::from_pem(JwtAlgorithm::Es256, &SecretBytes::from("no key".to_owned())).is_none());
}

#[test]
fn a_thumbprint_is_the_digest_of_the_certificate() {
    let key = KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    assert_eq!(thumbprint_sha1(made.pem().as_bytes()), Some(sha1(made.der())));
    assert_eq!(thumbprint_sha256(made.pem().as_bytes()), Some(sha256(made.der())));
    assert_eq!(thumbprint_sha256(b"none"), None);
}

//! Signatures that OpenSSL 3 made of the text `strongroom`, and those that were changed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_crypto::{
    Curve, EcdsaForm, Hash, NewKey, PrivateKey, SignatureAlgorithm, pem_blocks, verify_hash_signature, verify_signature,
};

const MESSAGE: &[u8] = b"strongroom";

const RSA: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoHnUliscXWGofH9nFcDWFMGR3OuMMSlHLu1YJIZnIE8u59GqxLLvVgr2\
    5Zt57RX4Ots2PlUIx8UBHQCCKpyxPFBbIPYRN2UMXujTenEhV+ChE5a1QPFPFXhjfIoDtmPeqH/iCJedi3zFjmMKFG9AyIzsrfrR\
    nNqZ40GfWJEhUEJabb885QM+W6D+rGfeE+4iOxyAfeUP9/kU2UVF3rK43AU777lB15zeqdUlU2/byAsauoOIlyzM31gv4x4Pfe9O\
    BZi7nIUQkW4+MAHCdr/aMJDJhzrjQf0GH+RKRo0Nvd8YOl9k5fGv9nGkVfF9SA02RntITcaRXxEy5MPI+G03DwIDAQAB";
const P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEF5EUxMXmFTvcpqYssiUqk2BjCuuznaU2JYgzLoR28w0azW2PueQhI58rpqraEXcG\
    Hrrvy7X8fMOU5eMY+L6A1Q==";
const P384: &str = "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEFfqtzYaYsAzyKQB+27UPatNCq15LJP1EugyYnNDbsGJlOGHcoEJ8WrOfUgSpIun7EnNF\
    KyOO9zBdO3OVH+1xGqd7VX44c8oUO0/9XldsNvWuH1hlxWitdg7RsGMQ/1Um";
const P521: &str = "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAMcIL/TtOSpF57Q41MrRGjS+0BUxg5OfjnItcBQew4andVYrUKq/hm8lo7bXefqtN\
    Xzo1dfgMNbci4zBYfVpJncgBU7SzaWJVw0bMyh31JCJD8ZsXqucjBnfjfCN0og6z7iV5TZdUoXHL+GmviLF/c64WijVVOmiosV5V\
    uErgOM5JUa8=";
const ED25519: &str = "MCowBQYDK2VwAyEA9PTg2jfL57mRMzO95VmMJxK9K1QE/9vRqPIYxubCc1I=";
const RSA_PKCS1_SHA256: &str = "CZe0JIDGe0Zn9twS9HEr6iieu1A4Qil3E7AUaD382H7F6W1S2ry4zgftLajakaGWB2rsQrc2iQ45pXszw6tbkvDTXnR+fRpWtg07\
    B0nu/gPjyaQCPXWP3iuSPICePHm2N7i1J5l0Ve+3eBikPK4hHsWHa/ox1WUkBf1lGwoy9Fdicee6w+LVCccx6n5eyTVyCZ3bBiHD\
    +FW/RwZd9+7uRfxk/sA8xTScgMMNa4WncE7A3x4uT+8miOTnUq09Y5a0QRWv5FJnao1eFZzUZIjV8VIAqe4iZJVVL3bVRdACvrqg\
    BGJrs6WpLQiKKKrJ2rrjU4I6QlaBFBWTFQ5oMjJzbQ==";
const RSA_PSS_SHA384: &str = "D2/b4lZwgugqhRYXgXzS2aN02x906qpAUsfbnreSvF2OLzFOOCwgDv2810LmJhudTeZKd0/1WsJ0BMHHGhdlIWr6Z0pF9R4psYVe\
    uSN03c3E0chSHPoWfUsXDdxRkta82CptDLjutlON0aZ+48lswiQhY77GHZTJndXD9ypmVApehRMGfZr3BcgRvOMjfTD5f/PXywUb\
    a23O9dGK+7EvItZEPIzZ5PMPhTstNTxdnWsXu68jFi04pGhHGGv2WVk+nu+3hFhNhcWaBUT7001VcdvJCvSy45NtUaXH5TMtrnuW\
    LOeQID0tZgCmZSpSWQdcTE0VM0DF9bFGEidFeFSVXw==";
const P256_SHA256: &str =
    "MEQCIH+OOBrdxEfjyf268gavajuovK8fgGioeaQt7pkjnBaxAiAD4Vo8cwVT/DXdLTUMNnnFzEgyu4484rASs3S62nvsuw==";
const P256_SHA512: &str =
    "MEUCIQDB3lrku1lgTDud/yOW9zsxDDvp7en6YbNgV2DNePPY3AIgeY7RHH+62nMKh515ipheoDUTQUlfk1w7FlQx1L9pGgE=";
const P384_SHA384: &str = "MGUCMFiofJptzEGjKcaqIzFfnkKRyr6pUQMxYrdatrm8PtOQOh1vwpIXisuUOASsIVxpMQIxALJ8Or5HElt9yG09w33B0Oz8JbxN\
    qp27lzKbtqgg1P451c1/KF16rNG3GQOOfoLFEg==";
const P384_SHA256: &str = "MGUCMB0YNqxuk4fhq9MHG5U7wYvejrfLwH6u8UhU54YwIVNehmGQfB2LAE5ktBJz0RA6jgIxANvaDRP5tSL7oY3n0UE77d7sXjVj\
    uaL0w/zKj7fnua24Pd5D3ri1eXc4aMGmburD7Q==";
const P521_SHA512: &str = "MIGHAkFmyrab9ojWnhi7fpQcFY5DwNtU0H85IJZ6CR0dSTB+hWogffm7rRd1j6F81crq6zsz7RLuDWdk8F8ks5Nl0B0s0QJCAKIQ\
    +x27iLCy9OKkFTCQdo4/dfXSsPKAkN7Rld1zWOqVj+kk/Qc0r0rCgrmKRGgdURxzABGCohworUrdX89FDpNc";
const ED25519_PURE: &str = "eMImNqnx6jCrcdpUhPmKzAcdIOcf7nezbUAQMuSn0ZBjU4UGp1oixN3LkiNzec7vniws/5M1qHsHm6P7HnD3Dg==";

/// What is verified: by which algorithm, with which key, which signature.
const SIGNATURES: &[(SignatureAlgorithm, &str, &str)] = &[
    (SignatureAlgorithm::RsaPkcs1(Hash::Sha256), RSA, RSA_PKCS1_SHA256),
    (SignatureAlgorithm::RsaPss(Hash::Sha384), RSA, RSA_PSS_SHA384),
    (ecdsa(Curve::P256, Hash::Sha256), P256, P256_SHA256),
    (ecdsa(Curve::P256, Hash::Sha512), P256, P256_SHA512),
    (ecdsa(Curve::P384, Hash::Sha384), P384, P384_SHA384),
    (ecdsa(Curve::P384, Hash::Sha256), P384, P384_SHA256),
    (ecdsa(Curve::P521, Hash::Sha512), P521, P521_SHA512),
    (SignatureAlgorithm::Ed25519, ED25519, ED25519_PURE),
];

const fn ecdsa(curve: Curve, hash: Hash) -> SignatureAlgorithm {
    SignatureAlgorithm::Ecdsa(curve, hash, EcdsaForm::Asn1)
}

fn bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

#[test]
fn a_signature_holds_for_its_algorithm_key_and_message_alone() {
    for (algorithm, key, signature) in SIGNATURES {
        let (key, signature) = (bytes(key), bytes(signature));
        assert!(verify_signature(*algorithm, &key, MESSAGE, &signature), "{algorithm:?}");
        assert!(!verify_signature(*algorithm, &key, b"strongroon", &signature), "{algorithm:?}");
        for (other, other_key, _) in SIGNATURES {
            let is_it = other == algorithm;
            assert_eq!(verify_signature(*other, &key, MESSAGE, &signature), is_it, "{other:?} for {algorithm:?}");
            let is_it = bytes(other_key) == key;
            assert_eq!(verify_signature(*algorithm, &bytes(other_key), MESSAGE, &signature), is_it);
        }
    }
}

#[test]
fn what_was_changed_or_cut_off_is_no_signature() {
    for (algorithm, key, signature) in SIGNATURES {
        let (key, signature) = (bytes(key), bytes(signature));
        for place in 0..signature.len() {
            let mut changed = signature.clone();
            changed[place] ^= 1;
            assert!(!verify_signature(*algorithm, &key, MESSAGE, &changed), "{algorithm:?}: byte {place}");
        }
        for wrong in [&signature[..signature.len() - 1], &[signature.as_slice(), &[0]].concat(), b""] {
            assert!(!verify_signature(*algorithm, &key, MESSAGE, wrong), "{algorithm:?}");
        }
        for key in [&key[..key.len() - 1], &[key.as_slice(), &[0]].concat(), &key[24..], b""] {
            assert!(!verify_signature(*algorithm, key, MESSAGE, &signature), "{algorithm:?}");
        }
    }
}

#[test]
fn a_hash_is_verified_as_its_message_is_and_has_its_length() {
    for (algorithm, key, signature) in SIGNATURES {
        let (key, signature) = (bytes(key), bytes(signature));
        let Some(hash) = algorithm.hash() else {
            assert!(!verify_hash_signature(*algorithm, &key, MESSAGE, &signature), "Ed25519 has no hash");
            continue;
        };
        let hash = hash.of(MESSAGE);
        assert!(verify_hash_signature(*algorithm, &key, &hash, &signature), "{algorithm:?}");
        assert!(!verify_hash_signature(*algorithm, &key, &hash[1..], &signature), "{algorithm:?}");
        assert!(!verify_hash_signature(*algorithm, &key, &[hash.as_slice(), &[0]].concat(), &signature));
    }
}

/// RFC 7515, appendix A.3: both numbers one after the other, as JSON Web Tokens have them.
#[test]
fn tokens_of_the_standard_verify() {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let member = |name: &str| match name {
        "x" => URL_SAFE_NO_PAD.decode(x).ok().map(Into::into),
        "y" => URL_SAFE_NO_PAD.decode(y).ok().map(Into::into),
        _ => None,
    };
    let key = strongroom_crypto::Jwk { kind: "EC", curve: "P-256", member: &member }.public_key().unwrap();
    let message = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19y\
                   b290Ijp0cnVlfQ";
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let algorithm = |form| SignatureAlgorithm::Ecdsa(Curve::P256, Hash::Sha256, form);
    assert!(verify_signature(algorithm(EcdsaForm::Fixed), &key, message.as_bytes(), &signature));
    assert!(!verify_signature(algorithm(EcdsaForm::Asn1), &key, message.as_bytes(), &signature));
}

#[test]
fn the_public_key_of_a_private_one_is_what_openssl_makes_of_it() {
    for kind in [NewKey::Rsa2048, NewKey::P256, NewKey::P384, NewKey::P521, NewKey::Ed25519] {
        let key = PrivateKey::generate(kind).unwrap();
        let mut openssl = std::process::Command::new("openssl")
            .args(["pkey", "-pubout"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut openssl.stdin.take().unwrap(), key.to_pkcs8_pem().as_bytes()).unwrap();
        let output = openssl.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), key.public_key_pem().unwrap(), "{kind:?}");
        let (blocks, _) = pem_blocks(&key.public_key_pem().unwrap());
        assert_eq!(*blocks[0].bytes, key.public_key().unwrap());
    }
}

use strongroom_crypto::open_locked_key;
use strongroom_secret::SecretBytes;

// Made by OpenSSL for this test, as are those below: one key under several locks.
const OPEN: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgknyLoelamQAziXhK
vtvPoVFtrPh3PqUACy7ZVxhI9nGhRANCAARc8y+o3wZfXJKgZms/ysDj+CqEqIOI
s8Dwccv3+cXcgK6Durr0/vKYTrKX9MfIsIoCGTajph1hDERxGQnYVFTa
-----END PRIVATE KEY-----
";

/// AES-256 and PBKDF2 with SHA-256.
const AES: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAh4g9ivj8uA3AICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEOqcfgnTAhR+yiYznbmucCMEgZBK
45YqUzLiU124sSShoadEWztMnp5qsXCzU1pnBSZ6s4/ztpD6csfsZYrk4SB4mGjY
pBhrKvE3EdSsS8k/+ns4e6XhDSZe/5Z1nd+96gltavFQLlP+5pp/0WeRYyk79syN
gUJ3yEwxmHat+d//c94DLPllupkKbVMu4F2q75Jh7xsGtC+mvTiKtJIxOJb1EW0=
-----END ENCRYPTED PRIVATE KEY-----
";

/// Triple DES and PBKDF2 with SHA-1, as older programs write.
const DES: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHVMEAGCSqGSIb3DQEFDTAzMBsGCSqGSIb3DQEFDDAOBAjmUUNbGfwy2gICCAAw
FAYIKoZIhvcNAwcECJ3W7PbPabQuBIGQiqgi1fmCTuxUhS+DU/lxwX9r1ZpgwgcE
7ACic/NXxLdkmCSzNqJ7CDI+BKiZoYIvjdwIGW+qsE4114AaAeLLA1TEXq9euT/S
FvwEe5fp6FiIGIvh4XccASC3a9BI1J/C9hNrjT/10GD5Ph7N9Kznbp88Yl41PMn0
TuTL9Xe18Z/FRzs2NqM7VRIpQzs2emim
-----END ENCRYPTED PRIVATE KEY-----
";

/// 1,000,001 rounds.
const SLOW: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHtMFgGCSqGSIb3DQEFDTBLMCoGCSqGSIb3DQEFDDAdBAh6didoT1VRyAIDD0JB
MAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEqBBDa2R81FxFO0lwCUO1224vMBIGQ
qQHI33lXkApwUj5d7NHS1/lXOeyup7Hfx6VU1/3MW+MECnuBmbwH2zBCuwf39Oaa
gLiHpCikf2glWC70Ufm+pUNwYKO0/wXMd+GUXn1axzXGhvk4i2bu1Xf8HIx/WQks
XeRZbee4ZGD3+3dqXsPxXnEMwkXNTbzxjTK+qQBjzpb/cUTZg17uv+CZ3SSrSzl0
-----END ENCRYPTED PRIVATE KEY-----
";

/// By scrypt.
const SCRYPT: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHkME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAhLBY+cWqJMSAICQAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBC6OFtH8+bdVaZip+u4F56eBIGQuE7V01MYKnWW
NFxyhEJVWkn7Rer8prxMcubCN9mhmprclZNPoRsoNBwBNZfdhIaDQdzSN1wXFmSb
DA8OmEn6coiDq7K032R0zV5ZkVUwc2vXaHeEKhu4sfZY5x79ThVL4eZ4IRAI5iy4
TAficS4vpeJ4LBv4fMAZQORu/RjEOlhcHlrqqsZBEiPn0xzDLVSQ
-----END ENCRYPTED PRIVATE KEY-----
";

fn opened(pem: &str, password: &str) -> Result<String, &'static str> {
    let key = open_locked_key(pem, &SecretBytes::from(password.to_owned()))?;
    Ok(key.to_pkcs8_pem().to_string())
}

#[test]
fn a_key_is_opened_by_its_password_alone() {
    for locked in [AES, DES, OPEN] {
        assert!(opened(locked, "opens-it").as_deref() == Ok(OPEN));
    }
    for locked in [AES, DES] {
        assert_eq!(opened(locked, "another").unwrap_err(), "the key's password is another one");
    }
}

#[test]
fn what_could_take_long_is_not_tried() {
    for locked in [SLOW, SCRYPT] {
        assert!(opened(locked, "opens-it").unwrap_err().contains("more often than is allowed"));
    }
    assert_eq!(opened("none", "opens-it").unwrap_err(), "no PEM data in input");
    let other = AES.replace("ENCRYPTED PRIVATE KEY", "CERTIFICATE");
    assert_eq!(opened(&other, "opens-it").unwrap_err(), "it is no PKCS#8");
}

//! PEM, PKCS#12 and JSON Web Keys against what Go made of one key and one chain.

use serde_json::{Value as Json, json};

use crate::render;

fn fixture() -> Json {
    let mut data: Json = serde_json::from_str(include_str!("../fixtures/keys.json")).unwrap();
    let whole = ["leaf", "mid", "root"].map(|name| data[name].as_str().unwrap().to_owned());
    data["chain"] = json!(whole.concat());
    data["mixed"] = json!([&whole[2], &whole[0], &whole[1]].map(String::as_str).concat());
    data
}

/// Renders `template`, which must give the fixture's entries of these names, one after the other.
fn check(template: &str, expected: &[&str]) {
    let data = fixture();
    let expected: String = expected.iter().map(|name| data[*name].as_str().unwrap()).collect();
    assert_eq!(render(template, data).unwrap(), expected, "{template}");
}

#[test]
fn containers_of_other_programs_are_opened() {
    check(r#"{{ .modern | b64dec | pkcs12keyPass "pass" }}"#, &["key_pkcs8"]);
    check(r#"{{ .modern_empty | b64dec | pkcs12key }}"#, &["key_pkcs8"]);
    check(r#"{{ .legacy_rc2 | b64dec | pkcs12keyPass "pass" }}"#, &["key_pkcs8"]);
    check(r#"{{ .legacy_des | b64dec | pkcs12key }}"#, &["key_pkcs8"]);
    check(r#"{{ .legacy_des | b64dec | pkcs12cert }}"#, &["leaf"]);
    // Whatever their order in the container, they come from the leaf to the root.
    check(r#"{{ .modern | b64dec | pkcs12certPass "pass" }}"#, &["leaf", "mid", "root"]);
    check(r#"{{ .legacy_rc2 | b64dec | pkcs12certPass "pass" }}"#, &["leaf", "mid", "root"]);
}

#[test]
fn containers_are_made_so_that_they_open() {
    check(r#"{{ fullPemToPkcs12Pass .chain .key_sec1 "s" | b64dec | pkcs12certPass "s" }}"#, &["leaf", "mid", "root"]);
    check(r#"{{ fullPemToPkcs12 .chain .key_pkcs8 | b64dec | pkcs12cert }}"#, &["leaf", "mid", "root"]);
    check(r#"{{ pemToPkcs12Pass .leaf .key_pkcs8 "s" | b64dec | pkcs12keyPass "s" }}"#, &["key_pkcs8"]);
    check(r#"{{ pemToPkcs12 .chain .key_pkcs8 | b64dec | pkcs12cert }}"#, &["leaf"]);
    let failure =
        render(r#"{{ pemToPkcs12Pass .leaf .key_pkcs8 "s" | b64dec | pkcs12keyPass "t" }}"#, fixture()).unwrap_err();
    assert!(failure.to_string().contains("its password is another one"), "{failure}");
    let store = render(r#"{{ pemTruststoreToPKCS12Pass .chain "s" | b64dec | len }}"#, fixture()).unwrap();
    assert!(store.parse::<usize>().unwrap() > 1000, "{store}");
}

#[test]
fn pem_is_filtered_and_chains_are_sorted() {
    check(r#"{{ filterPEM "CERTIFICATE" (print "junk" .key_pkcs8 .chain) }}"#, &["leaf", "mid", "root"]);
    check(r#"{{ filterPEM "private key" (print .key_pkcs8 .chain) }}"#, &["key_pkcs8"]);
    check(r#"{{ filterCertChain "leaf" .mixed }}"#, &["leaf"]);
    check(r#"{{ filterCertChain "intermediate" .mixed }}"#, &["mid"]);
    check(r#"{{ filterCertChain "root" .mixed }}"#, &["root"]);
    let fails = |template: &str, words: &str| {
        let failure = render(template, fixture()).unwrap_err().to_string();
        assert!(failure.contains(words), "{failure}");
    };
    fails(r#"{{ filterPEM "CERTIFICATE" "junk" }}"#, "found junk");
    fails(r#"{{ filterCertChain "leaf" (print .leaf .root) }}"#, "multiple leaf or disjunct certificates");
    let names = "[a.example b.example 10.0.0.1 2001:db8::1 m@a.example spiffe://a/b]";
    assert_eq!(render("{{ certSANs .leaf }}", fixture()).unwrap(), names);
}

#[test]
fn keys_change_their_form() {
    check("{{ jwkPublicKeyPem .ec_jwk }}", &["ec_public"]);
    check("{{ jwkPrivateKeyPem .ec_jwk }}", &["key_pkcs8"]);
    check("{{ jwkPublicKeyPem .rsa_jwk }}", &["rsa_public"]);
    check("{{ jwkPrivateKeyPem .rsa_jwk }}", &["rsa_pkcs8"]);
    // RFC 8037, appendix A.
    let okp = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}"#;
    let made = render("{{ jwkPrivateKeyPem .k }}{{ jwkPublicKeyPem .k }}", json!({ "k": okp })).unwrap();
    let private = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
    assert!(
        made.contains(private) && made.contains("MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
        "{made}"
    );
    let failure =
        render("{{ jwkPrivateKeyPem .k }}", json!({ "k": r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"# }));
    assert!(failure.unwrap_err().to_string().ends_with("it is a public key"));
    let decrypt = r#"{{ rsaDecrypt "RSA-OAEP" "SHA1" (.oaep_sha1 | b64dec) .rsa }}{{ rsaDecrypt "None" "" "x" "" }}"#;
    assert_eq!(render(decrypt, fixture()).unwrap(), "canaryx");
}

#[test]
fn certificates_are_signed_by_the_authority_that_is_named() {
    let template = r#"{{ $ca := genCAWithKey "ca" 365 .key_sec1 }}
{{- $leaf := genSignedCertWithKey "h" (list "10.0.0.1") (list "a.example") 30 $ca .rsa -}}
{{ certSANs $leaf.Cert }}|{{ eq (filterCertChain "root" (print $leaf.Cert $ca.Cert)) $ca.Cert }}|{{ eq $leaf.Key .rsa }}|{{ eq $ca.Key .key_sec1 }}|
{{- (buildCustomCert (b64enc $ca.Cert) (b64enc $ca.Key)).Cert | eq $ca.Cert }}"#;
    assert_eq!(render(template, fixture()).unwrap(), "[a.example 10.0.0.1]|true|true|true|true");
    let own = r#"{{ certSANs (genSelfSignedCert "h" nil (list "b.example") 1).Cert }}"#;
    assert_eq!(render(own, fixture()).unwrap(), "[b.example]");
}

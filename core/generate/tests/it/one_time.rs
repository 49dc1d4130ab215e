use serde_json::{Value, json};
use strongroom_api::generators::MfaSpec;
use strongroom_generate::one_time_password;
use strongroom_secret::SecretBytes;

fn made(spec: Value, seed: &str, now: i64) -> (String, String) {
    let mut spec = spec;
    spec["secret"] = json!({"name": "seed", "key": "seed"});
    let spec: MfaSpec = serde_json::from_value(spec).unwrap();
    let values = one_time_password(&spec, &SecretBytes::from(seed.to_owned()), now).unwrap();
    let text = |key: &str| values[key].expose_text().unwrap().to_owned();
    (text("token"), text("timeLeft"))
}

#[test]
fn codes_are_those_of_rfc_6238() {
    // Appendix B: the digits 1234567890 as often as the digest is long.
    let sha1 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let sha256 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA====";
    let sha512 =
        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNA=";
    for (algorithm, seed, now, expected) in [
        ("sha1", sha1, 59, "94287082"),
        ("sha256", sha256, 59, "46119246"),
        ("SHA512", sha512, 59, "90693936"),
        ("sha1", sha1, 1_111_111_109, "07081804"),
        ("sha256", sha256, 1_111_111_109, "68084774"),
        ("sha512", sha512, 1_111_111_109, "25091201"),
        ("sha1", sha1, 20_000_000_000, "65353130"),
        ("sha256", sha256, 20_000_000_000, "77737706"),
        ("sha512", sha512, 20_000_000_000, "47863826"),
    ] {
        assert_eq!(made(json!({"length": 8, "algorithm": algorithm}), seed, now).0, expected, "{algorithm} at {now}");
    }
}

#[test]
fn a_seed_may_be_written_as_services_show_it() {
    let expected = ("287082".to_owned(), "1".to_owned());
    for seed in [
        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n",
    ] {
        assert_eq!(made(json!({}), seed, 59), expected);
    }
    assert_eq!(made(json!({"when": "1970-01-01T00:00:59Z"}), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 5), expected);
}

#[test]
fn what_is_no_seed_is_refused_without_a_word_of_it() {
    let spec: MfaSpec = serde_json::from_value(json!({"secret": {"name": "seed"}})).unwrap();
    for seed in ["", "canary!", "CANARY1", "A"] {
        let failure = one_time_password(&spec, &SecretBytes::from(seed.to_owned()), 59).unwrap_err();
        assert!(failure.to_string().contains("not base32"), "{failure}");
        assert!(!failure.to_string().to_lowercase().contains("canary"));
    }
}

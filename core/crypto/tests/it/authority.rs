//! Authorities and what they sign, as OpenSSL sees them.

use std::path::Path;
use std::process::Command;

use strongroom_crypto::{Certificate, KeyedCertificate, Validity};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24 * 3600;
const NAMES: [&str; 2] = ["hook.team.svc", "hook.team.svc.cluster.local"];

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn authority() -> KeyedCertificate {
    KeyedCertificate::authority(&names(&NAMES), Validity { begins: NOW - DAY, ends: NOW + 365 * DAY }).unwrap()
}

fn server(authority: &KeyedCertificate, of: &[&str]) -> KeyedCertificate {
    authority.sign_server(&names(of), Validity { begins: NOW - DAY, ends: NOW + 30 * DAY }).unwrap()
}

fn certificate(keyed: &KeyedCertificate) -> Certificate {
    Certificate::read_all(&keyed.certificate).unwrap().remove(0)
}

/// What OpenSSL says of a server's certificate at a time, for a name.
fn verified(folder: &Path, authorities: &str, server: &str, name: &str, at: i64) -> Result<(), String> {
    std::fs::write(folder.join("ca.pem"), authorities).unwrap();
    std::fs::write(folder.join("server.pem"), server).unwrap();
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(["verify", "-x509_strict", "-purpose", "sslserver", "-attime", &at.to_string()]);
    match name.parse::<std::net::IpAddr>() {
        Ok(_) => command.args(["-verify_ip", name]),
        Err(_) => command.args(["-verify_hostname", name]),
    };
    let output = command.args(["-no-CApath", "-no-CAstore", "-CAfile", "ca.pem", "server.pem"]).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
}

#[test]
fn openssl_takes_what_an_authority_signs_within_its_names_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (authority(), authority());
    let made = server(&ours, &["hook.team.svc", "hook.team.svc.cluster.local", "127.0.0.1"]);
    let check = |authorities: &str, made: &KeyedCertificate, name: &str, at: i64, expected: &str| {
        let said = verified(folder.path(), authorities, &made.certificate, name, at).err().unwrap_or_default();
        assert!(if expected.is_empty() { said.is_empty() } else { said.contains(expected) }, "{name} {at}: {said}");
    };
    let both = format!("{}{}", other.certificate, ours.certificate);
    for name in ["hook.team.svc", "hook.team.svc.cluster.local", "127.0.0.1"] {
        check(&ours.certificate, &made, name, NOW, "");
        check(&both, &made, name, NOW, "");
    }
    check(&ours.certificate, &made, "hook.other.svc", NOW, "hostname mismatch");
    check(&other.certificate, &made, "hook.team.svc", NOW, "unable to get local issuer certificate");
    check(&ours.certificate, &made, "hook.team.svc", NOW + 31 * DAY, "certificate has expired");
    check(&ours.certificate, &made, "hook.team.svc", NOW - 2 * DAY, "not yet valid");
    // Its constraints hold, whatever is signed.
    check(
        &ours.certificate,
        &server(&ours, &["kubernetes.default.svc"]),
        "kubernetes.default.svc",
        NOW,
        "permitted subtree",
    );
}

#[test]
fn what_was_made_is_read_as_it_was_meant() {
    let (ours, other) = (authority(), authority());
    let made = server(&ours, &["hook.team.svc", "127.0.0.1"]);
    let (authority, read) = (certificate(&ours), certificate(&made));
    assert!(authority.is_authority && !read.is_authority);
    assert_eq!(authority.permitted, NAMES);
    assert_eq!(read.names, ["hook.team.svc", "127.0.0.1"]);
    assert_eq!(read.validity, Validity { begins: NOW - DAY, ends: NOW + 30 * DAY });
    assert!(read.is_signed_by(&authority) && authority.is_signed_by(&authority));
    assert!(!read.is_signed_by(&certificate(&other)) && !read.is_signed_by(&read));
    assert!(read.has_key(&made.key) && !read.has_key(&ours.key));
    let may = |name: &str, expected| assert_eq!(authority.may_sign_for(name), expected, "{name}");
    may("hook.team.svc", true);
    may("a.hook.team.svc", true);
    may("webhook.team.svc", false);
    may("10.0.0.1", true);
    may("team.svc", false);
}

#[test]
fn what_was_changed_is_signed_by_nobody() {
    let ours = authority();
    let (authority, made) = (certificate(&ours), certificate(&server(&ours, &NAMES)));
    let mut der = made.der.clone();
    let place = der.windows(4).position(|part| part == b"hook").unwrap();
    der[place] = b'b';
    assert!(!Certificate::read(&der).unwrap().is_signed_by(&authority));
    assert_eq!(Certificate::read(&[made.der.as_slice(), &[0]].concat()), None);
    assert_eq!(Certificate::read_all("no PEM"), None);
    assert_eq!(Certificate::read_all(&format!("{}{}", made.to_pem(), authority.to_pem())).unwrap(), [made, authority]);
}

//! Certificates that somebody else renews, in files.

use std::os::unix::fs::symlink;
use std::path::Path;

use strongroom_certificates::{Kind, Settings, Source};
use strongroom_crypto::{KeyedCertificate, Validity};

use crate::support::{
    QUIET, Replica, access, apply, bundle_becomes, bundles, configuration, eventually, namespace, settings, webhook,
};

struct Files {
    authority: String,
    certificate: String,
    key: String,
}

fn made() -> Files {
    let (names, validity) = (["hook.svc".to_owned()], Validity { begins: 0, ends: 1 << 32 });
    let authority = KeyedCertificate::authority(&names, validity).unwrap();
    let server = authority.sign_server(&names, validity).unwrap();
    let key = server.key.to_pkcs8_pem().to_string();
    Files { authority: authority.certificate, certificate: server.certificate, key }
}

/// Puts a set of files in place as a kubelet does: all change at once with one link.
fn put(folder: &Path, number: u32, certificate: &str, key: &str, authority: &str) {
    let set = format!("..{number}");
    std::fs::create_dir(folder.join(&set)).unwrap();
    for (name, content) in [("tls.crt", certificate), ("tls.key", key), ("ca.crt", authority)] {
        std::fs::write(folder.join(&set).join(name), content).unwrap();
        if number == 0 {
            symlink(format!("..data/{name}"), folder.join(name)).unwrap();
        }
    }
    symlink(&set, folder.join("..new")).unwrap();
    std::fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
}

fn of_files(mut settings: Settings, folder: &Path, is_bundle_kept: bool) -> Settings {
    settings.source = Source::Files {
        certificate: folder.join("tls.crt"),
        key: folder.join("tls.key"),
        bundle: is_bundle_kept.then(|| folder.join("ca.crt")),
    };
    settings
}

#[test]
fn files_are_served_as_they_change_and_their_bundle_is_kept_where_that_is_asked() {
    let (namespace, folder, files) = (namespace(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (made(), made());
    put(files.path(), 0, &first.certificate, &first.key, &first.authority);
    let settings = of_files(settings(&namespace, "hook", &[Kind::Mutating]), files.path(), true);
    let name = settings.configurations[0].name.clone();
    apply(&[configuration(Kind::Mutating, &name, &[webhook("a.example.com", &settings)])]);
    let replica = Replica::start(&settings, access(&settings, true, &folder));
    assert_eq!(replica.first(), first.certificate);
    bundle_becomes(Kind::Mutating, &name, &first.authority);
    // A key that is not the certificate's is not served.
    put(files.path(), 1, &second.certificate, &first.key, &first.authority);
    std::thread::sleep(QUIET);
    assert_eq!(replica.first(), first.certificate);
    put(files.path(), 2, &second.certificate, &second.key, &second.authority);
    eventually("the second certificate", || match replica.first() {
        served if served == second.certificate => Ok(()),
        other => Err(other),
    });
    bundle_becomes(Kind::Mutating, &name, &second.authority);
}

#[test]
fn bundles_are_left_alone_where_none_is_given() {
    let (namespace, folder, files) = (namespace(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = made();
    put(files.path(), 0, &first.certificate, &first.key, &first.authority);
    let settings = of_files(settings(&namespace, "hook", &[Kind::Mutating]), files.path(), false);
    let name = settings.configurations[0].name.clone();
    apply(&[configuration(Kind::Mutating, &name, &[webhook("a.example.com", &settings)])]);
    let replica = Replica::start(&settings, access(&settings, true, &folder));
    assert_eq!(replica.first(), first.certificate);
    std::thread::sleep(QUIET);
    assert_eq!(bundles(Kind::Mutating, &name), [""]);
}

//! The Secret: who makes it, and who mends it.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_certificates::{Kind, Settings};
use strongroom_crypto::{KeyedCertificate, Validity};

use crate::support::{
    QUIET, Replica, access, apply, bundle_becomes, cluster, configuration, events, eventually, get, held, is_trusted,
    namespace, secret_name, settings, webhook,
};

#[test]
fn one_secret_comes_of_many_replicas_that_begin_at_once() {
    let (namespace, folder) = (namespace(), tempfile::tempdir().unwrap());
    let settings = settings(&namespace, "hook", &[Kind::Mutating]);
    let name = settings.configurations[0].name.clone();
    apply(&[configuration(Kind::Mutating, &name, &[webhook("a.example.com", &settings)])]);
    let kubeconfig = access(&settings, true, &folder);
    let replicas: Vec<Replica> = (0..4).map(|_| Replica::start(&settings, kubeconfig.clone())).collect();
    let served: Vec<String> = replicas.iter().map(Replica::first).collect();
    let (certificate, authority) = (held(&namespace, "hook", "tls.crt"), held(&namespace, "hook", "ca.crt"));
    assert!(served.iter().all(|served| *served == certificate));
    bundle_becomes(Kind::Mutating, &name, &authority);
    for host in ["hook.{}.svc", "hook.{}.svc.cluster.local", "hook.{}"] {
        is_trusted(&authority, &certificate, &host.replace("{}", &namespace)).unwrap();
    }
    is_trusted(&authority, &certificate, "kubernetes.default.svc").unwrap_err();

    // In steady state nothing is written.
    let versions = || {
        let secret = get("secret", &namespace, &secret_name("hook")).unwrap();
        let configuration = get(Kind::Mutating.as_str(), "default", &name).unwrap();
        assert_eq!(secret["type"], "kubernetes.io/tls");
        assert_eq!(secret["metadata"]["labels"]["app.kubernetes.io/managed-by"], "strongroom");
        [secret, configuration].map(|object| object["metadata"]["resourceVersion"].clone())
    };
    let before = versions();
    std::thread::sleep(QUIET);
    assert_eq!(versions(), before);
    eventually("an event", || match events(&namespace, "hook").as_slice() {
        [made] if made.starts_with("Normal CertificateMade") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// A Secret's data, as certificates of an authority and a server with these times say.
fn data(settings: &Settings, names: &[String], begins: i64, ends: i64) -> Value {
    let validity = Validity { begins, ends };
    let authority = KeyedCertificate::authority(names, validity).unwrap();
    let server = authority.sign_server(names, validity).unwrap();
    assert_eq!(settings.names().len(), 3);
    json!({
        "ca.crt": STANDARD.encode(&authority.certificate),
        "ca.key": STANDARD.encode(authority.key.to_pkcs8_pem().as_bytes()),
        "tls.crt": STANDARD.encode(&server.certificate),
        "tls.key": STANDARD.encode(server.key.to_pkcs8_pem().as_bytes()),
    })
}

#[test]
fn whatever_is_wrong_with_a_secret_is_mended_and_told() {
    let namespace = namespace();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let day = 24 * 3600;
    let check = |number: usize, make: &dyn Fn(&Settings) -> Value, expected: &str| {
        let folder = tempfile::tempdir().unwrap();
        let release = format!("hook{number}");
        let settings = settings(&namespace, &release, &[]);
        apply(&[json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": secret_name(&release), "namespace": namespace, "annotations": {"kept": "yes"}},
            "data": make(&settings)})]);
        let replica = Replica::start(&settings, access(&settings, true, &folder));
        let certificate = replica.first();
        let host = format!("{release}.{namespace}.svc");
        eventually(expected, || {
            let bundle = ["ca.crt", "previous-ca.crt"].map(|key| held(&namespace, &release, key)).concat();
            is_trusted(&bundle, &certificate, &host)
        });
        let written = ["ca.crt", "ca.key", "tls.crt", "tls.key"].map(|key| held(&namespace, &release, key));
        assert!(written.iter().all(|value| value.starts_with("-----BEGIN ")), "{expected}");
        let metadata = get("secret", &namespace, &secret_name(&release)).unwrap()["metadata"].clone();
        assert_eq!(metadata["annotations"]["kept"], "yes");
        assert_eq!(metadata["labels"]["app.kubernetes.io/component"], "webhook-certificate");
        eventually("an event", || match events(&namespace, &release) {
            told if told.contains(&format!("Warning CertificateRepaired {expected}")) => Ok(()),
            told => Err(format!("{told:?} and not {expected}")),
        });
    };
    let anew = "a new authority and certificate were made:";
    let whole = |settings: &Settings| data(settings, &settings.names(), now - day, now + 20 * day);
    let without = |data: Value, key: &str| {
        let mut data = data;
        data[key] = json!("");
        data
    };
    check(
        0,
        &|settings| data(settings, &settings.names(), now - 9 * day, now - day),
        &format!("{anew} its certificate has expired"),
    );
    // Made while a clock was wrong.
    check(
        1,
        &|settings| data(settings, &settings.names(), now + 300 * day, now + 600 * day),
        &format!("{anew} its certificate is not valid yet"),
    );
    check(
        2,
        &|settings| data(settings, &["other.svc".to_owned()], now - day, now + day),
        &format!("{anew} tls.crt is for other names"),
    );
    check(3, &|_| json!({"tls.crt": "", "tls.key": ""}), &format!("{anew} tls.crt is missing"));
    check(
        4,
        &|settings| without(whole(settings), "tls.key"),
        "a new certificate was made: tls.key is missing, or is no private key",
    );
    check(
        5,
        &|settings| without(whole(settings), "ca.key"),
        "a new authority was made: ca.key is missing, or is no private key",
    );
    check(
        6,
        &|settings| {
            let (mut one, other) = (whole(settings), whole(settings));
            one["tls.key"] = other["tls.key"].clone();
            one
        },
        "a new certificate was made: tls.key is not the key of tls.crt",
    );
    check(
        7,
        &|settings| {
            let (mut one, other) = (whole(settings), whole(settings));
            one["ca.crt"] = other["ca.crt"].clone();
            one["ca.key"] = other["ca.key"].clone();
            one
        },
        "a new certificate was made: no authority in it signed tls.crt",
    );
}

#[test]
fn a_deleted_secret_comes_back_and_gets_other_keys_without_a_gap() {
    let (namespace, folder) = (namespace(), tempfile::tempdir().unwrap());
    let settings = settings(&namespace, "hook", &[Kind::Mutating]);
    let name = settings.configurations[0].name.clone();
    apply(&[configuration(Kind::Mutating, &name, &[webhook("a.example.com", &settings)])]);
    let replica = Replica::start(&settings, access(&settings, true, &folder));
    let certificate = replica.first();
    let authority = held(&namespace, "hook", "ca.crt");
    bundle_becomes(Kind::Mutating, &name, &authority);
    cluster().kubectl(&["delete", "secret", &secret_name("hook"), "-n", &namespace]).unwrap();
    let newer =
        eventually("the Secret comes back with another authority", || match held(&namespace, "hook", "ca.crt") {
            newer if newer.is_empty() || newer == authority => Err(newer),
            newer => Ok(newer),
        });
    assert_eq!(held(&namespace, "hook", "previous-ca.crt"), authority);
    bundle_becomes(Kind::Mutating, &name, &format!("{newer}{authority}"));
    assert_eq!(replica.serves().unwrap(), certificate, "until all trust the new authority");
    let host = format!("hook.{namespace}.svc");
    eventually("a certificate of the new authority", || is_trusted(&newer, &replica.first(), &host));
    bundle_becomes(Kind::Mutating, &name, &newer);
}

#[test]
fn two_releases_do_not_meet() {
    let (namespace, folder) = (namespace(), tempfile::tempdir().unwrap());
    let [one, other] =
        ["one", "other"].map(|release| settings(&namespace, release, &[Kind::Mutating, Kind::Validating]));
    let kept: Vec<Replica> = [&one, &other]
        .map(|settings| {
            for of in &settings.configurations {
                apply(&[configuration(of.kind, &of.name, &[webhook("a.example.com", settings)])]);
            }
            Replica::start(settings, access(settings, true, &folder))
        })
        .into();
    let authorities = ["one", "other"].map(|release| {
        eventually("an authority", || {
            Some(held(&namespace, release, "ca.crt")).filter(|held| !held.is_empty()).ok_or(String::new())
        })
    });
    assert_ne!(authorities[0], authorities[1]);
    for (settings, authority) in [&one, &other].into_iter().zip(&authorities) {
        for of in &settings.configurations {
            bundle_becomes(of.kind, &of.name, authority);
        }
    }
    assert_ne!(kept[0].first(), kept[1].first());
}

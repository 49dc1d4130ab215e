//! What PushSecrets do beyond values: certificates at AWS, and what `metadata` names.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use world::certificates::Authority;

use super::api::{API, data, line};
use super::pushes::{entry, push, source, stands};
use super::stores::{logins, stores};
use super::support::{CLUSTER, condition, eventually, namespace};
use super::world_of_stores::{World, core, create};
use crate::{AWS, REGION};

/// The provider of a store of this name, of all that are known.
fn provider(world: &World, namespace: &str, name: &str) -> Value {
    let known = stores(world, namespace);
    known.into_iter().find(|(known, ..)| *known == name).map(|(_, provider, ..)| provider).unwrap()
}

fn acm(what: &str, body: &Value) -> Value {
    AWS.call(REGION, &format!("CertificateManager.{what}"), body).unwrap()
}

/// The ARNs of the certificates that bear a name.
fn named(name: &str) -> Vec<String> {
    let filter = json!({"TagFilters": [{"Key": "external-secrets-remote-key", "Values": [name]}]});
    let found = AWS.call(REGION, "ResourceGroupsTaggingAPI_20170126.GetResources", &filter).unwrap();
    let found = found["ResourceTagMappingList"].as_array().unwrap().clone();
    found.iter().map(|one| one["ResourceARN"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the only certificate of that name is this one; gives its ARN.
fn holds(name: &str, certificate: &str) -> String {
    eventually(&format!("{name} is the certificate"), || {
        let arns = named(name);
        let [arn] = arns.as_slice() else { return Err(format!("{arns:?}")) };
        let there = acm("GetCertificate", &json!({"CertificateArn": arn}))["Certificate"].clone();
        if there.as_str().map(str::trim) == Some(certificate.trim()) {
            Ok(arn.clone())
        } else {
            Err("another certificate".to_owned())
        }
    })
}

#[test]
fn a_tls_secret_becomes_a_certificate_at_aws_keeps_its_arn_and_goes_with_its_push_secret() {
    const CLASS: &str = "certificates";
    let namespace = namespace(&CLUSTER, &[]);
    let world = World::start();
    let operator = world.operator(CLASS, &[]);
    logins(&world, &namespace);
    let mut acm_store = provider(&world, &namespace, "aws-secrets");
    acm_store["aws"]["service"] = json!("CertificateManager");
    acm_store["aws"]["prefix"] = json!(format!("{namespace}/"));
    create(&namespace, "SecretStore", "acm", &json!({"controller": CLASS, "provider": acm_store}));
    let authority = Authority::new().unwrap();
    let (first, key) = authority.issue(&["web.example"]).unwrap();
    let tls = |certificate: &str, key: &str| json!({"tls.crt": certificate, "tls.key": key});
    let secret = json!({"type": "kubernetes.io/tls", "stringData": tls(&first, &key)});
    core(&namespace, "Secret", "web", &secret);
    source(&namespace, "plain", &json!({}), &json!({"user": "ann"}));
    let into_acm = |source: &str| {
        json!({
            "secretStoreRefs": [{"name": "acm"}], "selector": {"secret": {"name": source}}, "deletionPolicy": "Delete",
            "refreshInterval": "1s", "data": [{"match": {"remoteRef": {"remoteKey": source}}}],
        })
    };
    push(&namespace, "web", &into_acm("web"));
    push(&namespace, "plain", &into_acm("plain"));
    stands(&namespace, "web", ("True", "Synced"));
    let (_, message) = stands(&namespace, "plain", ("False", "Errored"));
    assert!(message.contains("the Secret has no tls.crt"), "{message}");
    let name = format!("{namespace}/web");
    let arn = holds(&name, &first);
    let (second, key) = authority.issue(&["web.example"]).unwrap();
    API.patch("secrets", &namespace, "web", &json!({"stringData": tls(&second, &key)}));
    assert_eq!(holds(&name, &second), arn);
    // Some looks later nothing was imported again.
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(world.aws.counts().of("ImportCertificate"), 2);

    // Certificates that AWS issued are read by their ARN, with their key.
    let request = json!({"DomainName": "read.example", "Options": {"Export": "ENABLED"}});
    let issued = acm("RequestCertificate", &request)["CertificateArn"].clone();
    let spec = json!({
        "secretStoreRef": {"name": "acm"}, "refreshInterval": "1s",
        "data": [{"secretKey": "bundle", "remoteRef": {"key": issued}}],
    });
    create(&namespace, "ExternalSecret", "read", &spec);
    let bundle = eventually("the certificate is read", || {
        let secret = API.get("secrets", &namespace, "read").ok_or("there is no Secret")?;
        data(&secret).remove("bundle").ok_or("it has no bundle")
    });
    let certificate = acm("GetCertificate", &json!({"CertificateArn": issued}))["Certificate"].clone();
    assert!(bundle.starts_with(certificate.as_str().unwrap().trim()), "the certificate comes first");
    assert!(bundle.trim_end().ends_with("-----END PRIVATE KEY-----"), "the key comes last");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(world.aws.counts().of("ExportCertificate"), 1);
    assert!(!operator.logged().contains("PRIVATE KEY"), "a key is shown");

    assert!(API.delete("pushsecrets", &namespace, "web"));
    eventually("the certificate is gone", || {
        let left = named(&name);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    operator.stop();
}

#[test]
fn the_policy_that_metadata_names_is_put_on_a_secret_and_its_copies_are_made() {
    const CLASS: &str = "policies-of-secrets";
    let namespace = namespace(&CLUSTER, &[]);
    let world = World::start();
    let operator = world.operator(CLASS, &[]);
    logins(&world, &namespace);
    let mut store = provider(&world, &namespace, "aws-secrets");
    store["aws"]["secretsManager"] = json!({"forceDeleteWithoutRecovery": true});
    create(&namespace, "SecretStore", "aws", &json!({"controller": CLASS, "provider": store}));
    source(&namespace, "app", &json!({}), &json!({"user": "ann"}));
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": "secretsmanager:GetSecretValue", "Resource": "*",
    }]});
    core(&namespace, "ConfigMap", "policy", &json!({"data": {"policy.json": policy.to_string()}}));
    let spec = |key: &str| {
        let at = format!("{namespace}/{key}");
        let mut data = entry("user", &at, None);
        data["metadata"] = json!({
            "apiVersion": "kubernetes.external-secrets.io/v1alpha1", "kind": "PushSecretMetadata",
            "spec": {
                "resourcePolicy": {"policySourceRef": {"kind": "ConfigMap", "name": "policy", "key": key}},
                "replicationLocations": ["us-east-1"],
            },
        });
        json!({
            "secretStoreRefs": [{"name": "aws"}], "selector": {"secret": {"name": "app"}}, "deletionPolicy": "Delete",
            "refreshInterval": "1s", "data": [data],
        })
    };
    push(&namespace, "app", &spec("policy.json"));
    push(&namespace, "wrong", &spec("missing"));
    stands(&namespace, "app", ("True", "Synced"));
    let (_, message) = stands(&namespace, "wrong", ("False", "Errored"));
    let field = "spec.data[0].metadata.spec.resourcePolicy.policySourceRef";
    assert!(message.contains(field) && message.contains("has no key missing"), "{message}");
    let name = format!("{namespace}/policy.json");
    let ask =
        |region: &str, what: &str| AWS.call(region, &format!("secretsmanager.{what}"), &json!({"SecretId": name}));
    let there = ask(REGION, "GetResourcePolicy").unwrap()["ResourcePolicy"].as_str().map(str::to_owned);
    assert_eq!(serde_json::from_str::<Value>(&there.unwrap()).unwrap(), policy);
    assert_eq!(ask(REGION, "DescribeSecret").unwrap()["ReplicationStatus"][0]["Region"], "us-east-1");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(world.aws.counts().of("PutResourcePolicy"), 1);
    assert!(API.delete("pushsecrets", &namespace, "app"));
    eventually("the secret is gone with its copy", || match ask(REGION, "DescribeSecret") {
        Ok(_) => Err("it is there"),
        Err(_) => Ok(()),
    });
    operator.stop();
}

#[test]
fn a_cluster_store_pushes_into_the_namespace_that_metadata_names_and_a_store_does_not() {
    const CLASS: &str = "elsewhere";
    let [here, there] = [namespace(&CLUSTER, &[]), namespace(&CLUSTER, &[])];
    let world = World::start();
    let operator = world.operator(CLASS, &[]);
    logins(&world, &here);
    let account = format!("--serviceaccount={here}:reader");
    CLUSTER.kubectl(&["create", "rolebinding", "reader", "-n", &there, "--clusterrole=admin", &account]).unwrap();
    let store = provider(&world, &here, "kubernetes");
    create(&here, "SecretStore", "own", &json!({"controller": CLASS, "provider": store}));
    let mut store = store;
    store["kubernetes"]["auth"]["serviceAccount"]["namespace"] = json!(here);
    let cluster_store = format!("{here}-all");
    create("", "ClusterSecretStore", &cluster_store, &json!({"controller": CLASS, "provider": store}));
    source(&here, "app", &json!({}), &json!({"user": "ann"}));
    core(&there, "Secret", "known", &json!({"stringData": {"theirs": "kept"}}));
    let into = |store: Value, key: &str| {
        let mut data = entry("user", key, Some("user"));
        data["metadata"] = json!({
            "apiVersion": "kubernetes.external-secrets.io/v1alpha1", "kind": "PushSecretMetadata",
            "spec": {"remoteNamespace": there},
        });
        json!({
            "secretStoreRefs": [store], "selector": {"secret": {"name": "app"}}, "deletionPolicy": "Delete",
            "refreshInterval": "1s", "data": [data],
        })
    };
    let of_cluster = json!({"name": cluster_store, "kind": "ClusterSecretStore"});
    push(&here, "new", &into(of_cluster.clone(), "new"));
    push(&here, "known", &into(of_cluster.clone(), "known"));
    push(&here, "own", &into(json!({"name": "own"}), "refused"));
    for name in ["new", "known"] {
        stands(&here, name, ("True", "Synced"));
    }
    let (_, message) = stands(&here, "own", ("False", "Errored"));
    assert!(message.contains(&format!("remoteNamespace {there} is not the store's")), "{message}");
    // In another namespace a name is another key to a StorePolicy.
    let policy = json!({
        "apiVersion": "strongroom.dev/v1alpha1", "kind": "StorePolicy", "metadata": {"name": here},
        "spec": {"stores": [{"name": cluster_store}], "rules": [{"keys": ["*"]}]},
    });
    assert_eq!(API.create("storepolicies", "", &policy), (201, String::new()));
    eventually("the policy holds", || {
        let policy = API.get("storepolicies", "", &here).ok_or("it does not exist")?;
        condition(&policy, "Ready").ok_or("nobody looked")
    });
    push(&here, "ruled", &into(of_cluster, "ruled"));
    let (_, message) = stands(&here, "ruled", ("False", "Errored"));
    assert!(message.contains(&format!("{there}/ruled")) && message.contains("AccessDenied"), "{message}");
    assert!(API.delete("storepolicies", "", &here));
    let held = |namespace: &str| -> BTreeMap<String, String> {
        let names = ["new", "known", "refused"];
        let secrets = API.list("secrets", namespace);
        names.iter().filter_map(|name| Some(((*name).to_owned(), line(secrets.get(*name)?)))).collect()
    };
    let expected = [("known", "theirs=kept user=ann"), ("new", "user=ann")];
    assert_eq!(held(&there), expected.map(|(name, line)| (name.to_owned(), line.to_owned())).into());
    assert_eq!(held(&here), BTreeMap::new());
    for name in ["new", "known"] {
        assert!(API.delete("pushsecrets", &here, name));
    }
    eventually("what was pushed is gone, and nothing else", || {
        let left = held(&there);
        if left == [("known".to_owned(), "theirs=kept".to_owned())].into() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    assert!(API.delete("clustersecretstores", "", &cluster_store));
    operator.stop();
}

//! Logins as somebody on AWS: Vault's own login, and an STS that checks signatures with AWS's own library.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use strongroom_aws::{AccessKey, Endpoints, Role, Session};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Meter, Provider, SecretBytes};
use strongroom_vault::{Auth, Aws, AwsCaller, Settings, SignedRequest, Vault};
use world::moto::Moto;
use world::open_bao::{OpenBao, Options};
use world::sts::{CheckedSts, Key};

use crate::server::{Server, open, read_name};

/// Signs with one of our sessions; `breaks` says what is put in place of the address.
#[derive(Debug)]
struct Caller {
    session: Session,
    region: &'static str,
    breaks: Option<&'static str>,
}

#[async_trait]
impl AwsCaller for Caller {
    fn describe(&self) -> String {
        self.session.identity()
    }

    async fn sign(&self, headers: &[(&str, &str)]) -> Result<SignedRequest, Failure> {
        let signed = self.session.sign_caller_identity(self.region, headers).await?;
        let url = self.breaks.map_or(signed.url, str::to_owned);
        Ok(SignedRequest {
            method: signed.method.to_owned(),
            url,
            headers: signed.headers,
            body: signed.body.to_owned(),
        })
    }
}

fn key(id: &str, secret: &str, token: Option<&str>) -> strongroom_aws::Settings {
    let text = |text: &str| SecretBytes::from(text.to_owned());
    let access_key = AccessKey { id: id.to_owned(), secret: text(secret), session_token: token.map(text) };
    strongroom_aws::Settings { access_key: Some(access_key), ..strongroom_aws::Settings::default() }
}

const LASTING: (&str, &str) = ("AKIALASTING", "canary-5b1d-lasting");
const BRIEF: (&str, &str, &str) = ("ASIABRIEF", "canary-5b1d-brief", "canary-5b1d-token");

/// What the server calls itself.
const SERVER_ID: &str = "vault.world";

/// A server with Vault's own login by AWS identity, which asks `sts`: users and the role `reader` of one account may
/// read below `secret/aws/`.
async fn server(sts: &CheckedSts) -> Server {
    let options = Options { has_vault_logins: true, ..Options::default() };
    let server = Server { running: OpenBao::start_with(&options).unwrap() };
    server.put("aws/app", json!({"k": "v"})).await;
    server.allow_reading("aws-reader", "aws").await;
    server.admin("POST", "sys/auth/aws", json!({"type": "aws"})).await;
    let config = json!({"sts_endpoint": sts.endpoint(), "iam_server_id_header_value": SERVER_ID});
    server.admin("POST", "auth/aws/config/client", config).await;
    let role = json!({
        "auth_type": "iam", "resolve_aws_unique_ids": false, "token_policies": ["aws-reader"],
        "bound_iam_principal_arn": ["arn:aws:iam::123456789012:user/app", "arn:aws:iam::123456789012:role/reader"],
    });
    server.admin("POST", "auth/aws/role/app", role).await;
    server
}

#[tokio::test]
async fn whoever_signs_for_aws_logs_in() {
    let moto = Moto::start().unwrap();
    let arn = "arn:aws:iam::123456789012:user/app";
    let keys = [
        Key { id: LASTING.0, secret: LASTING.1, token: None, arn },
        Key { id: BRIEF.0, secret: BRIEF.1, token: Some(BRIEF.2), arn },
        Key { id: "AKIASTRANGER", secret: "canary-5b1d", token: None, arn: "arn:aws:iam::123456789012:user/other" },
    ];
    let sts = CheckedSts::start(&keys, Some(&moto)).unwrap();
    let server = server(&sts).await;
    let vault = |settings: strongroom_aws::Settings, region, server_id: &str, breaks| -> Vault {
        let session = Session::new(settings, Arc::new(Meter::default())).unwrap();
        let caller = Arc::new(Caller { session, region, breaks });
        let server_id = Some(server_id.to_owned()).filter(|id| !id.is_empty());
        let auth = Auth::Aws(Aws { mount: None, role: "app".to_owned(), server_id, caller });
        open(Settings::new(server.running.address(), auth))
    };
    let assumed = strongroom_aws::Settings {
        region: Some("eu-west-1".to_owned()),
        roles: vec![Role { arn: "arn:aws:iam::123456789012:role/reader".to_owned(), ..Role::default() }],
        endpoints: Endpoints { sts: Some(moto.endpoint().to_owned()), ..Endpoints::default() },
        ..key("test", "test", None)
    };
    let lasting = || key(LASTING.0, LASTING.1, None);
    let good = [
        vault(lasting(), "us-east-1", SERVER_ID, None),
        vault(key(BRIEF.0, BRIEF.1, Some(BRIEF.2)), "eu-west-1", SERVER_ID, None),
        vault(assumed, "eu-west-1", SERVER_ID, None),
    ];
    for vault in &good {
        assert_eq!(read_name(vault, "secret/data/aws/app").await.unwrap().0, r#"{"k":"v"}"#, "{}", vault.identity());
    }
    assert_eq!(good[0].identity(), "role app by auth/aws as access key AKIALASTING from the settings");
    let elsewhere = Some("https://sts.eu-west-1.amazonaws.com/");
    let bad = [
        (vault(key(LASTING.0, "canary-5b1d-x", None), "us-east-1", SERVER_ID, None), "SignatureDoesNotMatch"),
        (vault(key(BRIEF.0, BRIEF.1, None), "us-east-1", SERVER_ID, None), "InvalidClientTokenId"),
        (vault(key("AKIAOTHER", LASTING.1, None), "us-east-1", SERVER_ID, None), "InvalidClientTokenId"),
        (vault(lasting(), "us-east-1", SERVER_ID, elsewhere), "SignatureDoesNotMatch"),
        (vault(lasting(), "us-east-1", "vault.other", None), "expected \"vault.world\" but got \"vault.other\""),
        (vault(lasting(), "us-east-1", "", None), "missing header"),
        (vault(key("AKIASTRANGER", "canary-5b1d", None), "us-east-1", SERVER_ID, None), "does not belong to the role"),
    ];
    for (vault, words) in bad {
        let failure = read_name(&vault, "secret/data/aws/app").await.unwrap_err();
        assert_eq!(failure.class, Class::Unauthenticated);
        assert!(failure.words.contains(words), "{failure}");
    }
}

//! AWS: accounts of the emulator, each with a secret of the same name, so that what is read tells who asked.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use world::switchboard::Seen;

use super::super::world_of_stores::World;
use super::{Forms, account, key, reviewed, user, with, within};
use crate::{AWS, REGION};

/// Whose lasting key is in the Secret of `home`.
pub(super) const KEY: &str = "100000000001";
/// Whose temporary key is.
pub(super) const SESSION: &str = "100000000002";
/// Whose role the service account of `home` takes.
pub(super) const WEB: &str = "100000000003";
/// Whose role [`KEY`] takes, with an external id.
pub(super) const ROLE: &str = "100000000004";
/// The end and the middle of a chain of roles that begins with [`KEY`].
const UPPER: &str = "100000000005";
const LOWER: &str = "100000000006";
/// The operator's own.
pub(super) const OPERATOR: &str = "100000000007";
/// Whose role the operator takes.
const OPERATOR_ROLE: &str = "100000000008";
/// As [`KEY`] and [`WEB`], for `away`.
const AWAY: &str = "100000000009";
const AWAY_WEB: &str = "100000000010";

const EXTERNAL_ID: &str = "external-7";

/// With AWS's own client: a role takes us into an account, where a user gets a lasting key.
const SETUP: &str = r#"
import json, sys
import boto3

endpoint, region, accounts = sys.argv[1], sys.argv[2], sys.argv[3:]

def client(service, key):
    return boto3.client(
        service, endpoint_url=endpoint, region_name=region, aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"], aws_session_token=key.get("SessionToken"))

keys = {}
for account in accounts:
    sts = client("sts", {"AccessKeyId": "test", "SecretAccessKey": "test"})
    role = f"arn:aws:iam::{account}:role/setup"
    brief = sts.assume_role(RoleArn=role, RoleSessionName="setup")["Credentials"]
    client("secretsmanager", brief).create_secret(Name="forms", SecretString=f"of {account}")
    iam = client("iam", brief)
    iam.create_user(UserName="app")
    keys[account] = {"brief": brief, "lasting": iam.create_access_key(UserName="app")["AccessKey"]}
print(json.dumps(keys, default=str))
"#;

/// The accounts that exist.
pub(super) struct Accounts(Value);

impl Accounts {
    fn open() -> Self {
        let accounts = [KEY, SESSION, WEB, ROLE, UPPER, LOWER, OPERATOR, OPERATOR_ROLE, AWAY, AWAY_WEB];
        let arguments: Vec<_> = [AWS.endpoint(), REGION].into_iter().chain(accounts).collect();
        let made = world::python::prepare().unwrap().run(SETUP, &arguments, &[]).unwrap();
        Self(serde_json::from_str(&made).unwrap())
    }

    /// Id and secret of a user's key.
    pub(super) fn lasting(&self, account: &str) -> [&str; 2] {
        ["AccessKeyId", "SecretAccessKey"].map(|part| self.0[account]["lasting"][part].as_str().unwrap())
    }

    /// Id, secret and token of the role `setup`.
    pub(super) fn brief(&self, account: &str) -> [&str; 3] {
        ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(|part| self.0[account]["brief"][part].as_str().unwrap())
    }

    /// What the calls themselves must say, which the emulator does not look at.
    pub(super) fn check(&self, forms: &Forms, world: &World) {
        let requests = world.aws.requests();
        let asked = |operation: &str| -> Vec<(&Seen, String)> {
            let requests = requests.iter().filter(|seen| seen.operation == operation);
            requests.map(|seen| (seen, String::from_utf8_lossy(&seen.body).into_owned())).collect()
        };
        let by_web: BTreeSet<_> = asked("AssumeRoleWithWebIdentity")
            .iter()
            .map(|(_, body)| {
                let token = body.split("WebIdentityToken=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
                reviewed(token, "sts.amazonaws.com").expect("the account's token is meant for AWS")
            })
            .collect();
        assert_eq!(by_web, BTreeSet::from([user(&forms.home, "aws-web"), user(&forms.away, "aws-web")]));
        let taken = asked("AssumeRole");
        let by = |seen: &Seen, [id, ..]: [&str; 2]| seen.header("authorization").is_some_and(|by| by.contains(id));
        let of = |account: &str| taken.iter().filter(|(_, body)| body.contains(account)).collect::<Vec<_>>();
        assert!(of(ROLE).iter().all(|(_, body)| body.contains(&format!("ExternalId={EXTERNAL_ID}"))));
        assert!(of(LOWER).iter().all(|(seen, _)| by(seen, self.lasting(KEY))));
        assert!(of(UPPER).iter().all(|(seen, _)| !by(seen, self.lasting(KEY))));
        assert!(of(OPERATOR_ROLE).iter().all(|(seen, _)| by(seen, self.lasting(OPERATOR))));
        for account in [ROLE, LOWER, UPPER, OPERATOR_ROLE] {
            assert!(!of(account).is_empty(), "nobody takes the role of {account}");
        }
        let [_, _, token] = self.brief(SESSION);
        assert!(requests.iter().any(|seen| seen.header("x-amz-security-token") == Some(token)));
    }
}

/// How a store names an access key of the Secret `name`.
pub(super) fn access_key(name: &str) -> Value {
    json!({"accessKeyIDSecretRef": key(name, "id"), "secretAccessKeySecretRef": key(name, "key")})
}

/// The same of a temporary one.
pub(super) fn brief_key(name: &str) -> Value {
    with(&access_key(name), &json!({"sessionTokenSecretRef": key(name, "token")}))
}

pub(super) fn role(account: &str) -> String {
    format!("arn:aws:iam::{account}:role/reader")
}

/// What tells STS that `account` may be entered.
pub(super) fn entered(account: &str) -> Value {
    json!({"role": role(account), "externalID": EXTERNAL_ID})
}

pub(super) fn add(forms: &mut Forms) -> Accounts {
    let accounts = Accounts::open();
    let (home, away) = (forms.home.clone(), forms.away.clone());
    for (namespace, of_key, of_web) in [(&home, KEY, WEB), (&away, AWAY, AWAY_WEB)] {
        let [id, secret] = accounts.lasting(of_key);
        forms.secret(namespace, "access-key", &[("id", id)], &[("key", secret)]);
        account(namespace, "aws-web", &json!({"eks.amazonaws.com/role-arn": role(of_web)}));
    }
    let [id, secret, token] = accounts.brief(SESSION);
    // Editors leave a line's end behind.
    forms.secret(&home, "session-key", &[("id", &format!("{id}\n"))], &[("key", secret), ("token", token)]);
    let [id, secret] = accounts.lasting(OPERATOR);
    forms.variables.extend([("AWS_ACCESS_KEY_ID", id.to_owned()), ("AWS_SECRET_ACCESS_KEY", secret.to_owned())]);
    forms.hide(secret);

    let aws = |more: Value| json!({"aws": with(&json!({"service": "SecretsManager", "region": REGION}), &more)});
    let of = |account: &str| format!("of {account}");
    let remote = || json!({"key": "forms"});
    let keys = json!({"auth": {"secretRef": access_key("access-key")}});
    let web = json!({"auth": {"jwt": {"serviceAccountRef": {"name": "aws-web"}}}});
    let session = json!({"auth": {"secretRef": brief_key("session-key")}});
    let chain = json!({"additionalRoles": [role(LOWER)], "role": role(UPPER)});
    let own = [
        ("aws-key", keys.clone(), KEY),
        ("aws-session", session, SESSION),
        ("aws-web", web.clone(), WEB),
        ("aws-role", with(&keys, &entered(ROLE)), ROLE),
        ("aws-roles", with(&keys, &chain), UPPER),
    ];
    for (name, more, account) in own {
        forms.own(name, aws(more), remote(), &of(account));
    }
    let named = json!({"auth": {"secretRef": {
        "accessKeyIDSecretRef": within(&home, &key("access-key", "id")),
        "secretAccessKeySecretRef": within(&home, &key("access-key", "key")),
    }}});
    let named_web = json!({"auth": {"jwt": {"serviceAccountRef": {"name": "aws-web", "namespace": home}}}});
    let cluster = [
        ("aws-own", json!({}), OPERATOR),
        ("aws-own-role", json!({"role": role(OPERATOR_ROLE)}), OPERATOR_ROLE),
        ("aws-named-key", named, KEY),
        ("aws-named-web", named_web, WEB),
    ];
    for (name, more, account) in cluster {
        forms.cluster(name, aws(more), remote(), &of(account));
    }
    forms.referent("aws-askers-key", aws(keys), [(remote(), of(KEY)), (remote(), of(AWAY))]);
    forms.referent("aws-askers-web", aws(web), [(remote(), of(WEB)), (remote(), of(AWAY_WEB))]);
    accounts
}

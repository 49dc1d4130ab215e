//! What each text means. The tables of `docs/references.md` are made from this one.

/// A part of the page that has a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Canonical,
    SecretsManager,
    ParameterStore,
    Google,
    Vault,
    Azure,
    Ordinary,
}

/// What becomes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The canonical form of the reference that it is.
    Means(&'static str),
    /// What a variable of that value is composed of.
    Composes(&'static str),
    /// The words in which it is refused.
    Refused(&'static str),
    /// It is a value like any other.
    Ordinary,
}

use Outcome::{Composes, Means, Ordinary, Refused};

pub(crate) type Case = (Section, &'static str, Outcome);

pub(crate) const CASES: &[Case] = &[
    // The canonical form, and texts that mean the same.
    (Section::Canonical, "sr://aws-sm/prod/db", Means("sr://aws-sm/prod/db")),
    (Section::Canonical, "sr://aws-sm/prod/db#password", Means("sr://aws-sm/prod/db#password")),
    (Section::Canonical, "sr://vault@team-a/secret/data/app#user", Means("sr://vault@team-a/secret/data/app#user")),
    (Section::Canonical, "sr://vault@ns/team/kv/app", Means("sr://vault@ns/team/kv/app")),
    (Section::Canonical, "sr://vault@ns%2Fteam/kv/app", Means("sr://vault@ns%2Fteam/kv/app")),
    (Section::Canonical, "sr://aws-ssm/%2Fprod/db", Means("sr://aws-ssm/%2Fprod/db")),
    (Section::Canonical, "sr://aws-ssm//prod/db", Means("sr://aws-ssm/%2Fprod/db")),
    (
        Section::Canonical,
        "sr://aws-sm/app?stage=AWSPREVIOUS&decode=base64&select=jsonpath#$.tls['key']",
        Means("sr://aws-sm/app?decode=base64&select=jsonpath&stage=AWSPREVIOUS#%24.tls%5B%27key%27%5D"),
    ),
    (
        Section::Canonical,
        "sr://gcp-sm/s?version=5&region=europe-west3&optional&default=a%26b",
        Means("sr://gcp-sm/s?default=a%26b&optional&region=europe-west3&version=5"),
    ),
    (Section::Canonical, "sr://file/ca.pem?default=", Means("sr://file/ca.pem?default=")),
    (Section::Canonical, "sr://env/HOME?decode=none&select=gjson", Means("sr://env/HOME")),
    (Section::Canonical, "sr://aws-sm/app#users.#.name", Means("sr://aws-sm/app#users.%23.name")),
    (Section::Canonical, "sr://aws-sm/app#", Means("sr://aws-sm/app#")),
    (Section::Canonical, "sr://kubernetes/team/größe", Means("sr://kubernetes/team/gr%C3%B6%C3%9Fe")),
    (
        Section::Canonical,
        r#"sr://vault/pki/issue/web?request={"common_name":"web"}#certificate"#,
        Means("sr://vault/pki/issue/web?request=%7B%22common_name%22:%22web%22%7D#certificate"),
    ),
    (Section::Canonical, "sr://aws/app", Refused("the provider after sr:// is not known")),
    (Section::Canonical, "sr://", Refused("the provider after sr:// is not known")),
    (Section::Canonical, "sr://vault", Refused("the key is missing")),
    (Section::Canonical, "sr://vault/?optional#a", Refused("the key is missing")),
    (Section::Canonical, "sr://vault@/secret/data/app", Refused("the store after @ has no name")),
    (Section::Canonical, "sr://file/100%", Refused("the key holds a % that does not begin an escape")),
    (Section::Canonical, "sr://file/a#b%zz", Refused("the property holds a % that does not begin an escape")),
    (Section::Canonical, "sr://file/%FF", Refused("the escapes of the key are not UTF-8")),
    (Section::Canonical, "sr://file/a\nb", Refused("the key holds a control character")),
    (Section::Canonical, "sr://file/a?ttl=5", Refused("the query has a field that is not known: \"ttl\"")),
    (Section::Canonical, "sr://file/a?", Refused("the query has a field that is not known")),
    (Section::Canonical, "sr://file/a?Version=5", Refused("the query has a field that is not known")),
    (Section::Canonical, "sr://file/a?version", Refused("\"version\" has no value")),
    (Section::Canonical, "sr://file/a?region=", Refused("\"region\" has no value")),
    (Section::Canonical, "sr://file/a?optional=true", Refused("\"optional\" has a value")),
    (Section::Canonical, "sr://file/a?default=x&default=x", Refused("\"default\" is given twice")),
    (Section::Canonical, "sr://aws-sm/a?version=5&stage=LIVE", Refused("\"stage\" is a second version")),
    (Section::Canonical, "sr://aws-sm/a?decode=hex", Refused("\"decode\" has a value that is not known")),
    (Section::Canonical, "sr://aws-sm/a?select=xpath", Refused("\"select\" has a value that is not known")),
    (Section::Canonical, "sr://aws-sm/a?request={}", Refused("\"request\" is for vault alone")),
    (Section::Canonical, "sr://vault/a?request={}&version=5", Refused("\"request\" stands beside a version")),
    (Section::Canonical, "sr://vault/a?request=[1]", Refused("the request is not a JSON object")),
    // ARNs of Secrets Manager.
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf",
        Means("sr://aws-sm/arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf?region=eu-west-1"),
    ),
    (
        Section::SecretsManager,
        "arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:team/app",
        Means("sr://aws-sm/arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:team/app?region=cn-north-1"),
    ),
    (
        Section::SecretsManager,
        "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:app",
        Means("sr://aws-sm/arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:app?region=us-gov-west-1"),
    ),
    (
        Section::SecretsManager,
        "arn:aws-iso:secretsmanager:us-iso-east-1:111122223333:secret:app",
        Means("sr://aws-sm/arn:aws-iso:secretsmanager:us-iso-east-1:111122223333:secret:app?region=us-iso-east-1"),
    ),
    (
        Section::SecretsManager,
        "arn:aws-iso-b:secretsmanager:us-isob-east-1:111122223333:secret:app",
        Means("sr://aws-sm/arn:aws-iso-b:secretsmanager:us-isob-east-1:111122223333:secret:app?region=us-isob-east-1"),
    ),
    (
        Section::SecretsManager,
        "arn:aws-iso-e:secretsmanager:eu-isoe-west-1:111122223333:secret:app",
        Means("sr://aws-sm/arn:aws-iso-e:secretsmanager:eu-isoe-west-1:111122223333:secret:app?region=eu-isoe-west-1"),
    ),
    (
        Section::SecretsManager,
        "arn:aws-iso-f:secretsmanager:us-isof-south-1:111122223333:secret:app",
        Means(
            "sr://aws-sm/arn:aws-iso-f:secretsmanager:us-isof-south-1:111122223333:secret:app?region=us-isof-south-1",
        ),
    ),
    (
        Section::SecretsManager,
        "arn:aws-eusc:secretsmanager:eusc-de-east-1:111122223333:secret:app",
        Means("sr://aws-sm/arn:aws-eusc:secretsmanager:eusc-de-east-1:111122223333:secret:app?region=eusc-de-east-1"),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app?stage=AWSPREVIOUS#password",
        Means(
            "sr://aws-sm/arn:aws:secretsmanager:eu-west-1:111122223333:secret:app?region=eu-west-1&stage=AWSPREVIOUS#password",
        ),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app:db.user::",
        Means("sr://aws-sm/arn:aws:secretsmanager:eu-west-1:111122223333:secret:app?region=eu-west-1#db%5C.user"),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app::AWSPENDING:",
        Means("sr://aws-sm/arn:aws:secretsmanager:eu-west-1:111122223333:secret:app?region=eu-west-1&stage=AWSPENDING"),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app:user::9d4cb84b?optional",
        Means(
            "sr://aws-sm/arn:aws:secretsmanager:eu-west-1:111122223333:secret:app?optional&region=eu-west-1&version=9d4cb84b#user",
        ),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app:::?select=jmespath#a[0]",
        Means(
            "sr://aws-sm/arn:aws:secretsmanager:eu-west-1:111122223333:secret:app?region=eu-west-1&select=jmespath#a%5B0%5D",
        ),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app:user",
        Refused("the ARN has too few or too many fields after the secret's name"),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app:user:LIVE:9d4cb84b",
        Refused("the ARN names a stage and a version"),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app:user::#password",
        Refused("the property is given twice"),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app:user::?select=jsonpath",
        Refused("\"select\" is given for a key that is a plain name"),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app::LIVE:?version=9d4cb84b",
        Refused("\"version\" is a second version"),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app?region=us-east-1",
        Refused("\"region\" is what the rest of the reference says already"),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app\n",
        Refused("the reference holds a control character"),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager::111122223333:secret:app",
        Refused("the ARN does not name a secret of Secrets Manager"),
    ),
    (
        Section::SecretsManager,
        "arn:aws:secretsmanager:eu-west-1:$ACCOUNT:secret:app",
        Refused("the ARN does not name a secret of Secrets Manager"),
    ),
    (Section::SecretsManager, "arn:aws:secretsmanager", Refused("the ARN does not name a secret of Secrets Manager")),
    // ARNs of Parameter Store.
    (
        Section::ParameterStore,
        "arn:aws:ssm:us-east-1:12345678:parameter/secrets/test-secret",
        Means("sr://aws-ssm/%2Fsecrets/test-secret?region=us-east-1"),
    ),
    (
        Section::ParameterStore,
        "arn:aws:ssm:us-east-1:12345678:parameter/secrets/test-secret:3",
        Means("sr://aws-ssm/%2Fsecrets/test-secret?region=us-east-1&version=3"),
    ),
    (
        Section::ParameterStore,
        "arn:aws:ssm:us-east-1:12345678:parameter/secrets/test-secret:live",
        Means("sr://aws-ssm/%2Fsecrets/test-secret?region=us-east-1&stage=live"),
    ),
    (
        Section::ParameterStore,
        "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/foo",
        Means("sr://aws-ssm/%2Ffoo?region=cn-north-1"),
    ),
    (
        Section::ParameterStore,
        "arn:aws:ssm:eu-west-1::parameter/aws/service/ecs/optimized-ami",
        Means("sr://aws-ssm/%2Faws/service/ecs/optimized-ami?region=eu-west-1"),
    ),
    (
        Section::ParameterStore,
        "arn:aws:ssm:eu-west-1:111122223333:parameter/app?default=a:b&decode=base64#tls.key",
        Means("sr://aws-ssm/%2Fapp?decode=base64&default=a:b&region=eu-west-1#tls.key"),
    ),
    (
        Section::ParameterStore,
        "sr://aws-ssm/arn:aws:ssm:eu-west-1:111122223333:parameter/shared?region=eu-west-1",
        Means("sr://aws-ssm/arn:aws:ssm:eu-west-1:111122223333:parameter/shared?region=eu-west-1"),
    ),
    (
        Section::ParameterStore,
        "arn:aws:ssm:eu-west-1:111122223333:parameter/app:",
        Refused("the ARN ends in an empty version"),
    ),
    (
        Section::ParameterStore,
        "arn:aws:ssm:eu-west-1:111122223333:parameter/app:3?stage=live",
        Refused("\"stage\" is a second version"),
    ),
    (
        Section::ParameterStore,
        "arn:aws:ssm:eu-west-1:111122223333:parameter/",
        Refused("the ARN does not name a parameter"),
    ),
    (Section::ParameterStore, "arn:aws:ssm::111122223333:parameter/app", Refused("the ARN does not name a parameter")),
    (Section::ParameterStore, "arn:aws:ssm:eu-west-1:111122223333:document/x", Ordinary),
    (Section::ParameterStore, "arn:aws:ssm:eu-west-1:111122223333:parameter/a:b:c", Ordinary),
    (Section::ParameterStore, "arn:aws:ssm:eu-west-1:parameter/app", Ordinary),
    // Google.
    (Section::Google, "gcp:secretmanager:projects/P/secrets/S", Means("sr://gcp-sm/projects/P/secrets/S")),
    (
        Section::Google,
        "gcp:secretmanager:projects/P/secrets/S/versions/latest",
        Means("sr://gcp-sm/projects/P/secrets/S"),
    ),
    (
        Section::Google,
        "gcp:secretmanager:projects/P/secrets/S/versions/5",
        Means("sr://gcp-sm/projects/P/secrets/S?version=5"),
    ),
    (
        Section::Google,
        "gcp:secretmanager:projects/P/secrets/S/versions/live",
        Means("sr://gcp-sm/projects/P/secrets/S?stage=live"),
    ),
    (Section::Google, "gcp:secretmanager:S", Means("sr://gcp-sm/S")),
    (Section::Google, "gcp:secretmanager:S/versions/5", Means("sr://gcp-sm/S?version=5")),
    (
        Section::Google,
        "gcp:secretmanager:projects/P/locations/europe-west3/secrets/S/versions/5",
        Means("sr://gcp-sm/projects/P/locations/europe-west3/secrets/S?region=europe-west3&version=5"),
    ),
    (
        Section::Google,
        "gcp:secretmanager:projects/P/secrets/S?optional&default=x#db.host",
        Means("sr://gcp-sm/projects/P/secrets/S?default=x&optional#db.host"),
    ),
    (Section::Google, "gcp:secretmanager:", Refused("the text after gcp:secretmanager: does not name a secret")),
    (
        Section::Google,
        "gcp:secretmanager:projects/P/secrets",
        Refused("the text after gcp:secretmanager: does not name a secret"),
    ),
    (
        Section::Google,
        "gcp:secretmanager:projects//secrets/S",
        Refused("the text after gcp:secretmanager: does not name a secret"),
    ),
    (
        Section::Google,
        "gcp:secretmanager:S/versions/",
        Refused("the text after gcp:secretmanager: does not name a secret"),
    ),
    (Section::Google, "gcp:secretmanager:S/versions/5?version=6", Refused("\"version\" is a second version")),
    // Vault and OpenBao.
    (Section::Vault, "vault:secret/data/app#password", Means("sr://vault/secret/data/app#password")),
    (Section::Vault, "bao:secret/data/app#password", Means("sr://vault/secret/data/app#password")),
    (Section::Vault, "vault:secret/data/app#password#3", Means("sr://vault/secret/data/app?version=3#password")),
    (Section::Vault, "vault:secret/data/app#password#-1", Means("sr://vault/secret/data/app#password")),
    (Section::Vault, "vault:secret/data/app#password#0", Means("sr://vault/secret/data/app#password")),
    (Section::Vault, "vault:secret/data/app#tls.crt", Means("sr://vault/secret/data/app#tls%5C.crt")),
    (Section::Vault, "vault:secret/data/app#100%?", Means("sr://vault/secret/data/app#100%5C%25%5C%3F")),
    (
        Section::Vault,
        "vault:secret/data/app?optional&default=x#password",
        Means("sr://vault/secret/data/app?default=x&optional#password"),
    ),
    (
        Section::Vault,
        ">>vault:database/creds/app#username",
        Means("sr://vault/database/creds/app?request=%7B%7D#username"),
    ),
    (
        Section::Vault,
        r#">>bao:pki/issue/web#certificate#{"common_name":"a#b?c"}"#,
        Means("sr://vault/pki/issue/web?request=%7B%22common_name%22:%22a%23b%3Fc%22%7D#certificate"),
    ),
    (Section::Vault, "vault:secret/data/app", Refused("the #KEY is missing")),
    (Section::Vault, "vault:secret/data/app#", Refused("the #KEY is missing")),
    (Section::Vault, ">>vault:database/creds/app", Refused("the #KEY is missing")),
    (Section::Vault, "vault:#password", Refused("the path is missing")),
    (Section::Vault, "vault:", Refused("the path is missing")),
    (Section::Vault, "vault:secret/data/app#password#", Refused("the #VERSION is not a number")),
    (Section::Vault, "vault:secret/data/app#password#new", Refused("the #VERSION is not a number")),
    (Section::Vault, "vault:secret/data/app#password\n", Refused("the #KEY holds a control character")),
    (Section::Vault, "vault:secret/data/app?version=2#password#3", Refused("\"version\" is a second version")),
    (
        Section::Vault,
        "vault:secret/data/app?select=jsonpath#password",
        Refused("\"select\" is given for a key that is a plain name"),
    ),
    (
        Section::Vault,
        ">>vault:pki/issue/web#certificate#{",
        Refused("the body is not a JSON object (line 1, column 1)"),
    ),
    (
        Section::Vault,
        ">>vault:pki/issue/web?request={}#certificate",
        Refused("\"request\" is what the rest of the reference says already"),
    ),
    (Section::Vault, ">>vault:pki/issue/web?version=2#certificate", Refused("\"request\" stands beside a version")),
    (
        Section::Vault,
        "vault:secret/data/app#${.user}:${.password}",
        Composes("{sr://vault/secret/data/app ${.user}:${.password}}"),
    ),
    (
        Section::Vault,
        "vault:secret/data/app#${.user | upper}#3",
        Composes("{sr://vault/secret/data/app?version=3 ${.user | upper}}"),
    ),
    (
        Section::Vault,
        "postgres://${vault:secret/data/app#user}:${vault:secret/data/app#password#2}@db/app",
        Composes("…{sr://vault/secret/data/app#user} …{sr://vault/secret/data/app?version=2#password}"),
    ),
    (
        Section::Vault,
        "${>>bao:database/creds/app#username}",
        Composes("{sr://vault/database/creds/app?request=%7B%7D#username}"),
    ),
    (
        Section::Vault,
        r#"{"tls":"${>>vault:pki/issue/web#certificate#{"common_name":"a"}}"}"#,
        Composes("…{sr://vault/pki/issue/web?request=%7B%22common_name%22:%22a%22%7D#certificate}"),
    ),
    (
        Section::Vault,
        "x-${vault:secret/data/app#${.user}:${.password}}",
        Composes("…{sr://vault/secret/data/app ${.user}:${.password}}"),
    ),
    (
        Section::Vault,
        "http://vault:8200/?${vault:secret/data/app#user}",
        Composes("…{sr://vault/secret/data/app#user}"),
    ),
    (Section::Vault, "vault:8200/?${vault:secret/data/app#user}", Composes("…{sr://vault/secret/data/app#user}")),
    (Section::Vault, "$${vault:secret/data/app#user}", Composes("…{sr://vault/secret/data/app#user}")),
    (Section::Vault, "x-${vault:secret/data/app}", Refused("the #KEY is missing")),
    (
        Section::Vault,
        "x-${vault:secret/data/app#${.user}",
        Refused("a reference inside the value, ${vault:…, is never closed"),
    ),
    (
        Section::Vault,
        "vault:secret/${vault:secret/data/app#path}#user",
        Refused("a reference stands inside another reference"),
    ),
    (
        Section::Vault,
        "vault:secret/data/app?decode=base64#${.user}",
        Refused("\"decode\", \"select\" or \"default\" is given for a template"),
    ),
    (
        Section::Vault,
        "x-${vault:v1:8SDd3WHDOjf7mq69CyCqYjBXAiQQAVZRkFM13ok481zoCmHnSeDX9vyf7w==}",
        Refused("this is a ciphertext of Vault's Transit engine, not a reference"),
    ),
    (
        Section::Vault,
        "vault:v1:8SDd3WHDOjf7mq69CyCqYjBXAiQQAVZRkFM13ok481zoCmHnSeDX9vyf7w==",
        Refused("this is a ciphertext of Vault's Transit engine, not a reference"),
    ),
    (Section::Vault, "vault:login", Means("sr://vault/auth/token/lookup-self#id")),
    (Section::Vault, "bao:login", Means("sr://vault/auth/token/lookup-self#id")),
    // Azure Key Vault.
    (Section::Azure, "azure:keyvault:db-password", Means("sr://azure-kv/db-password")),
    (Section::Azure, "azure:keyvault:db-password/0a1b2c", Means("sr://azure-kv/db-password?version=0a1b2c")),
    (Section::Azure, "azure:keyvault:app?optional#db.host", Means("sr://azure-kv/app?optional#db.host")),
    (Section::Azure, "azure:keyvault:", Refused("the text after azure:keyvault: does not name a secret")),
    (Section::Azure, "azure:keyvault:app/", Refused("the text after azure:keyvault: does not name a secret")),
    (Section::Azure, "azure:keyvault:app/1/2", Refused("the text after azure:keyvault: does not name a secret")),
    (Section::Azure, "azure:keyvault:my_app", Refused("the text after azure:keyvault: does not name a secret")),
    // Ordinary values that look a little like references.
    (Section::Ordinary, "", Ordinary),
    (Section::Ordinary, "hunter2", Ordinary),
    (Section::Ordinary, " sr://aws-sm/app", Ordinary),
    (Section::Ordinary, "https://example.com/?a=b#c", Ordinary),
    (Section::Ordinary, "file:/etc/app.properties", Ordinary),
    (Section::Ordinary, "vault:8200", Ordinary),
    (Section::Ordinary, "vault:8200/ui", Ordinary),
    (Section::Ordinary, "vault:1.13.3", Ordinary),
    (Section::Ordinary, "vault://secret/app", Ordinary),
    (Section::Ordinary, "arn:aws:iam::111122223333:role/app", Ordinary),
    (Section::Ordinary, "arn:aws:s3:::bucket/secretsmanager", Ordinary),
    (Section::Ordinary, "arn:awsome:secretsmanager:eu-west-1:111122223333:secret:app", Ordinary),
    (Section::Ordinary, "arn:aws:ssmmessages:eu-west-1:111122223333:parameter/x", Ordinary),
    (Section::Ordinary, "echo ${vault:-none} ${vault:0:3} # done", Ordinary),
    (Section::Ordinary, "${vault:a} ${vault:1/2}", Ordinary),
    (Section::Ordinary, "${HOME}/vault:secret/data/app#x", Ordinary),
];

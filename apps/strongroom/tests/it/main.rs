//! `strongroom run`, `get`, `explain` and `select` as a person at a shell meets them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test's own files have one reader")]

mod admission;
mod aws_ssm;
mod canary;
mod commands_es;
mod encrypt;
mod install;
mod kamus;
mod kamus_repository;
mod kamus_rotation;
mod kamus_secrets;
mod kes;
mod migration;
mod operator;
mod pages;
mod server;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use world::moto::{Kind, Moto, Value};
use world::open_bao::OpenBao;
use world::switchboard::{Fault, Switchboard};

const REGION: &str = "eu-west-1";
const CANARY: &str = "canary7f3a9c51";

static AWS: LazyLock<Moto> = LazyLock::new(|| {
    let aws = Moto::start().unwrap();
    aws.put_secret(REGION, "prod/db", Value::Text(&format!(r#"{{"password":"{CANARY}","port":5432}}"#))).unwrap();
    aws.put_secret(REGION, "binary", Value::Binary(&[0, 255, 10])).unwrap();
    aws.put_parameter(REGION, "/app/license", Kind::SecureString, "LIC-1").unwrap();
    aws
});
static VAULT: LazyLock<OpenBao> = LazyLock::new(|| {
    let vault = OpenBao::start().unwrap();
    vault.command(&["kv", "put", "secret/app", &format!("token={CANARY}")]).unwrap();
    vault
});

struct Ended {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

impl Ended {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

fn strongroom(words: &[&str], variables: &[(&str, &str)], stdin: &[u8]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command.args(words).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(variables.iter().copied());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that reads nothing may have gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ended { code: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr }
}

/// With both stores at hand.
fn with_stores(words: &[&str]) -> Ended {
    let variables = [
        ("AWS_ENDPOINT_URL", AWS.endpoint()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
        ("AWS_REGION", REGION),
        ("VAULT_ADDR", VAULT.address()),
        ("VAULT_TOKEN", VAULT.root_token()),
    ];
    strongroom(words, &variables, b"")
}

#[test]
fn run_becomes_the_command_with_its_secrets() {
    let words = ["run", "--env", "A=sr://aws-sm/prod%2Fdb#port", "--env", "B=vault:secret/data/app#token", "--"];
    let ended = with_stores(&[&words[..], &["sh", "-c", "echo $A; printenv B; exit 5"]].concat());
    assert_eq!((ended.code, ended.text()), (5, format!("5432\n{CANARY}\n").as_str()), "{}", ended.stderr);
}

#[test]
fn run_leaves_no_parent_and_reads_standard_input() {
    let ended = strongroom(&["run", "--", "sh", "-c", "cat; echo; cat /proc/$PPID/comm"], &[], b"data");
    let lines: Vec<&str> = ended.text().lines().collect();
    assert_eq!(lines[0], "data");
    assert_ne!(lines[1], "strongroom");
}

#[test]
fn run_does_not_start_what_it_cannot_serve_and_says_why() {
    let ended = with_stores(&["run", "--env", "A=vault:secret/data/app#tokne", "--", "echo", "started"]);
    assert_eq!((ended.code, ended.text()), (1, ""));
    assert!(ended.stderr.starts_with("error: A: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("tokne") && ended.stderr.contains("does not exist"), "{}", ended.stderr);
    assert_eq!(with_stores(&["run", "--", "/no/such"]).code, 127);
    assert_eq!(with_stores(&["run", "--", "/etc/passwd"]).code, 126);
}

#[test]
fn get_prints_the_value_byte_for_byte() {
    assert_eq!(with_stores(&["get", "sr://aws-sm/prod%2Fdb#password"]).text(), CANARY);
    assert_eq!(with_stores(&["get", "sr://aws-ssm/%2Fapp%2Flicense"]).text(), "LIC-1");
    assert_eq!(with_stores(&["get", "sr://aws-sm/binary"]).stdout, [0, 255, 10]);
    let absent = with_stores(&["get", "sr://aws-sm/none?optional"]);
    assert_eq!((absent.code, absent.text()), (1, ""));
    assert_eq!(with_stores(&["get", "plain text"]).code, 1);
}

#[test]
fn explain_says_what_it_would_do_and_asks_nobody() {
    let switchboard = Switchboard::to(AWS.host_port()).unwrap();
    let variables = [("AWS_ENDPOINT_URL", switchboard.address()), ("AWS_REGION", REGION)];
    let arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db?stage=AWSPREVIOUS&optional#password";
    let ended = strongroom(&["explain", arn], &variables, b"");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for words in ["syntax     secrets-init\n", "AWSPREVIOUS", "password (", "us-east-1", "GetSecretValue", "left out\n"]
    {
        assert!(ended.text().contains(words), "{words}: {}", ended.text());
    }
    assert_eq!(switchboard.counts().connections, 0);
}

#[test]
fn select_reads_a_document_in_three_languages() {
    let document = br#"{"a":{"b.c":[1,{"d":"x"}]},"n":1.50}"#;
    let check = |flag: &str, path: &str, expected: &str| {
        let ended = strongroom(&["select", flag, path], &[], document);
        assert_eq!((ended.code, ended.text()), (0, expected), "{flag} {path}: {}", ended.stderr);
    };
    check("--gjson", r"a.b\.c.1.d", "x");
    check("--gjson", "n", "1.5");
    check("--jsonpath", "$.a['b.c'][1].d", "x");
    check("--jmespath", "a.\"b.c\"[1].d", "x");
    let missing = strongroom(&["select", "--gjson", "nope"], &[], document);
    assert_eq!((missing.code, missing.text()), (1, ""));
    assert!(missing.stderr.contains("does not exist"), "{}", missing.stderr);
    assert_eq!(strongroom(&["select", "--jsonpath", "$["], &[], document).code, 1);
    assert_eq!(strongroom(&["select", "--gjson", "a", "/no/such/file"], &[], b"").code, 1);
}

#[test]
fn no_command_shows_a_value_when_it_fails() {
    let echo = format!(
        r#"{{"__type":"InternalServiceError","message":"x","errors":[],"data":{{"data":{{"token":"{CANARY}"}}}}}}"#
    );
    let faults = || {
        [
            Fault::answer(403, &[], &echo),
            Fault::answer(404, &[], &echo),
            Fault::answer(500, &[], &echo),
            Fault::answer(429, &[("Retry-After", "60")], &echo),
            Fault::answer(200, &[], &format!("<{CANARY}>")),
            Fault::cut_body(),
            Fault::hangup(),
        ]
    };
    let stores =
        [(VAULT.host_port(), "vault:secret/data/app#token"), (AWS.host_port(), "sr://aws-sm/prod%2Fdb#password")];
    for (host_port, reference) in stores {
        let switchboard = Switchboard::to(host_port).unwrap();
        let variables = [
            ("VAULT_ADDR", switchboard.address()),
            ("VAULT_TOKEN", "s.canary7f3a9c51"),
            ("AWS_ENDPOINT_URL", switchboard.address()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", CANARY),
            ("AWS_REGION", REGION),
            ("STRONGROOM_DEADLINE", "1s"),
            ("STRONGROOM_LOG_LEVEL", "debug"),
        ];
        for fault in faults() {
            switchboard.clear();
            switchboard.add(fault);
            let variable = format!("A={reference}");
            for words in [vec!["get", reference], vec!["run", "--env", &variable, "--", "true"]] {
                let ended = strongroom(&words, &variables, b"");
                assert_eq!(ended.code, 1, "{words:?}");
                assert!(
                    !ended.stderr.contains(CANARY) && !ended.text().contains(CANARY),
                    "{words:?}: a value was shown"
                );
            }
        }
    }
    for reference in ["vault:secret/data/app?decode=base64#token", "vault:secret/data/app?select=jsonpath#$["] {
        let ended = with_stores(&["get", reference]);
        assert_eq!(ended.code, 1);
        assert!(!ended.stderr.contains(CANARY), "{reference}: a value was shown");
    }
    let selected = strongroom(&["select", "--jmespath", "a["], &[], CANARY.as_bytes());
    assert!(!selected.stderr.contains(CANARY));
}

#[test]
fn every_command_has_help_with_examples_and_there_are_completions() {
    for command in ["run", "get", "explain", "select"] {
        let ended = strongroom(&[command, "--help"], &[], b"");
        assert_eq!(ended.code, 0);
        assert!(ended.text().contains("Examples:"), "{command}: {}", ended.text());
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(strongroom(&["completions", shell], &[], b"").text().contains("explain"), "{shell}");
    }
    let bare = strongroom(&[], &[], b"");
    assert_ne!(bare.code, 0);
    assert!(bare.stderr.contains("Usage"), "{}", bare.stderr);
}

#[test]
fn a_persons_profile_may_ask_a_program_for_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let answer = r#"{"Version":1,"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"not-a-real-key"}"#;
    let (config, credentials) = (folder.path().join("config"), folder.path().join("credentials.json"));
    let write =
        |path: &std::path::Path, text: &str| std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    write(&credentials, answer);
    write(
        &config,
        &format!("[profile person]\nregion = {REGION}\ncredential_process = cat {}\n", credentials.display()),
    );
    let variables = [
        ("AWS_CONFIG_FILE", config.to_str().unwrap()),
        ("AWS_PROFILE", "person"),
        ("AWS_ENDPOINT_URL", AWS.endpoint()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let ended = strongroom(&["get", "sr://aws-ssm/%2Fapp%2Flicense"], &variables, b"");
    assert_eq!(ended.text(), "LIC-1", "{}", ended.stderr);
}

#[test]
fn failures_are_json_where_json_was_asked_for() {
    let words = ["get", "--log-format=json", "sr://env/NOT_THERE"];
    let ended = strongroom(&words, &[], b"");
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.starts_with('{') && ended.stderr.contains(r#""class":"NotFound""#), "{}", ended.stderr);
    let text = strongroom(&["get", "sr://env/NOT_THERE"], &[], b"");
    assert!(text.stderr.starts_with("error: "), "{}", text.stderr);
}

#[test]
fn a_mistyped_flag_is_no_command() {
    let ended = strongroom(&["run", "--env-fle", "x", "--", "true"], &[], b"");
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("--env-fle"), "{}", ended.stderr);
    assert_eq!(strongroom(&["run", "--", "sh", "-c", "exit 3"], &[], b"").code, 3);
    assert_eq!(strongroom(&["run", "sh", "-c", "exit 3"], &[], b"").code, 3);
}

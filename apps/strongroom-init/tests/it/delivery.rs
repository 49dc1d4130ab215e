//! What is new beside secrets-init: mixed stores, properties, files, env files, dry runs, limits.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use world::moto::{Kind, Value};
use world::switchboard::{Fault, Switchboard};

use crate::program::{Ended, Program};
use crate::stores::{ACCOUNT, AWS, GOOGLE, REGION, VAULT, aws, aws_at, google, vault};

fn check(ended: &Ended, code: i32, stdout: &str) {
    assert_eq!((ended.code, ended.stdout.as_str()), (code, stdout), "{}", ended.stderr);
}

fn printing(names: &str, flags: &[&str]) -> Program {
    let script = format!("for name in {names}; do printenv $name || echo \"$name is absent\"; done");
    let words: Vec<&str> = flags.iter().copied().chain(["--", "sh", "-c", &script]).collect();
    Program::strongroom_init(&words)
}

fn parameter(name: &str) -> String {
    format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{name}")
}

#[test]
fn one_environment_may_name_every_store() {
    let secret = AWS.put_secret(REGION, "mixed", Value::Text(r#"{"db":{"password":"from sm"}}"#)).unwrap();
    AWS.put_parameter(REGION, "/mixed", Kind::SecureString, r#"{"a":["from ssm"]}"#).unwrap();
    GOOGLE.put("p", "mixed", br#"{"encoded":"ZnJvbSBnb29nbGU="}"#);
    let program = printing("SM SSM GCP VAULT FILE ENV PLAIN", &[]).envs(&aws()).envs(&vault()).envs(&google());
    let program = program
        .env("SM", format!("{}#db.password", secret.arn))
        .env("SSM", format!("{}#a.0", parameter("/mixed")))
        .env("GCP", "gcp:secretmanager:projects/p/secrets/mixed?decode=base64#encoded")
        .env("VAULT", "vault:secret/data/app#token")
        .env("FILE", "sr://file/%2Fproc%2Fsys%2Fkernel%2Fostype")
        .env("ENV", "sr://env/PLAIN")
        .env("PLAIN", "as it is");
    check(&program.run_everywhere(), 0, "from sm\nfrom ssm\nfrom google\nt0k3n\nLinux\n\nas it is\nas it is\n");
}

#[test]
fn optional_references_are_left_out_and_defaults_take_their_place() {
    let program = printing("GONE DEFAULTED NO_PROPERTY", &[]).envs(&aws()).envs(&vault());
    let program = program
        .env("GONE", format!("{}?optional", parameter("/never/stored")))
        .env("DEFAULTED", format!("{}?default=plan%20b", parameter("/never/stored")))
        .env("NO_PROPERTY", "vault:secret/data/app?optional#nothing");
    check(&program.run_everywhere(), 0, "GONE is absent\nplan b\nNO_PROPERTY is absent\n");
}

#[test]
fn an_outage_is_no_absence() {
    let program = printing("GONE", &["--deadline=500ms"]).envs(&aws_at("http://127.0.0.1:9"));
    let ended = program.env("GONE", format!("{}?optional&default=x", parameter("/app"))).run_everywhere();
    check(&ended, 1, "");
    assert!(ended.stderr.contains("class=Unavailable"), "{}", ended.stderr);
}

#[test]
fn variables_come_from_files_and_flags_and_the_last_wins() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    write(&file, "A=from file\nB='vault:secret/data/app#user'\nC=from file\n");
    let flags =
        ["--env-file", file.to_str().unwrap(), "--env", "C=from flag", "--env", "D=vault:secret/data/app#token"];
    let program =
        printing("A B C D E", &flags).envs(&vault()).env("A", "from environment").env("E", "from environment");
    check(&program.run_everywhere(), 0, "from file\napp\nfrom flag\nt0k3n\nfrom environment\n");
}

/// The house bans `std::fs::write` for programs; a test's own input needs no atomic writer.
fn write(path: &std::path::Path, text: &str) {
    std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), text.as_bytes()).unwrap();
}

#[test]
fn files_are_written_before_the_command_starts() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("token");
    let wanted = format!("{}@0440=vault:secret/data/app#token", path.display());
    let program = Program::strongroom_init(&["--file", &wanted, "--", "cat", path.to_str().unwrap()]).envs(&vault());
    check(&program.run_everywhere(), 0, "t0k3n");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o440);
    assert_eq!(std::fs::metadata(&path).unwrap().uid(), nix::unistd::geteuid().as_raw());
}

#[test]
fn binary_and_large_values_need_a_file_and_the_error_says_so() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let binary = AWS.put_secret(REGION, "binary", Value::Binary(&[0, 159, 146, 150])).unwrap();
    let program = printing("A", &[]).envs(&aws()).env("A", &binary.arn);
    let ended = program.run_everywhere();
    check(&ended, 1, "");
    assert!(ended.stderr.contains("--file") && ended.stderr.contains("A: "), "{}", ended.stderr);
    let text = AWS.put_secret(REGION, "binary-text", Value::Binary("grüße".as_bytes())).unwrap();
    check(&printing("A", &[]).envs(&aws()).env("A", &text.arn).run_everywhere(), 0, "grüße\n");
    let path = folder.path().join("binary");
    let wanted = format!("{}={}", path.display(), binary.arn);
    check(&Program::strongroom_init(&["--file", &wanted, "--", "true"]).envs(&aws()).run_everywhere(), 0, "");
    assert_eq!(std::fs::read(&path).unwrap(), [0, 159, 146, 150]);

    let large = folder.path().join("large");
    write(&large, &"x".repeat(200_000));
    let reference = format!("sr://file/{}", large.display().to_string().replace('/', "%2F"));
    let ended = printing("BIG", &[]).env("BIG", reference).run_everywhere();
    check(&ended, 1, "");
    assert!(
        ended.stderr.contains("BIG") && ended.stderr.contains("200004 bytes") && ended.stderr.contains("--file"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_dry_run_tells_the_calls_and_reads_nothing() {
    let switchboard = Switchboard::to(AWS.host_port()).unwrap();
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let wanted = format!("{}=sr://aws-ssm/%2Fdry", folder.path().join("f").display());
    let program = Program::strongroom_init(&["--dry-run", "--file", &wanted, "--", "echo", "never"])
        .envs(&aws_at(switchboard.address()));
    let ended = program
        .env("A", "sr://aws-sm/dry-a")
        .env("B", "sr://aws-sm/dry-b#x")
        .env("C", "sr://aws-sm/dry-b#y")
        .run_everywhere();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for words in [
        "A <- sr://aws-sm/dry-a\n",
        "B <- sr://aws-sm/dry-b#x\n",
        "(mode 0400) <- sr://aws-ssm/%2Fdry\n",
        "BatchGetSecretValue",
        "4 references, 2 calls\n",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("never"));
    assert_eq!(switchboard.counts().requests, 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_deadline_ends_a_silent_store() {
    let switchboard = Switchboard::to(AWS.host_port()).unwrap();
    switchboard.add(Fault::silence());
    let start = Instant::now();
    let program =
        printing("A", &["--deadline=700ms"]).envs(&aws_at(switchboard.address())).env("A", parameter("/slow"));
    let ended = program.run(crate::program::Place::Among);
    check(&ended, 1, "");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(ended.stderr.contains("deadline"), "{}", ended.stderr);
}

#[test]
fn five_hundred_references_start_one_process() {
    for number in 0..10 {
        AWS.put_parameter(REGION, &format!("/many/{number}"), Kind::String, &format!("v{number}")).unwrap();
    }
    let names: Vec<(String, String)> =
        (0..500).map(|number| (format!("V{number}"), parameter(&format!("/many/{}", number % 10)))).collect();
    let switchboard = Switchboard::to(AWS.host_port()).unwrap();
    let program =
        Program::strongroom_init(&["--log-level=info", "sh", "-c", "echo $V0 $V499; env | grep -c '^V[0-9]*=v'"]);
    let ended = program.envs(&aws_at(switchboard.address())).envs(&names).run(crate::program::Place::Among);
    check(&ended, 0, "v0 v9\n500\n");
    let said = r#"level=info msg="asked a store" operation="#;
    assert!(ended.stderr.contains(said) && ended.stderr.contains("calls=1"), "{}", ended.stderr);
    assert_eq!(switchboard.counts().requests, 1, "ten keys are one call");
}

#[test]
fn a_throttled_store_is_asked_again() {
    AWS.put_parameter(REGION, "/throttled", Kind::String, "patience").unwrap();
    let switchboard = Switchboard::to(AWS.host_port()).unwrap();
    switchboard.add(Fault::aws("ThrottlingException").times(2));
    let program = printing("A", &[]).envs(&aws_at(switchboard.address())).env("A", parameter("/throttled"));
    let ended = program.run(crate::program::Place::Among);
    check(&ended, 0, "patience\n");
    assert!(ended.stderr.contains("store throttles; backing off"), "{}", ended.stderr);
    assert_eq!(switchboard.counts().requests, 3);
}

#[test]
fn kept_and_dropped_variables_are_as_asked() {
    let program =
        printing("CIPHERTEXT VAULT_TOKEN VAULT_ADDR OTHER", &["--keep-env", "CIPHERTEXT", "--drop-env", "VAULT_*"]);
    let program = program.envs(&vault()).env("CIPHERTEXT", "vault:v1:abc").env("OTHER", "vault:secret/data/app#user");
    check(&program.run_everywhere(), 0, "vault:v1:abc\nVAULT_TOKEN is absent\nVAULT_ADDR is absent\napp\n");
}

#[test]
fn named_stores_come_from_the_configuration_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stores.yaml");
    let text =
        "stores:\n  sample:\n    provider:\n      fake:\n        data:\n          - {key: app, value: from the file}\n";
    write(&file, text);
    let flags = ["--config", file.to_str().unwrap()];
    check(&printing("A", &flags).env("A", "sr://fake@sample/app").run_everywhere(), 0, "from the file\n");
    let unknown = printing("A", &flags).env("A", "sr://fake@other/app").run_everywhere();
    check(&unknown, 1, "");
    assert!(unknown.stderr.contains("no store is named"), "{}", unknown.stderr);
}

#[test]
fn a_wrong_configuration_is_explained_without_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stores.yaml");
    let wrong = [
        ("{fake: {data: [], colour: canary}}", "unknown key \"colour\""),
        ("{vault: {address: 'http://x', auth: canary}}", "expected"),
        ("{vault: {address: 'http://x', auth: {token: !canary x}}}", "does not fit"),
        ("{aws: {timeouts: {call: canary}}}", "does not fit"),
        ("{vault: {auth: {token: {value: canary}}}}", "\"address\" is missing"),
        ("{fake: {data: canary}}", "expected"),
        ("{canary: {}}", "expected one of aws"),
        ("{", "the configuration is wrong"),
    ];
    for (provider, words) in wrong {
        write(&file, &format!("stores: {{sample: {{provider: {provider}}}}}\n"));
        let program = printing("A", &["--config", file.to_str().unwrap()]).env("A", "sr://fake@sample/app");
        let ended = program.run(crate::program::Place::Among);
        check(&ended, 1, "");
        assert!(ended.stderr.contains("the configuration is wrong"), "{provider}: {}", ended.stderr);
        assert!(ended.stderr.replace('\\', "").contains(words), "{provider}: {}", ended.stderr);
        assert!(!ended.stderr.contains("canary"), "{provider}: {}", ended.stderr);
    }
}

#[test]
fn entries_without_an_equals_sign_reach_the_child() {
    // Only a bare execve makes such an entry.
    let program = crate::program::path("strongroom-init");
    let script = r#"my ($program) = @ARGV; my @words = ($program, "--", "/bin/cat", "/proc/self/environ");
        syscall(59, $program, pack("p*", @words, undef), pack("p*", "ODD", "A=1", undef)); die"#;
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), script);
    let output = std::process::Command::new("perl").arg(file.path()).arg(program).output().unwrap();
    assert_eq!(output.stdout, b"ODD\0A=1\0", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_flags_of_supervision_are_wired() {
    let run = |words: &[&str]| Program::strongroom_init(words).run_everywhere();
    check(&run(&["--remap-exit=7:0", "--", "sh", "-c", "exit 7"]), 0, "");
    check(&run(&["--remap-exit", "137:9", "--", "sh", "-c", "kill -9 $$"]), 9, "");
    // Field 6 of a process's stat is its session.
    let is_leader = "read _ _ _ _ _ session _ < /proc/$$/stat; [ \"$session\" = $$ ] && echo leader || echo follower";
    check(&run(&["--session", "--", "sh", "-c", is_leader]), 0, "leader\n");
    check(&run(&["--", "sh", "-c", is_leader]), 0, "follower\n");
    // Without a supervisor the command has the number that the program had.
    let first = Program::strongroom_init(&["--exec", "--", "sh", "-c", "echo $$"]);
    if crate::program::places().contains(&crate::program::Place::First) {
        check(&first.run(crate::program::Place::First), 0, "1\n");
    }
}

#[test]
fn signals_reach_the_child_alone_when_asked() {
    let out = tempfile::tempdir().unwrap();
    let script = r#"perl -e '$SIG{TERM} = sub { open G, ">", "$ENV{OUT}/got"; exit }; open R, ">", "$ENV{OUT}/inner"; close R; sleep 3' &
        trap 'exit 4' TERM; while [ ! -e $OUT/inner ]; do sleep 0.01; done; echo ready > $OUT/ready; while :; do sleep 0.02; done"#;
    let program =
        Program::strongroom_init(&["--child-only", "--grace=0", "--", "sh", "-c", script]).env("OUT", out.path());
    let mut child = program.start(crate::program::Place::Among);
    crate::program::wait_for_file(&out.path().join("ready"));
    crate::program::signal(child.id(), nix::sys::signal::Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert!(!out.path().join("got").exists(), "the grandchild got nothing");
}

#[test]
fn a_protected_variable_may_be_allowed_by_name() {
    VAULT.command(&["kv", "put", "secret/protected", "PATH=/from/vault", "OTHER=x"]).unwrap();
    let document = "sr://vault/secret%2Fdata%2Fprotected";
    let program = |flags: &[&str]| {
        let words: Vec<&str> = flags.iter().copied().chain(["--", "/usr/bin/printenv", "PATH", "OTHER"]).collect();
        Program::strongroom_init(&words).envs(&vault()).env("SECRET", document)
    };
    check(&program(&[]).run_everywhere(), 0, "/usr/local/bin:/usr/bin:/bin\nx\n");
    check(&program(&["--allow-env", "PATH", "--drop-env", "PATH"]).run_everywhere(), 1, "x\n");
}

#[test]
fn a_disk_is_written_to_only_when_it_is_allowed() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let wanted = format!("{}=sr://vault/secret%2Fdata%2Fapp#user", folder.path().join("user").display());
    let refused = Program::strongroom_init(&["--file", &wanted, "--", "true"]).envs(&vault()).run_everywhere();
    check(&refused, 1, "");
    assert!(refused.stderr.contains("--allow-disk"), "{}", refused.stderr);
    check(
        &Program::strongroom_init(&["--allow-disk", "--file", &wanted, "--", "true"]).envs(&vault()).run_everywhere(),
        0,
        "",
    );
    assert_eq!(std::fs::read(folder.path().join("user")).unwrap(), b"app");
}

#[test]
fn a_store_may_make_the_value_that_is_asked_for() {
    VAULT.command(&["secrets", "enable", "transit"]).unwrap();
    VAULT.command(&["write", "-f", "transit/keys/k"]).unwrap();
    let program =
        printing("A", &[]).envs(&vault()).env("A", r#">>vault:transit/encrypt/k#ciphertext#{"plaintext":"aGVsbG8="}"#);
    let ended = program.run(crate::program::Place::Among);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.starts_with("vault:v1:"), "{}", ended.stdout);
}

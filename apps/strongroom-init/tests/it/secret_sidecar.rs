//! AI-02, AI-05 and AI-06 of the catalogue: the init container of AWS' secret sidecar injector, as a program.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use world::moto::Value;
use world::switchboard::{Fault, Line, Switchboard};

use crate::program::{Ended, Place, Program, SECRET_SIDECAR, ended, own_pid, path, places, signal, wait_for};
use crate::stores::{ACCOUNT, AWS, REGION, aws, aws_at, owned};

/// What the injector mounts at /tmp.
fn volume() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

/// The init container as the webhook writes it, with `folder` for /tmp.
fn sidecar(folder: &Path) -> Program {
    Program::strongroom_init(&[SECRET_SIDECAR]).envs(&aws()).env("STRONGROOM_SECRET_FOLDER", folder)
}

fn secret(name: &str, value: &str) -> String {
    AWS.put_secret(REGION, name, Value::Text(value)).unwrap().arn
}

fn missing() -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:missing-Ab12Cd")
}

fn check(ended: &Ended, code: i32) {
    assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{}", ended.stderr);
}

fn fails(ended: &Ended, words: &[&str]) {
    check(ended, 1);
    for words in words {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
}

/// Everything below `folder`, folders with a slash at the end.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let shown = entry.path().strip_prefix(folder).unwrap().display().to_string();
            if entry.file_type().unwrap().is_dir() {
                found.push(shown + "/");
                folders.push(entry.path());
            } else {
                found.push(shown);
            }
        }
    }
    found.sort();
    found
}

fn mode(path: PathBuf) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn ai_05_the_default_file_holds_the_secret_byte_for_byte_under_either_name() {
    for (name, value) in [("ai-05-plain", "s3cr=t"), ("ai-05-lines", "{\"a\": 1}\r\n\n"), ("ai-05-space", " \t")] {
        let arn = secret(name, value);
        let folder = volume();
        let renamed = Program::secret_sidecar(&[]).envs(&aws()).env("STRONGROOM_SECRET_FOLDER", folder.path());
        for program in [sidecar(folder.path()), renamed] {
            check(&program.env("SECRET_ARN", &arn).run_everywhere(), 0);
            assert_eq!(std::fs::read(folder.path().join("secret")).unwrap(), value.as_bytes());
            assert_eq!(tree(folder.path()), ["secret"]);
            std::fs::remove_file(folder.path().join("secret")).unwrap();
        }
    }
}

#[test]
fn ai_05_without_a_folder_of_its_own_it_writes_below_tmp() {
    let name = format!("strongroom-ai-05-{}", std::process::id());
    let arn = secret("ai-05-tmp", "value");
    // Wherever /tmp may lie on the machine of the test.
    let program = Program::strongroom_init(&["--allow-disk", SECRET_SIDECAR]).envs(&aws());
    let program = program.env("SECRET_ARN", &arn).env("SECRET_FILENAME", format!("{name}/x"));
    let ended = program.run(Place::Among);
    let found = std::fs::read(format!("/tmp/{name}/x"));
    let _ = std::fs::remove_dir_all(format!("/tmp/{name}"));
    check(&ended, 0);
    assert_eq!(found.unwrap(), b"value");
}

#[test]
fn ai_05_what_is_no_arn_ends_with_the_injectors_words_and_1() {
    let ssm = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/x");
    for text in ["", "batata", "arn:aws:s3:::bucket", &ssm, "sr://aws-sm/x", &format!("{}?optional", missing())] {
        let folder = volume();
        fails(&sidecar(folder.path()).env("SECRET_ARN", text).run_everywhere(), &["Not a valid ARN", "SECRET_ARN"]);
        assert!(tree(folder.path()).is_empty());
    }
    let folder = volume();
    fails(&sidecar(folder.path()).run_everywhere(), &["Not a valid ARN", "SECRET_ARN"]);
}

#[test]
fn ai_05_an_error_of_the_store_is_told_and_ends_with_1() {
    let folder = volume();
    let program = || sidecar(folder.path()).env("STRONGROOM_DEADLINE", "1s");
    let gone = program().env("SECRET_ARN", missing()).run_everywhere();
    fails(&gone, &["failed to resolve secrets", &missing(), "class=NotFound"]);
    let switchboard = Switchboard::to(AWS.host_port()).unwrap();
    let arn = secret("ai-05-error", "value");
    let through = || program().envs(&aws_at(switchboard.address())).env("SECRET_ARN", &arn);
    for (code, class) in [
        ("AccessDeniedException", "class=AccessDenied"),
        ("UnrecognizedClientException", "class=Unauthenticated"),
        ("ThrottlingException", "class=Throttled"),
    ] {
        switchboard.clear();
        switchboard.add(Fault::aws(code));
        fails(&through().run_everywhere(), &[&arn, class]);
    }
    switchboard.clear();
    switchboard.set_line(Line::Refused).unwrap();
    fails(&through().run_everywhere(), &[&arn, "class=Unavailable"]);
    assert!(tree(folder.path()).is_empty());
}

#[test]
fn ai_05_a_failure_leaves_what_an_earlier_run_wrote_and_a_success_replaces_it() {
    let folder = volume();
    let program = |arn: &str| sidecar(folder.path()).env("SECRET_ARN", arn).run_everywhere();
    let content = || std::fs::read_to_string(folder.path().join("secret")).unwrap();
    check(&program(&secret("ai-05-one", "a longer value")), 0);
    fails(&program(&missing()), &[]);
    assert_eq!(content(), "a longer value");
    check(&program(&secret("ai-05-two", "short")), 0);
    assert_eq!(content(), "short");
    assert_eq!(tree(folder.path()), ["secret"]);
}

#[test]
fn ai_05_a_binary_secret_is_its_bytes_and_nothing_is_decoded_twice() {
    for (name, bytes) in [("ai-05-bytes", &[0, 159, 146, 150, 10][..]), ("ai-05-base64", b"aGVsbG8=")] {
        let arn = AWS.put_secret(REGION, name, Value::Binary(bytes)).unwrap().arn;
        let folder = volume();
        check(&sidecar(folder.path()).env("SECRET_ARN", arn).run_everywhere(), 0);
        assert_eq!(std::fs::read(folder.path().join("secret")).unwrap(), bytes);
    }
}

#[test]
fn ai_05_the_current_version_is_read() {
    let arn = secret("ai-05-versions", "old");
    AWS.put_secret_version(REGION, "ai-05-versions", Value::Text("new"), &[]).unwrap();
    AWS.put_secret_version(REGION, "ai-05-versions", Value::Text("pending"), &["AWSPENDING"]).unwrap();
    let folder = volume();
    check(&sidecar(folder.path()).env("SECRET_ARN", arn).run_everywhere(), 0);
    assert_eq!(std::fs::read(folder.path().join("secret")).unwrap(), b"new");
}

#[test]
fn ai_05_the_region_is_the_arns() {
    let arn = AWS.put_secret("us-west-2", "ai-05-region", Value::Text("west")).unwrap().arn;
    let without: Vec<_> = aws().into_iter().filter(|(name, _)| name != "AWS_REGION").collect();
    for variables in [aws(), without] {
        let folder = volume();
        let program = Program::strongroom_init(&[SECRET_SIDECAR]).envs(&variables);
        let program = program.env("STRONGROOM_SECRET_FOLDER", folder.path()).env("SECRET_ARN", &arn);
        check(&program.run_everywhere(), 0);
        assert_eq!(std::fs::read(folder.path().join("secret")).unwrap(), b"west");
    }
}

#[test]
fn ai_05_it_reads_as_the_pods_role_or_the_tasks() {
    let arn = secret("ai-05-identity", "value");
    let switchboard = Switchboard::to(AWS.host_port()).unwrap();
    let credentials = r#"{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"canary-key","Token":"canary-token",
        "Expiration":"2099-01-01T00:00:00Z"}"#;
    switchboard.add(Fault::answer(200, &[("Content-Type", "application/json")], credentials).on_path("/task-role"));
    let token = volume();
    let token = token.path().join("token");
    std::io::Write::write_all(&mut std::fs::File::create(&token).unwrap(), b"a.web.identity").unwrap();
    let address = format!("{}/task-role", switchboard.address());
    let pod = [
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/app"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let task = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", address.as_str())];
    for (variables, operation) in [(&pod[..], "AssumeRoleWithWebIdentity"), (&task[..], "GET /task-role")] {
        let folder = volume();
        let program = Program::strongroom_init(&[SECRET_SIDECAR]).envs(&owned(variables));
        let program = program.env("AWS_ENDPOINT_URL", switchboard.address()).env("AWS_REGION", REGION);
        let program = program.env("STRONGROOM_SECRET_FOLDER", folder.path()).env("SECRET_ARN", &arn);
        switchboard.reset_counts();
        check(&program.run(Place::Among), 0);
        let counts = switchboard.counts();
        assert_eq!((counts.of(operation), counts.of("GetSecretValue")), (1, 1), "{:?}", counts.by_operation);
        assert_eq!(std::fs::read(folder.path().join("secret")).unwrap(), b"value");
    }
}

#[test]
fn ai_02_the_file_is_where_its_name_says_and_everybody_may_read_it() {
    let arn = secret("ai-02", "value");
    for (name, expected) in [
        (None, &["secret"][..]),
        (Some(""), &["secret"]),
        (Some("x"), &["x"]),
        (Some("/sub/f"), &["sub/", "sub/f"]),
        // The injector wrote it to /tmpfoo/bar, where nobody found it.
        (Some("foo/bar"), &["foo/", "foo/bar"]),
        (Some("a/b/"), &["a/", "a/b/", "a/b/secret"]),
    ] {
        let folder = volume();
        // A umask that would keep everybody out.
        let mut command = Command::new("sh");
        command.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(path("strongroom-init")).arg(SECRET_SIDECAR);
        command.env_clear().envs(aws()).env("SECRET_ARN", &arn).env("STRONGROOM_SECRET_FOLDER", folder.path());
        command.envs(name.map(|name| ("SECRET_FILENAME", name)));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        check(&ended(child), 0);
        assert_eq!(tree(folder.path()), expected, "{name:?}");
        for shown in expected {
            let wanted = if shown.ends_with('/') { 0o755 } else { 0o644 };
            assert_eq!(mode(folder.path().join(shown)), wanted, "{shown}");
        }
        assert_eq!(std::fs::read(folder.path().join(expected.last().unwrap())).unwrap(), b"value");
    }
}

#[test]
fn ai_02_a_path_that_leaves_the_folder_is_refused() {
    let arn = secret("ai-02-out", "value");
    let around = volume();
    let folder = around.path().join("volume");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(around.path(), folder.join("link")).unwrap();
    for name in ["../x", "a/../../x", "/../x", "..", "link/x", "link/"] {
        fails(&sidecar(&folder).env("SECRET_ARN", &arn).env("SECRET_FILENAME", name).run_everywhere(), &[]);
    }
    for path in ["/../x", "/a/../../x", "/", "", "/link/x"] {
        let list = format!("{arn}:/fine,{arn}:{path}");
        fails(&sidecar(&folder).env("SECRET_ARNS", list).run_everywhere(), &["failed to resolve secrets"]);
    }
    for path in ["../x", "x"] {
        let list = format!("{arn}:/fine,{arn}:{path}");
        fails(&sidecar(&folder).env("SECRET_ARNS", list).run_everywhere(), &["Not a valid ARN"]);
    }
    assert_eq!(tree(around.path()), ["volume/", "volume/link"]);
}

#[test]
fn ai_06_several_secrets_are_files_at_their_paths_and_cost_one_call() {
    let switchboard = Switchboard::to(AWS.host_port()).unwrap();
    let bytes = AWS.put_secret(REGION, "ai-06-c", Value::Binary(&[0, 255])).unwrap().arn;
    let (one, two) = (secret("ai-06/a", "one"), secret("ai-06-b", "two\n"));
    let list = format!("{one}:/var/my-db-pass,{two}:/secrets/b,{bytes}:/var/log/secreto,{one}:/var/again");
    let folder = volume();
    let program = sidecar(folder.path()).envs(&aws_at(switchboard.address())).env("SECRET_ARNS", &list);
    // The list wins over what the other form says.
    check(&program.env("SECRET_ARN", "batata").env("SECRET_FILENAME", "../x").run(Place::Among), 0);
    let read = |path: &str| std::fs::read(folder.path().join(path)).unwrap();
    assert_eq!(read("var/my-db-pass"), b"one");
    assert_eq!(read("var/again"), b"one");
    assert_eq!(read("secrets/b"), b"two\n");
    assert_eq!(read("var/log/secreto"), [0, 255]);
    assert_eq!(tree(folder.path()).iter().filter(|shown| !shown.ends_with('/')).count(), 4);
    assert_eq!((mode(folder.path().join("var/log")), mode(folder.path().join("secrets/b"))), (0o755, 0o644));
    let counts = switchboard.counts();
    assert_eq!((counts.requests, counts.of("BatchGetSecretValue")), (1, 1), "{:?}", counts.by_operation);
}

#[test]
fn ai_06_the_old_permission_is_enough_for_several() {
    let switchboard = Switchboard::to(AWS.host_port()).unwrap();
    switchboard.add(Fault::aws("AccessDeniedException").on_operation("BatchGetSecretValue"));
    let list = format!("{}:/a,{}:/b", secret("ai-06-d", "one"), secret("ai-06-e", "two"));
    let folder = volume();
    let ended = sidecar(folder.path()).envs(&aws_at(switchboard.address())).env("SECRET_ARNS", list).run(Place::Among);
    check(&ended, 0);
    assert!(ended.stderr.contains("secretsmanager:BatchGetSecretValue"), "{}", ended.stderr);
    assert_eq!(tree(folder.path()), ["a", "b"]);
}

#[test]
fn ai_06_where_one_secret_is_missing_no_file_is_written() {
    let list = format!("{}:/a/x,{}:/b,{}:/c", secret("ai-06-f", "one"), missing(), secret("ai-06-g", "two"));
    let folder = volume();
    let ended = sidecar(folder.path()).env("SECRET_ARNS", list).run_everywhere();
    let path = folder.path().join("b").display().to_string();
    fails(&ended, &[&missing(), &path, "class=NotFound"]);
    assert!(tree(folder.path()).is_empty(), "{:?}", tree(folder.path()));
}

#[test]
fn ai_06_where_one_file_has_no_place_none_is_written() {
    let (one, two) = (secret("ai-06-h", "one"), secret("ai-06-i", "two"));
    let folder = volume();
    std::fs::create_dir(folder.path().join("taken")).unwrap();
    let list = format!("{one}:/a,{two}:/taken");
    fails(&sidecar(folder.path()).env("SECRET_ARNS", list).run_everywhere(), &["taken", "is a folder"]);
    assert_eq!(tree(folder.path()), ["taken/"]);
    let list = format!("{one}:/a,{two}:/a/b");
    fails(&sidecar(folder.path()).env("SECRET_ARNS", list).run_everywhere(), &["two secrets", "/a/b"]);
    let list = format!("{one}:/a,batata:/b");
    fails(&sidecar(folder.path()).env("SECRET_ARNS", list).run_everywhere(), &["Not a valid ARN", "SECRET_ARNS[1]"]);
    assert_eq!(tree(folder.path()), ["taken/"]);
}

#[test]
fn a_disk_is_written_to_only_when_it_is_allowed() {
    let arn = secret("sidecar-disk", "value");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let variables =
        |program: Program| program.envs(&aws()).env("STRONGROOM_SECRET_FOLDER", folder.path()).env("SECRET_ARN", &arn);
    fails(&variables(Program::secret_sidecar(&[])).run_everywhere(), &["--allow-disk"]);
    assert!(tree(folder.path()).is_empty());
    // As the task definition of ECS has it, whose volumes are disks.
    for program in
        [Program::secret_sidecar(&["--allow-disk"]), Program::strongroom_init(&["--allow-disk", SECRET_SIDECAR])]
    {
        check(&variables(program).run_everywhere(), 0);
        assert_eq!(std::fs::read(folder.path().join("secret")).unwrap(), b"value");
    }
}

#[test]
fn a_word_behind_the_name_is_refused_and_a_command_of_that_name_is_a_command() {
    let arn = secret("sidecar-words", "value");
    let folder = volume();
    let variables = |program: Program| {
        program.envs(&aws()).env("STRONGROOM_SECRET_FOLDER", folder.path()).env("SECRET_ARN", &arn).run_everywhere()
    };
    for program in [
        Program::strongroom_init(&[SECRET_SIDECAR, "--allow-disk"]),
        Program::strongroom_init(&[SECRET_SIDECAR, "env"]),
        Program::secret_sidecar(&["env"]),
        Program::secret_sidecar(&["copy", "/tmp"]),
        Program::secret_sidecar(&["--no-such-flag"]),
    ] {
        fails(&variables(program), &[]);
    }
    let program = Program::strongroom_init(&["--keep-env", "SECRET_ARN", "--", SECRET_SIDECAR]);
    assert_eq!(variables(program).code, 127);
    assert!(tree(folder.path()).is_empty());
}

#[test]
fn a_dry_run_tells_the_call_and_writes_nothing() {
    let folder = volume();
    let program = Program::strongroom_init(&["--dry-run", SECRET_SIDECAR]).envs(&aws());
    let program = program.env("STRONGROOM_SECRET_FOLDER", folder.path()).env("SECRET_ARN", missing());
    let ended = program.run_everywhere();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("secret (mode 0644) <- "), "{}", ended.stdout);
    assert!(ended.stdout.contains("secretsmanager:GetSecretValue"), "{}", ended.stdout);
    assert!(tree(folder.path()).is_empty());
}

#[test]
fn a_signal_while_secrets_are_read_ends_it_at_once() {
    let switchboard = Switchboard::to(AWS.host_port()).unwrap();
    switchboard.add(Fault::silence());
    let folder = volume();
    for place in places() {
        let program = sidecar(folder.path()).envs(&aws_at(switchboard.address())).env("SECRET_ARN", missing());
        let child = program.start(place);
        wait_for("a request", || (switchboard.counts().requests > 0).then_some(()));
        let start = Instant::now();
        signal(own_pid(&child, place), Signal::SIGTERM);
        check(&ended(child), 143);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        switchboard.reset_counts();
    }
    assert!(tree(folder.path()).is_empty());
}

/// Run by hand: `cargo test -p strongroom-init --no-default-features --features google a_program_without_aws`.
#[cfg(not(feature = "aws"))]
#[test]
fn a_program_without_aws_says_so() {
    let folder = volume();
    let program = Program::strongroom_init(&[SECRET_SIDECAR]).env("SECRET_ARN", missing());
    let ended = program.env("STRONGROOM_SECRET_FOLDER", folder.path()).run_everywhere();
    fails(&ended, &["the provider aws-sm is not served by this program"]);
    assert!(tree(folder.path()).is_empty());
}

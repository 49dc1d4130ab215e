//! SI-01 … SI-20 of the catalogue, as programs; each runs among other processes and as the first of a PID namespace.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use world::moto::{Kind, Value};

use crate::program::{Ended, Program, ended, own_pid, path, places, signal, wait_for_file};
use crate::stores::{ACCOUNT, AWS, GOOGLE, REGION, aws, aws_at, google};

/// Prints the variables that are asked for, in order, one a line.
fn printing(names: &str) -> Vec<String> {
    vec![
        "sh".to_owned(),
        "-c".to_owned(),
        format!("for name in {names}; do printenv $name || echo \"$name is absent\"; done"),
    ]
}

fn secrets_init(flags: &[&str], command: &[String]) -> Program {
    let words: Vec<&str> = flags.iter().copied().chain(command.iter().map(String::as_str)).collect();
    Program::secrets_init(&words)
}

fn check(ended: &Ended, code: i32, stdout: &str) {
    assert_eq!((ended.code, ended.stdout.as_str()), (code, stdout), "{}", ended.stderr);
}

#[test]
fn si_01_without_references_the_environment_is_unchanged() {
    let program = Program::secrets_init(&["--provider=google", "env"]).env("A", "1").env("B", "x=y=z").env("C", "");
    check(&program.run_everywhere(), 0, "A=1\nB=x=y=z\nC=\nPATH=/usr/local/bin:/usr/bin:/bin\n");
}

#[test]
fn si_02_the_exit_code_is_the_childs() {
    for code in [0, 1, 7, 255] {
        check(&Program::secrets_init(&["sh", "-c", &format!("exit {code}")]).run_everywhere(), code, "");
    }
}

#[test]
fn si_03_a_killed_child_gives_128_plus_n() {
    for (name, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
        check(&Program::secrets_init(&["sh", "-c", &format!("kill -{name} $$")]).run_everywhere(), code, "");
    }
}

#[test]
fn si_04_no_command_is_a_success_with_a_warning() {
    let ended = Program::secrets_init(&[]).run_everywhere();
    check(&ended, 0, "");
    assert!(ended.stderr.contains("level=warn msg=\"no command specified\""), "{}", ended.stderr);
}

#[test]
fn si_05_a_command_that_does_not_start_gives_127_or_126_and_says_so() {
    for (command, code) in [("/no/such", 127), ("no-such-command", 127), ("/etc/passwd", 126), ("/etc", 126)] {
        let ended = Program::secrets_init(&[command]).run_everywhere();
        check(&ended, code, "");
        assert!(ended.stderr.contains("failed to run") && ended.stderr.contains(command), "{}", ended.stderr);
    }
}

#[test]
fn si_06_signals_reach_the_whole_group_of_the_child() {
    // The child and a grandchild each write down what they got. The grandchild is no shell: those ignore SIGINT in the
    // background.
    let script = r#"
        perl -e '$SIG{$ENV{SHORT}} = sub { open G, ">>", "$ENV{OUT}/got"; print G "grandchild $ENV{SHORT}\n"; exit };
            open R, ">", "$ENV{OUT}/inner"; close R; select undef, undef, undef, 0.02 while 1' &
        trap 'echo child; wait; exit 5' TERM HUP INT USR1
        while [ ! -e $OUT/inner ]; do sleep 0.01; done; echo ready > $OUT/ready
        while :; do sleep 0.02; done"#;
    for place in places() {
        for which in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
            let out = tempfile::tempdir().unwrap();
            let program = Program::secrets_init(&["sh", "-c", script]).env("OUT", out.path());
            let program = program.env("SHORT", which.as_str().trim_start_matches("SIG"));
            let child = program.start(place);
            wait_for_file(&out.path().join("ready"));
            let pid = own_pid(&child, place);
            signal(pid, Signal::SIGCHLD);
            signal(pid, Signal::SIGURG);
            signal(pid, which);
            check(&ended(child), 5, "child\n");
            assert_eq!(
                wait_for_file(&out.path().join("got")),
                format!("grandchild {}\n", which.as_str().trim_start_matches("SIG"))
            );
        }
    }
}

#[test]
fn si_07_the_program_ends_with_its_child_though_an_orphan_lives() {
    let start = Instant::now();
    let program = Program::secrets_init(&["--grace=300ms", "sh", "-c", "(sleep 100 &) ; (true &) ; exit 3"]);
    check(&program.run_everywhere(), 3, "");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn si_08_standard_input_is_empty_unless_it_is_asked_for() {
    check(&Program::secrets_init(&["cat"]).stdin(b"data").run_everywhere(), 0, "");
    check(&Program::secrets_init(&["-i", "cat"]).stdin(b"data").run_everywhere(), 0, "data");
    check(&Program::secrets_init(&["--interactive", "cat"]).stdin(b"data").run_everywhere(), 0, "data");
}

#[test]
fn si_09_a_plain_secret_takes_the_place_of_its_arn() {
    let secret = AWS.put_secret(REGION, "si-09", Value::Text("s3cr=t")).unwrap();
    let program = secrets_init(&[], &printing("A")).envs(&aws()).env("A", &secret.arn);
    check(&program.run_everywhere(), 0, "s3cr=t\n");
}

#[test]
fn si_10_a_json_object_becomes_its_members() {
    let secret = AWS.put_secret(REGION, "si-10", Value::Text(r#"{"TEST_1":"v1","TEST_2":"v2"}"#)).unwrap();
    let program = secrets_init(&[], &printing("TEST_1 TEST_2 A")).envs(&aws()).env("A", &secret.arn);
    check(&program.run_everywhere(), 0, "v1\nv2\nA is absent\n");
}

#[test]
fn si_11_numbers_expand() {
    let secret = AWS.put_secret(REGION, "si-11", Value::Text(r#"{"port":3306}"#)).unwrap();
    let program = secrets_init(&[], &printing("port A")).envs(&aws()).env("A", &secret.arn);
    check(&program.run_everywhere(), 0, "3306\nA is absent\n");
}

#[test]
fn si_12_json_that_is_no_object_of_plain_members_stays_text() {
    for (name, text) in [("si-12-a", "12345"), ("si-12-b", "\"quoted\""), ("si-12-c", r#"{"a":{"b":1}}"#)] {
        let secret = AWS.put_secret(REGION, name, Value::Text(text)).unwrap();
        let program = secrets_init(&[], &printing("A")).envs(&aws()).env("A", &secret.arn);
        check(&program.run_everywhere(), 0, &format!("{text}\n"));
    }
}

#[test]
fn si_13_parameters_are_read_by_arn_with_versions() {
    let name = "/secrets/test-secret";
    for value in ["one", "two", "three", "four"] {
        AWS.put_parameter(REGION, name, Kind::SecureString, value).unwrap();
    }
    AWS.put_parameter(REGION, "flat", Kind::String, "not in a path").unwrap();
    let arn = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{name}");
    let flat = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/flat");
    let program = secrets_init(&[], &printing("A B C")).envs(&aws());
    let program = program.env("A", &arn).env("B", format!("{arn}:3")).env("C", flat);
    check(&program.run_everywhere(), 0, "four\nthree\nnot in a path\n");
}

#[test]
fn si_14_other_arns_are_untouched() {
    let document = "arn:aws:ssm:us-east-1:12345678:document/x";
    check(&secrets_init(&[], &printing("A")).env("A", document).run_everywhere(), 0, &format!("{document}\n"));
}

#[test]
fn si_15_china_and_the_arns_own_region_are_served() {
    let secret = AWS.put_secret("cn-north-1", "si-15", Value::Text("china")).unwrap();
    AWS.put_parameter("cn-north-1", "/si/15", Kind::String, "parameter").unwrap();
    let arn = secret.arn.replacen("arn:aws:", "arn:aws-cn:", 1);
    let parameter = format!("arn:aws-cn:ssm:cn-north-1:{ACCOUNT}:parameter/si/15");
    // AWS_REGION says eu-west-1: the ARN's own region wins.
    let program = secrets_init(&[], &printing("A B")).envs(&aws()).env("A", arn).env("B", parameter);
    check(&program.run_everywhere(), 0, "china\nparameter\n");
}

#[test]
fn si_16_google_names_are_long_or_short_and_versions_are_chosen() {
    GOOGLE.put("p", "si-16", b"first");
    GOOGLE.put("p", "si-16", b"second");
    let program = |value: &str, flags: &[&str]| secrets_init(flags, &printing("A")).envs(&google()).env("A", value);
    let long = "gcp:secretmanager:projects/p/secrets/si-16";
    check(&program(long, &[]).run_everywhere(), 0, "second\n");
    check(&program(&format!("{long}/versions/1"), &[]).run_everywhere(), 0, "first\n");
    check(&program("gcp:secretmanager:si-16", &["--google-project=p"]).run_everywhere(), 0, "second\n");
    check(&program("gcp:secretmanager:si-16/versions/1", &["--google-project", "p"]).run_everywhere(), 0, "first\n");
    // Nowhere is a metadata server that would tell the project.
    let lost = program("gcp:secretmanager:si-16", &[]).env("GCE_METADATA_HOST", "127.0.0.1:9").run_everywhere();
    check(&lost, 1, "");
    let words = r#"failed to get secret \"si-16\" from Google Secret Manager (unknown project)"#;
    assert!(lost.stderr.contains(words), "{}", lost.stderr);
}

#[test]
fn si_17_variables_stand_in_for_flags() {
    let failing = || secrets_init(&[], &printing("A")).env("A", "sr://file/%2Fno%2Fsuch");
    let raw = failing().env("EXIT_EARLY", "false").env("LOG_FORMAT", "json").run_everywhere();
    check(&raw, 0, "sr://file/%2Fno%2Fsuch\n");
    assert!(raw.stderr.contains(r#""message":"failed to resolve secrets""#), "{}", raw.stderr);
    let wins = failing().env("EXIT_EARLY", "false").env("SECRETS_INIT_EXIT_EARLY", "true").run_everywhere();
    check(&wins, 1, "");
    GOOGLE.put("p17", "si-17", b"by variable");
    let google_project = secrets_init(&[], &printing("A")).envs(&google()).env("A", "gcp:secretmanager:si-17");
    let google_project = google_project.env("GOOGLE_PROJECT", "p17").env("SECRETS_PROVIDER", "google");
    check(&google_project.run_everywhere(), 0, "by variable\n");
}

#[test]
fn si_18_copy_puts_the_program_into_a_folder_under_its_own_name() {
    for name in ["secrets-init", "strongroom-init"] {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join(name);
        let words = ["copy", folder.path().to_str().unwrap()];
        let program =
            if name == "secrets-init" { Program::secrets_init(&words) } else { Program::strongroom_init(&words) };
        check(&program.run_everywhere(), 0, "");
        assert_eq!(std::fs::read(&target).unwrap(), std::fs::read(path(name)).unwrap());
        let mode = |file: &std::path::Path| std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode(&target), mode(&path(name)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing lies beside it");
    }
    let alone = Program::secrets_init(&["copy"]).run_everywhere();
    check(&alone, 1, "");
    assert!(alone.stderr.contains("must specify copy destination"), "{}", alone.stderr);
    let nowhere = Program::secrets_init(&["cp", "/no/such/folder"]).run_everywhere();
    check(&nowhere, 1, "");
}

#[test]
fn si_19_an_unknown_provider_ends_the_program_unless_raw_values_are_asked_for() {
    let reference = "arn:aws:secretsmanager:eu-west-1:1:secret:x";
    let program = |flags: &[&str]| secrets_init(flags, &printing("A")).env("A", reference);
    let closed = program(&["--provider=foo"]).run_everywhere();
    check(&closed, 1, "");
    assert!(closed.stderr.contains("failed to initialize secrets provider"), "{}", closed.stderr);
    check(&program(&["--provider=foo", "--exit-early=false"]).run_everywhere(), 0, &format!("{reference}\n"));
}

#[test]
fn si_20_what_follows_two_dashes_is_the_command() {
    check(
        &Program::secrets_init(&["--", "sh", "-c", "echo $0 $1", "-x", "--provider=y"]).run_everywhere(),
        0,
        "-x --provider=y\n",
    );
    let copy = Program::secrets_init(&["--", "copy", "/tmp"]).run_everywhere();
    assert_eq!(copy.code, 127, "a command named copy is a command: {}", copy.stderr);
}

#[test]
fn an_unresolved_reference_keeps_the_child_from_starting() {
    let out = tempfile::tempdir().unwrap();
    let touched = out.path().join("started");
    let missing = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:missing-Ab12Cd");
    let program = Program::secrets_init(&["touch", touched.to_str().unwrap()]).envs(&aws());
    let good = AWS.put_secret(REGION, "closed", Value::Text("canary-closed")).unwrap();
    let ended = program.env("GOOD", good.arn).env("MISSING", &missing).run_everywhere();
    check(&ended, 1, "");
    assert!(!touched.exists());
    for words in [
        "failed to resolve secrets",
        "failed to get secret from AWS Secrets Manager",
        "MISSING: ",
        &missing,
        "Exiting early unable to retrieve secrets",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
}

#[test]
fn exit_early_false_gives_every_variable_back_as_it_was() {
    let good = AWS.put_secret(REGION, "raw", Value::Text("value")).unwrap();
    let missing = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/missing");
    let program = secrets_init(&["-exit-early=false"], &printing("GOOD MISSING")).envs(&aws());
    let ended = program.env("GOOD", &good.arn).env("MISSING", &missing).run_everywhere();
    check(&ended, 0, &format!("{}\n{missing}\n", good.arn));
}

#[test]
fn a_signal_while_references_are_resolved_ends_the_program_and_the_child_never_starts() {
    let switchboard = world::switchboard::Switchboard::to(AWS.host_port()).unwrap();
    switchboard.add(world::switchboard::Fault::silence());
    let out = tempfile::tempdir().unwrap();
    let touched = out.path().join("started");
    for place in places() {
        let program = Program::secrets_init(&["touch", touched.to_str().unwrap()]).envs(&aws_at(switchboard.address()));
        let child = program.env("A", format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/slow")).start(place);
        let before = switchboard.counts().requests;
        crate::program::wait_for("a request", || (switchboard.counts().requests > before).then_some(()));
        let start = Instant::now();
        signal(own_pid(&child, place), Signal::SIGTERM);
        check(&ended(child), 143, "");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        switchboard.reset_counts();
    }
    assert!(!touched.exists());
}

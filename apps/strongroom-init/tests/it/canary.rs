//! Design invariant 1 for this program: whatever happens, a marked value appears nowhere but in the child.

use world::moto::{Kind, Value};
use world::switchboard::{Fault, Line, Switchboard};

use crate::agent::{Running, ready};
use crate::program::{
    Ended, Place, Program, SECRET_SIDECAR, children, ended, own_pid, places, signal, wait_for, wait_for_file,
};
use crate::stores::{ACCOUNT, AWS, GOOGLE, REGION, VAULT, aws, aws_at, google, owned, vault};

/// No output of ours may hold it, whole, in base64 or hexadecimal. It is JSON-safe, so that a quoted value is found too.
const CANARY: &str = "canary7f3a9c51";

fn assert_silent(what: &str, ended: &Ended) {
    use std::fmt::Write;
    let hexadecimal = CANARY.bytes().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    // canary7f3a9c51 in base64, at each of the three alignments, without the characters that neighbours change.
    for form in [CANARY, &hexadecimal, "Y2FuYXJ5N2YzYTljN", "NhbmFyeTdmM2E5YzUx", "jYW5hcnk3ZjNhOWM1M"] {
        assert!(!ended.stdout.contains(form), "{what}: standard output shows the value");
        assert!(!ended.stderr.contains(form), "{what}: standard error shows the value");
    }
}

fn failing(what: &str, program: Program) {
    for log_format in ["text", "json"] {
        let program = program.clone().env("STRONGROOM_LOG_FORMAT", log_format).env("STRONGROOM_LOG_LEVEL", "debug");
        let ended = program.env("STRONGROOM_DEADLINE", "1500ms").run(Place::Among);
        assert_eq!(ended.code, 1, "{what}: {}", ended.stderr);
        assert!(ended.stderr.contains("failed to resolve secrets"), "{what}: {}", ended.stderr);
        assert_silent(what, &ended);
    }
}

/// A program that must never start, with the variable A.
fn wanting(reference: &str) -> Program {
    Program::strongroom_init(&["--", "echo", "started"]).env("A", reference)
}

/// What a store may do wrong while it holds, or repeats, the value.
fn faults() -> Vec<(&'static str, Fault)> {
    let echo = format!(
        r#"{{"__type":"InternalServiceError","message":"x","errors":[],"SecretString":"{CANARY}","data":{{"data":{{"k":"{CANARY}"}}}}}}"#
    );
    vec![
        ("denied", Fault::answer(403, &[], &echo)),
        ("not found", Fault::answer(404, &[], &echo)),
        ("broken", Fault::answer(500, &[], &echo)),
        ("throttled", Fault::answer(429, &[("Retry-After", "60")], &echo)),
        ("not JSON", Fault::answer(200, &[], &format!("<html>{CANARY}"))),
        ("another shape", Fault::answer(200, &[], &format!(r#"["{CANARY}"]"#))),
        ("cut", Fault::cut_body()),
        ("silent", Fault::silence()),
        ("hung up", Fault::hangup()),
    ]
}

#[test]
fn no_error_path_of_aws_shows_a_value() {
    let secret = AWS.put_secret(REGION, "canary", Value::Text(&format!(r#"{{"k":"{CANARY}"}}"#))).unwrap();
    AWS.put_parameter(REGION, "/canary", Kind::SecureString, CANARY).unwrap();
    let parameter = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/canary");
    for reference in [secret.arn.as_str(), &parameter] {
        let switchboard = Switchboard::to(AWS.host_port()).unwrap();
        for (what, fault) in faults() {
            switchboard.clear();
            switchboard.add(fault);
            failing(what, wanting(reference).envs(&aws_at(switchboard.address())));
        }
        switchboard.clear();
        switchboard.set_line(Line::Refused).unwrap();
        failing("refused", wanting(reference).envs(&aws_at(switchboard.address())));
    }
    failing("no such property", wanting(&format!("{}#k.deeper", secret.arn)).envs(&aws()));
    failing("not base64", wanting(&format!("{}?decode=base64#k", secret.arn)).envs(&aws()));
    failing("a bad path", wanting(&format!("{}?select=jmespath#[", secret.arn)).envs(&aws()));
}

#[test]
fn no_error_path_of_the_secret_sidecar_shows_a_value() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let secret = AWS.put_secret(REGION, "canary-sidecar", Value::Text(CANARY)).unwrap();
    let sidecar = |endpoint: &str| {
        let program = Program::strongroom_init(&[SECRET_SIDECAR]).envs(&aws_at(endpoint));
        program.env("SECRET_ARN", &secret.arn).env("STRONGROOM_SECRET_FOLDER", folder.path())
    };
    let switchboard = Switchboard::to(AWS.host_port()).unwrap();
    for (what, fault) in faults() {
        switchboard.clear();
        switchboard.add(fault);
        failing(what, sidecar(switchboard.address()));
    }
    switchboard.clear();
    std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
    failing("a link", sidecar(switchboard.address()).env("SECRET_FILENAME", "link/x"));
    std::fs::create_dir(folder.path().join("taken")).unwrap();
    failing("a folder in the place", sidecar(switchboard.address()).env("SECRET_FILENAME", "taken"));
    for (name, folder) in [("no such folder", "/no/such"), ("no place for files", "/proc"), ("a relative folder", "x")]
    {
        failing(name, sidecar(switchboard.address()).env("STRONGROOM_SECRET_FOLDER", folder));
    }
    // The value itself, where its ARN should be, or its path.
    for (name, value) in [("SECRET_ARN", CANARY), ("SECRET_ARNS", CANARY)] {
        let ended = sidecar(switchboard.address()).env(name, value).run(Place::Among);
        assert_eq!(ended.code, 1);
        assert_silent(name, &ended);
    }
    let ended = sidecar(switchboard.address()).env("STRONGROOM_LOG_LEVEL", "debug").run(Place::Among);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    assert_silent("delivered", &ended);
    assert!(std::fs::read(folder.path().join("secret")).unwrap() == CANARY.as_bytes(), "the file holds the value");
}

#[test]
fn no_error_path_of_vault_shows_a_value_or_the_token() {
    VAULT.command(&["kv", "put", "secret/canary", &format!("k={CANARY}")]).unwrap();
    let reference = "vault:secret/data/canary#k";
    let switchboard = Switchboard::to(VAULT.host_port()).unwrap();
    let through = |token: &str| owned(&[("VAULT_ADDR", switchboard.address()), ("VAULT_TOKEN", token)]);
    for (what, fault) in faults() {
        switchboard.clear();
        switchboard.add(fault);
        failing(what, wanting(reference).envs(&through(VAULT.root_token())));
    }
    switchboard.clear();
    failing("a bad token", wanting(reference).envs(&through(&format!("s.{CANARY}"))));
    failing("no such property", wanting("vault:secret/data/canary#nothing").envs(&vault()));
    failing("a template", wanting("vault:secret/data/canary#${.k | fail}").envs(&vault()));
    failing("no such key of a template", wanting("vault:secret/data/canary#${.k.k}").envs(&vault()));
    failing("a part", wanting(&format!("{CANARY}${{vault:secret/data/canary#nothing}}")).envs(&vault()));
    failing("a malformed part", wanting(&format!("{CANARY}${{vault:{CANARY}#{CANARY}#{CANARY}}}")).envs(&vault()));
    failing("a malformed path", wanting("x").envs(&vault()).env("VAULT_FROM_PATH", format!("{CANARY}#{CANARY}")));
    failing("not base64", wanting("vault:secret/data/canary?decode=base64#k").envs(&vault()));
}

#[test]
fn no_error_path_of_the_agent_shows_a_value() {
    VAULT.command(&["kv", "put", "secret/canary-agent", &format!("k={CANARY}")]).unwrap();
    let around = tempfile::tempdir_in("/dev/shm").unwrap();
    let folder = around.path().join("files");
    let switchboard = Switchboard::to(VAULT.host_port()).unwrap();
    let variables = owned(&[("VAULT_ADDR", switchboard.address()), ("VAULT_TOKEN", VAULT.root_token())]);
    let agent = |flags: &[&str], list: &str| {
        let words = [&["agent", "--folder", folder.to_str().unwrap()][..], flags].concat();
        Program::strongroom_init(&words).envs(&variables).env("STRONGROOM_FILES", list)
    };
    let plain = "[{path: a, from: 'vault:secret/data/canary-agent#k'}]";
    for (what, fault) in faults() {
        switchboard.clear();
        switchboard.add(fault);
        failing(what, agent(&["--once"], plain));
        let reason = agent(&["--ready"], "").run(Place::Among);
        assert!(reason.code == 1 && reason.stdout.contains("canary-agent"), "{what}: {}", reason.stdout);
        assert_silent(what, &reason);
    }
    switchboard.clear();
    let from = "from: 'vault:secret/data/canary-agent#k'";
    failing("a template", agent(&["--once"], &format!("[{{path: a, {from}, template: '{{{{ .value | fail }}}}'}}]")));
    failing("no object", agent(&["--once"], &format!("[{{path: a, {from}, template: '{{{{ .value.k.k }}}}'}}]")));
    // The value itself, where something else belongs.
    for list in [CANARY.to_owned(), format!("[{{path: a, from: {CANARY}}}]"), format!("[{{{CANARY}: a}}]")] {
        let ended = agent(&["--once"], &list).run(Place::Among);
        assert_eq!(ended.code, 1);
        assert_silent(&list.replace(CANARY, "…"), &ended);
    }
    for flags in [["--file", CANARY], ["--url", &format!("x://{CANARY}@/")]] {
        let ended = agent(&flags, plain).run(Place::Among);
        assert_eq!(ended.code, 1);
        assert_silent(flags[0], &ended);
    }
    // Delivered, changed, told in vain, and the store gone.
    let flags = ["--signal", "HUP:no-such-app", "--debounce", "0", "--refresh", "1s", "--log-level", "debug"];
    let running = Running::start(&agent(&flags, plain), Place::Among);
    assert_eq!(ready(&folder, "20s").code, 0);
    VAULT.command(&["kv", "put", "secret/canary-agent", &format!("k=2{CANARY}")]).unwrap();
    wait_for("the change", || {
        std::fs::read_to_string(folder.join("a")).is_ok_and(|text| text == format!("2{CANARY}")).then_some(())
    });
    switchboard.set_line(Line::Refused).unwrap();
    let status = wait_for("a failure", || {
        std::fs::read_to_string(folder.join("..status")).ok().filter(|text| text.contains("failure"))
    });
    assert!(!status.contains(CANARY));
    let ended = running.end(nix::sys::signal::Signal::SIGTERM);
    assert!(ended.stderr.contains("could not tell of changed files"), "{}", ended.stderr);
    assert_silent("running", &ended);
}

#[test]
fn no_error_path_of_google_shows_a_value() {
    GOOGLE.put("p", "canary", CANARY.as_bytes());
    let reference = "gcp:secretmanager:projects/p/secrets/canary";
    let switchboard = Switchboard::with_tls(GOOGLE.host_port(), GOOGLE.authority()).unwrap();
    for (what, fault) in faults() {
        switchboard.clear();
        switchboard.add(fault.on_path("/v1/projects/p/secrets/canary/versions/latest:access"));
        let through = google().into_iter().map(|(name, value)| match name.as_str() {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER" => (name, switchboard.address().to_owned()),
            _ => (name, value),
        });
        failing(what, wanting(reference).envs(&through.collect::<Vec<_>>()));
    }
    failing("not base64", wanting(&format!("{reference}?decode=base64")).envs(&google()));
}

#[test]
fn no_error_of_delivery_shows_a_value() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    VAULT
        .command(&["kv", "put", "secret/odd", &format!("k={CANARY}"), &format!("LD_PRELOAD={CANARY}"), "a=b=c"])
        .unwrap();
    let at = |path: &str| format!("{}/{path}=vault:secret/data/odd#k", folder.path().display());
    let run = |flags: &[&str], reference: &str| {
        let words: Vec<&str> = flags.iter().copied().chain(["--", "true"]).collect();
        let ended = Program::strongroom_init(&words).envs(&vault()).env("A", reference).run(Place::Among);
        assert_silent(&format!("{flags:?}"), &ended);
        ended
    };
    assert_eq!(run(&["--file", &at("missing/file")], "plain").code, 1);
    assert_eq!(run(&["--file", "/proc/canary=vault:secret/data/odd#k"], "plain").code, 1);
    let expanded = run(&[], "sr://vault/secret%2Fdata%2Fodd");
    assert_eq!(expanded.code, 0);
    assert!(expanded.stderr.contains("LD_PRELOAD"), "the owner is told: {}", expanded.stderr);
    assert_eq!(run(&["--env", &format!("B=sr://nowhere/{CANARY}")], "plain").code, 1);
    let missing =
        Program::strongroom_init(&["/no/such"]).envs(&vault()).env("A", "vault:secret/data/odd#k").run(Place::Among);
    assert_eq!(missing.code, 127);
    assert_silent("no such command", &missing);
}

#[test]
fn the_supervisor_holds_nothing_and_its_proc_shows_nothing() {
    VAULT.command(&["kv", "put", "secret/held", &format!("k={CANARY}")]).unwrap();
    for place in places() {
        let out = tempfile::tempdir().unwrap();
        let script = "printenv A > $OUT/value; sleep 100";
        let program = Program::strongroom_init(&["sh", "-c", script]).envs(&vault()).env("OUT", out.path());
        let child = program.env("A", "vault:secret/data/held#k").env("PLAIN", "plain").start(place);
        assert_eq!(wait_for_file(&out.path().join("value")).trim(), CANARY);
        let supervisor = own_pid(&child, place);
        let read = |file: &str| std::fs::read(format!("/proc/{supervisor}/{file}")).unwrap();
        wait_for("the bare supervisor", || read("environ").is_empty().then_some(()));
        let shown = String::from_utf8_lossy(&read("cmdline")).into_owned();
        assert!(!shown.contains(CANARY) && !shown.contains("PLAIN"), "{place:?}");
        if nix::unistd::geteuid().is_root() {
            assert!(!memory_holds(supervisor, CANARY.as_bytes()), "{place:?}: the supervisor's memory holds the value");
        }
        let worker = children(supervisor)[0];
        let environment = std::fs::read(format!("/proc/{worker}/environ")).unwrap();
        assert!(String::from_utf8_lossy(&environment).contains(CANARY), "the child has it");
        if nix::unistd::geteuid().is_root() {
            assert!(memory_holds(worker, CANARY.as_bytes()), "{place:?}: the search finds what is there");
        }
        signal(supervisor, nix::sys::signal::Signal::SIGTERM);
        let end = ended(child);
        assert_eq!(end.code, 143);
        assert_silent("supervised", &end);
    }
}

/// Whether any readable mapping of a process holds `bytes`.
fn memory_holds(pid: u32, bytes: &[u8]) -> bool {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let ranges = maps.lines().filter(|line| line.contains(" r") && !line.contains("[v")).filter_map(|line| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
    });
    ranges.into_iter().any(|(start, end)| {
        let mut content = vec![0; usize::try_from(end - start).unwrap()];
        memory.read_at(&mut content, start).is_ok() && content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[test]
fn no_failing_login_shows_its_credential() {
    let echo = format!(
        r#"{{"error":"invalid_grant","error_description":"{CANARY}","errors":["{CANARY}"],"message":"{CANARY}"}}"#
    );
    let vault = Switchboard::to(VAULT.host_port()).unwrap();
    vault.add(Fault::answer(400, &[], &echo));
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
        path.display().to_string()
    };
    let token = file("token", CANARY);
    let logins = [
        vec![("VAULT_AUTH_METHOD", "approle"), ("VAULT_ROLE_ID", "app"), ("VAULT_SECRET_ID", CANARY)],
        vec![("VAULT_AUTH_METHOD", "jwt"), ("VAULT_ROLE", "app"), ("VAULT_JWT_FILE", token.as_str())],
        vec![("VAULT_AUTH_METHOD", "kubernetes"), ("VAULT_ROLE", "app"), ("VAULT_JWT_FILE", token.as_str())],
    ];
    for login in logins {
        let program = wanting("vault:secret/data/app#token").env("VAULT_ADDR", vault.address());
        failing(login[0].1, program.envs(&owned(&login)));
    }
    let sts = Switchboard::to(AWS.host_port()).unwrap();
    sts.add(Fault::answer(400, &[], &echo));
    let web_identity = [
        ("AWS_ENDPOINT_URL", sts.address()),
        ("AWS_REGION", REGION),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/app"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    failing("web identity", wanting("sr://aws-sm/any").envs(&owned(&web_identity)));
    let broken_key =
        file("key.json", &format!(r#"{{"type":"service_account","private_key":"{CANARY}","client_email":"a@b"}}"#));
    let program = wanting("gcp:secretmanager:projects/p/secrets/canary");
    let ended = program.env("GOOGLE_APPLICATION_CREDENTIALS", broken_key).run(Place::Among);
    assert_eq!(ended.code, 1);
    assert_silent("a broken key file", &ended);
}

#[test]
fn no_failing_file_shows_its_content() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("canary.json");
    std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), CANARY.as_bytes()).unwrap();
    let reference = format!("sr://file/{}", path.display().to_string().replace('/', "%2F"));
    for suffix in ["#missing", "?decode=base64", "?select=jsonpath#%24.a", "?select=jmespath#a"] {
        failing(suffix, wanting(&format!("{reference}{suffix}")));
    }
    for environment_file in [format!("A='{CANARY}"), format!("{CANARY}\n"), format!("A=\"\\x{CANARY}\"")] {
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), environment_file.as_bytes()).unwrap();
        let ended = Program::strongroom_init(&["--env-file", path.to_str().unwrap(), "--", "true"]).run(Place::Among);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert_silent("an env file", &ended);
    }
}

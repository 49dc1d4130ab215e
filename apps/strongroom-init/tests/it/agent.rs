//! The agent as a program: real stores, real signals.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use world::switchboard::{Fault, Line, Switchboard};

use crate::program::{Ended, Place, Program, ended, own_pid, places, signal, wait_for, wait_for_file};
use crate::stores::{VAULT, owned, vault};

/// What a pod mounts for the files.
fn volume() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

fn agent(folder: &Path, flags: &[&str]) -> Program {
    let folder = folder.to_str().unwrap();
    Program::strongroom_init(&[&["agent", "--folder", folder][..], flags].concat())
}

/// A running agent; killed where a test ends before it does.
pub(crate) struct Running {
    child: Option<Child>,
    pid: u32,
}

impl Running {
    pub(crate) fn start(program: &Program, place: Place) -> Self {
        let child = program.start(place);
        let pid = own_pid(&child, place);
        Self { child: Some(child), pid }
    }

    fn tell(&self, which: Signal) {
        signal(self.pid, which);
    }

    /// Ends it, which must be soon and good.
    pub(crate) fn end(mut self, which: Signal) -> Ended {
        let start = Instant::now();
        self.tell(which);
        let ended = ended(self.child.take().unwrap());
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether the agent of `folder` has delivered, and what a probe prints.
pub(crate) fn ready(folder: &Path, wait: &str) -> Ended {
    agent(folder, &["--ready", "--wait", wait]).run(Place::Among)
}

fn is_ready(folder: &Path) {
    let ended = ready(folder, "20s");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
}

fn put(name: &str, fields: &[&str]) {
    VAULT.command(&[&["kv", "put", &format!("secret/{name}")][..], fields].concat()).unwrap();
}

fn content(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_default()
}

fn wait_for_content(folder: &Path, name: &str, expected: &str) {
    wait_for(&format!("{name}: {expected}"), || (content(folder, name) == expected).then_some(()));
}

fn told(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

#[test]
fn files_follow_their_secrets_forward_and_back() {
    for place in places() {
        VAULT.command(&["kv", "metadata", "delete", "secret/agent-follows"]).unwrap();
        put("agent-follows", &["user=one", "password=first"]);
        let folder = volume();
        let list = r"
- {path: db/user, from: 'vault:secret/data/agent-follows#user'}
- path: db/url
  values: {user: 'vault:secret/data/agent-follows#user', password: 'vault:secret/data/agent-follows#password'}
  template: 'app://{{ .user }}:{{ .password }}@db'
  mode: '0440'
";
        let flags = ["--file", "password@0400=vault:secret/data/agent-follows#password"];
        let running = Running::start(&agent(folder.path(), &flags).envs(&vault()).env("STRONGROOM_FILES", list), place);
        is_ready(folder.path());
        let holds = |user: &str, password: &str| {
            wait_for_content(folder.path(), "db/url", &format!("app://{user}:{password}@db"));
            assert_eq!(content(folder.path(), "db/user"), user);
            assert_eq!(content(folder.path(), "password"), password);
        };
        holds("one", "first");
        put("agent-follows", &["user=two", "password=second"]);
        running.tell(Signal::SIGUSR1);
        holds("two", "second");
        VAULT.command(&["kv", "rollback", "-version=1", "secret/agent-follows"]).unwrap();
        running.tell(Signal::SIGHUP);
        holds("one", "first");
        running.end(Signal::SIGINT);
        holds("one", "first");
    }
}

#[test]
fn the_next_read_comes_by_itself() {
    put("agent-refresh", &["k=one"]);
    let folder = volume();
    let flags = ["--file", "k=vault:secret/data/agent-refresh#k", "--refresh", "1s"];
    let _running = Running::start(&agent(folder.path(), &flags).envs(&vault()), Place::Among);
    wait_for_content(folder.path(), "k", "one");
    put("agent-refresh", &["k=two"]);
    wait_for_content(folder.path(), "k", "two");
}

/// A shell under another name that writes a line when it gets SIGHUP, and starts a worker of the same name.
fn app(name: &str, out: &Path) -> Child {
    let program = out.join(name);
    std::fs::copy(std::fs::canonicalize("/bin/sh").unwrap(), &program).unwrap();
    let script = "
        ( trap 'echo worker >> $OUT/got' HUP; echo started > $OUT/worker; while kill -0 $$; do sleep 0.05; done ) &
        trap 'echo master >> $OUT/got' HUP; trap exit TERM; echo started > $OUT/master; while :; do sleep 0.05; done";
    let mut command = Command::new(program);
    command.args(["-c", script]).env("OUT", out).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    wait_for_file(&out.join("master"));
    wait_for_file(&out.join("worker"));
    child
}

/// Answers requests one after the other with these statuses, and says what came.
fn listener(statuses: &'static [u16]) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/reload?token=canary-url", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for status in statuses.iter().chain(std::iter::repeat(&200)) {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).unwrap();
            let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (address, receiver)
}

#[test]
fn several_changes_are_told_once_to_the_master_and_to_the_url_until_it_takes_it() {
    let out = volume();
    let name = format!("app{}", std::process::id());
    let mut child = app(&name, out.path());
    let (address, requests) = listener(&[500]);
    let sources = volume();
    let source = |key: &str| sources.path().join(key);
    for key in ["a", "b", "c"] {
        replace(&source(key), "one");
    }
    let folder = volume();
    let file = |key: &str| format!("{key}={}", reference(&source(key)));
    let (a, b, c) = (file("a"), file("b"), file("c"));
    let signal = format!("HUP:{name}");
    let flags = ["--file", &a, "--file", &b, "--file", &c, "--signal", &signal, "--url", &address, "--debounce", "2s"];
    let running = Running::start(&agent(folder.path(), &flags), Place::Among);
    is_ready(folder.path());
    for key in ["a", "b", "c"] {
        replace(&source(key), "two");
        running.tell(Signal::SIGUSR1);
        wait_for_content(folder.path(), key, "two");
    }
    assert_eq!(wait_for_file(&out.path().join("got")), "master\n");
    let (first, second) = (requests.recv().unwrap(), requests.recv().unwrap());
    assert!(first.starts_with("POST /reload?token=canary-url HTTP/1.1\r\n"), "{first}");
    assert!(first.to_ascii_lowercase().contains("content-length: 0\r\n"), "{first}");
    assert_eq!(first, second);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(content(out.path(), "got"), "master\n", "once");
    assert!(requests.try_recv().is_err(), "once");
    let log = running.end(Signal::SIGTERM).stderr;
    assert_eq!(told(&log, "told of changed files"), 2, "{log}");
    assert_eq!(told(&log, "it answered 500"), 1, "{log}");
    assert!(!log.contains("canary-url"), "{log}");
    crate::program::signal(child.id(), Signal::SIGTERM);
    child.wait().unwrap();
}

#[test]
fn a_hook_that_finds_nobody_says_what_to_do() {
    put("agent-nobody", &["k=one"]);
    let folder = volume();
    let flags = ["--file", "k=vault:secret/data/agent-nobody#k", "--signal", "HUP:no-such-app", "--debounce", "0"];
    let running = Running::start(&agent(folder.path(), &flags).envs(&vault()), Place::Among);
    is_ready(folder.path());
    put("agent-nobody", &["k=two"]);
    running.tell(Signal::SIGUSR1);
    wait_for_content(folder.path(), "k", "two");
    std::thread::sleep(Duration::from_millis(300));
    let log = running.end(Signal::SIGTERM).stderr;
    assert!(log.contains("no process of the name") && log.contains("shareProcessNamespace"), "{log}");
}

#[test]
fn a_store_that_is_down_delays_readiness_and_later_takes_nothing_away() {
    put("agent-down", &["k=one"]);
    let switchboard = Switchboard::to(VAULT.host_port()).unwrap();
    switchboard.set_line(Line::Refused).unwrap();
    let folder = volume();
    let variables = owned(&[("VAULT_ADDR", switchboard.address()), ("VAULT_TOKEN", VAULT.root_token())]);
    let flags = ["--file", "k=vault:secret/data/agent-down#k", "--refresh", "1s", "--deadline", "1s"];
    let running = Running::start(&agent(folder.path(), &flags).envs(&variables), Place::Among);
    let reason = wait_for("a reason", || {
        let ended = ready(folder.path(), "10ms");
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        ended.stdout.contains("secret/data/agent-down").then_some(ended.stdout)
    });
    assert_eq!(reason.lines().count(), 1, "{reason}");
    switchboard.set_line(Line::Open).unwrap();
    is_ready(folder.path());
    assert_eq!(content(folder.path(), "k"), "one");
    switchboard.set_line(Line::Refused).unwrap();
    put("agent-down", &["k=two"]);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(content(folder.path(), "k"), "one");
    is_ready(folder.path());
    switchboard.set_line(Line::Open).unwrap();
    wait_for_content(folder.path(), "k", "two");
    let log = running.end(Signal::SIGTERM).stderr;
    assert_eq!(told(&log, "what was delivered stays"), 1, "{log}");
    assert_eq!(told(&log, "up to date again"), 2, "{log}");
}

#[test]
fn a_login_that_ends_is_made_anew() {
    put("agent-login", &["k=one"]);
    let policy = volume();
    let policy = policy.path().join("policy.hcl");
    let rule = r#"path "secret/data/agent-login" { capabilities = ["read"] }"#;
    std::fs::File::create(&policy).unwrap().write_all(rule.as_bytes()).unwrap();
    VAULT.command(&["policy", "write", "agent-login", policy.to_str().unwrap()]).unwrap();
    VAULT.command(&["auth", "enable", "-path=agent", "approle"]).unwrap();
    let role = "auth/agent/role/app";
    VAULT.command(&["write", role, "token_policies=agent-login", "token_ttl=2s", "token_max_ttl=2s"]).unwrap();
    let id = VAULT.command(&["read", "-field=role_id", &format!("{role}/role-id")]).unwrap();
    let secret = VAULT.command(&["write", "-f", "-field=secret_id", &format!("{role}/secret-id")]).unwrap();
    let folder = volume();
    let flags = ["--file", "k=vault:secret/data/agent-login#k", "--refresh", "1s"];
    let program = agent(folder.path(), &flags).env("VAULT_ADDR", VAULT.address()).env("VAULT_PATH", "agent");
    let program = program.env("VAULT_AUTH_METHOD", "approle").env("VAULT_ROLE_ID", id.trim());
    let running = Running::start(&program.env("VAULT_SECRET_ID", secret.trim()), Place::Among);
    is_ready(folder.path());
    std::thread::sleep(Duration::from_secs(5));
    put("agent-login", &["k=two"]);
    wait_for_content(folder.path(), "k", "two");
    let log = running.end(Signal::SIGTERM).stderr;
    assert_eq!(told(&log, "level=warn") + told(&log, "level=error"), 0, "{log}");
}

#[test]
fn a_lease_is_renewed_and_where_it_cannot_be_replaced_before_it_ends() {
    // A broker that takes every user.
    let broker = Switchboard::to(VAULT.host_port()).unwrap();
    broker.add(Fault::answer(204, &[], ""));
    VAULT.command(&["secrets", "enable", "-path=agent-mq", "rabbitmq"]).unwrap();
    let connection = format!("connection_uri={}", broker.address());
    let verify = "verify_connection=false";
    VAULT.command(&["write", "agent-mq/config/connection", &connection, "username=a", "password=b", verify]).unwrap();
    VAULT.command(&["write", "agent-mq/config/lease", "ttl=3s", "max_ttl=7s"]).unwrap();
    let vhosts = r#"vhosts={"/": {"configure": ".*", "write": ".*", "read": ".*"}}"#;
    VAULT.command(&["write", "agent-mq/roles/app", vhosts]).unwrap();
    let switchboard = Switchboard::to(VAULT.host_port()).unwrap();
    let folder = volume();
    let flags =
        ["--file", "user=vault:agent-mq/creds/app#username", "--file", "password=vault:agent-mq/creds/app#password"];
    let variables = owned(&[("VAULT_ADDR", switchboard.address()), ("VAULT_TOKEN", VAULT.root_token())]);
    let running = Running::start(&agent(folder.path(), &flags).envs(&variables), Place::Among);
    is_ready(folder.path());
    let mut users = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let user = content(folder.path(), "user");
        let is_gone = broker.requests().iter().any(|seen| seen.method == "DELETE" && seen.path.contains(&user));
        // It may have been replaced in between.
        assert!(!is_gone || content(folder.path(), "user") != user, "{users:?}: this user is gone");
        if users.last() != Some(&user) {
            users.push(user);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!((2..=3).contains(&users.len()), "{users:?}");
    let renewals = switchboard.requests().iter().filter(|seen| seen.path.contains("leases/renew")).count();
    assert!(renewals >= 2, "{renewals}");
    let reads = switchboard.requests().iter().filter(|seen| seen.path == "/v1/agent-mq/creds/app").count();
    assert_eq!(reads, users.len(), "one read for both files, and one for each new user");
    running.end(Signal::SIGTERM);
}

#[test]
fn a_signal_in_the_middle_of_a_read_ends_it_at_once() {
    let switchboard = Switchboard::to(VAULT.host_port()).unwrap();
    switchboard.add(Fault::silence());
    let variables = owned(&[("VAULT_ADDR", switchboard.address()), ("VAULT_TOKEN", VAULT.root_token())]);
    for place in places() {
        for which in [Signal::SIGTERM, Signal::SIGINT] {
            let folder = volume();
            let flags = ["--file", "k=vault:secret/data/app#token"];
            let running = Running::start(&agent(folder.path(), &flags).envs(&variables), place);
            wait_for("a request", || (switchboard.held() > 0).then_some(()));
            running.end(which);
            wait_for("its end", || (switchboard.held() == 0).then_some(()));
        }
    }
}

/// Replaces a file whole.
fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    File::create(&next).unwrap().write_all(text.as_bytes()).unwrap();
    std::fs::rename(next, path).unwrap();
}

/// What a file holds, as a secret.
fn reference(path: &Path) -> String {
    format!("sr://file/{}", path.display().to_string().replace('/', "%2F"))
}

/// Waits until a program that has just been started holds signals back: until then they end it in the usual way.
fn wait_for_held_signals(pid: u32) {
    wait_for("held signals", || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let held = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
        held.contains(|digit: char| digit.is_ascii_hexdigit() && digit != '0').then_some(())
    });
}

#[test]
fn a_signal_in_the_middle_of_a_write_leaves_one_whole_set() {
    const FILES: usize = 20;
    let around = volume();
    let source = around.path().join("source");
    let folder = around.path().join("files");
    let reference = reference(&source);
    let files: Vec<String> = (0..FILES).map(|number| format!("{number}={reference}")).collect();
    let flags: Vec<&str> = files.iter().flat_map(|file| ["--file", file]).collect();
    let text = |version: u32| format!("{version:03}").repeat(60_000);
    replace(&source, &text(0));
    assert_eq!(agent(&folder, &[&flags[..], &["--once"]].concat()).run(Place::Among).code, 0);
    let mut seen = Vec::new();
    for version in 1..=25 {
        replace(&source, &text(version));
        let running = Running::start(&agent(&folder, &flags), Place::Among);
        wait_for_held_signals(running.pid);
        std::thread::sleep(Duration::from_millis(u64::from(version) * 2));
        running.end(Signal::SIGTERM);
        let found: Vec<String> = (0..FILES).map(|number| content(&folder, &number.to_string())).collect();
        assert!(found.iter().all(|file| *file == found[0]), "{version}: a mixed set");
        let shown: u32 = found[0][..3].parse().unwrap();
        assert_eq!(found[0], text(shown), "{version}: a torn file");
        seen.push(shown == version);
    }
    // Neither all too early nor all too late, or the test would show nothing.
    println!("{} of {} were delivered", seen.iter().filter(|&&delivered| delivered).count(), seen.len());
    assert_eq!(agent(&folder, &[&flags[..], &["--once"]].concat()).run(Place::Among).code, 0);
    let sets = std::fs::read_dir(&folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    let sets: Vec<PathBuf> = sets.map(|entry| entry.unwrap().path()).filter(|path| !path.is_symlink()).collect();
    assert_eq!(sets.len(), 1, "{sets:?}");
}

#[test]
fn once_delivers_or_ends_with_1_and_says_why() {
    put("agent-once", &["k=one"]);
    let folder = volume();
    let good = "k=vault:secret/data/agent-once#k";
    let ended = agent(folder.path(), &["--once", "--file", good]).envs(&vault()).run_everywhere();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    is_ready(folder.path());
    let missing = "m=vault:secret/data/agent-missing#k";
    let ended = agent(folder.path(), &["--once", "--file", good, "--file", missing]).envs(&vault()).run_everywhere();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("failed to resolve secrets") && ended.stderr.contains("agent-missing"));
    assert!(ended.stderr.contains("class=NotFound"), "{}", ended.stderr);
    assert_eq!(content(folder.path(), "k"), "one", "what was there stays");
    let reason = ready(folder.path(), "0");
    assert_eq!(reason.code, 1);
    assert!(reason.stdout.contains("agent-missing"), "{}", reason.stdout);
}

#[test]
fn once_that_is_stopped_is_no_success() {
    let switchboard = Switchboard::to(VAULT.host_port()).unwrap();
    switchboard.add(Fault::silence());
    let variables = owned(&[("VAULT_ADDR", switchboard.address()), ("VAULT_TOKEN", VAULT.root_token())]);
    let folder = volume();
    let program = agent(folder.path(), &["--once", "--file", "k=vault:secret/data/app#token"]).envs(&variables);
    let child = program.start(Place::Among);
    wait_for("a request", || (switchboard.held() > 0).then_some(()));
    signal(child.id(), Signal::SIGTERM);
    assert_eq!(ended(child).code, 143);
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_read() {
    let folder = volume();
    let file = folder.path().join("list.yaml");
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).unwrap().write_all(b"[{path: a}]").unwrap();
    let (list, target) = (file.to_str().unwrap(), folder.path().join("files"));
    let good = ["--file", "a=vault:secret/data/app#token"];
    for (flags, words) in [
        (&["word"][..], "word"),
        (&["--no-such-flag"], "no-such-flag"),
        (&["--", "command"], "command"),
        (&[], "no files are wanted"),
        (&["--file", "a"], "expected PATH=REFERENCE"),
        (&["--file", "../a=vault:secret/data/app#token"], "two dots"),
        (&["--file", "/a=vault:secret/data/app#token"], "absolute"),
        (&["--file", "a=sr://nowhere/x"], "--file: a"),
        (&["--file", "a=sr://vault@nobody/x"], "no store is named"),
        (&["--files", list], "files[0]"),
        (&["--files", "/no/such"], "/no/such"),
        (&[good[0], good[1], "--refresh", "10ms"], "less than a second"),
        (&[good[0], good[1], "--signal", "HUP"], "HUP:NAME"),
        (&[good[0], good[1], "--signal", "NOPE:x"], "by its name"),
        (&[good[0], good[1], "--url", "ftp://x/"], "http://HOST/PATH"),
        (&[good[0], good[1], "--url", "http://a b/"], "no URL"),
        (&[good[0], good[1], "--wait", "1s"], "--ready"),
        (&[good[0], good[1], "--ready"], "--ready"),
        (&[good[0], good[1], "--config", "/no/such"], "/no/such"),
    ] {
        let ended = agent(&target, flags).envs(&vault()).run(Place::Among);
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{flags:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{flags:?}: {}", ended.stderr);
    }
    assert_eq!(agent(&target, &["--help"]).run(Place::Among).code, 0);
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let ended = agent(disk.path(), &good).envs(&vault()).run(Place::Among);
    assert!(ended.code == 1 && ended.stderr.contains("--allow-disk"), "{}", ended.stderr);
    let allowed = agent(disk.path(), &[&good[..], &["--allow-disk", "--once"]].concat()).envs(&vault());
    assert_eq!(allowed.run(Place::Among).code, 0);
    // The flags follow the name, and a command may be called like that.
    let ended = Program::strongroom_init(&["--allow-disk", "agent", "--folder", "/x"]).run(Place::Among);
    assert!(ended.code == 1 && ended.stderr.contains("put -- before"), "{}", ended.stderr);
    assert_eq!(Program::strongroom_init(&["--", "agent"]).run(Place::Among).code, 127);
    assert_eq!(Program::secrets_init(&["agent"]).run(Place::Among).code, 127);
}

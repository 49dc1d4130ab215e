//! A store that serves, and commands that ask it: both are this program, started again.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use nix::pty::openpty;
use serde_json::{Value, json};
use strongroom_server::{DevCommand, ServerCommand};
use strongroom_store_command::{
    AuditCommand, AuthCommand, KvCommand, LoginCommand, LogoutCommand, PolicyCommand, SecretsCommand, StoreCommand,
    TokenCommand,
};
use tempfile::TempDir;

/// In the environment of a child: its arguments, one in a line.
const ARGUMENTS: &str = "STRONGROOM_TEST_RUNS";

/// What a child prints before the command does: what stands before it comes from the harness.
const BEGIN: &str = "--the command begins--\n";

/// A text that must not be found where it does not belong.
pub(crate) const CANARY: &str = "canary7f3a9c51";

#[derive(Parser)]
pub(crate) enum Program {
    Server(Box<ServerCommand>),
    Dev(Box<DevCommand>),
    Kv(KvCommand),
    Login(LoginCommand),
    Logout(LogoutCommand),
    Token(Box<TokenCommand>),
    Policy(PolicyCommand),
    Auth(AuthCommand),
    Secrets(SecretsCommand),
    Audit(AuditCommand),
    Store(Box<StoreCommand>),
}

/// Where the tests run as a child, this is the program.
#[test]
fn child() {
    let Some(arguments) = std::env::var_os(ARGUMENTS).and_then(|text| text.into_string().ok()) else { return };
    let mut out = std::io::stdout();
    out.write_all(BEGIN.as_bytes()).and_then(|()| out.flush()).unwrap();
    let variables = strongroom_process::environment();
    let ended = match Program::parse_from(std::iter::once("strongroom").chain(arguments.lines())) {
        Program::Server(server) => server.run(&variables),
        Program::Dev(dev) => dev.run(&variables),
        Program::Kv(kv) => kv.run(&variables),
        Program::Login(login) => login.run(&variables),
        Program::Logout(logout) => logout.run(&variables),
        Program::Token(token) => token.run(&variables),
        Program::Policy(policy) => policy.run(&variables),
        Program::Auth(auth) => auth.run(&variables),
        Program::Secrets(secrets) => secrets.run(&variables),
        Program::Audit(audit) => audit.run(&variables),
        Program::Store(store) => store.run(&variables),
    };
    let code = (0..=u8::MAX).find(|code| format!("{ended:?}") == format!("{:?}", ExitCode::from(*code)));
    std::process::exit(code.map_or(99, i32::from));
}

/// The program with these arguments, and nothing in its environment.
fn program(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "store::child", "--nocapture", "--quiet"])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env(ARGUMENTS, words.join("\n"));
    command
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) text: String,
    pub(crate) errors: String,
}

impl Ended {
    /// What it printed, where all is well.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, 0, "{}", self.errors);
        self.text
    }

    /// What it printed as JSON, where all is well.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.well()).unwrap()
    }

    /// That it ended so, and said these words about it.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &str) {
        assert!(self.code == code && self.errors.contains(words), "{self:?}");
        assert!(!self.errors.contains(CANARY), "a value is told");
    }
}

/// A store to try things out with, which ends with the test.
pub(crate) struct Store {
    child: Child,
    pub(crate) address: String,
    pub(crate) token: String,
    folder: TempDir,
    /// The home of whoever types.
    pub(crate) home: PathBuf,
}

impl Store {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let data = format!("--data={}", folder.path().join("store").display());
        let mut child = program(&["dev", "--listen=127.0.0.1:0", &data, "--json"])
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let told = lines.skip_while(|line| line != BEGIN.trim_end()).nth(1);
        let told: Value = serde_json::from_str(&told.expect("the store does not serve")).unwrap();
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        Self { child, address: text("address"), token: text("token"), folder, home }
    }

    /// Runs a command as root of the store.
    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        self.run_with(words, &[("STRONGROOM_TOKEN", &self.token)], "")
    }

    /// Runs a command as root, with this standard input.
    pub(crate) fn fed(&self, words: &[&str], input: &str) -> Ended {
        self.run_with(words, &[("STRONGROOM_TOKEN", &self.token)], input)
    }

    /// Runs a command with these variables beside the address and the home.
    pub(crate) fn run_with(&self, words: &[&str], variables: &[(&str, &str)], input: &str) -> Ended {
        let mut command = program(words);
        command.env("STRONGROOM_ADDR", &self.address).env("HOME", &self.home).envs(variables.iter().copied());
        run(command, input)
    }

    /// Runs a command as root at a terminal: where a text appears, what comes with it is done and then typed.
    pub(crate) fn at_terminal(&self, words: &[&str], dialogue: &[(&str, &dyn Fn() -> String)]) -> (i32, String) {
        self.at_terminal_with(words, &[("STRONGROOM_TOKEN", &self.token)], dialogue)
    }

    /// The same, with these variables.
    pub(crate) fn at_terminal_with(
        &self,
        words: &[&str],
        variables: &[(&str, &str)],
        dialogue: &[(&str, &dyn Fn() -> String)],
    ) -> (i32, String) {
        let pty = openpty(None, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = program(words);
        command.env("STRONGROOM_ADDR", &self.address).env("HOME", &self.home).envs(variables.iter().copied());
        let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        drop((command, pty.slave));
        let mut keyboard = File::from(pty.master);
        let mut screen = keyboard.try_clone().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // A terminal that nobody writes to any more is an error to read.
            while let Ok(length @ 1..) = screen.read(&mut piece) {
                sink.lock().unwrap().extend_from_slice(&piece[..length]);
            }
        });
        let text = || String::from_utf8_lossy(&seen.lock().unwrap()).replace('\r', "");
        for (question, answer) in dialogue {
            let begun = Instant::now();
            while !text().contains(question) {
                assert!(begun.elapsed() < Duration::from_secs(30), "nobody asked {question:?}: {}", text());
                std::thread::sleep(Duration::from_millis(5));
            }
            keyboard.write_all(format!("{}\n", answer()).as_bytes()).unwrap();
        }
        let code = child.wait().unwrap().code().unwrap();
        reader.join().unwrap();
        let text = text();
        let (_, text) = text.split_once(BEGIN).unwrap();
        (code, text.to_owned())
    }

    /// A file with this text.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A path in the test's folder.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a secret, whose values come from standard input.
    pub(crate) fn put(&self, path: &str, data: &Value) {
        self.fed(&["kv", "put", path, "--json", "-"], &data.to_string()).well();
    }

    /// What a secret holds.
    pub(crate) fn data(&self, path: &str) -> Value {
        self.run(&["kv", "get", path, "--json"]).json()["data"].clone()
    }

    /// A token that has a policy of this text.
    pub(crate) fn token_of(&self, name: &str, policy: &str) -> String {
        self.fed(&["policy", "write", name, "-"], policy).well();
        self.run(&["token", "create", "--policy", name, "--field", "token"]).well()
    }

    /// Mounts secrets without versions, and writes one.
    pub(crate) fn with_old_secrets(&self) {
        self.run(&["secrets", "enable", "kv", "--path", "old", "--version", "1"]).well();
        let written = Command::new("curl")
            .args(["-sS", "--fail", "-H", &format!("X-Vault-Token: {}", self.token)])
            .args(["-d", &json!({"password": CANARY}).to_string(), &format!("{}/v1/old/team/app", self.address)])
            .status();
        assert!(written.unwrap().success());
    }

    /// The audit trail.
    pub(crate) fn trail(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("store/audit.log")).unwrap()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command without a store.
pub(crate) fn alone(words: &[&str]) -> Ended {
    run(program(words), "")
}

fn run(mut command: Command, input: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that reads nothing may have gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, text) = text.split_once(BEGIN).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Ended { code: output.status.code().unwrap_or(-1), text: text.to_owned(), errors }
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

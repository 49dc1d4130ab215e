//! Starting a server, and asking it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use strongroom_server::{DevCommand, ServerCommand};
use tempfile::TempDir;

/// In the environment of a child: its arguments, one in a line.
const ARGUMENTS: &str = "STRONGROOM_TEST_SERVES";

/// A text that must not be found where it does not belong.
pub(crate) const CANARY: &str = "canary7f3a9c51";

#[derive(Parser)]
enum Program {
    Server(Box<ServerCommand>),
    Dev(Box<DevCommand>),
}

/// Where the tests run as a child, this is the server.
#[test]
fn child() {
    let Some(arguments) = std::env::var_os(ARGUMENTS).and_then(|text| text.into_string().ok()) else { return };
    let arguments = std::iter::once("strongroom").chain(arguments.lines());
    let variables = strongroom_process::environment();
    let ended = match Program::parse_from(arguments) {
        Program::Server(server) => server.run(&variables),
        Program::Dev(dev) => dev.run(&variables),
    };
    let is_well = format!("{ended:?}") == format!("{:?}", ExitCode::SUCCESS);
    std::process::exit(i32::from(!is_well));
}

/// A server that runs.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) folder: Arc<TempDir>,
    logged: Arc<Mutex<String>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    /// The body; null where there is none.
    pub(crate) fn json(&self) -> Value {
        if self.text.is_empty() { Value::Null } else { serde_json::from_str(&self.text).unwrap() }
    }

    /// The data of the body.
    pub(crate) fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// What is wrong.
    pub(crate) fn errors(&self) -> Vec<String> {
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error.as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn folder() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

impl Serving {
    /// A server over `folder` that opens itself, initialised where it is new, and its first token.
    pub(crate) fn new() -> (Self, String) {
        let server = Self::over(&folder(), &[]);
        let token = server.initialise();
        (server, token)
    }

    /// A server over `folder` that opens itself by a key in a file.
    pub(crate) fn over(folder: &Arc<TempDir>, more: &[&str]) -> Self {
        let seal = format!("--seal=file:{}", folder.path().join("seal.key").display());
        Self::start(folder, &[&[seal.as_str()], more].concat())
    }

    /// A server over `folder`.
    pub(crate) fn start(folder: &Arc<TempDir>, more: &[&str]) -> Self {
        Self::start_with(folder, more, &[])
    }

    /// A server over `folder`, with these variables in its environment.
    pub(crate) fn start_with(folder: &Arc<TempDir>, more: &[&str], variables: &[(String, String)]) -> Self {
        let data = format!("--data={}", folder.path().display());
        let mut arguments = vec!["server", "--listen=127.0.0.1:0", &data, "--log-level=debug"];
        arguments.extend(more);
        Self::of_child(folder, Self::spawn_with(&arguments, variables))
    }

    /// What a server tells that cannot start over `folder`.
    pub(crate) fn fails(folder: &Arc<TempDir>, seal: &str, variables: &[(String, String)]) -> String {
        let data = format!("--data={}", folder.path().display());
        let child = Self::spawn_with(&["server", "--listen=127.0.0.1:0", &data, seal], variables);
        let ended = child.wait_with_output().unwrap();
        assert!(!ended.status.success());
        String::from_utf8_lossy(&ended.stderr).into_owned()
    }

    /// A server with exactly these arguments.
    pub(crate) fn with(folder: &Arc<TempDir>, arguments: &[&str]) -> Self {
        Self::of_child(folder, Self::spawn(arguments))
    }

    fn of_child(folder: &Arc<TempDir>, mut child: Child) -> Self {
        let logged = Arc::new(Mutex::new(String::new()));
        let (lines, sink) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&logged));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                sink.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        let begun = Instant::now();
        let address = loop {
            let logged = logged.lock().unwrap().clone();
            let serving = logged.lines().find(|line| line.contains("msg=serving"));
            let named = serving.and_then(|line| line.split(" address=").nth(1));
            if let Some(address) = named.and_then(|rest| rest.split(' ').next()) {
                break address.trim_matches('"').to_owned();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not serve:\n{logged}");
            assert!(child.try_wait().unwrap().is_none(), "it ended:\n{logged}");
            std::thread::sleep(Duration::from_millis(5));
        };
        Self { child, address, folder: Arc::clone(folder), logged }
    }

    /// A server over `folder` whose files may not grow beyond so many bytes.
    pub(crate) fn limited(folder: &Arc<TempDir>, bytes: u64, more: &[&str]) -> Self {
        let (data, seal) = (folder.path().display(), folder.path().join("seal.key"));
        let arguments =
            [&format!("--data={data}") as &str, &format!("--seal=file:{}", seal.display()), "--log-level=debug"];
        let arguments = [&["server", "--listen=127.0.0.1:0"], arguments.as_slice(), more].concat();
        // In blocks of a kilobyte; the signal is ignored, so that writing fails.
        let program = std::env::current_exe().unwrap();
        let script = format!(
            "trap '' XFSZ; ulimit -f {}; exec '{}' --exact serving::child --nocapture",
            bytes / 1024,
            program.display()
        );
        let mut command = Command::new("bash");
        command.args(["-c", &script]).env(ARGUMENTS, arguments.join("\n"));
        Self::of_child(folder, command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// A process with these arguments.
    pub(crate) fn spawn(arguments: &[&str]) -> Child {
        Self::spawn_with(arguments, &[])
    }

    fn spawn_with(arguments: &[&str], variables: &[(String, String)]) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serving::child", "--nocapture"])
            .env(ARGUMENTS, arguments.join("\n"))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Makes the keys of a new store; the first token.
    pub(crate) fn initialise(&self) -> String {
        let answer = self.ask("PUT", "sys/init", "", Some(&json!({"secret_shares": 1, "secret_threshold": 1})));
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["root_token"].as_str().unwrap().to_owned()
    }

    /// Waits until it is the active one of those that share its storage, which one alone is at once.
    pub(crate) fn wait_until_active(&self) {
        let begun = Instant::now();
        while self.ask("GET", "sys/health", "", None).status != 200 {
            assert!(begun.elapsed() < Duration::from_secs(30), "it is not active:\n{}", self.logged());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks, with a token where there is one.
    pub(crate) fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.ask_with(method, &format!("/v1/{path}"), &[("X-Vault-Token", token)], body.as_bytes())
    }

    /// Asks for exactly this path, with these headers; those without a value are left out.
    pub(crate) fn ask_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: strongroom\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.send(&[head.as_bytes(), b"\r\n", body].concat()).expect("an answer")
    }

    /// The answer of whatever listens at an address.
    pub(crate) fn ask_at(address: &str, path: &str) -> Answer {
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        send(address, head.as_bytes()).expect("an answer")
    }

    /// Sends bytes as they are; nothing where the connection ends without an answer.
    pub(crate) fn send(&self, bytes: &[u8]) -> Option<Answer> {
        send(&self.address, bytes)
    }

    /// The whole body of an answer that may be long and is no text; chunks are put together.
    pub(crate) fn download(&self, path: &str, token: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Vault-Token: {token}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 200") && head.contains("transfer-encoding: chunked"), "{head}");
        let (mut rest, mut body) = (&answer[end + 4..], Vec::new());
        loop {
            let line = rest.windows(2).position(|window| window == b"\r\n").expect("a chunk");
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&rest[line + 2..line + 2 + size]);
            rest = &rest[line + 2 + size + 2..];
        }
    }

    /// Mounts `secret/` with versions.
    pub(crate) fn with_secrets(&self, token: &str) {
        let mount = json!({"type": "kv", "options": {"version": "2"}});
        assert_eq!(self.ask("POST", "sys/mounts/secret", token, Some(&mount)).status, 204);
    }

    /// Writes a policy, and makes a token that has it.
    pub(crate) fn token_of(&self, root: &str, name: &str, policy: &str) -> String {
        let written = self.ask("PUT", &format!("sys/policies/acl/{name}"), root, Some(&json!({"policy": policy})));
        assert_eq!(written.status, 204, "{}", written.text);
        let made = self.ask("POST", "auth/token/create", root, Some(&json!({"policies": [name]})));
        made.json()["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn logged(&self) -> String {
        self.logged.lock().unwrap().clone()
    }

    pub(crate) fn audit_file(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    /// The entries of the trail, checkpoints left out.
    pub(crate) fn entries(&self) -> Vec<Value> {
        entries(&self.audit_file())
    }

    /// Ends it at once, as the kernel does.
    pub(crate) fn kill(mut self) -> Arc<TempDir> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Arc::clone(&self.folder)
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(mut self) -> Arc<TempDir> {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "{}", self.logged());
        Arc::clone(&self.folder)
    }
}

/// Sends bytes as they are; nothing where the connection ends without an answer.
pub(crate) fn send(address: &str, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    // What is refused early is answered before all was sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, text: String::from_utf8_lossy(&answer[end + 4..]).into_owned() })
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server logged:\n{}", self.logged());
        }
    }
}

/// The entries of a trail, checkpoints left out.
pub(crate) fn entries(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.filter(|entry| entry["type"] != "checkpoint").collect()
}

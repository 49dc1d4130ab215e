//! KA-07 and KA-08 of the catalogue: Kamus' init container, as a program, against a decryptor of the test's own, which
//! answers whatever a real one never would.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::program::{Ended, Place, Program};

const TOKEN: &str = "some-jwt";
const JSON: &str = "{ \n    \"key-newlines.json\":{\"secret_key\":\"secret_value\\nsecret_value\"},\n    \"key.json\":{\"secret_key\":\"secret_value\"},\n    \"key1\":\"super-secret-from-value\",\n    \"key2\":\"super-secret\"\n}";

/// Answers what its function makes of the text to decrypt, and keeps heads and bodies of requests.
struct Stub {
    address: String,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Stub {
    fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (head, body) = received(&mut stream);
                let asked: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
                kept.lock().unwrap().push((head, body));
                let answer = answer(asked["data"].as_str().unwrap_or_default());
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, requests }
    }

    fn asked(&self) -> Vec<(String, String)> {
        self.requests.lock().unwrap().clone()
    }
}

fn received(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return (head, body.to_owned());
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece).unwrap() {
            0 => return (text, String::new()),
            read => bytes.extend_from_slice(&piece[..read]),
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

fn value(body: &str) -> String {
    answer("200 OK", "Content-Type: text/plain; charset=utf-8\r\n", body)
}

/// What the original's own stand-in of a decryptor holds.
fn example(data: &str) -> String {
    match data {
        "newlines" => value(r#"{"secret_key": "secret_value\nsecret_value"}"#),
        "json" => value(r#"{"secret_key": "secret_value"}"#),
        "value" => value("super-secret-from-value"),
        "dummy" => value("super-secret"),
        _ => answer("404 Not Found", "", ""),
    }
}

/// Folders in memory: two of encrypted files, and one for what is decrypted.
struct Folders(tempfile::TempDir);

impl Folders {
    fn of(files: &[(&str, &str)]) -> Self {
        let folders = Self(tempfile::tempdir_in("/dev/shm").unwrap());
        std::fs::create_dir(folders.path("one")).unwrap();
        std::fs::create_dir(folders.path("two")).unwrap();
        folders.add("token", TOKEN);
        for (path, text) in files {
            folders.add(path, text);
        }
        folders
    }

    fn example() -> Self {
        let first = [("one/key-newlines.json", "newlines"), ("one/key.json", "json"), ("one/key1", "overridden")];
        let folders = Self::of(&[&first[..], &[("two/key1", "value"), ("two/key2", "dummy")]].concat());
        folders.add("one/key1", "dummy");
        folders
    }

    fn path(&self, path: &str) -> String {
        self.0.path().join(path).display().to_string()
    }

    fn add(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.0.path().join(path)).ok()
    }

    fn run(&self, url: &str, words: &[&str]) -> Ended {
        self.program(words).env("KAMUS_URL", url).run(Place::Among)
    }

    /// The original's usual arguments, and `words`.
    fn program(&self, words: &[&str]) -> Program {
        let (from, to) = (format!("{},{}", self.path("one"), self.path("two")), self.path("out"));
        let usual = ["kamus-init-container", "-e", &from, "-d", &to];
        Program::strongroom_init(&[&usual, words].concat()).env("TOKEN_FILE_PATH", self.path("token"))
    }
}

fn fails(ended: &Ended, words: &str) {
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let first = ended.stderr.lines().next().unwrap_or_default();
    assert!(first.starts_with("Failed to run init container: ") && first.contains(words), "{words}: {}", ended.stderr);
}

#[test]
fn ka_07_formats_are_written_byte_for_byte_in_upper_case_too() {
    let stub = Stub::start(example);
    let cfg = "key-newlines.json={\"secret_key\":\"secret_value\\nsecret_value\"}\nkey.json={\"secret_key\":\"secret_value\"}\nkey1=super-secret-from-value\nkey2=super-secret\n";
    let strict = cfg.replace("super-secret-from-value", "\"super-secret-from-value\"");
    let strict = strict.replace("=super-secret\n", "=\"super-secret\"\n");
    for (format, expected) in
        [("json", JSON), ("JSON", JSON), ("nonsense", JSON), ("cfg", cfg), ("Cfg-Strict", &strict)]
    {
        let folders = Folders::example();
        let ended = folders.run(&format!("{}//", stub.address), &["-n", "out.x", "-f", format]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{format}");
        assert_eq!(folders.read("out/out.x").as_deref(), Some(expected), "{format}");
        let file = folders.path("out/out.x");
        let name = if format == "nonsense" { "json".to_owned() } else { format.to_lowercase() };
        let said = format!(
            "Decrypting key-newlines.json\nDecrypting key.json\nDecrypting key1\nDecrypting key1\nDecrypting key2\nWriting output using {name} format to file {file}\nDecrypted: key-newlines.json,key.json,key1,key2\n"
        );
        assert_eq!(ended.stdout, said);
    }
    let folders = Folders::example();
    folders.add("two/deep/__proto__", "json");
    let ended = folders.run(&stub.address, &["--output-format=FILES"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(folders.read("out/key1").as_deref(), Some("super-secret-from-value"));
    assert_eq!(folders.read("out/deep/__proto__").as_deref(), Some("{\"secret_key\":\"secret_value\"}"));
    let (head, body) = stub.asked().remove(0);
    assert!(head.starts_with("post /api/v1/decrypt http/1.1"), "{head}");
    assert!(head.contains("authorization: bearer some-jwt\r\n") && head.contains("content-type: application/json"));
    assert_eq!(body, r#"{"data":"newlines"}"#);
}

#[test]
fn ka_07_it_goes_by_the_originals_name_too_and_takes_a_token_with_a_newline() {
    let stub = Stub::start(example);
    let folders = Folders::example();
    folders.add("token", &format!("{TOKEN}\n"));
    let (from, to) = (folders.path("one"), folders.path("out"));
    let program = Program::kamus_init_container(&["-e", &from, "-d", &to, "-n", "x"]);
    let program = program.env("KAMUS_URL", &stub.address).env("TOKEN_FILE_PATH", folders.path("token"));
    let ended = program.run_everywhere();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(stub.asked().iter().all(|(head, _)| head.contains("authorization: bearer some-jwt\r\n")));
    assert!(Program::kamus_init_container(&["-V"]).run(Place::Among).stdout.starts_with("version: "));
}

#[test]
fn ka_08_a_refusal_is_told_in_the_originals_words_and_nothing_is_written() {
    let stub = Stub::start(|_| answer("401 Unauthorized", "", ""));
    let folders = Folders::example();
    let ended = folders.run(&stub.address, &["-n", "x"]);
    assert_eq!(ended.code, 1);
    let first = ended.stderr.lines().next().unwrap();
    assert_eq!(first, "Failed to run init container: Error: request to decrypt API failed: 401");
    assert_eq!(stub.asked().len(), 1);
    assert!(!Path::new(&folders.path("out")).exists());
}

#[test]
fn what_is_no_whole_answer_of_a_decryptor_is_no_secret() {
    let elsewhere = Stub::start(|_| value("stolen"));
    let moved = format!("Location: {}/api/v1/decrypt\r\n", elsewhere.address);
    for (given, words) in [
        (answer("201 Created", "", "canary"), "request to decrypt API failed: 201"),
        (answer("204 No Content", "", ""), "request to decrypt API failed: 204"),
        (answer("200 OK", "Content-Type: text/html; charset=utf-8\r\n", "<p>canary</p>"), "the answer is a page"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncanary".to_owned(), "before its answer was whole"),
        (answer("307 Temporary Redirect", &moved, "canary"), "request to decrypt API failed: 307"),
        (
            answer("500 Internal Server Error", "", "server failed to handle response"),
            "request to decrypt API failed: 500",
        ),
        (String::new(), "closed the connection"),
    ] {
        let stub = Stub::start(move |_| given.clone());
        let folders = Folders::example();
        folders.add("out/x", "old");
        let ended = folders.run(&stub.address, &["-n", "x"]);
        fails(&ended, words);
        assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
        assert_eq!(folders.read("out/x").as_deref(), Some("old"));
    }
    assert!(elsewhere.asked().is_empty(), "the token went to another host");
    let folders = Folders::example();
    fails(&folders.run("http://127.0.0.1:9", &["-n", "x"]), "nobody listens there");
}

#[test]
fn files_are_written_all_or_not_at_all() {
    let stub = Stub::start(|_| value("new"));
    let folders = Folders::of(&[("one/a", "x"), ("one/b/c", "x"), ("out/a", "old"), ("out/b", "in the way")]);
    fails(&folders.run(&stub.address, &["-f", "files"]), "is in its way and no folder");
    assert_eq!(folders.read("out/a").as_deref(), Some("old"));
    assert_eq!(std::fs::read_dir(folders.path("out")).unwrap().count(), 2, "something was left behind");
}

#[test]
fn what_is_missing_is_told_before_anything_is_decrypted() {
    let stub = Stub::start(example);
    let folders = Folders::example();
    let url = stub.address.as_str();
    let bare = |words: &[&str]| {
        let words = [&["kamus-init-container"], words].concat();
        let program = Program::strongroom_init(&words).env("TOKEN_FILE_PATH", folders.path("token"));
        program.env("KAMUS_URL", url).run(Place::Among)
    };
    let from = folders.path("one");
    fails(&folders.program(&["-n", "x"]).run(Place::Among), "Error: Missing KAMUS_URL env var");
    fails(&bare(&["-e", &from, "-n", "x"]), "decrypted path wasn't provided although it's mandatory");
    fails(&folders.run(url, &[]), "decrypted file name wasn't provided altough it's mandataroy");
    fails(&bare(&["-d", &folders.path("out"), "-n", "x"]), "encrypted folders weren't provided");
    fails(&folders.run(url, &["-n", "x", "-f", "CUSTOM"]), "this program has no JavaScript");
    fails(&folders.run("not an address", &["-n", "x"]), "KAMUS_URL is no address");
    fails(
        &folders.program(&["-n", "x"]).env("TOKEN_FILE_PATH", "/missing").env("KAMUS_URL", url).run(Place::Among),
        "/missing",
    );
    assert_eq!(bare(&["--unknown"]).code, 1);
    assert!(stub.asked().is_empty());
    // On a disk only where that is said.
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let to = disk.path().display().to_string();
    let words = ["-e", &folders.path("two"), "-d", &to, "-n", "x"];
    fails(&bare(&words), "is not a memory-backed file system");
    assert_eq!(bare(&[&words[..], &["--allow-disk"]].concat()).code, 0);
}

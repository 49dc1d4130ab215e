//! KA-07 and KA-08 of the catalogue: Kamus' init container, as a program, against a decryptor of the test's own, which
//! answers whatever a real one never would.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use world::scripted::{Scripted, answer};

use crate::program::{Ended, Place, Program, ended, own_pid, places, signal, wait_for};

const TOKEN: &str = "some-jwt";
const JSON: &str = "{ \n    \"key-newlines.json\":{\"secret_key\":\"secret_value\\nsecret_value\"},\n    \"key.json\":{\"secret_key\":\"secret_value\"},\n    \"key1\":\"super-secret-from-value\",\n    \"key2\":\"super-secret\"\n}";

/// A decryptor that answers what its function makes of the text to decrypt.
fn stub(answer: impl Fn(&str) -> String + Send + 'static) -> Scripted {
    let text = |body: &str| serde_json::from_str::<serde_json::Value>(body).unwrap_or_default()["data"].clone();
    Scripted::start(move |body| answer(text(body).as_str().unwrap_or_default())).unwrap()
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
    let stub = stub(example);
    let cfg = "key-newlines.json={\"secret_key\":\"secret_value\\nsecret_value\"}\nkey.json={\"secret_key\":\"secret_value\"}\nkey1=super-secret-from-value\nkey2=super-secret\n";
    let strict = cfg.replace("super-secret-from-value", "\"super-secret-from-value\"");
    let strict = strict.replace("=super-secret\n", "=\"super-secret\"\n");
    for (format, expected) in
        [("json", JSON), ("JSON", JSON), ("nonsense", JSON), ("cfg", cfg), ("Cfg-Strict", &strict)]
    {
        let folders = Folders::example();
        let ended = folders.run(&format!("{}//", stub.url()), &["-n", "out.x", "-f", format]);
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
    let ended = folders.run(&stub.url(), &["--output-format=FILES"]);
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
    let stub = stub(example);
    let folders = Folders::example();
    folders.add("token", &format!("{TOKEN}\n"));
    let (from, to) = (folders.path("one"), folders.path("out"));
    let program = Program::kamus_init_container(&["-e", &from, "-d", &to, "-n", "x"]);
    let program = program.env("KAMUS_URL", stub.url()).env("TOKEN_FILE_PATH", folders.path("token"));
    let ended = program.run_everywhere();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(stub.asked().iter().all(|(head, _)| head.contains("authorization: bearer some-jwt\r\n")));
    assert!(Program::kamus_init_container(&["-V"]).run(Place::Among).stdout.starts_with("version: "));
}

#[test]
fn ka_08_a_refusal_is_told_in_the_originals_words_and_nothing_is_written() {
    let stub = stub(|_| answer("401 Unauthorized", "", ""));
    let folders = Folders::example();
    let ended = folders.run(&stub.url(), &["-n", "x"]);
    assert_eq!(ended.code, 1);
    let first = ended.stderr.lines().next().unwrap();
    assert_eq!(first, "Failed to run init container: Error: request to decrypt API failed: 401");
    assert_eq!(stub.asked().len(), 1);
    assert!(!Path::new(&folders.path("out")).exists());
}

#[test]
fn what_is_no_whole_answer_of_a_decryptor_is_no_secret() {
    let elsewhere = stub(|_| value("stolen"));
    let moved = format!("Location: {}/api/v1/decrypt\r\n", elsewhere.url());
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
        let stub = stub(move |_| given.clone());
        let folders = Folders::example();
        folders.add("out/x", "old");
        let ended = folders.run(&stub.url(), &["-n", "x"]);
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
    let stub = stub(|_| value("new"));
    let folders = Folders::of(&[("one/a", "x"), ("one/b/c", "x"), ("out/a", "old"), ("out/b", "in the way")]);
    fails(&folders.run(&stub.url(), &["-f", "files"]), "is in its way and no folder");
    assert_eq!(folders.read("out/a").as_deref(), Some("old"));
    assert_eq!(std::fs::read_dir(folders.path("out")).unwrap().count(), 2, "something was left behind");
}

#[test]
fn what_is_missing_is_told_before_anything_is_decrypted() {
    let stub = stub(example);
    let folders = Folders::example();
    let url = &stub.url();
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
    fails(&folders.run(url, &["-n", "x", "-f", "CUSTOM"]), "Error: Missing template file, cannot write output");
    fails(&folders.run("not an address", &["-n", "x"]), "KAMUS_URL is no address");
    fails(
        &folders.program(&["-n", "x"]).env("TOKEN_FILE_PATH", "/missing").env("KAMUS_URL", url).run(Place::Among),
        "/missing",
    );
    for wrong in [&["--unknown"][..], &["--watch=500ms"], &["--watch", "--ready"]] {
        assert_eq!(bare(wrong).code, 1, "{wrong:?}");
    }
    assert!(stub.asked().is_empty());
    // On a disk only where that is said.
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let to = disk.path().display().to_string();
    let words = ["-e", &folders.path("two"), "-d", &to, "-n", "x"];
    fails(&bare(&words), "is not a memory-backed file system");
    assert_eq!(bare(&[&words[..], &["--allow-disk"]].concat()).code, 0);
}

#[test]
fn ka_07_custom_is_a_template_that_is_rendered_as_ejs_renders_it() {
    let lines = "<% for (const key of Object.keys(secrets)) { -%>\n<%- key %>: <%- stringifyIfJson(secrets[key]) %> <%= typeof secrets[key] %>\n<% } -%>\n";
    for (format, template, expected) in [
        // The original's own example.
        ("custom", "<%= secrets[\"key1\"] %>\nhello", "super-secret-from-value\nhello"),
        (
            "CUSTOM",
            lines,
            "key-newlines.json: {\"secret_key\":\"secret_value\\nsecret_value\"} object\nkey.json: {\"secret_key\":\"secret_value\"} object\nkey1: super-secret-from-value string\nkey2: super-secret string\n",
        ),
    ] {
        let stub = stub(example);
        let folders = Folders::example();
        folders.add("one/template.ejs", "an earlier one");
        folders.add("two/template.ejs", template);
        let ended = folders.run(&stub.url(), &["-n", "out.x", "-f", format]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{format}");
        assert_eq!(folders.read("out/out.x").as_deref(), Some(expected));
        let said = format!("Writing output using custom format to file {}\n", folders.path("out/out.x"));
        assert!(ended.stdout.contains(&said) && !ended.stdout.contains("template.ejs"), "{}", ended.stdout);
        assert_eq!(stub.asked().len(), 5, "the template is no secret");
    }
    // Keys come in the order of folders and files, as in the original.
    let stub = stub(value);
    let folders = Folders::of(&[("one/b", "1"), ("two/a", "\"2\""), ("two/10", "[1e400]"), ("two/b", "x")]);
    folders.add("two/template.ejs", "<%- Object.entries(secrets).join('|') %> <%= secrets.a + 1 %>");
    assert_eq!(folders.run(&stub.url(), &["-n", "x", "-f", "custom"]).code, 0);
    assert_eq!(folders.read("out/x").as_deref(), Some("10,Infinity|b,x|a,2 21"));
}

#[test]
fn ka_07_a_template_that_fails_tells_no_value_and_nothing_is_written() {
    for (template, words) in [
        ("<%= missing %>", "template.ejs: the template threw an error: ReferenceError: missing is not defined"),
        ("<% throw secrets.key2 // super-secret %>", "template.ejs: the template threw an error: "),
        ("<% throw new Error(secrets['key.json'].secret_key) // secret_value %>", "template.ejs: the template threw"),
        ("<%= secrets.key2", "the template is no JavaScript: SyntaxError: missing closing %> for <%="),
        ("<% while (true); %>", "the template took too long"),
        ("<%- require('fs').readFileSync('/proc/1/environ') %>", "require is not defined"),
        ("<%- include('/etc/passwd') %>", "include is not supported"),
    ] {
        let stub = stub(example);
        let folders = Folders::example();
        folders.add("out/x", "old");
        folders.add("two/template.ejs", template);
        let ended = folders.run(&stub.url(), &["-n", "x", "-f", "custom"]);
        fails(&ended, words);
        for told in ["super-secret", "secret_value"] {
            assert!(!ended.stderr.contains(told) && !ended.stdout.contains(told), "{template} tells a value");
        }
        assert_eq!(folders.read("out/x").as_deref(), Some("old"));
    }
}

/// A ConfigMap as kubelet mounts it.
impl Folders {
    fn volume() -> Self {
        let folders = Self::of(&[]);
        std::fs::create_dir(folders.path("volume")).unwrap();
        folders
    }

    /// Swaps `files` in, as kubelet does.
    fn swap(&self, files: &[(&str, &str)]) {
        let volume = self.0.path().join("volume");
        let version = format!("..{}", fresh());
        std::fs::create_dir(volume.join(&version)).unwrap();
        for (name, text) in files {
            self.add(&format!("volume/{version}/{name}"), text);
        }
        symlink(&version, volume.join("..data_tmp")).unwrap();
        std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
        for (name, _) in files {
            // There already where it was there before.
            let _ = symlink(format!("..data/{name}"), volume.join(name));
        }
        for link in std::fs::read_dir(&volume).unwrap().map(|entry| entry.unwrap().path()) {
            if link.metadata().is_err() {
                std::fs::remove_file(link).unwrap();
            }
        }
    }

    fn sidecar(&self, url: &str, words: &[&str]) -> Program {
        let (from, to) = (self.path("volume"), self.path("out"));
        let usual = ["kamus-init-container", "-e", &from, "-d", &to];
        let program = Program::strongroom_init(&[&usual, words].concat()).env("TOKEN_FILE_PATH", self.path("token"));
        program.env("KAMUS_URL", url)
    }

    fn wait_for(&self, path: &str, expected: &str) {
        wait_for(&format!("{path}: {expected}"), || (self.read(path).as_deref() == Some(expected)).then_some(()));
    }
}

/// A number that was not there before.
fn fresh() -> usize {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// A running sidecar; killed where a test ends before it does.
struct Sidecar {
    child: Option<Child>,
    pid: u32,
}

impl Sidecar {
    fn start(program: &Program, place: Place) -> Self {
        let child = program.start(place);
        let pid = own_pid(&child, place);
        Self { child: Some(child), pid }
    }

    /// Ends it, which must be soon and good.
    fn end(mut self) -> Ended {
        let start = Instant::now();
        signal(self.pid, Signal::SIGTERM);
        let ended = ended(self.child.take().unwrap());
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A decryptor for which what lies encrypted is nearly plain, and which can be down.
fn switched() -> (Scripted, Arc<AtomicBool>) {
    let is_down = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_down);
    let stub = stub(move |data| match seen.load(Ordering::Relaxed) {
        true => answer("503 Service Unavailable", "", "canary"),
        false => value(&format!("plain {data}")),
    });
    (stub, is_down)
}

#[test]
fn a_sidecar_follows_changes_of_the_volume_and_asks_for_nothing_that_has_not_changed() {
    let (stub, _) = switched();
    let folders = Folders::volume();
    folders.swap(&[("a", "one"), ("b", "one")]);
    let sidecar = Sidecar::start(&folders.sidecar(&stub.url(), &["-f", "files", "--watch=1s"]), Place::Among);
    folders.wait_for("out/a", "plain one");
    folders.wait_for("out/b", "plain one");
    assert_eq!(folders.sidecar(&stub.url(), &["-f", "files", "--ready"]).run(Place::Among).code, 0);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(stub.asked().len(), 2);
    folders.swap(&[("a", "two"), ("c", "two")]);
    folders.wait_for("out/a", "plain two");
    assert_eq!((folders.read("out/b"), folders.read("out/c")), (None, Some("plain two".to_owned())));
    folders.swap(&[("a", "one"), ("b", "one")]);
    signal(sidecar.pid, Signal::SIGHUP);
    folders.wait_for("out/a", "plain one");
    let ended = sidecar.end();
    assert_eq!(ended.stdout, "Decrypted: a,b\nDecrypted: a,c\nDecrypted: a,b\n");
    assert_eq!(folders.read("out/b").as_deref(), Some("plain one"), "what was delivered stays");
}

#[test]
fn a_sidecar_that_starts_again_writes_nothing_that_lies_there() {
    let (stub, _) = switched();
    let folders = Folders::volume();
    folders.swap(&[("a", "one"), ("template.ejs", "a=<%- secrets.a %>")]);
    let program = folders.sidecar(&stub.url(), &["-n", "x", "-f", "custom", "--watch=1s"]);
    let sidecar = Sidecar::start(&program, Place::Among);
    folders.wait_for("out/x", "a=plain one");
    sidecar.end();
    let before = std::fs::metadata(folders.path("out/x")).unwrap().ino();
    let sidecar = Sidecar::start(&program, Place::Among);
    wait_for("another request", || (stub.asked().len() == 2).then_some(()));
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(std::fs::metadata(folders.path("out/x")).unwrap().ino(), before);
    folders.swap(&[("a", "one"), ("template.ejs", "a: <%- secrets.a %>")]);
    folders.wait_for("out/x", "a: plain one");
    assert_eq!(sidecar.end().stdout, "Decrypted: a\n");
}

#[test]
fn an_outage_keeps_what_a_sidecar_has_delivered() {
    let (stub, is_down) = switched();
    let folders = Folders::volume();
    folders.swap(&[("a", "one")]);
    is_down.store(true, Ordering::Relaxed);
    let words = ["-n", "config.json", "--watch=1s"];
    let sidecar = Sidecar::start(&folders.sidecar(&stub.url(), &words), Place::Among);
    wait_for("a request", || (!stub.asked().is_empty()).then_some(()));
    let probe = folders.sidecar(&stub.url(), &["-n", "config.json", "--ready"]);
    let not_ready = probe.run(Place::Among);
    assert_eq!(not_ready.code, 1, "{}", not_ready.stderr);
    assert!(not_ready.stdout.contains("out/config.json is not written yet"), "{}", not_ready.stdout);
    is_down.store(false, Ordering::Relaxed);
    let first = "{ \n    \"a\":\"plain one\"\n}";
    folders.wait_for("out/config.json", first);
    assert_eq!(probe.run(Place::Among).code, 0);
    is_down.store(true, Ordering::Relaxed);
    let asked = stub.asked().len();
    folders.swap(&[("a", "two")]);
    folders.add("token", "another-jwt");
    wait_for("two more requests", || (stub.asked().len() >= asked + 2).then_some(()));
    assert_eq!(folders.read("out/config.json").as_deref(), Some(first));
    assert!(stub.asked().last().unwrap().0.contains("authorization: bearer another-jwt\r\n"));
    is_down.store(false, Ordering::Relaxed);
    let second = "{ \n    \"a\":\"plain two\"\n}";
    folders.wait_for("out/config.json", second);
    folders.swap(&[]);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(folders.read("out/config.json").as_deref(), Some(second), "nothing is blanked");
    let log = sidecar.end().stderr;
    let told = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!((told("nothing is delivered yet"), told("what was delivered stays")), (1, 2), "{log}");
    assert_eq!((told("request to decrypt API failed: 503"), told("up to date again")), (2, 2), "{log}");
    assert!(told("no encrypted file is left") == 1 && !log.contains("canary"), "{log}");
}

#[test]
fn a_sidecar_ends_within_a_second_whatever_it_waits_for() {
    // Takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    for place in places() {
        let folders = Folders::volume();
        folders.swap(&[("a", "one")]);
        let sidecar = Sidecar::start(&folders.sidecar(&address, &["-n", "x", "--watch"]), place);
        let _connection = silent.accept().unwrap();
        sidecar.end();
        assert!(!Path::new(&folders.path("out/x")).exists());
    }
}

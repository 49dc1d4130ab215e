//! Files as a store, on a real file system.

#![cfg(test)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use strongroom_failure::Class;
use strongroom_file::{Files, SIZE_LIMIT, Settings};
use strongroom_provider::{Answer, Provider, RemoteKey, Version};

fn put(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Every read must end by itself; a pipe that hangs fails the test instead of blocking it.
async fn read(store: &Files, names: &[&str]) -> Vec<Answer> {
    let keys: Vec<_> = names.iter().map(|name| RemoteKey::current(*name)).collect();
    tokio::time::timeout(Duration::from_secs(5), store.read(&keys)).await.expect("the read hangs")
}

fn class_and_words(answer: &Answer) -> (Class, &str) {
    let failure = answer.as_ref().expect_err("a failure");
    (failure.class, failure.words.as_str())
}

fn anywhere() -> Files {
    Files::open(Settings::default()).unwrap()
}

fn under(root: &Path) -> Files {
    Files::open(Settings { root: Some(root.to_owned()) }).unwrap()
}

#[tokio::test]
async fn reads_bytes_as_they_are_and_answers_each_key_by_itself() {
    let place = tempfile::tempdir().unwrap();
    put(&place.path().join("text"), b"s3cret\n");
    put(&place.path().join("binary"), &[0, 255, 10]);
    put(&place.path().join("empty"), b"");
    let path = |name: &str| place.path().join(name).display().to_string();
    let names = [path("text"), path("missing"), path("binary"), path("empty"), path("text/deeper")];
    let answers = read(&anywhere(), &names.each_ref().map(String::as_str)).await;
    assert_eq!(answers[0].as_ref().unwrap().value.expose(), b"s3cret\n");
    assert_eq!(class_and_words(&answers[1]), (Class::NotFound, "no such file"));
    assert_eq!(answers[2].as_ref().unwrap().value.expose(), [0, 255, 10]);
    assert!(answers[3].as_ref().unwrap().value.is_empty());
    assert_eq!(class_and_words(&answers[4]), (Class::NotFound, "no such file"));
    let shown = answers[1].as_ref().unwrap_err().to_string();
    assert_eq!(shown, format!("cannot read \"{}\" from files: no such file", path("missing")));
}

#[tokio::test]
async fn pipes_devices_sockets_and_directories_are_refused_at_once() {
    let place = tempfile::tempdir().unwrap();
    let pipe = place.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let socket = place.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let pipe = pipe.display().to_string();
    let socket = socket.display().to_string();
    for name in [pipe.as_str(), socket.as_str(), "/dev/zero", "/dev/tty"] {
        let answers = read(&anywhere(), &[name]).await;
        assert_eq!(class_and_words(&answers[0]), (Class::Invalid, "it is not a regular file"), "{name}");
    }
    let answers = read(&under(place.path()), &["pipe", "socket"]).await;
    assert_eq!(class_and_words(&answers[0]), (Class::Invalid, "it is not a regular file"));
    assert_eq!(class_and_words(&answers[1]), (Class::Invalid, "it is not a regular file"));
    let answers = read(&anywhere(), &["/tmp"]).await;
    assert_eq!(class_and_words(&answers[0]), (Class::Invalid, "it is a directory, not a file"));
}

#[tokio::test]
async fn a_root_confines_every_key() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    put(&root.join("in"), b"inside");
    put(&root.join("deep/in"), b"deep");
    put(&place.path().join("out"), b"canary-outside");
    put(&place.path().join("root-beside/out"), b"canary-outside");
    symlink("../out", root.join("escape")).unwrap();
    symlink(place.path(), root.join("absolute")).unwrap();
    symlink("..", root.join("deep/up")).unwrap();
    // As kubelet lays out a volume: a link to a link to a directory, all relative.
    put(&root.join("..2026/kube"), b"kube");
    symlink("..2026", root.join("..data")).unwrap();
    symlink("..data/kube", root.join("kube")).unwrap();
    let store = under(&root);

    let absolute = root.join("in").display().to_string();
    let good = [("in", "inside"), ("./deep/../in", "inside"), ("deep/up/in", "inside"), ("kube", "kube")];
    for (name, expected) in good.into_iter().chain([(absolute.as_str(), "inside")]) {
        let answers = read(&store, &[name]).await;
        assert_eq!(answers[0].as_ref().unwrap().value.expose_text(), Some(expected), "{name}");
    }
    let out = place.path().join("out").display().to_string();
    let beside = place.path().join("root-beside/out").display().to_string();
    let missing = place.path().join("missing").display().to_string();
    let bad = ["../out", "deep/../../out", "../missing", "escape", "absolute/out", "", ".", "..", "/"];
    for name in bad.into_iter().chain([out.as_str(), beside.as_str(), missing.as_str()]) {
        let answers = read(&store, &[name]).await;
        assert_eq!(class_and_words(&answers[0]), (Class::Denied, "the path leads out of the store's root"), "{name}");
    }
    let answers = read(&under(&place.path().join("nowhere")), &["in"]).await;
    assert_eq!(class_and_words(&answers[0]), (Class::NotFound, "root: no such file"));
}

#[tokio::test]
async fn sizes_are_bounded() {
    let place = tempfile::tempdir().unwrap();
    let largest = place.path().join("largest");
    fs::File::create(&largest).unwrap().set_len(SIZE_LIMIT).unwrap();
    let larger = place.path().join("larger");
    fs::File::create(&larger).unwrap().set_len(SIZE_LIMIT + 1).unwrap();
    let answers = read(&under(place.path()), &["largest", "larger"]).await;
    assert_eq!(answers[0].as_ref().unwrap().value.len() as u64, SIZE_LIMIT);
    let expected = "the file has more than 16777216 bytes, the most that is read";
    assert_eq!(class_and_words(&answers[1]), (Class::Invalid, expected));
    // A file that says it has no bytes and yet has some.
    let answers = read(&anywhere(), &["/proc/self/status"]).await;
    assert!(answers[0].as_ref().unwrap().value.expose_text().unwrap().contains("Pid:"));
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let place = tempfile::tempdir().unwrap();
    symlink("loop", place.path().join("loop")).unwrap();
    put(&place.path().join("closed"), b"canary");
    fs::set_permissions(place.path().join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let store = under(place.path());
    let long = "x".repeat(300);
    let answers = read(&store, &["loop", &long, "nul\0byte", "closed"]).await;
    assert_eq!(class_and_words(&answers[0]).0, Class::Invalid);
    assert_eq!(class_and_words(&answers[1]).0, Class::Invalid);
    assert_eq!(class_and_words(&answers[2]).0, Class::Invalid);
    // Root reads everything.
    if !nix::unistd::geteuid().is_root() {
        assert_eq!(class_and_words(&answers[3]), (Class::Denied, "permission denied"));
    }
    let answers = read(&anywhere(), &["relative/path", "/nul\0byte"]).await;
    assert_eq!(class_and_words(&answers[0]), (Class::Invalid, "a relative path needs a store with a root"));
    assert_eq!(class_and_words(&answers[1]).0, Class::Invalid);
    let versioned = store.read(&[RemoteKey::at("x", Version::Id("1".to_owned()))]).await;
    assert_eq!(class_and_words(&versioned[0]), (Class::Invalid, "files have no versions"));
}

#[test]
fn settings_refuse_what_they_do_not_know() {
    let check = |text: &str, good: bool| {
        assert_eq!(serde_json::from_str::<Settings>(text).is_ok(), good, "{text}");
    };
    check("{}", true);
    check(r#"{"root": "/run/secrets"}"#, true);
    check(r#"{"rot": "/run/secrets"}"#, false);
    let failure = Files::open(Settings { root: Some("relative".into()) }).unwrap_err();
    assert_eq!(failure.to_string(), "root: \"relative\" must be an absolute path");
}

//! The real server and the real client.

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use world::open_bao::OpenBao;

static BAO: LazyLock<OpenBao> = LazyLock::new(|| OpenBao::start().unwrap());

#[test]
fn what_the_client_puts_it_gets() {
    BAO.command(&["kv", "put", "-mount=secret", "shop/db", "user=app", "password=kept"]).unwrap();
    let get = |field: &str| BAO.command(&["kv", "get", "-mount=secret", field, "shop/db"]).unwrap();
    assert_eq!(get("-field=user"), "app");
    assert_eq!(get("-field=password"), "kept");
}

#[test]
fn an_error_shows_the_servers_words() {
    let error = BAO.command(&["kv", "get", "-mount=secret", "nothing/here"]).unwrap_err();
    assert!(error.to_string().contains("No value found at secret/data/nothing/here"), "{error}");
}

#[test]
fn a_token_may_do_what_its_policy_says() {
    let token = BAO.command(&["token", "create", "-policy=default", "-field=token"]).unwrap();
    let error = BAO.command_with_token(&token, &["kv", "get", "-mount=secret", "shop/db"]).unwrap_err();
    assert!(error.to_string().contains("Code: 403"), "{error}");
}

#[test]
fn it_ends_with_its_owner() {
    let bao = OpenBao::start().unwrap();
    let process = format!("/proc/{}", bao.part().id());
    assert!(Path::new(&process).exists());
    drop(bao);
    assert!(!Path::new(&process).exists());
}

/// Runs this test binary as another program that starts a server, kills that program, and looks for the server.
#[test]
fn it_ends_when_its_owner_is_killed() {
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "open_bao::owner", "--ignored", "--nocapture"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let process = {
        use std::io::{BufRead as _, BufReader};
        let lines = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
        let id = lines.filter_map(|line| line.split("server: ").nth(1).map(str::to_owned)).next();
        format!("/proc/{}", id.unwrap())
    };
    assert!(Path::new(&process).exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while Path::new(&process).exists() {
        assert!(Instant::now() < end, "the server outlives its owner");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "the owner that it_ends_when_its_owner_is_killed kills"]
fn owner() {
    let bao = OpenBao::start().unwrap();
    println!("server: {}", bao.part().id());
    std::thread::sleep(Duration::from_secs(600));
}

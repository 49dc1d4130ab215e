//! The control plane: real, quick, many at once.

use std::process::Command;
use std::time::Instant;

use world::binaries;
use world::control_plane::{ControlPlane, Options};
use world::open_bao::OpenBao;

use crate::processes;

#[test]
fn two_start_side_by_side_and_leave_nothing() {
    let one = ControlPlane::start(&Options::default()).unwrap();
    let start = Instant::now();
    let other = ControlPlane::start(&Options::default()).unwrap();
    // A figure for people, not a condition: the machine may do much else.
    world::cache::progress(&format!("a control plane was ready after {:?}", start.elapsed()));
    one.kubectl(&["create", "namespace", "only-here"]).unwrap();
    assert!(one.kubectl(&["get", "namespaces", "-o", "name"]).unwrap().contains("namespace/only-here"));
    assert!(!other.kubectl(&["get", "namespaces", "-o", "name"]).unwrap().contains("only-here"));
    let folder = one.kubeconfig().parent().unwrap().to_owned();
    assert!(!processes::naming(&folder).is_empty());
    drop(one);
    assert_eq!(processes::naming(&folder), Vec::<u32>::new());
    assert!(!folder.exists());
    other.kubectl(&["get", "namespaces"]).unwrap();
}

#[test]
fn an_error_shows_kubectls_words() {
    let control_plane = ControlPlane::start(&Options::default()).unwrap();
    let error = control_plane.kubectl(&["get", "secret", "nothing-here"]).unwrap_err();
    assert!(error.to_string().contains("secrets \"nothing-here\" not found"), "{error}");
    let error = control_plane.apply("{apiVersion: v1, kind: Nothing, metadata: {name: a}}").unwrap_err();
    assert!(error.to_string().contains("no matches for kind \"Nothing\""), "{error}");
}

#[test]
fn a_part_that_fails_says_why() {
    let options = Options { api_server_flags: vec!["--no-such-flag".to_owned()], ..Options::default() };
    let error = ControlPlane::start(&options).unwrap_err().to_string();
    assert!(error.contains("kube-apiserver ended") && error.contains("unknown flag: --no-such-flag"), "{error}");
}

#[test]
fn a_killed_api_server_comes_back_with_everything() {
    let mut control_plane = ControlPlane::start(&Options::default()).unwrap();
    control_plane.kubectl(&["create", "namespace", "stays"]).unwrap();
    control_plane.kill_api_server();
    assert!(control_plane.kubectl(&["get", "namespaces", "--request-timeout=5s"]).is_err());
    control_plane.start_api_server().unwrap();
    assert!(control_plane.kubectl(&["get", "namespaces", "-o", "name"]).unwrap().contains("namespace/stays"));
}

#[test]
fn controllers_make_service_accounts_and_pods() {
    let control_plane = ControlPlane::start(&Options { controllers: true, ..Options::default() }).unwrap();
    control_plane.kubectl(&["create", "deployment", "app", "--image=none"]).unwrap();
    control_plane.kubectl(&["wait", "--for=create", "pod", "-l", "app=app", "--timeout=60s"]).unwrap();
    let account =
        control_plane.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].spec.serviceAccountName}"]).unwrap();
    assert_eq!(account, "default");
}

/// The whole way of a pod's token: OpenBao asks the API server whose it is.
#[test]
fn open_bao_lets_a_service_account_in() {
    let control_plane = ControlPlane::start(&Options::default()).unwrap();
    let bao = OpenBao::start().unwrap();
    bao.command(&["auth", "enable", "kubernetes"]).unwrap();
    let server = format!("kubernetes_host={}", control_plane.server());
    let authority = format!("kubernetes_ca_cert=@{}", control_plane.certificate_authority().display());
    let reviewer = format!("token_reviewer_jwt={}", control_plane.token_reviewer().unwrap());
    bao.command(&["write", "auth/kubernetes/config", &server, &authority, &reviewer]).unwrap();
    let names = ["bound_service_account_names=app", "bound_service_account_namespaces=default", "audience=vault"];
    bao.command(&["write", "auth/kubernetes/role/app", names[0], names[1], names[2], "policies=default"]).unwrap();
    let login = |account: &str, audiences: &[&str]| {
        let token = control_plane.service_account_token("default", account, audiences).unwrap();
        bao.command(&["write", "-field=token", "auth/kubernetes/login", "role=app", &format!("jwt={token}")])
    };
    assert!(!login("app", &["vault"]).unwrap().is_empty());
    assert!(login("other", &["vault"]).is_err());
    assert!(login("app", &["elsewhere"]).is_err());
}

#[test]
fn the_keys_of_tokens_are_found_without_logging_in() {
    let control_plane = ControlPlane::start(&Options::default()).unwrap();
    let bao = OpenBao::start().unwrap();
    bao.command(&["auth", "enable", "jwt"]).unwrap();
    let issuer = format!("oidc_discovery_url={}", control_plane.server());
    let authority = format!("oidc_discovery_ca_pem=@{}", control_plane.certificate_authority().display());
    bao.command(&["write", "auth/jwt/config", &issuer, &authority]).unwrap();
    let role = ["role_type=jwt", "user_claim=sub", "bound_audiences=vault", "policies=default"];
    bao.command(&["write", "auth/jwt/role/app", role[0], role[1], role[2], role[3]]).unwrap();
    let token = control_plane.service_account_token("default", "app", &["vault"]).unwrap();
    let answer = bao.command(&["write", "-field=token", "auth/jwt/login", "role=app", &format!("jwt={token}")]);
    assert!(!answer.unwrap().is_empty());
}

/// `KUBEBUILDER_ASSETS` is read by a program of its own here, for the environment of this one belongs to all tests.
#[test]
fn kubebuilder_assets_win_and_are_named_when_incomplete() {
    let assets = binaries::control_plane().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let up = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_world"));
        command.args(["up", "--name", name]).env("KUBEBUILDER_ASSETS", folder.path());
        command.output().unwrap()
    };
    let name = format!("assets-{}", std::process::id());
    let refused = up(&name);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("etcd is missing; KUBEBUILDER_ASSETS must"), "{words}");
    for program in [&assets.etcd, &assets.api_server, &assets.kubectl] {
        std::os::unix::fs::symlink(program, folder.path().join(program.file_name().unwrap())).unwrap();
    }
    let started = up(&name);
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let programs = processes::naming(folder.path());
    let ended = Command::new(env!("CARGO_BIN_EXE_world")).args(["down", "--name", &name]).status().unwrap();
    assert!(ended.success());
    assert_eq!(programs.len(), 2, "etcd and the API server run from the folder that the variable names");
}

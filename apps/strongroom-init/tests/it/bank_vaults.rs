//! What pods of bank-vaults' users hold, unchanged: read from a real OpenBao.

use world::switchboard::Switchboard;

use crate::program::{Ended, Place, Program};
use crate::stores::{VAULT, owned, vault};

/// Prints the variables that are asked for, in order, one a line.
fn printing(names: &str) -> Program {
    let script = format!("for name in {names}; do printenv $name || echo \"$name is absent\"; done");
    Program::strongroom_init(&["sh", "-c", &script])
}

fn check(ended: &Ended, code: i32, stdout: &str) {
    assert_eq!((ended.code, ended.stdout.as_str()), (code, stdout), "{}", ended.stderr);
}

/// Words that its owner must find in what the program says.
fn told(ended: &Ended, all: &[&str]) {
    for words in all {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
}

/// A token that may do what `policy` says, which may be nothing.
fn token(policy: &str) -> String {
    let created = VAULT.command(&["token", "create", &format!("-policy={policy}"), "-field=token"]).unwrap();
    created.trim().to_owned()
}

fn with_token(token: &str) -> Vec<(String, String)> {
    owned(&[("VAULT_ADDR", VAULT.address()), ("VAULT_TOKEN", token)])
}

#[test]
fn references_inside_values_and_templates_are_one_read_of_their_secret() {
    VAULT.command(&["kv", "put", "secret/bv-inline", "user=app", "password=p@ss", "port=5432"]).unwrap();
    let switchboard = Switchboard::to(VAULT.host_port()).unwrap();
    let program = printing("URL JSON PAIR WHOLE").env("VAULT_ADDR", switchboard.address());
    let program = program.env("VAULT_TOKEN", VAULT.root_token());
    let path = "vault:secret/data/bv-inline";
    let program = program
        .env("URL", format!("postgres://${{{path}#user}}:${{bao:secret/data/bv-inline#password}}@db/${{x}}"))
        .env("JSON", format!(r#"{{"auth":"${{{path}#${{.user}}:${{.password}}}}"}}"#))
        .env("PAIR", format!("{path}#${{.user | upper}}:${{.port}}"))
        .env("WHOLE", format!("{path}#user"));
    let ended = program.run(Place::Among);
    check(&ended, 0, "postgres://app:p@ss@db/${x}\n{\"auth\":\"app:p@ss\"}\nAPP:5432\napp\n");
    assert_eq!(switchboard.counts().requests, 1, "all that one secret gives is one read");
}

#[test]
fn every_key_of_a_path_becomes_a_variable_unless_it_is_written() {
    VAULT.command(&["kv", "put", "secret/bv-path", "A=1", "B=1", "C=1", "PATH=canary"]).unwrap();
    VAULT.command(&["kv", "put", "secret/bv-path", "A=2", "B=2", "C=2", "PATH=canary"]).unwrap();
    VAULT.command(&["kv", "put", "secret/bv-other", "B=other", "D=other"]).unwrap();
    for name in ["VAULT_FROM_PATH", "VAULT_ENV_FROM_PATH", "BAO_FROM_PATH"] {
        let program = printing("A B C D").envs(&vault()).env("C", "written");
        let ended = program.env(name, "secret/data/bv-path#1, secret/data/bv-other").run(Place::Among);
        check(&ended, 0, "1\nother\nwritten\nother\n");
        let gives_way = format!("{name} (secret/data/bv-path): the secret's key \\\"C\\\" gives way");
        told(&ended, &[&gives_way, "key \\\"B\\\" takes the place of that of", "key \\\"PATH\\\" changes how"]);
        assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    }
    let both = printing("A D").envs(&vault()).env("VAULT_FROM_PATH", "secret/data/bv-other");
    check(&both.env("VAULT_ENV_FROM_PATH", "secret/data/bv-path").run(Place::Among), 0, "2\nother\n");
    let nothing = printing("A").envs(&vault()).env("VAULT_FROM_PATH", "secret/data/bv-none").run(Place::Among);
    check(&nothing, 1, "");
    told(&nothing, &["VAULT_FROM_PATH: ", "secret/data/bv-none"]);
    let malformed = printing("A").envs(&vault()).env("VAULT_FROM_PATH", "a/b#canary").run(Place::Among);
    check(&malformed, 1, "");
    told(&malformed, &["VAULT_FROM_PATH: the #VERSION is not a number"]);
    assert!(!malformed.stderr.contains("canary"), "{}", malformed.stderr);
}

#[test]
fn what_is_missing_is_left_out_where_that_is_asked_for() {
    VAULT.command(&["kv", "put", "secret/bv-missing", "a=1"]).unwrap();
    let program = || {
        let program = printing("A B C D").envs(&vault()).env("A", "vault:secret/data/bv-missing#a");
        let program = program.env("B", "vault:secret/data/bv-missing#none").env("C", "vault:secret/data/bv-none#a");
        program.env("D", "x-${vault:secret/data/bv-none#a}").env("VAULT_FROM_PATH", "secret/data/bv-none")
    };
    let ended = program().env("VAULT_IGNORE_MISSING_SECRETS", "true").run(Place::Among);
    check(&ended, 0, "1\nB is absent\nC is absent\nD is absent\n");
    told(&ended, &["B: sr://vault/secret/data/bv-missing#none does not exist", "C: ", "D: ", "VAULT_FROM_PATH: "]);
    for no in ["false", "", "perhaps"] {
        check(&program().env("VAULT_IGNORE_MISSING_SECRETS", no).run(Place::Among), 1, "");
    }
    // Other syntaxes say themselves what may be missing.
    let other = program().env("VAULT_IGNORE_MISSING_SECRETS", "true").env("E", "sr://vault/secret/data/bv-none#a");
    check(&other.run(Place::Among), 1, "");
}

#[test]
fn a_refusal_or_an_outage_is_never_taken_for_a_missing_secret() {
    let program = |reference: &str, variables: &[(String, String)]| {
        let program = printing("A").env("A", reference).env("VAULT_IGNORE_MISSING_SECRETS", "true");
        program.envs(variables).env("STRONGROOM_DEADLINE", "1500ms").run(Place::Among)
    };
    let away = owned(&[("VAULT_ADDR", "http://127.0.0.1:9"), ("VAULT_TOKEN", "t")]);
    for reference in ["vault:secret/data/app#token", "${vault:secret/data/app#token}"] {
        for (variables, class) in [
            (with_token(&token("default")), "AccessDenied"),
            (with_token("s.nobody"), "Unauthenticated"),
            (away.clone(), "Unavailable"),
        ] {
            let ended = program(reference, &variables);
            check(&ended, 1, "");
            told(&ended, &[&format!("class={class}")]);
        }
    }
}

#[test]
fn the_token_of_the_login_is_handed_on_where_it_is_asked_for() {
    VAULT.command(&["auth", "enable", "-path=bv", "approle"]).unwrap();
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let policy = folder.path().join("policy.hcl");
    let rule = r#"path "secret/data/app" { capabilities = ["read"] }"#;
    std::io::Write::write_all(&mut std::fs::File::create(&policy).unwrap(), rule.as_bytes()).unwrap();
    VAULT.command(&["policy", "write", "bv-app", policy.to_str().unwrap()]).unwrap();
    // The second may not look itself up.
    for (role, without_default) in [("usual", "false"), ("bare", "true")] {
        let path = format!("auth/bv/role/{role}");
        let without_default = format!("token_no_default_policy={without_default}");
        VAULT.command(&["write", &path, "token_policies=bv-app", &without_default]).unwrap();
        let id = VAULT.command(&["read", "-field=role_id", &format!("{path}/role-id")]).unwrap();
        let secret = VAULT.command(&["write", "-f", "-field=secret_id", &format!("{path}/secret-id")]).unwrap();
        for (name, asks) in [("VAULT_TOKEN", "vault:login"), ("BAO_TOKEN", "bao:login")] {
            let program = printing("A VAULT_ADDR VAULT_PATH VAULT_AUTH_METHOD VAULT_TOKEN BAO_TOKEN");
            let program = program.env("VAULT_ADDR", VAULT.address()).env("VAULT_PATH", "bv").env(name, asks);
            let program = program.env("VAULT_AUTH_METHOD", "approle").env("VAULT_ROLE_ID", id.trim());
            let program = program.env("VAULT_SECRET_ID", secret.trim()).env("A", "vault:secret/data/app#token");
            let ended = program.run(Place::Among);
            assert_eq!(ended.code, 0, "{role} {name}: {}", ended.stderr);
            let lines: Vec<_> = ended.stdout.lines().collect();
            assert_eq!(lines[..4], ["t0k3n", VAULT.address(), "VAULT_PATH is absent", "VAULT_AUTH_METHOD is absent"]);
            let at = if name == "VAULT_TOKEN" { 4 } else { 5 };
            let read = VAULT.command_with_token(lines[at], &["kv", "get", "-field=token", "secret/app"]);
            assert!(read.is_ok_and(|read| read.trim() == "t0k3n") || role == "bare", "the token reads");
            let looked_up = VAULT.command(&["token", "lookup", "-field=policies", lines[at]]).unwrap();
            assert!(looked_up.contains("bv-app"), "it is the token of the login");
            assert!(!ended.stderr.contains(lines[at]), "the token is not shown");
        }
    }
}

#[test]
fn the_variables_of_bank_vaults_stay_with_the_program() {
    let names = "VAULT_TOKEN VAULT_ADDR VAULT_ROLE VAULT_FROM_PATH VAULT_OTHER";
    let program = || printing(names).envs(&vault()).env("VAULT_ROLE", "r").env("VAULT_OTHER", "o");
    let root = VAULT.root_token();
    let (address, absent) = (VAULT.address(), "VAULT_FROM_PATH is absent\no\n");
    // An environment in which bank-vaults has no part is left as it is.
    check(&program().env("A", "plain").run(Place::Among), 0, &format!("{root}\n{address}\nr\n{absent}"));
    let ours = program().env("A", "sr://vault/secret/data/app#token").run(Place::Among);
    check(&ours, 0, &format!("{root}\n{address}\nr\n{absent}"));

    let none = "VAULT_TOKEN is absent\nVAULT_ADDR is absent\nVAULT_ROLE is absent\n";
    let theirs = || program().env("A", "vault:secret/data/app#token");
    check(&theirs().run(Place::Among), 0, &format!("{none}{absent}"));
    check(&program().env("VAULT_FROM_PATH", "secret/data/app").run(Place::Among), 0, &format!("{none}{absent}"));
    for name in ["VAULT_PASSTHROUGH", "VAULT_ENV_PASSTHROUGH", "BAO_PASSTHROUGH"] {
        let ended = theirs().env(name, "VAULT_ADDR, VAULT_ROLE,").run(Place::Among);
        check(&ended, 0, &format!("VAULT_TOKEN is absent\n{address}\nr\n{absent}"));
    }
    let daemon = theirs().env("VAULT_ENV_DAEMON", "true").run(Place::Among);
    told(&daemon, &["VAULT_ENV_DAEMON has no effect: leases are not renewed"]);
}

#[test]
fn a_dry_run_shows_each_part_and_each_path_and_reads_nothing() {
    let program = Program::strongroom_init(&["--dry-run", "--", "true"]).envs(&vault());
    let program = program.env("A", "canary-${vault:secret/data/app#token}").env("VAULT_FROM_PATH", "secret/data/app#2");
    let ended = program.run(Place::Among);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for line in [
        "A <- …{sr://vault/secret/data/app#token}",
        "each key (VAULT_FROM_PATH) <- sr://vault/secret/data/app?version=2",
        "2 references, 2 calls",
    ] {
        assert!(ended.stdout.contains(line), "{line}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("canary"));
}

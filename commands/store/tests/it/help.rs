//! Every command says how it is used.

use clap::CommandFactory as _;

use super::store::{Program, alone};

fn check(command: &clap::Command, path: &str) {
    for verb in command.get_subcommands().filter(|verb| !matches!(verb.get_name(), "help" | "server" | "dev" | "audit"))
    {
        let path = format!("{path} {}", verb.get_name());
        let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(after.contains("Examples:"), "{path} has no examples");
        assert!(after.contains(path.trim()), "the examples of {path} are of another command");
        assert!(verb.get_about().is_some(), "{path} does not say what it does");
        check(verb, &path);
    }
}

#[test]
fn every_command_has_help_with_examples() {
    Program::command().debug_assert();
    check(&Program::command(), "");
    let families = ["kv", "login", "logout", "token", "policy", "auth", "secrets"];
    for family in families {
        let help = alone(&[family, "--help"]).well();
        assert!(help.contains("Exit status: 0 all is well"), "{family}: {help}");
        assert!(!help.contains("[aliases"), "{help}");
    }
}

#[test]
fn wrong_usage_has_its_own_exit_status() {
    alone(&["kv", "diff", "app"]).fails(2, "--from");
    alone(&["kv", "import"]).fails(2, "FILE");
    alone(&["token", "revoke"]).fails(2, "--self");
    alone(&["policy", "explain", "secret/data/app", "write"]).fails(2, "there are create, delete");
    alone(&["kv", "list"]).fails(1, "STRONGROOM_ADDR");
}

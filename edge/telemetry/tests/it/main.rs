//! What a panic tells, in a process of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::process::Command;

/// Set in the process that is to panic.
const TO_PANIC: &str = "STRONGROOM_TEST_TO_PANIC";

#[test]
fn a_panic_tells_its_place_and_never_its_message() {
    if std::env::var_os(TO_PANIC).is_some() {
        strongroom_telemetry::hide_panic_messages();
        panic!("{}", "canary7f3a9c51");
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_panic_tells_its_place_and_never_its_message", "--nocapture"]).env(TO_PANIC, "1");
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    assert!(shown.contains("error: this program has a defect at edge/telemetry/tests/it/main.rs"), "{shown}");
    assert!(!shown.contains("canary"), "the message was shown");
}

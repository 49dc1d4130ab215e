//! The first process of a container: starts a command with its secrets and stays behind as its supervisor.
//!
//! One small program under two names: `strongroom-init` and, for those who replace an image, `secrets-init`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use strongroom_process::Supervision;

/// What this program frees is wiped: with `--watch` it reads secrets for as long as its command runs.
#[global_allocator]
static ALLOCATOR: strongroom_process::WipingAllocator = strongroom_process::WipingAllocator;

fn main() -> ExitCode {
    // First of all: the supervisor that this program turns into touches nothing else of it.
    if let Some(supervision) = Supervision::from_arguments() {
        supervision.run();
    }
    strongroom_telemetry::hide_panic_messages();
    // No thread has been started so far, and none is meant to be.
    #[cfg(feature = "javascript")]
    if strongroom_javascript::is_child(std::env::args_os()) {
        return strongroom_javascript::serve();
    }
    strongroom_launch::init::main(std::env::args_os().collect(), &strongroom_process::environment())
}

use std::io::Write;
use std::process::ExitCode;

/// Prints the six lines that secrets-init printed (1.1): scripts read the first.
pub(super) fn print() -> ExitCode {
    let known = |value: Option<&'static str>| value.filter(|value| !value.is_empty()).unwrap_or("unknown");
    let text = format!(
        "version: {}\n  build date: {}\n  commit: {}\n  branch: {}\n  platform: {}/{}\n  built with: rust{}\n",
        env!("CARGO_PKG_VERSION"),
        known(option_env!("STRONGROOM_BUILD_DATE")),
        known(option_env!("STRONGROOM_BUILD_COMMIT")),
        known(option_env!("STRONGROOM_BUILD_BRANCH")),
        std::env::consts::OS,
        if cfg!(target_arch = "x86_64") { "amd64" } else { std::env::consts::ARCH },
        env!("CARGO_PKG_RUST_VERSION"),
    );
    // A reader that has gone away has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

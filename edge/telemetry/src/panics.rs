use std::io::Write;

/// Makes a panic tell where it happened and nothing else: its message may have been made from a value.
pub fn hide_panic_messages() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // Standard error that is gone cannot be told so.
        let _ = writeln!(std::io::stderr(), "error: this program has a defect at {place}; please report it");
    }));
}

//! Templates: any text over any data is parsed and rendered, or refused, without a panic and within its limits.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use strongroom_template::{Limits, Settings, Template, Value};

/// Narrow limits: a run should try many templates rather than one long one. Keys and password hashes take
/// milliseconds each and are not what is looked for.
const LIMITS: Limits = Limits {
    template_bytes: 16 << 10,
    output_bytes: 64 << 10,
    string_bytes: 256 << 10,
    made_bytes: 4 << 20,
    steps: 20_000,
    depth: 100,
    costly_calls: 0,
};

fuzz_target!(|input: &[u8]| {
    let (text, data) = input.split_at(input.iter().position(|byte| *byte == 0).unwrap_or(input.len()));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let data: serde_json::Value = serde_json::from_slice(data.get(1..).unwrap_or_default()).unwrap_or_default();
    let settings = Settings { limits: LIMITS, ..Settings::at(Timestamp::UNIX_EPOCH) };
    if let Ok(template) = Template::parse("fuzz", text, &settings)
        && let Ok(output) = template.render(&Value::from(data))
    {
        assert!(output.len() <= LIMITS.output_bytes);
    }
});

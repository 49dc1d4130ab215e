//! GJSON: any path over any bytes ends, within its limits and without a panic, and answers the same twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_secret::SecretBytes;
use strongroom_select::{DOCUMENT_LIMIT, GjsonVersion, Language, select_gjson, select_property};

fuzz_target!(|input: &[u8]| {
    // The path stands before the first NUL, the document behind it: corpus files stay readable.
    let (path, document) = input.split_at(input.iter().position(|byte| *byte == 0).unwrap_or(input.len()));
    let Ok(path) = std::str::from_utf8(path) else { return };
    let document = SecretBytes::new(document.get(1..).unwrap_or_default().to_vec());
    for version in [GjsonVersion::V1_14, GjsonVersion::V1_18] {
        let first = select_gjson(version, &document, path);
        let second = select_gjson(version, &document, path);
        let bytes = |found: &Option<SecretBytes>| found.as_ref().map(|value| value.expose().to_vec());
        assert_eq!(first.as_ref().map(bytes), second.as_ref().map(bytes));
        if let Ok(Some(value)) = first {
            assert!(value.len() <= 4 * DOCUMENT_LIMIT);
        }
    }
    let _ = select_property(Language::Gjson, &document, path);
});

//! JSONPath and JMESPath: any query over any document ends without a panic; decoding takes any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_secret::SecretBytes;
use strongroom_select::{Decode, Language, decode, select};

fuzz_target!(|input: &[u8]| {
    let (path, document) = input.split_at(input.iter().position(|byte| *byte == 0).unwrap_or(input.len()));
    let Ok(path) = std::str::from_utf8(path) else { return };
    let document = SecretBytes::new(document.get(1..).unwrap_or_default().to_vec());
    for language in [Language::Jsonpath, Language::Jmespath] {
        let _ = select(language, &document, path);
    }
    for strategy in [Decode::None, Decode::Base64, Decode::Base64Url, Decode::Auto] {
        let _ = decode(strategy, document.clone());
    }
});

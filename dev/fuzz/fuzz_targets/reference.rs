//! References in every syntax: what is accepted has one canonical form, which reads back as the same reference; what
//! is refused is `Invalid`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_failure::Class;
use strongroom_reference::{detect, parse};

fuzz_target!(|text: &str| match detect(text) {
    None => {}
    Some(Ok(reference)) => {
        let canonical = reference.to_string();
        let again = parse(&canonical).expect("a canonical form can be read");
        assert_eq!(again, reference);
        assert_eq!(again.to_string(), canonical);
    }
    Some(Err(failure)) => assert_eq!(failure.class, Class::Invalid),
});

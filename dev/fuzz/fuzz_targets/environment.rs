//! Environments: any file of variables and any entries are read without a panic, and what is read is an entry.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_deliver_env::{Entry, find, is_protected, last_wins, parse_env_file};
use strongroom_failure::Class;

fuzz_target!(|input: &[u8]| {
    match parse_env_file(input) {
        Ok(entries) => {
            for entry in &entries {
                assert!(entry.name().is_some_and(|name| !name.is_empty()), "an entry of a file has a name");
                assert!(!entry.expose().contains(&0), "an entry of a file has no NUL");
            }
        }
        Err(failure) => assert_eq!(failure.class, Class::Invalid),
    }
    // The kernel's own form: entries end with a NUL.
    let entries: Vec<Entry> = input.split(|byte| *byte == 0).map(|entry| Entry::from_bytes(entry.to_vec())).collect();
    let count = entries.len();
    match find(&entries, &[]) {
        Ok(wanted) => assert!(wanted.iter().all(|wanted| wanted.place < count)),
        Err(failures) => assert!(!failures.is_empty()),
    }
    let last = last_wins(entries.into_iter());
    assert!(last.len() <= count);
    for name in last.iter().filter_map(Entry::name) {
        let _ = is_protected(name);
    }
});

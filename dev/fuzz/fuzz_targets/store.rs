//! The HTTP surface of the built-in store: whatever a token that may do little asks for ends without a panic, and never with
//! what it may not read.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strongroom_server::in_process::{HIDDEN, InProcess};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static STORE: LazyLock<InProcess> = LazyLock::new(|| RUNTIME.block_on(InProcess::new()).unwrap());

fuzz_target!(|input: &[u8]| {
    // METHOD PATH, a line of headers with `:` and `,`, and the body.
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let Ok(first) = std::str::from_utf8(lines.next().unwrap_or_default()) else { return };
    let Ok(second) = std::str::from_utf8(lines.next().unwrap_or_default()) else { return };
    let body = lines.next().unwrap_or_default();
    let Some((method, path)) = first.split_once(' ') else { return };
    let mut headers = vec![("x-vault-token", STORE.token())];
    headers.extend(second.split(',').filter_map(|header| header.split_once(':')));
    let Some((status, answer)) = RUNTIME.block_on(STORE.answer(method, path, &headers, body)) else { return };
    assert!(status != 500, "an internal error");
    let found = answer.windows(HIDDEN.len()).any(|window| window == HIDDEN.as_bytes());
    assert!(!found || body.windows(HIDDEN.len()).any(|window| window == HIDDEN.as_bytes()));
});

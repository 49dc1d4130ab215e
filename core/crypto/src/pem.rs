//! PEM blocks, as Go's `encoding/pem` finds and writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// A block of PEM: what it says that it is, and its bytes.
pub struct PemBlock {
    /// `CERTIFICATE`, `PRIVATE KEY` and so on.
    pub label: String,
    /// What was encoded: DER, mostly.
    pub bytes: Zeroizing<Vec<u8>>,
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// Letters of base64 in a line.
const LINE: usize = 64;

/// The blocks in `text`, and whether something other than space stands after the last. What is broken is passed over.
pub fn pem_blocks(text: &str) -> (Vec<PemBlock>, bool) {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = begin(rest) {
        let after = rest.get(start + BEGIN.len()..).unwrap_or_default();
        match block(after) {
            Some((block, remaining)) => {
                blocks.push(block);
                rest = remaining;
            }
            None => rest = after,
        }
    }
    (blocks, !rest.trim().is_empty())
}

/// Where a block begins: at the start of a line.
fn begin(text: &str) -> Option<usize> {
    if text.starts_with(BEGIN) {
        return Some(0);
    }
    text.find("\n-----BEGIN ").map(|at| at + 1)
}

/// The block whose label `text` begins with, and what follows it.
fn block(text: &str) -> Option<(PemBlock, &str)> {
    let (first, after) = text.split_once('\n')?;
    let label = first.trim_end().strip_suffix(DASHES)?;
    let end = after.find(END)?;
    let (body, closing) = after.split_at(end);
    let closing = closing.get(END.len()..)?.strip_prefix(label)?.strip_prefix(DASHES)?;
    let remaining = match closing.split_once('\n') {
        Some((line, rest)) if line.trim().is_empty() => rest,
        None if closing.trim().is_empty() => "",
        _ => return None,
    };
    // Headers stand before an empty line; nobody here needs them.
    let body = match body.split_once("\n\n") {
        Some((headers, body)) if headers.contains(':') => body,
        _ => body,
    };
    let letters: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|letter| !letter.is_ascii_whitespace()).collect());
    let bytes = Zeroizing::new(STANDARD.decode(letters.as_bytes()).ok()?);
    Some((PemBlock { label: label.to_owned(), bytes }, remaining))
}

/// A block of PEM in lines of 64 letters.
pub fn pem_encode(label: &str, bytes: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(bytes));
    let mut made = Zeroizing::new(String::with_capacity(body.len() + body.len() / LINE + 2 * label.len() + 40));
    made.push_str(&format!("{BEGIN}{label}{DASHES}\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        made.push_str(line);
        made.push('\n');
        rest = after;
    }
    made.push_str(&format!("{END}{label}{DASHES}\n"));
    made
}

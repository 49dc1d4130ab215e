//! Bytes as Go's runes: what is not UTF-8 is U+FFFD, one byte at a time.

/// A rune, how many bytes it takes, and whether those are UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rune {
    pub(crate) letter: char,
    pub(crate) length: usize,
    pub(crate) is_valid: bool,
}

/// The first rune of `bytes`.
pub(crate) fn first(bytes: &[u8]) -> Option<Rune> {
    let head = bytes.get(..bytes.len().min(4))?;
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?,
    };
    match valid.chars().next() {
        Some(letter) => Some(Rune { letter, length: letter.len_utf8(), is_valid: true }),
        None if bytes.is_empty() => None,
        None => Some(Rune { letter: char::REPLACEMENT_CHARACTER, length: 1, is_valid: false }),
    }
}

/// The runes of `bytes`, in order.
pub(crate) fn runes(bytes: &[u8]) -> impl Iterator<Item = Rune> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let rune = first(rest)?;
        rest = rest.get(rune.length..).unwrap_or_default();
        Some(rune)
    })
}

/// How many runes `bytes` are.
pub(crate) fn count(bytes: &[u8]) -> usize {
    runes(bytes).count()
}

/// Whether `letter` is printed as it is by `%q` and the like: a letter, mark, number, sign or the plain space.
pub(crate) fn is_printable(letter: char) -> bool {
    // Rust escapes in its debug form what Unicode does not print (it also escapes quotes, the backslash and marks that
    // would join what stands before, which print).
    match letter {
        ' '..='~' => true,
        '\u{ad}' => false,
        _ if letter.is_whitespace() || letter.is_control() => false,
        _ => !letter.escape_debug().to_string().starts_with("\\u") || is_mark(letter),
    }
}

/// Marks of the blocks that combine: printed, though Rust escapes them.
fn is_mark(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}')
}

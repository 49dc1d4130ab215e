//! Characters of text that may not be UTF-8, as Go takes them apart.

/// The first character and its width; a broken one is U+FFFD of width 1, none at all has width 0.
pub(super) fn first_rune(bytes: &[u8]) -> (char, usize) {
    match bytes.first() {
        None => (char::REPLACEMENT_CHARACTER, 0),
        Some(byte) if byte.is_ascii() => (char::from(*byte), 1),
        Some(_) => (2..=bytes.len().min(4))
            .find_map(|width| only_rune(&bytes[..width]))
            .unwrap_or((char::REPLACEMENT_CHARACTER, 1)),
    }
}

/// The last character and its width, by the same rules.
pub(super) fn last_rune(bytes: &[u8]) -> (char, usize) {
    match bytes.last() {
        None => (char::REPLACEMENT_CHARACTER, 0),
        Some(byte) if byte.is_ascii() => (char::from(*byte), 1),
        Some(_) => (2..=bytes.len().min(4))
            .find_map(|width| only_rune(&bytes[bytes.len() - width..]))
            .unwrap_or((char::REPLACEMENT_CHARACTER, 1)),
    }
}

/// The one character that `bytes` are, with their count.
fn only_rune(bytes: &[u8]) -> Option<(char, usize)> {
    let mut characters = std::str::from_utf8(bytes).ok()?.chars();
    let first = characters.next()?;
    characters.next().is_none().then_some((first, bytes.len()))
}

/// Without Unicode's white space at both ends.
pub(super) fn trim_space(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let (character, width @ 1..) = first_rune(rest) {
        if !character.is_whitespace() {
            break;
        }
        rest = &rest[width..];
    }
    while let (character, width @ 1..) = last_rune(rest) {
        if !character.is_whitespace() {
            break;
        }
        rest = &rest[..rest.len() - width];
    }
    rest
}

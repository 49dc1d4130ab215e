//! Strings in quotes, as Go's `strconv.Quote` writes them.

use super::utf8::{is_printable, runes};

/// `bytes` in double quotes; with `ascii`, only ASCII stays unescaped.
pub(crate) fn quote(bytes: &[u8], ascii: bool) -> String {
    let mut made = String::with_capacity(bytes.len() + 2);
    made.push('"');
    let mut rest = bytes;
    for rune in runes(bytes) {
        let (own, after) = rest.split_at(rune.length);
        rest = after;
        match own {
            [byte] if !rune.is_valid => made.push_str(&format!("\\x{byte:02x}")),
            _ => made.push_str(&escaped(rune.letter, '"', ascii)),
        }
    }
    made.push('"');
    made
}

/// A character in single quotes.
pub(crate) fn quote_letter(letter: char, ascii: bool) -> String {
    format!("'{}'", escaped(letter, '\'', ascii))
}

fn escaped(letter: char, quote: char, ascii: bool) -> String {
    match letter {
        '\\' => "\\\\".to_owned(),
        _ if letter == quote => format!("\\{quote}"),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        _ if is_printable(letter) && (letter.is_ascii() || !ascii) => letter.to_string(),
        _ if u32::from(letter) < 0x20 || letter == '\u{7f}' => format!("\\x{:02x}", u32::from(letter)),
        _ if u32::from(letter) < 0x1_0000 => format!("\\u{:04x}", u32::from(letter)),
        _ => format!("\\U{:08x}", u32::from(letter)),
    }
}

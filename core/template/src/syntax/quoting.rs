//! Quoted literals, as Go's `strconv.Unquote` reads them: any bytes, not only UTF-8.

/// The bytes of a quoted string, quotes included in `text`; `None` where an escape is wrong.
pub(super) fn unquoted(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut made = Vec::with_capacity(rest.len());
    while let Some(letter) = rest.chars().next() {
        if letter != '\\' {
            made.extend_from_slice(rest.get(..letter.len_utf8())?.as_bytes());
            rest = rest.get(letter.len_utf8()..)?;
            continue;
        }
        let (escaped, after) = escape(rest.get(1..)?, '"')?;
        match escaped {
            Escaped::Byte(byte) => made.push(byte),
            Escaped::Letter(letter) => made.extend_from_slice(letter.to_string().as_bytes()),
        }
        rest = after;
    }
    Some(made)
}

/// The bytes of a raw string, back quotes included in `text`: carriage returns are dropped.
pub(super) fn raw(text: &str) -> Vec<u8> {
    text.trim_matches('`').replace('\r', "").into_bytes()
}

/// The code of the one character in `text`, quotes left off.
pub(super) fn character(text: &str) -> Option<u32> {
    let first = text.chars().next()?;
    let (code, rest) = match first {
        '\\' => {
            let (escaped, rest) = escape(text.get(1..)?, '\'')?;
            (
                match escaped {
                    Escaped::Byte(byte) => u32::from(byte),
                    Escaped::Letter(letter) => u32::from(letter),
                },
                rest,
            )
        }
        _ => (u32::from(first), text.get(first.len_utf8()..)?),
    };
    rest.is_empty().then_some(code)
}

enum Escaped {
    Byte(u8),
    Letter(char),
}

/// What follows a backslash, and what comes after it.
fn escape(text: &str, quote: char) -> Option<(Escaped, &str)> {
    let first = text.chars().next()?;
    let after = text.get(first.len_utf8()..)?;
    let letter = match first {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        _ if first == quote => quote,
        'x' => {
            return coded(after, 2, 16).and_then(|(code, rest)| Some((Escaped::Byte(u8::try_from(code).ok()?), rest)));
        }
        'u' => return letter_coded(after, 4),
        'U' => return letter_coded(after, 8),
        '0'..='7' => {
            return coded(text, 3, 8).and_then(|(code, rest)| Some((Escaped::Byte(u8::try_from(code).ok()?), rest)));
        }
        _ => return None,
    };
    Some((Escaped::Letter(letter), after))
}

fn letter_coded(text: &str, length: usize) -> Option<(Escaped, &str)> {
    let (code, rest) = coded(text, length, 16)?;
    Some((Escaped::Letter(char::from_u32(code)?), rest))
}

fn coded(text: &str, length: usize, base: u32) -> Option<(u32, &str)> {
    let digits = text.get(..length)?;
    let is_plain = digits.chars().all(|digit| digit.is_digit(base));
    is_plain
        .then(|| u32::from_str_radix(digits, base).ok())
        .flatten()
        .map(|code| (code, text.get(length..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_hold_any_bytes() {
        let check = |text: &str, expected: Option<&[u8]>| assert_eq!(unquoted(text).as_deref(), expected, "{text}");
        check(r#""a\tb""#, Some(b"a\tb"));
        check(r#""\xff\xfe""#, Some(b"\xff\xfe"));
        check(r#""\377\101""#, Some(b"\xffA"));
        check(r#""\u00e9\U0001F600""#, Some("é😀".as_bytes()));
        check(r#""\"""#, Some(b"\""));
        check(r#""\'""#, None);
        check(r#""\q""#, None);
        check(r#""\ud800""#, None);
    }
}

//! Percent-encoding of the canonical URI, and the names of JSON members as GJSON paths.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use strongroom_failure::{Class, Failure};

/// What a store's name keeps as it is: RFC 3986's unreserved characters.
pub(crate) const STORE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a query's value keeps. `&` and `=` part fields, and `+` is a space to many other parsers.
pub(crate) const QUERY: &AsciiSet = &STORE.remove(b'/').remove(b':').remove(b'@').remove(b',');

/// What a key and a property keep: the characters of ARNs and paths. What shells expand even inside quotes, and what
/// Kubernetes expands (`$(NAME)`), is encoded, so that a canonical reference survives being pasted between quotes.
pub(crate) const KEY: &AsciiSet = &QUERY.remove(b'+').remove(b'=');

/// Characters with a meaning in GJSON paths.
const GJSON_SPECIAL: &[char] =
    &['.', '*', '?', '|', '#', '@', '\\', '!', '{', '}', '[', ']', '(', ')', '=', '<', '>', '%', '"'];

/// A reference that cannot be read: what is wrong, in words that never repeat the text, and how to mend it.
pub(crate) fn invalid(words: impl Into<String>, cure: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words).with_hint(cure)
}

/// `text` with every character outside `kept` as the `%XX` of its UTF-8 bytes.
pub(crate) fn encode(text: &str, kept: &'static AsciiSet) -> impl std::fmt::Display {
    utf8_percent_encode(text, kept)
}

/// The text that `encoded` stands for; `part` names it in a failure.
pub(crate) fn decode(part: &str, encoded: &str) -> Result<String, Failure> {
    refuse_control(part, encoded)?;
    let is_escape =
        |tail: &str| matches!(tail.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    if !encoded.split('%').skip(1).all(is_escape) {
        return Err(invalid(
            format!("the {part} holds a % that does not begin an escape"),
            "write a % itself as %25, and other escapes as % and two hexadecimal digits",
        ));
    }
    match percent_decode_str(encoded).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(invalid(
            format!("the escapes of the {part} are not UTF-8"),
            "escape the bytes of the UTF-8 form of each character",
        )),
    }
}

/// Refuses line breaks and the like in `text`: they are slips of whoever wrote the reference, such as a file's last byte.
pub(crate) fn refuse_control(part: &str, text: &str) -> Result<(), Failure> {
    if !text.contains(char::is_control) {
        return Ok(());
    }
    Err(invalid(
        format!("the {part} holds a control character"),
        "remove the line break or tab, or write it in sr://… as an escape such as %0A",
    ))
}

/// The GJSON path of the member that is called exactly `name`.
pub(crate) fn gjson_member(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for character in name.chars() {
        if GJSON_SPECIAL.contains(&character) {
            path.push('\\');
        }
        path.push(character);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_name_means_itself_as_a_path() {
        let check = |name: &str, expected: &str| assert_eq!(gjson_member(name), expected);
        check("password", "password");
        check("db-pass_1:x/y", "db-pass_1:x/y");
        check("tls.crt", r"tls\.crt");
        check("größe", "größe");
        check(r#".*?|#@\!{}[]()=<>%""#, r#"\.\*\?\|\#\@\\\!\{\}\[\]\(\)\=\<\>\%\""#);
    }

    #[test]
    fn decoding_refuses_what_encoding_never_writes() {
        let check = |encoded: &str, expected: Result<&str, &str>| {
            let got = decode("key", encoded).map_err(|failure| failure.words);
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{encoded:?}");
        };
        check("a%2Fb%25%c3%A9é+", Ok("a/b%éé+"));
        check("100%", Err("the key holds a % that does not begin an escape"));
        check("%2", Err("the key holds a % that does not begin an escape"));
        check("%%41", Err("the key holds a % that does not begin an escape"));
        check("%éé", Err("the key holds a % that does not begin an escape"));
        check("%ff", Err("the escapes of the key are not UTF-8"));
        check("a\n", Err("the key holds a control character"));
    }
}

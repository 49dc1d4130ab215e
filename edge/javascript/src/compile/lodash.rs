//! A template's text to the body of a JavaScript function, as lodash's `template` compiles it with `variable: 'data'`.
//!
//! Templates can see what they are compiled to: they call `print`, add to `__p`, close a bracket too many, or end in a
//! comment. So names and the place of every bracket are part of what is compatible, and stay as they are.

use super::write_literal;

/// A stretch of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'text> {
    /// Copied as it is.
    Text(&'text str),
    /// `<%= … %>` and `${…}`: an expression whose value is put in; null and undefined are put in as nothing.
    Value(&'text str),
    /// `<%- … %>`: the same, escaped for HTML.
    Escaped(&'text str),
    /// `<% … %>`: statements.
    Script(&'text str),
}

/// The body of a function of `yaml` and `_` that returns the template as a function of `data`.
pub(super) fn compile(template: &str) -> String {
    let pieces = split(template);
    let has = |wanted: fn(&Piece) -> bool| pieces.iter().any(wanted);
    let mut body = String::with_capacity(template.len() * 2);
    body.push_str("return function(data) {\nvar __t, __p = ''");
    if has(|piece| matches!(piece, Piece::Escaped(_))) {
        body.push_str(", __e = _.escape");
    }
    if has(|piece| matches!(piece, Piece::Script(script) if !script.is_empty())) {
        body.push_str(", __j = Array.prototype.join;\nfunction print() { __p += __j.call(arguments, '') }\n");
    } else {
        body.push_str(";\n");
    }
    body.push_str("__p += '");
    for piece in &pieces {
        write(piece, &mut body);
    }
    body.push_str("';\nreturn __p\n}");
    body
}

/// One piece, in the middle of a string literal that is being added to `__p`. One addition goes from a script to the
/// next, so that what `print` adds while a value is computed is lost, as it is in the original.
fn write(piece: &Piece, body: &mut String) {
    match piece {
        Piece::Text(text) => write_literal(text, body),
        // `${}` is nothing at all.
        Piece::Value("") => {}
        Piece::Value(expression) => {
            body.extend(["' +\n((__t = (", expression, ")) == null ? '' : __t) +\n'"]);
        }
        Piece::Escaped(expression) => body.extend(["' +\n__e(", expression, ") +\n'"]),
        Piece::Script(script) => body.extend(["';\n", script, ";\n__p += '"]),
    }
}

/// The pieces of a template, in order. What is opened and never closed is text.
fn split(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut text_start, mut position) = (0, 0);
    while let Some(found) = template[position..].find(['<', '$']) {
        let start = position + found;
        let Some((piece, length)) = piece_at(&template[start..]) else {
            position = start + 1;
            continue;
        };
        pieces.push(Piece::Text(&template[text_start..start]));
        pieces.push(piece);
        position = start + length;
        text_start = position;
    }
    pieces.push(Piece::Text(&template[text_start..]));
    pieces
}

/// The piece that begins `rest`, and its length in bytes with its delimiters.
fn piece_at(rest: &str) -> Option<(Piece<'_>, usize)> {
    if let Some((content, length)) = between(rest, "<%-") {
        return Some((Piece::Escaped(content), length));
    }
    if let Some((content, length)) = between(rest, "<%=") {
        return Some((Piece::Value(content), length));
    }
    if let Some((content, length)) = dollar_braces(rest) {
        return Some((Piece::Value(content), length));
    }
    between(rest, "<%").map(|(content, length)| (Piece::Script(content), length))
}

/// What stands between `open` and the next `%>`: at least one character, which may itself begin with `%>`.
fn between<'text>(rest: &'text str, open: &str) -> Option<(&'text str, usize)> {
    let inner = rest.strip_prefix(open)?;
    let first = inner.chars().next()?.len_utf8();
    let end = first + inner[first..].find("%>")?;
    Some((&inner[..end], open.len() + end + 2))
}

/// What stands in `${…}`: up to the first brace that no backslash precedes. A backslash before the end of a line is
/// none that the original knows.
fn dollar_braces(rest: &str) -> Option<(&str, usize)> {
    let inner = rest.strip_prefix("${")?;
    let mut characters = inner.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '}' => return Some((&inner[..index], index + 3)),
            '\\' => {
                characters.next().filter(|(_, next)| !matches!(next, '\n' | '\r' | '\u{2028}' | '\u{2029}'))?;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, expected: &[Piece]) {
        let mut pieces = split(template);
        pieces.retain(|piece| *piece != Piece::Text(""));
        assert_eq!(pieces, expected, "{template}");
    }

    #[test]
    fn templates_are_split_where_lodash_splits_them() {
        use Piece::{Escaped, Script, Text, Value};
        check("plain $ < %> text", &[Text("plain $ < %> text")]);
        check("a<%=b%>c<%-d%><%e%>", &[Text("a"), Value("b"), Text("c"), Escaped("d"), Script("e")]);
        check("${a}${}$${b}", &[Value("a"), Value(""), Text("$"), Value("b")]);
        check(r"${'\}'}${`${a}`}", &[Value(r"'\}'"), Value("`${a"), Text("`}")]);
        check("${a\\\n}<%= b", &[Text("${a\\\n}<%= b")]);
        check("<%=%>", &[Script("=")]);
        check("<%=%>a%>", &[Value("%>a")]);
        check("<%%>", &[Text("<%%>")]);
        check("<%- a <%= b %>", &[Escaped(" a <%= b ")]);
        check("<%é%>", &[Script("é")]);
    }
}

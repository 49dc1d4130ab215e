use strongroom_failure::Failure;
use zeroize::Zeroizing;

use crate::entry::Entry;
use crate::invalid;

/// The largest file of variables: twice what Linux lets a program's arguments and environment hold by default.
pub const LARGEST_ENV_FILE: usize = 4 * 1024 * 1024;

/// Reads a file of variables: `NAME=VALUE` lines, `#` comments and blank lines, an optional `export` before the name.
///
/// An unquoted value is everything after the `=` without the blanks around it (a `#` inside it is part of it, as
/// references need); `'…'` is taken as it is; in `"…"` the escapes `\n \r \t \" \\ \$` are known. Quoted values may span
/// lines. Nothing is substituted.
///
/// # Errors
/// What is wrong and in which line; never the line itself.
pub fn parse_env_file(bytes: &[u8]) -> Result<Vec<Entry>, Failure> {
    if bytes.len() > LARGEST_ENV_FILE {
        return Err(invalid(format!("is larger than {LARGEST_ENV_FILE} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("is not UTF-8 text"))?;
    let mut lines = Lines { rest: text.strip_prefix('\u{feff}').unwrap_or(text), number: 0 };
    let mut entries = Vec::new();
    while let Some(line) = lines.next() {
        // Only the start: blanks at the end may stand inside quotes.
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = lines.number;
        let at_line = |words: &str| invalid(format!("line {number}: {words}"));
        let exported = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
        let assignment = exported.map_or(line, str::trim_start);
        let (name, value) = assignment.split_once('=').ok_or_else(|| at_line("expected NAME=VALUE"))?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(at_line("the name before the = is empty or holds blanks"));
        }
        let value = lines.value(value.trim_start()).map_err(at_line)?;
        if value.contains('\0') {
            return Err(at_line("a variable cannot hold a NUL"));
        }
        let mut entry = Vec::with_capacity(name.len() + 1 + value.len());
        entry.extend_from_slice(name.as_bytes());
        entry.push(b'=');
        entry.extend_from_slice(value.as_bytes());
        entries.push(Entry::from_bytes(entry));
    }
    Ok(entries)
}

/// The lines that are left, and the number of the last one taken.
struct Lines<'text> {
    rest: &'text str,
    number: usize,
}

impl<'text> Lines<'text> {
    fn next(&mut self) -> Option<&'text str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.number += 1;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    /// The value that starts with `start`, with as many further lines as its quotes take.
    fn value(&mut self, start: &str) -> Result<Zeroizing<String>, &'static str> {
        let Some(quote) = start.chars().next().filter(|first| matches!(first, '\'' | '"')) else {
            return Ok(Zeroizing::new(start.trim_end().to_owned()));
        };
        let mut value = Zeroizing::new(String::new());
        let mut part = &start[1..];
        loop {
            if let Some(after) = take_quoted(part, quote, &mut value)? {
                let after = after.trim_start();
                return if after.is_empty() || after.starts_with('#') {
                    Ok(value)
                } else {
                    Err("text follows the closing quote")
                };
            }
            value.push('\n');
            part = self.next().ok_or("the quote is never closed")?;
        }
    }
}

/// Appends `part` up to the closing `quote` and returns what follows it; `None` when the quote is still open.
fn take_quoted<'text>(part: &'text str, quote: char, value: &mut String) -> Result<Option<&'text str>, &'static str> {
    let mut characters = part.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok(Some(&part[at + 1..])),
            '\\' if quote == '"' => value.push(match characters.next() {
                Some((_, 'n')) => '\n',
                Some((_, 'r')) => '\r',
                Some((_, 't')) => '\t',
                Some((_, escaped @ ('"' | '\\' | '$'))) => escaped,
                _ => return Err("an escape other than \\n \\r \\t \\\" \\\\ \\$ in double quotes"),
            }),
            _ => value.push(character),
        }
    }
    Ok(None)
}

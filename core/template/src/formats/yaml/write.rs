//! Writing, as go-yaml 2 lays things out: blocks, keys in natural order, lines folded at 80 columns.

use super::resolve::{Resolved, is_base_60, resolve};
use super::scalar::{Analysis, analyse, is_break, is_printable};
use crate::formats::json::{self, Style, Unwritten};
use crate::formats::{Builder, float};
use crate::limits::{Fault, Meter};
use crate::syntax::parse_int;
use crate::values::{Datum, Text};

/// Where lines are folded, in columns: go-yaml's own bound.
const WIDTH: usize = 80;
/// The longest key that stands on the line of its value, in bytes: libyaml's own bound.
const KEY_LIMIT: usize = 128;

/// Writes `datum` as YAML, without the last line end; `None` where JSON has no form for it.
pub(crate) fn write(meter: &mut Meter, datum: &Datum) -> Result<Option<Vec<u8>>, Fault> {
    let compact = Style { is_pretty: false, escapes_html: true };
    let mut builder = Builder::new(meter);
    match json::write(&mut builder, datum, compact) {
        Ok(()) => {}
        Err(Unwritten::Unsupported) => return Ok(None),
        Err(Unwritten::Fault(fault)) => return Err(fault),
    }
    drop(builder);
    let mut writer = Writer { builder: Builder::new(meter), column: 0 };
    writer.node(datum, &Place { indent: 0, is_key: false, in_mapping: false })?;
    Ok(Some(writer.builder.finish()))
}

struct Writer<'m> {
    builder: Builder<'m>,
    column: usize,
}

/// Where a node stands.
struct Place {
    /// The columns before its lines.
    indent: usize,
    is_key: bool,
    /// Whether it is a mapping's value.
    in_mapping: bool,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) -> Result<(), Fault> {
        self.builder.push(text)?;
        self.column += text.chars().count();
        Ok(())
    }

    fn line(&mut self, indent: usize) -> Result<(), Fault> {
        self.builder.push("\n")?;
        self.builder.repeat(b" ", indent)?;
        self.column = indent;
        Ok(())
    }

    fn node(&mut self, datum: &Datum, place: &Place) -> Result<(), Fault> {
        self.builder.element()?;
        match datum {
            Datum::List(list) if list.is_nil => self.after(place, "null"),
            Datum::List(list) if list.items.is_empty() => self.after(place, "[]"),
            Datum::List(list) => self.sequence(&list.items, place),
            Datum::Map(map) if map.len() == 0 => self.after(place, "{}"),
            Datum::Map(map) => self.mapping(map.entries(), place),
            Datum::Certificate(pair) => {
                let entries = vec![
                    (Text::from("Cert"), Datum::Text(pair.certificate.clone())),
                    (Text::from("Key"), Datum::Text(pair.key.clone())),
                ];
                self.mapping(entries, place)
            }
            Datum::Text(text) => self.text(&text.lossy(), place),
            Datum::Float(value) => self.after(place, &number(*value)),
            Datum::Nil => self.after(place, "null"),
            Datum::Time(moment) => self.text(&crate::formats::time::rfc3339(moment), place),
            Datum::Version(version) => self.text(&crate::formats::semver::text(version), place),
            Datum::Bool(value) => self.after(place, &value.to_string()),
            Datum::Int(value) | Datum::Int64(value) => self.after(place, &value.to_string()),
            Datum::Byte(value) => self.after(place, &value.to_string()),
            Datum::Uint64(value) => self.after(place, &value.to_string()),
        }
    }

    /// Writes `text` on the line that is begun.
    fn after(&mut self, place: &Place, text: &str) -> Result<(), Fault> {
        if place.in_mapping {
            self.put(" ")?;
        }
        self.put(text)
    }

    fn sequence(&mut self, items: &[Datum], place: &Place) -> Result<(), Fault> {
        self.builder.enter()?;
        // In a mapping, dashes stand below the key.
        let indent = if place.in_mapping { place.indent.saturating_sub(2) } else { place.indent };
        for (index, item) in items.iter().enumerate() {
            if index > 0 || place.in_mapping {
                self.line(indent)?;
            }
            self.put("- ")?;
            self.node(item, &Place { indent: indent + 2, is_key: false, in_mapping: false })?;
        }
        self.builder.leave();
        Ok(())
    }

    fn mapping(&mut self, mut entries: Vec<(Text, Datum)>, place: &Place) -> Result<(), Fault> {
        self.builder.enter()?;
        entries.sort_by(|left, right| natural(&left.0.lossy(), &right.0.lossy()));
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 || place.in_mapping {
                self.line(place.indent)?;
            }
            let key = key.lossy();
            let is_simple = key.len() <= KEY_LIMIT && !key.contains(is_break);
            let inner = Place { indent: place.indent + 2, is_key: is_simple, in_mapping: false };
            if is_simple {
                self.text(&key, &inner)?;
                self.put(":")?;
            } else {
                self.put("? ")?;
                self.text(&key, &inner)?;
                if self.column != place.indent {
                    self.line(place.indent)?;
                }
                self.put(":")?;
            }
            self.node(value, &Place { indent: place.indent + 2, is_key: false, in_mapping: true })?;
        }
        self.builder.leave();
        Ok(())
    }

    fn text(&mut self, text: &str, place: &Place) -> Result<(), Fault> {
        if place.in_mapping {
            self.put(" ")?;
        }
        // A scalar at the top continues below two spaces as well.
        let indent = if place.indent == 0 { 2 } else { place.indent };
        let analysis = analyse(text);
        match style(text, &analysis, place.is_key) {
            Form::Literal => self.literal(text, indent),
            Form::Double => self.double(text, indent, !place.is_key),
            Form::Plain => self.folded(text, indent, !place.is_key),
            Form::Single => {
                self.put("'")?;
                self.folded(&text.replace('\'', "''"), indent, !place.is_key)?;
                self.put("'")
            }
        }
    }

    /// Plain and single-quoted text: a space beyond the width becomes a line end.
    fn folded(&mut self, text: &str, indent: usize, may_fold: bool) -> Result<(), Fault> {
        let mut was_space = false;
        let mut was_break = false;
        let mut letters = text.chars().enumerate().peekable();
        while let Some((index, letter)) = letters.next() {
            let next = letters.peek().map(|(_, next)| *next);
            if letter == ' ' {
                let inside = index > 0 && next.is_some();
                if may_fold && !was_space && self.column > WIDTH && inside && next != Some(' ') {
                    self.line(indent)?;
                } else {
                    self.put(" ")?;
                }
                was_space = true;
                continue;
            }
            if is_break(letter) {
                if !was_break && letter == '\n' {
                    self.builder.push("\n")?;
                }
                self.builder.push(letter.to_string())?;
                was_break = true;
            } else {
                if was_break {
                    self.builder.repeat(b" ", indent)?;
                    self.column = indent;
                }
                self.put(letter.encode_utf8(&mut [0; 4]))?;
                was_break = false;
            }
            was_space = false;
        }
        Ok(())
    }

    fn double(&mut self, text: &str, indent: usize, may_fold: bool) -> Result<(), Fault> {
        self.put("\"")?;
        let mut was_space = false;
        let mut letters = text.chars().enumerate().peekable();
        while let Some((index, letter)) = letters.next() {
            let next = letters.peek().map(|(_, next)| *next);
            let folds = may_fold && !was_space && self.column > WIDTH && index > 0 && next.is_some();
            if letter == ' ' && folds {
                self.line(indent)?;
                if next == Some(' ') {
                    self.put("\\")?;
                }
            } else {
                self.put(&escaped(letter))?;
            }
            was_space = letter == ' ';
        }
        self.put("\"")
    }

    fn literal(&mut self, text: &str, indent: usize) -> Result<(), Fault> {
        self.put("|")?;
        if text.starts_with(|letter| letter == ' ' || is_break(letter)) {
            self.put("2")?;
        }
        let body = text.strip_suffix(is_break);
        self.put(match body {
            None => "-",
            Some(body) if body.is_empty() || body.ends_with(is_break) => "+",
            Some(_) => "",
        })?;
        let lines: Vec<&str> = body.unwrap_or(text).split('\n').collect();
        for line in &lines {
            self.builder.push("\n")?;
            self.column = 0;
            if !line.is_empty() {
                self.builder.repeat(b" ", indent)?;
                self.put(line)?;
            }
        }
        Ok(())
    }
}

enum Form {
    Plain,
    Single,
    Double,
    Literal,
}

fn style(text: &str, analysis: &Analysis, is_key: bool) -> Form {
    let is_text = matches!(resolve(text), Resolved::Text | Resolved::Merge) && !is_base_60(text);
    if text.contains('\n') {
        let is_block = analysis.allows_block && !is_key;
        return if is_block { Form::Literal } else { Form::Double };
    }
    if !is_text || (is_key && analysis.is_multiline) {
        return Form::Double;
    }
    match (analysis.allows_plain, analysis.allows_single_quotes) {
        (true, _) => Form::Plain,
        (false, true) => Form::Single,
        (false, false) => Form::Double,
    }
}

fn escaped(letter: char) -> String {
    match letter {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\0' => "\\0".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\u{1b}' => "\\e".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        _ if is_printable(letter) => letter.to_string(),
        _ if u32::from(letter) < 0x100 => format!("\\x{:02X}", u32::from(letter)),
        _ if u32::from(letter) < 0x1_0000 => format!("\\u{:04X}", u32::from(letter)),
        _ => format!("\\U{:08X}", u32::from(letter)),
    }
}

/// A number of JSON as YAML has it: whole where it is written whole.
fn number(value: f64) -> String {
    let written = float::json(value);
    if parse_int(&written).is_some() || written.parse::<u64>().is_ok() {
        return written;
    }
    float::general(value, None)
}

/// go-yaml's order of keys: letters after other signs, and runs of digits by their number.
fn natural(left: &str, right: &str) -> std::cmp::Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let differs = left.iter().zip(&right).position(|(left, right)| left != right);
    let Some(at) = differs else { return left.len().cmp(&right.len()) };
    let (Some(one), Some(other)) = (left.get(at), right.get(at)) else { return left.len().cmp(&right.len()) };
    match (one.is_alphabetic(), other.is_alphabetic()) {
        (true, true) => return one.cmp(other),
        (true, false) => return std::cmp::Ordering::Greater,
        (false, true) => return std::cmp::Ordering::Less,
        (false, false) => {}
    }
    let before = left.get(..at).unwrap_or_default();
    // A number that is already begun makes its following zeros count.
    let begun = (*one == '0' || *other == '0')
        && before.iter().rev().take_while(|letter| letter.is_ascii_digit()).any(|letter| *letter != '0');
    let start = i64::from(begun);
    let (one_number, one_end) = digits(&left, at, start);
    let (other_number, other_end) = digits(&right, at, start);
    one_number.cmp(&other_number).then(one_end.cmp(&other_end)).then(one.cmp(other))
}

fn digits(letters: &[char], at: usize, start: i64) -> (i64, usize) {
    let run = letters.get(at..).unwrap_or_default().iter().take_while(|letter| letter.is_ascii_digit());
    run.fold((start, at), |(number, end), letter| {
        let digit = i64::from(letter.to_digit(10).unwrap_or(0));
        (number.wrapping_mul(10).wrapping_add(digit), end + 1)
    })
}

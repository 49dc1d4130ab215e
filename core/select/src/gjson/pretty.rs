//! `@pretty` and `@ugly`: JSON with one value a line, and JSON without white space.

use std::cmp::Ordering;

use super::limits::{Bounded, Output, Run};
use super::number;
use super::runes::trim_space;
use super::scan::{self, for_each, parse};
use super::valid;
use super::value::Text;

/// The text without white space outside of strings.
pub(super) fn ugly(json: &[u8]) -> Bounded<Output> {
    let mut output = Output::default();
    let mut at = 0;
    while at < json.len() {
        let end = if json[at] == b'"' { (scan::string_end(json, at + 1).at + 1).min(json.len()) } else { at + 1 };
        if json[at] > b' ' {
            output.extend(&json[at..end])?;
        }
        at = end;
    }
    Ok(output)
}

/// How `@pretty` lays out, as its argument says.
struct Layout {
    /// The widest line that an array may fill; wider ones get a line per element.
    width: i64,
    prefix: Vec<u8>,
    indent: Vec<u8>,
    sort_keys: bool,
}

impl Layout {
    fn from_argument(run: &mut Run, argument: &[u8]) -> Bounded<Self> {
        let mut layout = Self { width: 80, prefix: Vec::new(), indent: b"  ".to_vec(), sort_keys: false };
        for_each(run, &parse(argument), |_, key, value| {
            let blanks = || value.text().iter().copied().filter(|byte| b" \t\n\r".contains(byte)).collect();
            match key.map(scan::string_text).as_deref() {
                Some(b"sortKeys") => layout.sort_keys = value.truth(),
                Some(b"indent") => layout.indent = blanks(),
                Some(b"prefix") => layout.prefix = blanks(),
                Some(b"width") => layout.width = value.integer(),
                _ => {}
            }
            Ok(())
        })?;
        Ok(layout)
    }
}

/// `json` with one value a line, arrays that fit on a line excepted.
pub(super) fn pretty(run: &mut Run, json: &[u8], argument: &[u8]) -> Bounded<Output> {
    let layout = Layout::from_argument(run, argument)?;
    let mut printer = Printer { json, at: 0, output: Output::default(), line_start: 0, layout };
    printer.output.extend(&printer.layout.prefix)?;
    printer.value(run, Lines::Many { level: 0 })?;
    if printer.output.len() > 0 {
        printer.output.push(b'\n')?;
    }
    Ok(printer.output)
}

/// How a value may be laid out.
#[derive(Clone, Copy)]
enum Lines {
    /// On lines of its own, indented this far.
    Many { level: usize },
    /// On the rest of the line, up to this length of the output; objects never fit.
    One { limit: usize },
}

struct Printer<'j> {
    json: &'j [u8],
    at: usize,
    output: Output,
    /// Where the current line began, line break included.
    line_start: usize,
    layout: Layout,
}

/// Where an object's member stands, for sorting: its key in the input, all of it in the output.
struct Member {
    key: (usize, usize),
    written: (usize, usize),
}

impl Printer<'_> {
    /// Writes the next value; false where it does not fit on the line.
    fn value(&mut self, run: &mut Run, lines: Lines) -> Bounded<bool> {
        while let Some(&byte) = self.json.get(self.at) {
            match byte {
                b'"' => self.string()?,
                b'{' => return run.deeper(|run| self.object(run, lines)),
                b'[' => return run.deeper(|run| self.array(run, lines)),
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' if self.json.get(self.at + 1).is_none_or(|next| *next == b'u') => self.word(b"null")?,
                b'0'..=b'9' | b'-' | b'i' | b'I' | b'+' | b'N' | b'n' => self.number()?,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            break;
        }
        Ok(true)
    }

    /// Writes a word in full, however much of it the text has.
    fn word(&mut self, word: &[u8]) -> Bounded<()> {
        self.at += word.len();
        self.output.extend(word)
    }

    fn string(&mut self) -> Bounded<()> {
        let end = (scan::string_end(self.json, self.at + 1).at + 1).min(self.json.len());
        self.copy_to(end)
    }

    fn number(&mut self) -> Bounded<()> {
        let ends = |byte: &u8| *byte <= b' ' || matches!(byte, b',' | b':' | b']' | b'}');
        let length = self.json[self.at + 1..].iter().position(ends);
        self.copy_to(length.map_or(self.json.len(), |length| self.at + 1 + length))
    }

    fn copy_to(&mut self, end: usize) -> Bounded<()> {
        self.output.extend(&self.json[self.at..end])?;
        self.at = end;
        Ok(())
    }

    fn array(&mut self, run: &mut Run, lines: Lines) -> Bounded<bool> {
        let level = match lines {
            Lines::Many { level } if self.layout.width > 0 => level,
            _ => return self.elements(run, lines),
        };
        let (start, written) = (self.at, self.output.len());
        // A line break's place counts from before the break.
        let used = i64::try_from(written - self.line_start).unwrap_or(i64::MAX);
        let room = self.layout.width.saturating_sub(used);
        if room > 3 {
            let limit = written.saturating_add(usize::try_from(room).unwrap_or(usize::MAX));
            let fits = self.elements(run, Lines::One { limit })? && self.output.len() <= limit;
            run.charge(self.at.saturating_sub(start))?;
            if fits {
                return Ok(true);
            }
            self.output.truncate(written);
            self.at = start;
        }
        self.elements(run, Lines::Many { level })
    }

    fn elements(&mut self, run: &mut Run, lines: Lines) -> Bounded<bool> {
        self.output.push(b'[')?;
        self.at += 1;
        let mut count = 0usize;
        while let Some(&byte) = self.json.get(self.at) {
            if byte <= b' ' {
                self.at += 1;
                continue;
            }
            if byte == b']' {
                self.at += 1;
                self.close(lines, count)?;
                self.output.push(b']')?;
                return Ok(true);
            }
            if count > 0 {
                self.output.extend(if self.layout.width == -1 { b"," } else { b", " })?;
            }
            let inner = self.open_line(lines)?;
            let fits = self.value(run, inner)?;
            if let Lines::One { limit } = lines
                && (!fits || self.output.len() > limit)
            {
                return Ok(false);
            }
            count += 1;
        }
        Ok(true)
    }

    fn object(&mut self, run: &mut Run, lines: Lines) -> Bounded<bool> {
        if matches!(lines, Lines::One { .. }) {
            return Ok(false);
        }
        self.output.push(b'{')?;
        self.at += 1;
        let mut members = Vec::new();
        while let Some(&byte) = self.json.get(self.at) {
            if byte == b'}' {
                self.at += 1;
                if self.layout.sort_keys {
                    self.sort(&members)?;
                }
                self.close(lines, members.len())?;
                self.output.push(b'}')?;
                break;
            }
            if byte != b'"' {
                self.at += 1;
                continue;
            }
            if !members.is_empty() {
                self.output.push(b',')?;
            }
            members.push(self.member(run, lines)?);
        }
        Ok(false)
    }

    fn member(&mut self, run: &mut Run, lines: Lines) -> Bounded<Member> {
        let key_start = self.at;
        self.break_line()?;
        let start = self.output.len();
        let inner = self.indent(lines)?;
        self.string()?;
        let key = (key_start, self.at);
        self.output.extend(b": ")?;
        self.value(run, inner)?;
        Ok(Member { key, written: (start, self.output.len()) })
    }

    /// Begins an element's line, where it gets one; gives how its value may be laid out.
    fn open_line(&mut self, lines: Lines) -> Bounded<Lines> {
        if matches!(lines, Lines::One { .. }) {
            return Ok(lines);
        }
        self.break_line()?;
        self.indent(lines)
    }

    fn indent(&mut self, lines: Lines) -> Bounded<Lines> {
        let Lines::Many { level } = lines else {
            return Ok(lines);
        };
        self.tabs(level + 1)?;
        Ok(Lines::Many { level: level + 1 })
    }

    /// Begins the closing bracket's line, where there were members and they got lines.
    fn close(&mut self, lines: Lines, count: usize) -> Bounded<()> {
        match lines {
            Lines::Many { level } if count > 0 => {
                self.break_line()?;
                self.tabs(level)
            }
            _ => Ok(()),
        }
    }

    fn break_line(&mut self) -> Bounded<()> {
        self.line_start = self.output.len();
        self.output.break_line()
    }

    fn tabs(&mut self, level: usize) -> Bounded<()> {
        self.output.extend(&self.layout.prefix)?;
        for _ in 0..level {
            self.output.extend(&self.layout.indent)?;
        }
        Ok(())
    }

    /// Sorts the members just written, which end the output: by key, and by value where keys are equal.
    fn sort(&mut self, members: &[Member]) -> Bounded<()> {
        let Some(first) = members.first() else {
            return Ok(());
        };
        let written = |member: &Member| &self.output.bytes()[member.written.0..member.written.1];
        let key = |member: &Member| &self.json[member.key.0..member.key.1];
        let value = |member: &Member| {
            let text = trim_space(written(member));
            text.get(key(member).len() + 1..).map_or(text, trim_space)
        };
        let mut sorted: Vec<&Member> = members.iter().collect();
        sorted.sort_by(|a, b| compare(key(a), key(b)).then_with(|| compare(value(a), value(b))));
        let mut lines = Output::default();
        for (place, member) in sorted.iter().enumerate() {
            if place > 0 {
                lines.extend(b",\n")?;
            }
            lines.extend(written(member))?;
        }
        self.output.truncate(first.written.0);
        self.output.extend(lines.bytes())
    }
}

/// The order of two JSON values: by kind, then by content; numbers that are none come first.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |text: &[u8]| match text.first() {
        None | Some(b'n') => 0,
        Some(b'f') => 1,
        Some(b'"') => 3,
        Some(b't') => 4,
        Some(b'[' | b'{') => 5,
        Some(_) => 2,
    };
    rank(a).cmp(&rank(b)).then_with(|| match rank(a) {
        2 => {
            let (a, b) = (number::parse_float(a), number::parse_float(b));
            a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
        }
        3 => sort_text(a).cmp(&*sort_text(b)),
        _ => a.cmp(b),
    })
}

/// A string's content for sorting: nothing where its escapes are broken or it never closes.
fn sort_text(raw: &[u8]) -> Text<'_> {
    let end = scan::string_end(raw, 1);
    let readable = if end.escaped { valid::is_string(raw) } else { end.closed };
    if readable { scan::string_text(raw) } else { Text::default() }
}

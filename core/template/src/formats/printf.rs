//! Go's `fmt.Sprintf`, `Sprint` and `Sprintln`.

mod directive;
mod verbs;

use super::Builder;
use super::print::plain;
use crate::limits::Fault;
use crate::values::Datum;

use self::directive::Directive;

/// The widest field and the longest precision: Go's own bound.
const WIDTH_LIMIT: i64 = 1_000_000;

/// `fmt.Sprintf`.
pub(crate) fn printf(builder: &mut Builder<'_>, format: &[u8], arguments: &[Datum]) -> Result<(), Fault> {
    let mut printer = Printer { builder, format, position: 0, arguments, next: 0, is_reordered: false };
    printer.run()
}

/// `fmt.Sprint`: a space between two arguments neither of which is a string.
pub(crate) fn sprint(builder: &mut Builder<'_>, arguments: &[Datum]) -> Result<(), Fault> {
    let mut was_text = true;
    for (index, argument) in arguments.iter().enumerate() {
        let is_text = matches!(argument, Datum::Text(_));
        if index > 0 && !is_text && !was_text {
            builder.push(" ")?;
        }
        plain(builder, argument)?;
        was_text = is_text;
    }
    Ok(())
}

/// `fmt.Sprintln`.
pub(crate) fn sprintln(builder: &mut Builder<'_>, arguments: &[Datum]) -> Result<(), Fault> {
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            builder.push(" ")?;
        }
        plain(builder, argument)?;
    }
    builder.push("\n")
}

struct Printer<'p, 'm> {
    builder: &'p mut Builder<'m>,
    format: &'p [u8],
    position: usize,
    arguments: &'p [Datum],
    next: usize,
    /// Whether an index `[n]` was used: then no argument counts as extra.
    is_reordered: bool,
}

impl Printer<'_, '_> {
    fn run(&mut self) -> Result<(), Fault> {
        while self.position < self.format.len() {
            let rest = self.format.get(self.position..).unwrap_or_default();
            let end = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
            self.builder.push(rest.get(..end).unwrap_or_default())?;
            self.position += end;
            if self.position < self.format.len() {
                self.position += 1;
                self.directive()?;
            }
        }
        self.extra()
    }

    fn peek(&self) -> Option<u8> {
        self.format.get(self.position).copied()
    }

    /// What stands after a `%`.
    fn directive(&mut self) -> Result<(), Fault> {
        let mut directive = Directive::default();
        while let Some(byte) = self.peek()
            && directive.flag(byte)
        {
            self.position += 1;
        }
        let mut is_bad = !self.index();
        if let Some(width) = self.size(&mut is_bad)? {
            directive.set_width(width);
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            is_bad |= !self.index();
            let precision = self.size(&mut is_bad)?.unwrap_or(0);
            directive.precision = usize::try_from(precision).ok();
        }
        is_bad |= !self.index();
        let Some(verb) = super::utf8::first(self.format.get(self.position..).unwrap_or_default()) else {
            return self.builder.push("%!(NOVERB)");
        };
        self.position += verb.length;
        self.verb(&directive, verb.letter, is_bad)
    }

    fn verb(&mut self, directive: &Directive, verb: char, is_bad: bool) -> Result<(), Fault> {
        if verb == '%' {
            return self.builder.push("%");
        }
        if is_bad {
            return self.builder.push(format!("%!{verb}(BADINDEX)"));
        }
        let Some(argument) = self.arguments.get(self.next) else {
            return self.builder.push(format!("%!{verb}(MISSING)"));
        };
        self.next += 1;
        verbs::format(self.builder, directive, verb, argument)
    }

    /// An index `[n]`, if one stands here; whether it is right.
    fn index(&mut self) -> bool {
        if self.peek() != Some(b'[') {
            return true;
        }
        self.is_reordered = true;
        let rest = self.format.get(self.position..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b']') else {
            self.position += 1;
            return false;
        };
        self.position += end + 1;
        let number = std::str::from_utf8(rest.get(1..end).unwrap_or_default()).ok().and_then(|text| text.parse().ok());
        match number {
            Some(number) if (1..=self.arguments.len()).contains(&number) => {
                self.next = number - 1;
                true
            }
            _ => false,
        }
    }

    /// A width or a precision: digits, or `*` for an argument.
    fn size(&mut self, is_bad: &mut bool) -> Result<Option<i64>, Fault> {
        if self.peek() == Some(b'*') {
            self.position += 1;
            let value = match self.arguments.get(self.next) {
                Some(Datum::Int(value) | Datum::Int64(value)) => Some(*value),
                _ => None,
            };
            self.next += 1;
            return match value {
                Some(value) if value.unsigned_abs() <= WIDTH_LIMIT.unsigned_abs() => Ok(Some(value)),
                _ => self.builder.push("%!(BADWIDTH)").map(|()| None),
            };
        }
        let mut number: Option<i64> = None;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            self.position += 1;
            number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(i64::from(digit - b'0')));
        }
        if number.is_some_and(|number| number > WIDTH_LIMIT) {
            *is_bad = true;
            return Ok(None);
        }
        Ok(number)
    }

    /// What was given too much.
    fn extra(&mut self) -> Result<(), Fault> {
        if self.is_reordered || self.next >= self.arguments.len() {
            return Ok(());
        }
        self.builder.push("%!(EXTRA ")?;
        for (index, argument) in self.arguments.get(self.next..).unwrap_or_default().iter().enumerate() {
            if index > 0 {
                self.builder.push(", ")?;
            }
            match argument {
                Datum::Nil => self.builder.push("<nil>")?,
                _ => {
                    self.builder.push(crate::values::type_name(argument))?;
                    self.builder.push("=")?;
                    plain(self.builder, argument)?;
                }
            }
        }
        self.builder.push(")")
    }
}

//! Flags, width and precision, and padding by them.

use crate::formats::{Builder, utf8};
use crate::limits::Fault;

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Directive {
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

impl Directive {
    /// Takes a flag; whether it was one.
    pub(super) fn flag(&mut self, byte: u8) -> bool {
        match byte {
            b'+' => self.plus = true,
            b'-' => self.minus = true,
            b'#' => self.sharp = true,
            b' ' => self.space = true,
            b'0' => self.zero = true,
            _ => return false,
        }
        true
    }

    /// Sets the width; a negative one fills on the right.
    pub(super) fn set_width(&mut self, width: i64) {
        self.minus |= width < 0;
        self.width = usize::try_from(width.unsigned_abs()).ok();
    }

    /// Writes `text`, filled to the width with spaces, or with zeros where that was asked for.
    pub(super) fn pad(&self, builder: &mut Builder<'_>, text: &[u8]) -> Result<(), Fault> {
        let missing = self.width.unwrap_or(0).saturating_sub(utf8::count(text));
        if self.minus {
            builder.push(text)?;
            return builder.repeat(b" ", missing);
        }
        builder.repeat(if self.zero { b"0" } else { b" " }, missing)?;
        builder.push(text)
    }

    /// Writes a number's sign and digits: zeros that fill stand between the two.
    pub(super) fn pad_number(&self, builder: &mut Builder<'_>, sign: &str, digits: &str) -> Result<(), Fault> {
        let missing = self.width.unwrap_or(0).saturating_sub(sign.len() + digits.len());
        if self.zero && !self.minus {
            builder.push(sign)?;
            builder.repeat(b"0", missing)?;
            return builder.push(digits);
        }
        let blank = Self { zero: false, ..*self };
        blank.pad(builder, format!("{sign}{digits}").as_bytes())
    }

    /// The sign of a number.
    pub(super) fn sign(&self, is_negative: bool) -> &'static str {
        match (is_negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        }
    }
}

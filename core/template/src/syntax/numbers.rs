//! Numeric and character literals: one literal can be several kinds of number, and the place decides which it is.

use super::quoting;

/// A literal as each kind of number that it can be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    /// Whether it is a float where nothing else is known: written with a point or an exponent.
    pub(crate) is_float: bool,
}

impl Number {
    /// Reads a character constant, quotes included.
    pub(super) fn from_character(text: &str) -> Result<Self, String> {
        let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
        let code = quoting::character(inner).ok_or("malformed character constant")?;
        let code = i64::from(code);
        Ok(Self { int: Some(code), uint: u64::try_from(code).ok(), float: Some(code as f64), is_float: false })
    }

    /// Reads a number.
    pub(super) fn from_text(text: &str) -> Result<Self, String> {
        let mut number = Self { int: parse_int(text), uint: parse_uint(text), ..Self::default() };
        if number.int == Some(0) {
            number.uint = Some(0);
        }
        if let Some(int) = number.int {
            number.float = Some(int as f64);
        } else if let Some(uint) = number.uint {
            number.float = Some(uint as f64);
        } else {
            let float = parse_float(text).ok_or("illegal number syntax")?;
            if !text.contains(['.', 'e', 'E', 'p', 'P']) {
                return Err("integer overflow".to_owned());
            }
            number.float = Some(float);
            number.int = (float.trunc() == float && float.abs() < 9.2e18).then_some(float as i64);
            number.uint = (float.trunc() == float && (0.0..1.8e19).contains(&float)).then_some(float as u64);
        }
        let is_hexadecimal = text.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("0x");
        let marks: &[char] = if is_hexadecimal { &['.', 'p', 'P'] } else { &['.', 'e', 'E'] };
        number.is_float = text.contains(marks);
        Ok(number)
    }
}

/// Digits and base of an integer as Go's `strconv` reads it with base 0: prefixes, and `_` between digits.
fn digits(text: &str) -> Option<(String, u32)> {
    let lower = text.to_ascii_lowercase();
    let (digits, base) = match lower.as_bytes() {
        [b'0', b'x', ..] => (lower.get(2..)?, 16),
        [b'0', b'o', ..] => (lower.get(2..)?, 8),
        [b'0', b'b', ..] => (lower.get(2..)?, 2),
        [b'0', _, ..] => (lower.get(1..)?, 8),
        _ => (lower.as_str(), 10),
    };
    let has_prefix = base != 10;
    let misplaced = digits.ends_with('_') || digits.contains("__") || (digits.starts_with('_') && !has_prefix);
    let clean = digits.replace('_', "");
    (!misplaced && !clean.is_empty() && clean.chars().all(|digit| digit.is_digit(base))).then_some((clean, base))
}

/// Go's `strconv.ParseInt(text, 0, 64)`.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, base) = digits(rest)?;
    i64::from_str_radix(&format!("{sign}{digits}"), base).ok()
}

fn parse_uint(text: &str) -> Option<u64> {
    let (digits, base) = digits(text)?;
    u64::from_str_radix(&digits, base).ok()
}

/// Go's `strconv.ParseFloat(text, 64)`, infinities and hexadecimal floats included; overflow is no float.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if unsigned.len() + 1 < text.len() {
        return None;
    }
    let lower = unsigned.to_ascii_lowercase();
    let value = match lower.as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        _ if lower.starts_with("0x") => hexadecimal_float(lower.get(2..)?)?,
        _ => {
            let is_decimal = lower.starts_with(|first: char| first.is_ascii_digit() || first == '.');
            let value: f64 = is_decimal.then(|| lower.parse().ok()).flatten()?;
            if value.is_infinite() {
                return None;
            }
            value
        }
    };
    Some(if text.starts_with('-') { -value } else { value })
}

fn hexadecimal_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let mut exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}").replace('_', "");
    exponent = exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    let value = u64::from_str_radix(&digits, 16).ok()? as f64;
    let made = value * 2_f64.powi(exponent);
    made.is_finite().then_some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_numbers_as_in_go() {
        let check = |text: &str, int: Option<i64>, float: Option<f64>, is_float: bool| {
            let number = Number::from_text(text).unwrap();
            assert_eq!((number.int, number.float, number.is_float), (int, float, is_float), "{text}");
        };
        check("0x1F", Some(31), Some(31.0), false);
        check("1_000", Some(1000), Some(1000.0), false);
        check("010", Some(8), Some(8.0), false);
        check("0b11", Some(3), Some(3.0), false);
        check("1e3", Some(1000), Some(1000.0), true);
        check("1.5", None, Some(1.5), true);
        check("-7", Some(-7), Some(-7.0), false);
        check("0x1p4", Some(16), Some(16.0), true);
        check("18446744073709551615", None, Some(18446744073709551615.0), false);
        assert!(Number::from_text("99999999999999999999").is_err());
        assert!(Number::from_text("1__0").is_err());
        assert_eq!(Number::from_character("'a'").unwrap().int, Some(97));
        assert_eq!(Number::from_character(r"'\n'").unwrap().int, Some(10));
        assert!(Number::from_character("'ab'").is_err());
    }
}

//! Numbers as Go reads and writes them.

use std::borrow::Cow;

/// What Go's `strconv.ParseFloat` gives when its error is ignored: 0 for what is no number, infinity for what is too
/// large; hexadecimal floats, `inf` and `nan` in any case are numbers.
pub(super) fn parse_float(text: &[u8]) -> f64 {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let signed = |magnitude: f64| if negative { -magnitude } else { magnitude };
    if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        return signed(f64::INFINITY);
    }
    if text.eq_ignore_ascii_case(b"nan") {
        return f64::NAN;
    }
    if let [b'0', b'x' | b'X', rest @ ..] = unsigned {
        let digits = without_underscores(rest, true, u8::is_ascii_hexdigit);
        return digits.and_then(|digits| parse_hexadecimal(&digits)).map_or(0.0, signed);
    }
    let Some(digits) = without_underscores(unsigned, false, u8::is_ascii_digit) else {
        return 0.0;
    };
    // Rust reads words for infinity and "not a number" in more places than Go; only digits come this far.
    if !digits.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return 0.0;
    }
    std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok()).map_or(0.0, signed)
}

/// The text without its underscores; `None` where one does not stand between digits (or after a prefix).
fn without_underscores(text: &[u8], after_prefix: bool, is_digit: fn(&u8) -> bool) -> Option<Cow<'_, [u8]>> {
    if !text.contains(&b'_') {
        return Some(Cow::Borrowed(text));
    }
    let separates = |at: usize| {
        let follows = if at == 0 { after_prefix } else { is_digit(&text[at - 1]) };
        follows && text.get(at + 1).is_some_and(is_digit)
    };
    let placed = (0..text.len()).filter(|at| text[*at] == b'_').all(separates);
    placed.then(|| Cow::Owned(text.iter().copied().filter(|byte| *byte != b'_').collect()))
}

/// The magnitude of `HEX[.HEX]p±DECIMAL`, rounded to nearest, ties to even; `None` where it is malformed.
fn parse_hexadecimal(text: &[u8]) -> Option<f64> {
    let mark = text.iter().position(|byte| matches!(byte, b'p' | b'P'))?;
    let (mantissa, lost, scale) = hexadecimal_digits(&text[..mark])?;
    Some(round_binary(mantissa, lost, scale.saturating_add(decimal_exponent(&text[mark + 1..])?)))
}

/// The first sixteen significant digits, whether digits that are not zero were left out, and the power of two that
/// the digits stand for.
fn hexadecimal_digits(digits: &[u8]) -> Option<(u64, bool, i64)> {
    let (mut mantissa, mut lost, mut scale) = (0u64, false, 0i64);
    let (mut any, mut fraction) = (false, false);
    for &byte in digits {
        if byte == b'.' && !fraction {
            fraction = true;
            continue;
        }
        let digit = u64::from(char::from(byte).to_digit(16)?);
        any = true;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            scale -= if fraction { 4 } else { 0 };
        } else {
            lost |= digit != 0;
            scale += if fraction { 0 } else { 4 };
        }
    }
    any.then_some((mantissa, lost, scale))
}

fn decimal_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    let mut exponent = 0i64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        // Far beyond every finite number; stopping there keeps the sum small.
        if exponent < 10_000 {
            exponent = exponent * 10 + i64::from(byte - b'0');
        }
    }
    Some(if negative { -exponent } else { exponent })
}

/// `mantissa × 2^exponent`, rounded once.
fn round_binary(mantissa: u64, lost: bool, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let shift_up = mantissa.leading_zeros();
    let (mantissa, exponent) = (mantissa << shift_up, exponent - i64::from(shift_up));
    // The value is 1.xxx × 2^top; subnormal numbers have fewer bits.
    let top = exponent + 63;
    if top > 1023 {
        return f64::INFINITY;
    }
    let kept_bits = if top >= -1022 { 53 } else { 53 - (-1022 - top) };
    if kept_bits < 0 {
        return 0.0;
    }
    let dropped = 64 - kept_bits;
    let wide = u128::from(mantissa) << 64 >> dropped;
    let (kept, rest) = ((wide >> 64) as u64, wide as u64);
    let half = 1u64 << 63;
    let up = rest > half || (rest == half && (lost || kept & 1 == 1));
    let kept = kept + u64::from(up);
    // Exact: `kept` has at most 53 bits (or is the next power of two), and both factors are powers of two in range.
    let power = exponent + dropped;
    let first = power.clamp(-1022, 971);
    kept as f64 * two_to(first) * two_to(power - first)
}

/// A power of two that is a normal number.
fn two_to(power: i64) -> f64 {
    f64::from_bits(((power + 1023) as u64) << 52)
}

/// The shortest decimal digits that read back as `number`, never with an exponent: Go's `FormatFloat(n, 'f', -1, 64)`.
pub(super) fn format_float(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        number.to_string()
    }
}

/// A list index as gjson reads it: digits only, wrapping around as Go's integers do.
pub(super) fn parse_index(text: &[u8]) -> Option<i64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| wrapping_digits(text))
}

/// A signed integer as gjson reads it from text.
pub(super) fn parse_integer(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => parse_index(digits).map(i64::wrapping_neg),
        digits => parse_index(digits),
    }
}

fn wrapping_digits(digits: &[u8]) -> i64 {
    digits.iter().fold(0i64, |sum, digit| sum.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')))
}

/// A float as an integer: cut towards zero; out of range, the least one, as on x86-64.
pub(super) fn truncate_float(number: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&number) { number as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_written_as_go_does() {
        let check =
            |text: &str, expected: &str| assert_eq!(format_float(parse_float(text.as_bytes())), expected, "{text}");
        check("2.50", "2.5");
        check("1e3", "1000");
        check("-0.0", "-0");
        check("1e400", "+Inf");
        check("-1e400", "-Inf");
        check("1e21", "1000000000000000000000");
        check("1e-7", "0.0000001");
        check("12a", "0");
        check("+5.", "5");
        check(".5", "0.5");
        check("nAn", "NaN");
        check("-nan", "0");
        check("+Infinity", "+Inf");
        check("infi", "0");
        check("", "0");
        check("-", "0");
        check("1_0.5_0", "10.5");
        check("1__0", "0");
        check("1_.5", "0");
    }

    #[test]
    fn hexadecimal_floats_are_rounded_once() {
        let check = |text: &str, expected: f64| assert_eq!(parse_float(text.as_bytes()), expected, "{text}");
        check("0x10p0", 16.0);
        check("-0X1.8p1", -3.0);
        check("0x_1_0p0", 16.0);
        check("0x1__0p0", 0.0);
        check("0x1_p0", 0.0);
        check("0x10", 0.0);
        check("0x1p-1074", f64::from_bits(1));
        check("0x1p-1075", 0.0);
        check("0x1.8p-1075", f64::from_bits(1));
        check("0x1.fffffffffffff8p1023", f64::INFINITY);
        check("0x1.fffffffffffff7p1023", f64::MAX);
        check("0x1.00000000000008p0", 1.0);
        check("0x1.000000000000080000000001p0", 1.0 + f64::EPSILON);
        check("0x1p99999", f64::INFINITY);
    }
}

//! Floats, as Go's `strconv.FormatFloat` writes them.

/// The shortest digits that read back as `value`, without a point, and the place of the point after the first of them
/// (the decimal exponent).
fn shortest(value: f64) -> (String, i32) {
    let written = format!("{:e}", value.abs());
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    (digits.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// Digits rounded to `count` of them, and the exponent.
fn rounded(value: f64, count: usize) -> (String, i32) {
    let written = format!("{:.*e}", count.saturating_sub(1).min(DECIMALS), value.abs());
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    (digits.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// `inf` and `nan` in Go's spelling, with a sign for the infinities.
fn special(value: f64) -> Option<&'static str> {
    match value {
        _ if value.is_nan() => Some("NaN"),
        _ if value == f64::INFINITY => Some("+Inf"),
        _ if value == f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

fn sign(value: f64) -> &'static str {
    if value.is_sign_negative() { "-" } else { "" }
}

/// `%v` and `%g`: the shortest form, or `precision` digits; an exponent where it is below -4 or
/// at least the precision (6 for the shortest form).
pub(crate) fn general(value: f64, precision: Option<usize>) -> String {
    if let Some(word) = special(value) {
        return word.to_owned();
    }
    let (mut digits, exponent) = match precision {
        None => shortest(value),
        Some(count) => rounded(value, count.max(1)),
    };
    let mut limit = precision.map_or(6, |count| i32::try_from(count.max(1)).unwrap_or(i32::MAX));
    if precision.is_some() {
        // Go drops zeros at the end of %g with a precision.
        let kept = digits.trim_end_matches('0').len().max(1);
        digits.truncate(kept);
        let count = i32::try_from(kept).unwrap_or(i32::MAX);
        if limit > count && count > exponent {
            limit = count;
        }
    }
    if exponent < -4 || exponent >= limit {
        return format!("{}{}", sign(value), scientific_digits(&digits, exponent));
    }
    format!("{}{}", sign(value), plain_digits(&digits, exponent))
}

/// The most decimals that are asked of the library: an `f64` has no digit beyond.
const DECIMALS: usize = 1100;

/// `%e`.
pub(crate) fn scientific(value: f64, precision: Option<usize>) -> String {
    if let Some(word) = special(value) {
        return word.to_owned();
    }
    let (digits, exponent) = match precision {
        None => shortest(value),
        Some(count) => rounded(value, count + 1),
    };
    format!("{}{}", sign(value), scientific_digits(&digits, exponent))
}

/// `%f`.
pub(crate) fn plain(value: f64, precision: Option<usize>) -> String {
    match (special(value), precision) {
        (Some(word), _) => word.to_owned(),
        (None, Some(count)) => format!("{value:.*}", count.min(DECIMALS)),
        (None, None) => format!("{value}"),
    }
}

fn scientific_digits(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1.min(digits.len()));
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs())
}

fn plain_digits(digits: &str, exponent: i32) -> String {
    if exponent < 0 {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        return format!("0.{}{digits}", "0".repeat(zeros));
    }
    let whole = usize::try_from(exponent + 1).unwrap_or(0);
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    let (before, after) = digits.split_at(whole);
    format!("{before}.{after}")
}

/// As `encoding/json` writes it: plain between 1e-6 and 1e21, and exponents without a leading zero.
pub(crate) fn json(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        return scientific(value, None).replace("e-0", "e-").replace("e+0", "e+");
    }
    plain(value, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_go() {
        let check = |value: f64, expected: &str| assert_eq!(general(value, None), expected);
        check(1e10, "1e+10");
        check(1e21, "1e+21");
        check(1.5, "1.5");
        check(0.0001, "0.0001");
        check(0.00001, "1e-05");
        check(-0.0, "-0");
        check(f64::INFINITY, "+Inf");
        assert_eq!(general(1e10, None), "1e+10");
        assert_eq!(general(123456789.0, None), "1.23456789e+08");
        assert_eq!(general(100000.0, None), "100000");
        assert_eq!(general(2.34567, Some(3)), "2.35");
        assert_eq!(general(100.0, Some(3)), "100");
        assert_eq!(scientific(1234.5, Some(2)), "1.23e+03");
        assert_eq!(json(1e21), "1e+21");
        assert_eq!(json(1e-7), "1e-7");
        assert_eq!(json(3.0), "3");
    }
}

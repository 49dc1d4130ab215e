//! Durations in nanoseconds, as Go's `time.Duration` prints and reads them.

const SECOND: i64 = 1_000_000_000;

/// `1h2m3.5s`.
pub(crate) fn text(duration: i64) -> String {
    let size = duration.unsigned_abs();
    let sign = if duration < 0 { "-" } else { "" };
    let second = SECOND.unsigned_abs();
    if size == 0 {
        return "0s".to_owned();
    }
    if size < second {
        let (unit, name) = match size {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{name}", decimal(size, unit));
    }
    let (minutes, rest) = (size / second / 60, size % (60 * second));
    let seconds = format!("{}s", decimal(rest, second));
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
    }
}

/// `size` in `unit`s, with the decimals that are needed.
fn decimal(size: u64, unit: u64) -> String {
    let (whole, fraction) = (size / unit, size % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{fraction:0>width$}").trim_end_matches('0'))
}

/// Reads `1h30m`, `-1.5s` and the like; `None` where it is none.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        total = total.checked_add(part(number, unit)?)?;
        rest = after;
    }
    i64::try_from(if is_negative { -total } else { total }).ok()
}

fn part(number: &str, unit: &str) -> Option<i128> {
    let unit: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mut nanoseconds = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()?.checked_mul(unit)? };
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        nanoseconds += i128::from(digit - b'0') * place;
    }
    Some(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_they_print() {
        let check = |written: &str, nanoseconds: i64, printed: &str| {
            assert_eq!(parse(written), Some(nanoseconds), "{written}");
            assert_eq!(text(nanoseconds), printed);
        };
        check("1h", 3_600 * SECOND, "1h0m0s");
        check("-1.5h", -5_400 * SECOND, "-1h30m0s");
        check("90s", 90 * SECOND, "1m30s");
        check("1.5ms", 1_500_000, "1.5ms");
        check("2us", 2_000, "2µs");
        check("0", 0, "0s");
        check("1m0.25s", 60 * SECOND + SECOND / 4, "1m0.25s");
        for wrong in ["", "1", "h", "1x", "1.2.3s", "-"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}

use std::time::Duration;

/// Longer than anything here may take; a clock that adds it never overflows.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Reads a span of time: `30s`, `500ms`, `2m`, `1h`, or a plain number of seconds.
///
/// # Errors
/// Words for a person who typed it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    let parsed = number.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * seconds).ok());
    let fitting = parsed.filter(|span| *span <= LONGEST);
    fitting.ok_or_else(|| format!("\"{text}\" is not a span of time up to 24h: write 30s, 500ms or 2m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_have_a_unit_or_are_seconds() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse_duration(text).ok().map(|span| span.as_millis()), expected.map(u128::from), "{text}");
        };
        check("30", Some(30_000));
        check("30s", Some(30_000));
        check("1.5s", Some(1_500));
        check("500ms", Some(500));
        check("2m", Some(120_000));
        check("1h", Some(3_600_000));
        check("0", Some(0));
        for wrong in ["", "s", "-1s", "1d", "1 s", "1e400s", "1.2.3s", "25h", "99999999999999h"] {
            check(wrong, None);
        }
    }
}

//! Durations as Go writes them: `1h30m`, `15s`, `0`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strongroom_failure::{Class, Failure};

/// What Go's `time.ParseDuration` reads; numbers that do not fit are refused later, by the parser.
pub(crate) const PATTERN: &str = r"^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// A duration in the spelling in which it was written (`metav1.Duration`).
///
/// Any text is read, so that one object with a wrong duration spoils nothing but itself; what it means is asked later.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GoDuration(String);

impl GoDuration {
    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// How long it is; a negative one counts as zero, as for everyone who waits.
    ///
    /// # Errors
    /// `Invalid` where the text is no duration or more than 292 years, which is the longest that Go has.
    pub fn duration(&self) -> Result<Duration, Failure> {
        let unsigned = self.0.strip_prefix(['-', '+']).unwrap_or(&self.0);
        let nanoseconds = nanoseconds(unsigned).filter(|nanoseconds| i64::try_from(*nanoseconds).is_ok());
        match nanoseconds {
            None => Err(Failure::new(Class::Invalid, "this is not a duration")
                .with_hint("write a number with a unit (ns, us, ms, s, m, h), such as 1h30m or 15s")),
            Some(_) if self.0.starts_with('-') => Ok(Duration::ZERO),
            Some(nanoseconds) => Ok(Duration::from_nanos(nanoseconds)),
        }
    }
}

impl From<&str> for GoDuration {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// In Go's spelling, to the second: `1h0m0s`.
impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        let (hours, minutes, seconds) =
            (duration.as_secs() / 3600, duration.as_secs() / 60 % 60, duration.as_secs() % 60);
        Self(match (hours, minutes) {
            (0, 0) => format!("{seconds}s"),
            (0, _) => format!("{minutes}m{seconds}s"),
            _ => format!("{hours}h{minutes}m{seconds}s"),
        })
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> Cow<'static, str> {
        "GoDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN })
    }
}

/// The sum of `text`'s parts; `None` where it is no unsigned duration or does not fit.
fn nanoseconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|letter: char| !matches!(letter, '0'..='9' | '.'))?);
        let (unit, after) =
            after.split_at(after.find(|letter| matches!(letter, '0'..='9' | '.')).unwrap_or(after.len()));
        total = total.checked_add(part(number, unit)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// The nanoseconds of one number with its unit.
fn part(number: &str, unit: &str) -> Option<u64> {
    let scale: u64 = match unit {
        "ns" => 1,
        // The micro sign and the Greek letter.
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits beyond the twelfth are less than a nanosecond of an hour.
    let digits = &fraction[..fraction.len().min(12)];
    let numerator: u64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let denominator = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    let below = u64::try_from(u128::from(numerator) * u128::from(scale) / denominator).ok()?;
    whole.checked_mul(scale)?.checked_add(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let check = |text: &str, expected: Option<Duration>| {
            assert_eq!(GoDuration::from(text).duration().ok(), expected, "{text}");
        };
        check("1h0m0s", Some(Duration::from_secs(3600)));
        check("1h30m", Some(Duration::from_secs(5400)));
        check("15s", Some(Duration::from_secs(15)));
        check("1.5h", Some(Duration::from_secs(5400)));
        check(".5s", Some(Duration::from_millis(500)));
        check("1.s", Some(Duration::from_secs(1)));
        check("100ms20us3ns", Some(Duration::from_nanos(100_020_003)));
        check("2µs", Some(Duration::from_micros(2)));
        check("0", Some(Duration::ZERO));
        check("0s", Some(Duration::ZERO));
        check("+5m", Some(Duration::from_secs(300)));
        check("-5m", Some(Duration::ZERO));
        check("0.3333333333333333333h", Some(Duration::from_nanos(1_199_999_999_998)));
        check("2562047h", Some(Duration::from_secs(2_562_047 * 3600)));
        for wrong in
            ["", "5", "-", "h", ".s", "1.2.3s", "1d", "1 h", "5m-3s", "--5m", "2562048h", "99999999999999999999h"]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let check = |seconds, expected| assert_eq!(GoDuration::from(Duration::from_secs(seconds)).text(), expected);
        check(0, "0s");
        check(61, "1m1s");
        check(3600, "1h0m0s");
    }
}

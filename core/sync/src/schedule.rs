//! Schedules as cron has them: five fields in UTC, `@daily` and its like, `@every 1h`.

use jiff::civil::{Date, DateTime, time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use strongroom_api::GoDuration;
use strongroom_failure::{Class, Failure};

/// How many days are looked at for the next moment: eight years, the longest that a 29 February lets wait, and a day.
const DAYS_LIMIT: usize = 8 * 366 + 1;

/// When something begins, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Fields(Fields),
    /// Every so many seconds, counted from 1970.
    Every(i64),
}

/// The values that each field allows, a bit each.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether both the day of the month and of the week must fit; where both are restricted, one is enough.
    both_days: bool,
}

impl Schedule {
    /// Reads `minute hour day month weekday` (lists, ranges, steps, names of months and weekdays), a descriptor, or
    /// `@every` with a Go duration.
    ///
    /// # Errors
    /// `Invalid`, saying which field is wrong.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        if let Some(interval) = text.strip_prefix("@every ") {
            return every(interval.trim());
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let parts: Vec<&str> = fields.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = parts[..] else {
            return Err(invalid("a schedule has five fields: minute hour day month weekday"));
        };
        let (days, any_day) = field("day", days, 1, 31, &[])?;
        let (weekdays, any_weekday) = field("weekday", weekdays, 0, 6, WEEKDAYS)?;
        Ok(Self(Kind::Fields(Fields {
            minutes: field("minute", minutes, 0, 59, &[])?.0,
            hours: field("hour", hours, 0, 23, &[])?.0,
            days,
            months: field("month", months, 1, 12, MONTHS)?.0,
            weekdays,
            both_days: any_day || any_weekday,
        })))
    }

    /// The first moment after `after`; `None` where there is none in eight years (30 February).
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Every(seconds) => {
                let periods = after.as_second().div_euclid(*seconds) + 1;
                Timestamp::from_second(periods.checked_mul(*seconds)?).ok()
            }
            Kind::Fields(fields) => fields.next_after(after.to_zoned(TimeZone::UTC).datetime()),
        }
    }
}

fn every(interval: &str) -> Result<Schedule, Failure> {
    let duration = GoDuration::from(interval).duration()?;
    // A shorter one is a second, and parts of a second do not count, as in Go's cron.
    let seconds = i64::try_from(duration.as_secs().max(1)).map_err(|_| invalid("the interval is too long"))?;
    Ok(Schedule(Kind::Every(seconds)))
}

impl Fields {
    fn next_after(&self, after: DateTime) -> Option<Timestamp> {
        let mut date = after.date();
        let mut earliest = Some(i32::from(after.hour()) * 60 + i32::from(after.minute()) + 1);
        for _ in 0..DAYS_LIMIT {
            if self.has_day(date)
                && let Some(minute) = self.first_minute(earliest.unwrap_or(0))
            {
                let hour = i8::try_from(minute / 60).ok()?;
                let minute = i8::try_from(minute % 60).ok()?;
                let moment = date.to_datetime(time(hour, minute, 0, 0));
                return Some(moment.to_zoned(TimeZone::UTC).ok()?.timestamp());
            }
            earliest = None;
            date = date.checked_add(Span::new().days(1)).ok()?;
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let has = |bits: u64, value: i8| bits >> value & 1 == 1;
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month()) && if self.both_days { day && weekday } else { day || weekday }
    }

    /// The first minute of a day that is allowed, not before `earliest`.
    fn first_minute(&self, earliest: i32) -> Option<i32> {
        (earliest..24 * 60)
            .find(|minute| self.hours >> (minute / 60) & 1 == 1 && self.minutes >> (minute % 60) & 1 == 1)
    }
}

const MONTHS: &[&str] = &["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The values that `text` allows, and whether it allows all of them without a step.
fn field(name: &str, text: &str, least: u32, most: u32, names: &[&str]) -> Result<(u64, bool), Failure> {
    let mut bits = 0;
    let mut any = false;
    for part in text.split(',') {
        let (values, step) = part.split_once('/').map_or((part, None), |(values, step)| (values, Some(step)));
        let step = step.map_or(Ok(1), |step| number(name, step, 1, most, &[]))?;
        let (from, to) = match values.split_once('-') {
            _ if values == "*" || values == "?" => (least, most),
            Some((from, to)) => (number(name, from, least, most, names)?, number(name, to, least, most, names)?),
            None => {
                let from = number(name, values, least, most, names)?;
                // `5/15` means from 5 on.
                (from, if part.contains('/') { most } else { from })
            }
        };
        if from > to {
            return Err(invalid(&format!("the {name} goes from {from} back to {to}")));
        }
        any |= step == 1 && (values == "*" || values == "?");
        bits |= (from..=to).step_by(step as usize).fold(0, |bits, value| bits | 1 << value);
    }
    Ok((bits, any))
}

fn number(name: &str, text: &str, least: u32, most: u32, names: &[&str]) -> Result<u32, Failure> {
    let named = names.iter().position(|known| !known.is_empty() && known.eq_ignore_ascii_case(text));
    let value = named.and_then(|index| u32::try_from(index).ok()).or_else(|| text.parse().ok());
    match value {
        Some(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(invalid(&format!("the {name} has numbers from {least} to {most}"))),
    }
}

fn invalid(words: &str) -> Failure {
    Failure::new(Class::Invalid, format!("this is not a schedule: {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: &str, after: &str, expected: Option<&str>) {
        let next = Schedule::parse(schedule).unwrap().next_after(after.parse().unwrap());
        assert_eq!(next.map(|next| next.to_string()).as_deref(), expected, "{schedule} after {after}");
    }

    #[test]
    fn the_next_moment_follows_all_fields() {
        // 2026-06-01 is a Monday.
        check("0 22 * * *", "2026-06-01T21:59:59.5Z", Some("2026-06-01T22:00:00Z"));
        check("0 22 * * *", "2026-06-01T22:00:00Z", Some("2026-06-02T22:00:00Z"));
        check("*/20 3 * * *", "2026-06-01T03:20:00Z", Some("2026-06-01T03:40:00Z"));
        check("5/25 * * * *", "2026-06-01T03:31:00Z", Some("2026-06-01T03:55:00Z"));
        check("15,45 8-9 * * MON-FRI", "2026-06-05T09:45:00Z", Some("2026-06-08T08:15:00Z"));
        check("0 0 1 jan ?", "2026-06-01T00:00:00Z", Some("2027-01-01T00:00:00Z"));
        check("0 0 29 2 *", "2026-06-01T00:00:00Z", Some("2028-02-29T00:00:00Z"));
        check("0 0 30 2 *", "2026-06-01T00:00:00Z", None);
        // Both days restricted: one is enough. One of them free: the other must fit.
        check("0 0 13 * 5", "2026-06-01T00:00:00Z", Some("2026-06-05T00:00:00Z"));
        check("0 0 13 * *", "2026-06-01T00:00:00Z", Some("2026-06-13T00:00:00Z"));
        // A star with a step restricts.
        check("0 0 */30 * 3", "2026-06-01T00:00:00Z", Some("2026-06-03T00:00:00Z"));
        check("59 23 31 12 *", "2026-12-31T23:59:00Z", Some("2027-12-31T23:59:00Z"));
    }

    #[test]
    fn descriptors_stand_for_fields() {
        let check = |schedule: &str, expected: &str| check(schedule, "2026-06-10T10:20:30Z", Some(expected));
        check("@yearly", "2027-01-01T00:00:00Z");
        check("@annually", "2027-01-01T00:00:00Z");
        check("@monthly", "2026-07-01T00:00:00Z");
        check("@weekly", "2026-06-14T00:00:00Z");
        check("@daily", "2026-06-11T00:00:00Z");
        check("@midnight", "2026-06-11T00:00:00Z");
        check("@hourly", "2026-06-10T11:00:00Z");
        check("@every 1h30m", "2026-06-10T10:30:00Z");
        check("@every 0s", "2026-06-10T10:20:31Z");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |schedule: &str, expected: &str| {
            let failure = Schedule::parse(schedule).unwrap_err();
            assert!(failure.words.contains(expected), "{schedule}: {failure}");
        };
        check("", "five fields");
        check("@fortnightly", "five fields");
        check("* * * *", "five fields");
        check("60 * * * *", "the minute has numbers from 0 to 59");
        check("* 24 * * *", "the hour has numbers from 0 to 23");
        check("* * 0 * *", "the day has numbers from 1 to 31");
        check("* * * 13 *", "the month has numbers from 1 to 12");
        check("* * * * 7", "the weekday has numbers from 0 to 6");
        check("* * * * freitag", "the weekday");
        check("*/0 * * * *", "the minute");
        check("9-3 * * * *", "from 9 back to 3");
        check("@every soon", "not a duration");
    }
}

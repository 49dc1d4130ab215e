//! Times by Go's layouts: the reference time `Mon Jan 2 15:04:05 MST 2006` written as the text should be.

mod chunk;
mod reading;

use self::chunk::{Chunk, next_chunk};
use super::time::{Moment, Parts};

pub(crate) use self::reading::parse;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// `moment` by `layout`.
pub(crate) fn format(layout: &str, moment: &Moment) -> String {
    let parts = moment.parts();
    let mut made = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    while let Some((before, chunk, after)) = next_chunk(rest) {
        made.push_str(before);
        made.push_str(&written(chunk, &parts));
        rest = after;
    }
    made + rest
}

fn name(names: &[&'static str], index: usize) -> &'static str {
    names.get(index).copied().unwrap_or_default()
}

fn written(chunk: Chunk, parts: &Parts) -> String {
    let civil = parts.civil;
    let month = usize::try_from(civil.month() - 1).unwrap_or(0);
    let weekday = usize::try_from(civil.weekday().to_sunday_zero_offset()).unwrap_or(0);
    let hour_of_12 = match civil.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let half = if civil.hour() < 12 { "AM" } else { "PM" };
    match chunk {
        Chunk::LongYear => format!("{:04}", civil.year()),
        Chunk::Year => format!("{:02}", civil.year().rem_euclid(100)),
        Chunk::LongMonth => name(&MONTHS, month).to_owned(),
        Chunk::Month => name(&MONTHS, month).chars().take(3).collect(),
        Chunk::NumberMonth => civil.month().to_string(),
        Chunk::ZeroMonth => format!("{:02}", civil.month()),
        Chunk::LongWeekday => name(&DAYS, weekday).to_owned(),
        Chunk::Weekday => name(&DAYS, weekday).chars().take(3).collect(),
        Chunk::Day => civil.day().to_string(),
        Chunk::SpaceDay => format!("{:2}", civil.day()),
        Chunk::ZeroDay => format!("{:02}", civil.day()),
        Chunk::SpaceYearDay => format!("{:3}", civil.day_of_year()),
        Chunk::ZeroYearDay => format!("{:03}", civil.day_of_year()),
        Chunk::Hour => format!("{:02}", civil.hour()),
        Chunk::Hour12 => hour_of_12.to_string(),
        Chunk::ZeroHour12 => format!("{hour_of_12:02}"),
        Chunk::Minute => civil.minute().to_string(),
        Chunk::ZeroMinute => format!("{:02}", civil.minute()),
        Chunk::Second => civil.second().to_string(),
        Chunk::ZeroSecond => format!("{:02}", civil.second()),
        Chunk::Half => half.to_owned(),
        Chunk::SmallHalf => half.to_lowercase(),
        Chunk::Abbreviation if parts.abbreviation.is_empty() => zone_number(parts.offset, false, true, false),
        Chunk::Abbreviation => parts.abbreviation.clone(),
        Chunk::Offset { is_z: true, .. } if parts.offset == 0 => "Z".to_owned(),
        Chunk::Offset { colon, minutes, seconds, .. } => zone_number(parts.offset, colon, minutes, seconds),
        Chunk::Fraction { digits, separator, trims } => fraction(civil.subsec_nanosecond(), digits, separator, trims),
    }
}

fn zone_number(offset: i32, colon: bool, minutes: bool, seconds: bool) -> String {
    let size = offset.unsigned_abs();
    let mut made = format!("{}{:02}", if offset < 0 { '-' } else { '+' }, size / 3600);
    let separator = if colon { ":" } else { "" };
    if minutes {
        made.push_str(&format!("{separator}{:02}", size / 60 % 60));
    }
    if seconds {
        made.push_str(&format!("{separator}{:02}", size % 60));
    }
    made
}

fn fraction(nanoseconds: i32, digits: usize, separator: char, trims: bool) -> String {
    let all = format!("{nanoseconds:09}");
    let kept = all.get(..digits.min(9)).unwrap_or(&all);
    let kept = if trims { kept.trim_end_matches('0') } else { kept };
    if trims && kept.is_empty() { String::new() } else { format!("{separator}{kept}") }
}

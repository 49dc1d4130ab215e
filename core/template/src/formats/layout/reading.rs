//! Texts to times, by the rules of Go's `time.Parse`.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use super::chunk::{Chunk, next_chunk};
use super::{DAYS, MONTHS};
use crate::formats::time::{Moment, Zone};

/// Reads `text` by `layout`; `None` where it does not fit.
pub(crate) fn parse(layout: &str, text: &str) -> Option<Moment> {
    let mut read = Read::default();
    let (mut layout, mut text) = (layout, text);
    while let Some((before, chunk, after)) = next_chunk(layout) {
        text = skip(text, before)?;
        layout = after;
        text = read.take(chunk, text, layout)?;
    }
    text = skip(text, layout)?;
    if text.is_empty() { read.moment() } else { None }
}

/// Passes what stands literally in a layout; runs of spaces match runs of spaces.
fn skip<'t>(text: &'t str, literal: &str) -> Option<&'t str> {
    let mut text = text;
    let mut literal = literal;
    while !literal.is_empty() {
        if literal.starts_with(' ') {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            literal = literal.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
            continue;
        }
        let letter = literal.chars().next()?;
        text = text.strip_prefix(letter)?;
        literal = literal.get(letter.len_utf8()..)?;
    }
    Some(text)
}

#[derive(Default)]
struct Read {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    is_afternoon: Option<bool>,
    offset: Option<i32>,
    abbreviation: String,
    is_utc: bool,
}

impl Read {
    fn take<'t>(&mut self, chunk: Chunk, text: &'t str, layout: &str) -> Option<&'t str> {
        let mut rest = text;
        match chunk {
            Chunk::LongYear => self.year = number(&mut rest, 4, 4)?,
            Chunk::Year => {
                let year: i16 = number(&mut rest, 2, 2)?;
                self.year = if year >= 69 { 1900 + year } else { 2000 + year };
            }
            Chunk::LongMonth => self.month = Some(named(&mut rest, &MONTHS, usize::MAX)? + 1),
            Chunk::Month => self.month = Some(named(&mut rest, &MONTHS, 3)? + 1),
            Chunk::NumberMonth => self.month = Some(number(&mut rest, 1, 2)?),
            Chunk::ZeroMonth => self.month = Some(number(&mut rest, 2, 2)?),
            Chunk::LongWeekday => drop(named(&mut rest, &DAYS, usize::MAX)?),
            Chunk::Weekday => drop(named(&mut rest, &DAYS, 3)?),
            Chunk::Day | Chunk::SpaceDay => {
                rest = rest.strip_prefix(' ').filter(|_| chunk == Chunk::SpaceDay).unwrap_or(rest);
                self.day = Some(number(&mut rest, 1, 2)?);
            }
            Chunk::ZeroDay => self.day = Some(number(&mut rest, 2, 2)?),
            Chunk::SpaceYearDay | Chunk::ZeroYearDay => {
                if chunk == Chunk::SpaceYearDay {
                    rest = rest.trim_start_matches(' ');
                }
                let least = if chunk == Chunk::ZeroYearDay { 3 } else { 1 };
                self.day_of_year = Some(number(&mut rest, least, 3)?);
            }
            _ => return self.take_time(chunk, text, layout),
        }
        Some(rest)
    }

    /// The parts that are not of a date.
    fn take_time<'t>(&mut self, chunk: Chunk, text: &'t str, layout: &str) -> Option<&'t str> {
        let mut rest = text;
        match chunk {
            Chunk::Hour => self.hour = number(&mut rest, 1, 2)?,
            Chunk::Hour12 => self.hour = number(&mut rest, 1, 2).filter(|hour| *hour <= 12)?,
            Chunk::ZeroHour12 => self.hour = number(&mut rest, 2, 2).filter(|hour| *hour <= 12)?,
            Chunk::Minute => self.minute = number(&mut rest, 1, 2)?,
            Chunk::ZeroMinute => self.minute = number(&mut rest, 2, 2)?,
            Chunk::Second | Chunk::ZeroSecond => {
                self.second = number(&mut rest, if chunk == Chunk::Second { 1 } else { 2 }, 2)?;
                // A fraction may stand after seconds even where the layout has none.
                if !matches!(next_chunk(layout), Some(("", Chunk::Fraction { .. }, _))) {
                    self.fraction(&mut rest, None)?;
                }
            }
            Chunk::Half | Chunk::SmallHalf => {
                let (half, after) = rest.split_at_checked(2)?;
                let (before_noon, after_noon) = if chunk == Chunk::Half { ("AM", "PM") } else { ("am", "pm") };
                self.is_afternoon = Some(half == after_noon).filter(|after| *after || half == before_noon);
                self.is_afternoon?;
                rest = after;
            }
            Chunk::Abbreviation => self.abbreviation(&mut rest)?,
            Chunk::Offset { is_z, colon, minutes, seconds } => {
                if let Some(after) = rest.strip_prefix('Z').filter(|_| is_z) {
                    self.is_utc = true;
                    return Some(after);
                }
                self.offset = Some(offset(&mut rest, colon, minutes, seconds)?);
            }
            Chunk::Fraction { digits, trims, .. } => self.fraction(&mut rest, (!trims).then_some(digits))?,
            _ => return None,
        }
        Some(rest)
    }

    /// A fraction of a second: of exactly `digits`, or of any, or none.
    fn fraction(&mut self, rest: &mut &str, digits: Option<usize>) -> Option<()> {
        let found = rest.strip_prefix(['.', ',']);
        let count = found.map_or(0, |after| after.bytes().take_while(u8::is_ascii_digit).count());
        match digits {
            Some(wanted) if count < wanted => return None,
            None if count == 0 => return Some(()),
            _ => {}
        }
        let taken = digits.unwrap_or(count);
        let (fraction, after) = found?.split_at_checked(taken)?;
        let nine: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
        self.nanosecond = nine.parse().ok()?;
        *rest = after;
        Some(())
    }

    fn abbreviation(&mut self, rest: &mut &str) -> Option<()> {
        if let Some(after) = rest.strip_prefix("UTC") {
            self.is_utc = true;
            *rest = after;
            return Some(());
        }
        let count = rest.bytes().take_while(u8::is_ascii_uppercase).count();
        let (name, after) = rest.split_at_checked(count).filter(|_| (3..=5).contains(&count))?;
        self.abbreviation = name.to_owned();
        *rest = after;
        Some(())
    }

    fn moment(self) -> Option<Moment> {
        let hour = match (self.is_afternoon, self.hour) {
            (Some(true), hour) if hour < 12 => hour + 12,
            (Some(false), 12) => 0,
            (_, hour) => hour,
        };
        let time = Time::new(hour, self.minute, self.second, self.nanosecond).ok()?;
        let date = match self.day_of_year {
            Some(day) => {
                let first = Date::new(self.year, 1, 1).ok()?;
                let date = first.with().day_of_year(day).build().ok()?;
                let fits = self.month.is_none_or(|month| month == date.month())
                    && self.day.is_none_or(|day| day == date.day());
                fits.then_some(date)?
            }
            None => Date::new(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()?,
        };
        let offset = self.offset.unwrap_or(0);
        let is_utc = self.is_utc || (offset == 0 && self.abbreviation.is_empty());
        let zone = if is_utc && offset == 0 { Zone::utc() } else { Zone::Fixed { offset, name: self.abbreviation } };
        let civil = DateTime::from_parts(date, time);
        let instant = civil.to_zoned(TimeZone::fixed(Offset::from_seconds(offset).ok()?)).ok()?.timestamp();
        Some(Moment { instant, zone })
    }
}

/// A number of `least` to `most` digits.
fn number<T: std::str::FromStr>(rest: &mut &str, least: usize, most: usize) -> Option<T> {
    let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, after) = rest.split_at_checked(count).filter(|_| count >= least)?;
    *rest = after;
    digits.parse().ok()
}

/// The place of the name that the text begins with; names count as far as `length` letters.
fn named(rest: &mut &str, names: &[&str], length: usize) -> Option<i8> {
    for (index, name) in names.iter().enumerate() {
        let name = name.get(..length.min(name.len()))?;
        let head = rest.get(..name.len()).unwrap_or_default();
        if head.eq_ignore_ascii_case(name) {
            *rest = rest.get(name.len()..)?;
            return i8::try_from(index).ok();
        }
    }
    None
}

fn offset(rest: &mut &str, colon: bool, minutes: bool, seconds: bool) -> Option<i32> {
    let sign = if rest.starts_with('-') { -1 } else { 1 };
    *rest = rest.strip_prefix(['+', '-'])?;
    let mut size: i32 = number::<i32>(rest, 2, 2)? * 3600;
    for (is_wanted, unit) in [(minutes, 60), (seconds, 1)] {
        if is_wanted {
            if colon {
                *rest = rest.strip_prefix(':')?;
            }
            size += number::<i32>(rest, 2, 2)? * unit;
        }
    }
    Some(sign * size)
}

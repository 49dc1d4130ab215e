//! Times. `Local` is UTC, as in the operator's container; `now` is the time that the rendering was given.

use std::rc::Rc;

use super::{Answer, fault, fixed};
use crate::evaluate::{Call, Function, Kind};
use crate::formats::duration;
use crate::formats::layout;
use crate::formats::time::{Moment, Zone, text};
use crate::limits::Fault;
use crate::values::Datum;

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("now", &[], |call| Ok(time(now(call)))),
    fixed("date", &[Kind::Text, Kind::Any], |call| formatted(call, &call.string(0), &call.any(1), "Local")),
    fixed("dateInZone", &[Kind::Text, Kind::Any, Kind::Text], in_zone),
    fixed("date_in_zone", &[Kind::Text, Kind::Any, Kind::Text], in_zone),
    fixed("htmlDate", &[Kind::Any], |call| formatted(call, "2006-01-02", &call.any(0), "Local")),
    fixed("htmlDateInZone", &[Kind::Any, Kind::Text], |call| {
        formatted(call, "2006-01-02", &call.any(0), &call.string(1))
    }),
    fixed("dateModify", &[Kind::Text, Kind::Time], |call| modified(call, false)),
    fixed("date_modify", &[Kind::Text, Kind::Time], |call| modified(call, false)),
    fixed("mustDateModify", &[Kind::Text, Kind::Time], |call| modified(call, true)),
    fixed("must_date_modify", &[Kind::Text, Kind::Time], |call| modified(call, true)),
    fixed("toDate", &[Kind::Text, Kind::Text], |call| {
        Ok(time(layout::parse(&call.string(0), &call.string(1)).unwrap_or_else(Moment::zero)))
    }),
    fixed("mustToDate", &[Kind::Text, Kind::Text], |call| {
        layout::parse(&call.string(0), &call.string(1)).map_or_else(|| fault("invalid date"), |moment| Ok(time(moment)))
    }),
    fixed("unixEpoch", &[Kind::Time], |call| Ok(Datum::text(receiver(call).seconds().to_string()))),
    fixed("ago", &[Kind::Any], |call| {
        let moment = moment(call, &call.any(0))?;
        let nanoseconds = now(call).nanoseconds() - moment.nanoseconds();
        let seconds = (nanoseconds as f64 / 1e9).round() as i64;
        Ok(Datum::text(duration::text(seconds.saturating_mul(1_000_000_000))))
    }),
    fixed("duration", &[Kind::Any], |call| {
        let seconds = match call.any(0) {
            Datum::Text(text) => text.lossy().parse().unwrap_or(0),
            Datum::Int64(seconds) => seconds,
            _ => 0,
        };
        Ok(Datum::text(duration::text(i64::wrapping_mul(seconds, 1_000_000_000))))
    }),
    fixed("durationRound", &[Kind::Any], |call| {
        let nanoseconds = match call.any(0) {
            Datum::Text(text) => duration::parse(&text.lossy()).unwrap_or(0),
            Datum::Int64(nanoseconds) => nanoseconds,
            Datum::Time(moment) => i64::try_from(now(call).nanoseconds() - moment.nanoseconds()).unwrap_or(i64::MAX),
            _ => 0,
        };
        Ok(Datum::text(rounded(nanoseconds)))
    }),
];

/// What a time can be asked, as methods of Go's `time.Time`.
pub(super) const METHODS: &[Function] = &[
    fixed("Year", &[], |call| Ok(Datum::Int(i64::from(receiver(call).parts().civil.year())))),
    fixed("Day", &[], |call| Ok(Datum::Int(i64::from(receiver(call).parts().civil.day())))),
    fixed("YearDay", &[], |call| Ok(Datum::Int(i64::from(receiver(call).parts().civil.day_of_year())))),
    fixed("Month", &[], |call| Ok(Datum::text(layout::format("January", &receiver(call))))),
    fixed("Weekday", &[], |call| Ok(Datum::text(layout::format("Monday", &receiver(call))))),
    fixed("Hour", &[], |call| Ok(Datum::Int(i64::from(receiver(call).parts().civil.hour())))),
    fixed("Minute", &[], |call| Ok(Datum::Int(i64::from(receiver(call).parts().civil.minute())))),
    fixed("Second", &[], |call| Ok(Datum::Int(i64::from(receiver(call).parts().civil.second())))),
    fixed("Nanosecond", &[], |call| Ok(Datum::Int(i64::from(receiver(call).parts().civil.subsec_nanosecond())))),
    fixed("Unix", &[], |call| Ok(Datum::Int64(receiver(call).seconds()))),
    fixed("UnixMilli", &[], |call| Ok(Datum::Int64(divided(&receiver(call), 1_000_000)))),
    fixed("UnixMicro", &[], |call| Ok(Datum::Int64(divided(&receiver(call), 1_000)))),
    fixed("UnixNano", &[], |call| Ok(Datum::Int64(divided(&receiver(call), 1)))),
    fixed("UTC", &[], |call| Ok(time(receiver(call).in_zone(Zone::utc())))),
    fixed("Local", &[], |call| Ok(time(receiver(call).in_zone(Zone::utc())))),
    fixed("String", &[], |call| Ok(Datum::text(text(&receiver(call))))),
    fixed("IsZero", &[], |call| Ok(Datum::Bool(receiver(call).is_zero()))),
    fixed("Format", &[Kind::Text], |call| {
        let made = layout::format(&call.string(1), &receiver(call));
        call.make(made)
    }),
    fixed("Before", &[Kind::Time], |call| Ok(Datum::Bool(receiver(call).instant < other(call).instant))),
    fixed("After", &[Kind::Time], |call| Ok(Datum::Bool(receiver(call).instant > other(call).instant))),
    fixed("Equal", &[Kind::Time], |call| Ok(Datum::Bool(receiver(call).instant == other(call).instant))),
    fixed("AddDate", &[Kind::Int, Kind::Int, Kind::Int], add_date),
];

fn time(moment: Moment) -> Datum {
    Datum::Time(Rc::new(moment))
}

fn now(call: &Call<'_>) -> Moment {
    Moment::new(call.now)
}

/// The last argument where functions take a time, the first where methods do: there is one.
fn receiver(call: &Call<'_>) -> Moment {
    let found = call.arguments.iter().find_map(|argument| match argument {
        Datum::Time(moment) => Some(Moment::clone(moment)),
        _ => None,
    });
    found.unwrap_or_else(Moment::zero)
}

fn other(call: &Call<'_>) -> Moment {
    match call.any(1) {
        Datum::Time(moment) => Moment::clone(&moment),
        _ => Moment::zero(),
    }
}

fn divided(moment: &Moment, by: i128) -> i64 {
    i64::try_from(moment.nanoseconds().div_euclid(by)).unwrap_or(0)
}

/// A time, or seconds since 1970; anything else is now.
fn moment(call: &Call<'_>, datum: &Datum) -> Result<Moment, Fault> {
    match datum {
        Datum::Time(moment) => Ok(Moment::clone(moment)),
        Datum::Int(seconds) | Datum::Int64(seconds) => {
            Moment::from_seconds(*seconds).ok_or_else(|| Fault::new("the year is beyond 9999"))
        }
        _ => Ok(now(call)),
    }
}

fn formatted(call: &mut Call<'_>, layout: &str, date: &Datum, zone: &str) -> Answer {
    let made = layout::format(layout, &moment(call, date)?.in_zone(Zone::named(zone)));
    call.make(made)
}

fn in_zone(call: &mut Call<'_>) -> Answer {
    formatted(call, &call.string(0), &call.any(1), &call.string(2))
}

fn modified(call: &mut Call<'_>, must: bool) -> Answer {
    let moment = receiver(call);
    match duration::parse(&call.string(0)) {
        Some(duration) => match moment.plus(duration) {
            Some(moment) => Ok(time(moment)),
            None => fault("the year is beyond 9999"),
        },
        None if must => fault("invalid duration"),
        None => Ok(time(moment)),
    }
}

fn add_date(call: &mut Call<'_>) -> Answer {
    let moment = receiver(call);
    let (years, months, days) = (call.int(1), call.int(2), call.int(3));
    let parts = moment.parts();
    let out = || Fault::new("the year is beyond 9999");
    // Go counts months on and lets days overflow into the next one.
    let more = years.saturating_mul(12).saturating_add(months);
    let month = (i64::from(parts.civil.year()) * 12 + i64::from(parts.civil.month()) - 1).saturating_add(more);
    let year = i16::try_from(month.div_euclid(12)).map_err(|_| out())?;
    let first =
        jiff::civil::Date::new(year, i8::try_from(month.rem_euclid(12) + 1).unwrap_or(1), 1).map_err(|_| out())?;
    let span = jiff::Span::new().try_days(days.saturating_add(i64::from(parts.civil.day()) - 1)).map_err(|_| out())?;
    let date = first.checked_add(span).map_err(|_| out())?;
    let offset = jiff::tz::Offset::from_seconds(parts.offset).map_err(|_| out())?;
    let civil = jiff::civil::DateTime::from_parts(date, parts.civil.time());
    let instant = offset.to_timestamp(civil).map_err(|_| out())?;
    Ok(time(Moment { instant, zone: moment.zone }))
}

/// The largest unit that is passed: `3d`.
fn rounded(nanoseconds: i64) -> String {
    const SECOND: u64 = 1_000_000_000;
    const UNITS: [(u64, &str); 6] = [
        (365 * 24 * 3600 * SECOND, "y"),
        (30 * 24 * 3600 * SECOND, "mo"),
        (24 * 3600 * SECOND, "d"),
        (3600 * SECOND, "h"),
        (60 * SECOND, "m"),
        (SECOND, "s"),
    ];
    let size = nanoseconds.unsigned_abs();
    let unit = UNITS.iter().find(|(unit, _)| size > *unit);
    unit.map_or_else(|| "0s".to_owned(), |(unit, name)| format!("{}{name}", size / unit))
}

//! Moments in time with a zone, as Go's `time.Time`.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use super::layout;

/// A moment and the zone that it is told in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) instant: Timestamp,
    pub(crate) zone: Zone,
}

/// A place's time, or an offset that a text named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    /// A zone of the database.
    Named(TimeZone),
    /// An offset in seconds east of Greenwich, and its name, which may be empty.
    Fixed { offset: i32, name: String },
}

/// A moment's parts in its zone.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) civil: DateTime,
    /// Seconds east of Greenwich.
    pub(crate) offset: i32,
    pub(crate) abbreviation: String,
}

impl Zone {
    /// UTC, which is also what `Local` means: the operator runs without a zone of its own.
    pub(crate) fn utc() -> Self {
        Self::Named(TimeZone::UTC)
    }

    /// The zone of this name in the database that is built in; UTC where there is none, as sprig has it.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "" | "UTC" | "Local" => Self::utc(),
            _ => TimeZoneDatabase::bundled().get(name).map_or_else(|_| Self::utc(), Self::Named),
        }
    }
}

impl Moment {
    pub(crate) fn new(instant: Timestamp) -> Self {
        Self { instant, zone: Zone::utc() }
    }

    /// The moment `seconds` after 1970; `None` beyond the years that are counted.
    pub(crate) fn from_seconds(seconds: i64) -> Option<Self> {
        Timestamp::from_second(seconds).ok().map(Self::new)
    }

    /// Go's zero time: the first of January of the year 1.
    pub(crate) fn zero() -> Self {
        Self::new(Timestamp::from_second(-62_135_596_800).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.instant == Self::zero().instant
    }

    pub(crate) fn seconds(&self) -> i64 {
        self.instant.as_second() - i64::from(self.instant.subsec_nanosecond() < 0)
    }

    pub(crate) fn nanoseconds(&self) -> i128 {
        self.instant.as_nanosecond()
    }

    /// The moment `nanoseconds` later; `None` beyond the years that are counted.
    pub(crate) fn plus(&self, nanoseconds: i64) -> Option<Self> {
        let instant = self.instant.checked_add(SignedDuration::from_nanos(nanoseconds)).ok()?;
        Some(Self { instant, zone: self.zone.clone() })
    }

    pub(crate) fn in_zone(&self, zone: Zone) -> Self {
        Self { instant: self.instant, zone }
    }

    pub(crate) fn parts(&self) -> Parts {
        match &self.zone {
            Zone::Named(zone) => {
                let info = zone.to_offset_info(self.instant);
                let offset = info.offset();
                Parts {
                    civil: offset.to_datetime(self.instant),
                    offset: offset.seconds(),
                    abbreviation: info.abbreviation().to_owned(),
                }
            }
            Zone::Fixed { offset, name } => {
                let fixed = Offset::from_seconds(*offset).unwrap_or(Offset::UTC);
                Parts { civil: fixed.to_datetime(self.instant), offset: *offset, abbreviation: name.clone() }
            }
        }
    }
}

/// As Go prints a time: `2020-02-03 00:00:00 +0000 UTC`.
pub(crate) fn text(moment: &Moment) -> String {
    layout::format("2006-01-02 15:04:05.999999999 -0700 MST", moment)
}

/// As JSON has a time.
pub(crate) fn rfc3339(moment: &Moment) -> String {
    layout::format("2006-01-02T15:04:05.999999999Z07:00", moment)
}

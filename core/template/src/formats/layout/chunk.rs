//! The parts of a layout that stand for a time's parts.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    LongYear,
    Year,
    LongMonth,
    Month,
    NumberMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    SpaceDay,
    ZeroDay,
    SpaceYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    Half,
    SmallHalf,
    /// `MST`.
    Abbreviation,
    /// `-0700`, `Z07:00` and the like.
    Offset {
        is_z: bool,
        colon: bool,
        minutes: bool,
        seconds: bool,
    },
    /// `.000`, or `.999`, which leaves zeros at the end off.
    Fraction {
        digits: usize,
        separator: char,
        trims: bool,
    },
}

/// Chunks by how they are written, the longer before those they begin like.
const WRITTEN: &[(&str, Chunk)] = &[
    ("January", Chunk::LongMonth),
    ("Monday", Chunk::LongWeekday),
    ("MST", Chunk::Abbreviation),
    ("2006", Chunk::LongYear),
    ("__2", Chunk::SpaceYearDay),
    ("002", Chunk::ZeroYearDay),
    ("01", Chunk::ZeroMonth),
    ("02", Chunk::ZeroDay),
    ("03", Chunk::ZeroHour12),
    ("04", Chunk::ZeroMinute),
    ("05", Chunk::ZeroSecond),
    ("06", Chunk::Year),
    ("15", Chunk::Hour),
    ("PM", Chunk::Half),
    ("pm", Chunk::SmallHalf),
    ("_2", Chunk::SpaceDay),
    ("1", Chunk::NumberMonth),
    ("2", Chunk::Day),
    ("3", Chunk::Hour12),
    ("4", Chunk::Minute),
    ("5", Chunk::Second),
];

/// Offsets after their `-` or `Z`.
const OFFSETS: &[(&str, bool, bool, bool)] = &[
    ("070000", false, true, true),
    ("07:00:00", true, true, true),
    ("0700", false, true, false),
    ("07:00", true, true, false),
    ("07", false, false, false),
];

/// The first chunk of `layout`, with what stands before and after it.
pub(super) fn next_chunk(layout: &str) -> Option<(&str, Chunk, &str)> {
    layout.char_indices().find_map(|(at, _)| {
        let (before, rest) = layout.split_at(at);
        // `_2006` is a year after a sign, no day.
        if rest.starts_with("_2006") {
            return None;
        }
        let (chunk, length) = chunk_at(rest)?;
        Some((before, chunk, rest.get(length..)?))
    })
}

fn chunk_at(rest: &str) -> Option<(Chunk, usize)> {
    if let Some((written, chunk)) = WRITTEN.iter().find(|(written, _)| rest.starts_with(written)) {
        return Some((*chunk, written.len()));
    }
    for (short, chunk) in [("Jan", Chunk::Month), ("Mon", Chunk::Weekday)] {
        if let Some(after) = rest.strip_prefix(short) {
            return (!after.starts_with(|letter: char| letter.is_ascii_lowercase())).then_some((chunk, short.len()));
        }
    }
    let first = rest.chars().next()?;
    let after = rest.get(first.len_utf8()..)?;
    match first {
        '-' | 'Z' => {
            let (written, colon, minutes, seconds) = OFFSETS.iter().find(|offset| after.starts_with(offset.0))?;
            let chunk = Chunk::Offset { is_z: first == 'Z', colon: *colon, minutes: *minutes, seconds: *seconds };
            Some((chunk, written.len() + 1))
        }
        '.' | ',' => {
            let digit = after.chars().next().filter(|digit| matches!(digit, '0' | '9'))?;
            let digits = after.chars().take_while(|other| *other == digit).count();
            let ends = !after.get(digits..)?.starts_with(|letter: char| letter.is_ascii_digit());
            ends.then_some((Chunk::Fraction { digits, separator: first, trims: digit == '9' }, digits + 1))
        }
        _ => None,
    }
}

//! Regular expressions of RE2. They see text: what is not UTF-8 is U+FFFD.

use strongroom_pattern::Pattern;

use super::casts::to_count;
use super::{Answer, fixed};
use crate::evaluate::{Call, Function, Kind};
use crate::limits::Fault;
use crate::values::{Datum, Element, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("regexMatch", &[Kind::Text, Kind::Text], |call| {
        let text = searched(call)?;
        Ok(Datum::Bool(pattern(call).is_ok_and(|pattern| pattern.is_match(&text))))
    }),
    fixed("mustRegexMatch", &[Kind::Text, Kind::Text], |call| {
        let text = searched(call)?;
        Ok(Datum::Bool(pattern(call)?.is_match(&text)))
    }),
    fixed("regexFind", &[Kind::Text, Kind::Text], find),
    fixed("mustRegexFind", &[Kind::Text, Kind::Text], find),
    fixed("regexFindAll", &[Kind::Text, Kind::Text, Kind::Int], find_all),
    fixed("mustRegexFindAll", &[Kind::Text, Kind::Text, Kind::Int], find_all),
    fixed("regexReplaceAll", &[Kind::Text, Kind::Text, Kind::Text], |call| replace(call, false)),
    fixed("mustRegexReplaceAll", &[Kind::Text, Kind::Text, Kind::Text], |call| replace(call, false)),
    fixed("regexReplaceAllLiteral", &[Kind::Text, Kind::Text, Kind::Text], |call| replace(call, true)),
    fixed("mustRegexReplaceAllLiteral", &[Kind::Text, Kind::Text, Kind::Text], |call| replace(call, true)),
    fixed("regexSplit", &[Kind::Text, Kind::Text, Kind::Int], split),
    fixed("mustRegexSplit", &[Kind::Text, Kind::Text, Kind::Int], split),
    fixed("regexQuoteMeta", &[Kind::Text], |call| {
        let text = call.text(0);
        call.meter.make(text.bytes().len().saturating_mul(2))?;
        let mut made = Vec::with_capacity(text.bytes().len());
        for byte in text.bytes() {
            if br"\.+*?()|[]{}^$".contains(byte) {
                made.push(b'\\');
            }
            made.push(*byte);
        }
        call.make(made)
    }),
];

/// Compiling costs about as much as this many steps.
const COMPILING: usize = 200;

fn pattern(call: &mut Call<'_>) -> Result<Pattern, Fault> {
    call.meter.step(COMPILING)?;
    let failure = |failure: strongroom_failure::Failure| {
        // The reason may name a group or a range of the pattern, which may be a value.
        let is_ours = failure.words.contains("bytes");
        let why = if is_ours { failure.words } else { "this is not a regular expression".to_owned() };
        Fault::new(format!("error parsing regexp: {why}"))
    };
    Pattern::new(&call.string(0)).map_err(failure)
}

/// The text that is searched, counted: a search takes time in proportion to it.
fn searched(call: &mut Call<'_>) -> Result<String, Fault> {
    let text = call.string(1);
    call.meter.make(text.len())?;
    call.meter.step(text.len() / 64)?;
    Ok(text)
}

fn find(call: &mut Call<'_>) -> Answer {
    let text = searched(call)?;
    let pattern = pattern(call)?;
    call.make(pattern.regex().find(&text).map_or("", |found| found.as_str()))
}

fn find_all(call: &mut Call<'_>) -> Answer {
    let text = searched(call)?;
    let pattern = pattern(call)?;
    let most = to_count(call.int(2)).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for one in pattern.regex().find_iter(&text).take(most) {
        call.meter.step(1)?;
        found.push(Text::from(one.as_str()));
    }
    Ok(if found.is_empty() { Datum::nil_list(Element::Text) } else { Datum::texts(found) })
}

fn replace(call: &mut Call<'_>, is_literal: bool) -> Answer {
    let text = searched(call)?;
    let (pattern, target) = (pattern(call)?, call.string(2));
    let mut builder = call.builder();
    let mut end = 0;
    for captures in pattern.regex().captures_iter(&text) {
        let Some(whole) = captures.get(0) else { continue };
        builder.push(text.get(end..whole.start()).unwrap_or_default())?;
        if is_literal {
            builder.push(&target)?;
        } else {
            // Each `$1` may stand for the whole text: what it gives is counted before it is made.
            let signs = target.matches('$').count();
            builder.count(target.len().saturating_add(signs.saturating_mul(whole.len())))?;
            builder.push(strongroom_pattern::expanded(&captures, &target))?;
        }
        end = whole.end();
    }
    builder.push(text.get(end..).unwrap_or_default())?;
    Ok(Datum::text(builder.finish()))
}

/// Go's `Regexp.Split`.
fn split(call: &mut Call<'_>) -> Answer {
    let text = searched(call)?;
    let pattern = pattern(call)?;
    let count = call.int(2);
    if count == 0 {
        return Ok(Datum::nil_list(Element::Text));
    }
    if !pattern.source().is_empty() && text.is_empty() {
        return Ok(Datum::texts([Text::default()]));
    }
    let most = to_count(count).unwrap_or(usize::MAX);
    let mut made = Vec::new();
    let (mut begin, mut end) = (0, 0);
    for found in pattern.regex().find_iter(&text).take(most) {
        if made.len() + 1 == most {
            break;
        }
        call.meter.step(1)?;
        end = found.start();
        if found.end() != 0 {
            made.push(Text::from(text.get(begin..end).unwrap_or_default()));
        }
        begin = found.end();
    }
    if end != text.len() {
        made.push(Text::from(text.get(begin..).unwrap_or_default()));
    }
    Ok(Datum::texts(made))
}

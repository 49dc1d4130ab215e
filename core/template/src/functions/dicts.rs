//! Dicts, which change in place, and comparing and copying in depth.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::casts::to_text;
use super::{Answer, fault, fixed, variadic};
use crate::evaluate::{Call, Function, Kind};
use crate::limits::{Fault, Meter};
use crate::values::{Datum, List, Map, Text, type_name};

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("dict", &[], Kind::Any, dict),
    fixed("get", &[Kind::Map, Kind::Text], |call| {
        let found = call.map(0).and_then(|map| map.get(call.text(1).bytes()));
        Ok(found.unwrap_or_else(|| Datum::text("")))
    }),
    fixed("set", &[Kind::Map, Kind::Text, Kind::Any], |call| {
        let Some(map) = call.map(0) else { return fault("assignment to entry in nil map") };
        call.made.note(&call.any(0));
        map.set(call.text(1), call.any(2));
        Ok(call.any(0))
    }),
    fixed("unset", &[Kind::Map, Kind::Text], |call| {
        if let Some(map) = call.map(0) {
            map.unset(call.text(1).bytes());
        }
        Ok(call.any(0))
    }),
    fixed("hasKey", &[Kind::Map, Kind::Text], |call| {
        Ok(Datum::Bool(call.map(0).is_some_and(|map| map.get(call.text(1).bytes()).is_some())))
    }),
    variadic("pluck", &[Kind::Text], Kind::Map, |call| {
        let key = call.text(0);
        let maps = (1..call.count()).filter_map(|index| call.map(index));
        let found = maps.filter_map(|map| map.get(key.bytes())).collect();
        call.make_list(found)
    }),
    variadic("keys", &[], Kind::Map, |call| {
        let mut keys = Vec::new();
        for index in 0..call.count() {
            keys.extend(entries(call, index)?.into_iter().map(|(key, _)| key));
        }
        Ok(Datum::texts(keys))
    }),
    fixed("values", &[Kind::Map], |call| {
        let entries = entries(call, 0)?;
        call.make_list(entries.into_iter().map(|(_, value)| value).collect())
    }),
    variadic("pick", &[Kind::Map], Kind::Text, |call| chosen(call, true)),
    variadic("omit", &[Kind::Map], Kind::Text, |call| chosen(call, false)),
    variadic("merge", &[Kind::Map], Kind::Map, |call| merged(call, false)),
    variadic("mustMerge", &[Kind::Map], Kind::Map, |call| merged(call, false)),
    variadic("mergeOverwrite", &[Kind::Map], Kind::Map, |call| merged(call, true)),
    variadic("mustMergeOverwrite", &[Kind::Map], Kind::Map, |call| merged(call, true)),
    variadic("dig", &[], Kind::Any, dig),
    fixed("deepCopy", &[Kind::Any], |call| copied(call.meter, &call.any(0))),
    fixed("mustDeepCopy", &[Kind::Any], |call| copied(call.meter, &call.any(0))),
    fixed("deepEqual", &[Kind::Any, Kind::Any], |call| {
        deeply_equal(call.meter, &call.any(0), &call.any(1)).map(Datum::Bool)
    }),
];

fn entries(call: &mut Call<'_>, index: usize) -> Result<Vec<(Text, Datum)>, Fault> {
    let Some(map) = call.map(index) else { return Ok(Vec::new()) };
    call.meter.step(map.len())?;
    Ok(map.entries())
}

fn dict(call: &mut Call<'_>) -> Answer {
    let mut made = BTreeMap::new();
    for pair in call.arguments.chunks(2) {
        if let Some((key, value)) = pair.split_first() {
            let key = to_text(call, key)?;
            made.insert(key, value.first().cloned().unwrap_or_else(|| Datum::text("")));
        }
    }
    call.meter.step(made.len())?;
    Ok(Datum::map(made))
}

/// The entries whose keys are named, or those whose are not.
fn chosen(call: &mut Call<'_>, named: bool) -> Answer {
    let keys: Vec<Text> = (1..call.count()).map(|index| call.text(index)).collect();
    let entries = entries(call, 0)?;
    call.meter.step(entries.len().saturating_mul(keys.len()))?;
    Ok(Datum::map(entries.into_iter().filter(|(key, _)| keys.contains(key) == named).collect()))
}

fn merged(call: &mut Call<'_>, overwrites: bool) -> Answer {
    let Some(target) = call.map(0) else { return Ok(call.any(0)) };
    for index in 1..call.count() {
        if let Some(source) = call.map(index) {
            merge(call, &target, &source, overwrites, 0)?;
        }
    }
    Ok(call.any(0))
}

/// Adds what `target` lacks or, where asked to, replaces what it has; maps in both are merged in turn.
fn merge(call: &mut Call<'_>, target: &Rc<Map>, source: &Rc<Map>, overwrites: bool, depth: usize) -> Result<(), Fault> {
    if depth >= call.meter.depth() {
        return fault(format!("a value is nested deeper than {}", call.meter.depth()));
    }
    if Rc::ptr_eq(target, source) {
        return Ok(());
    }
    call.made.note(&Datum::Map(Rc::clone(target)));
    call.meter.step(source.len())?;
    for (key, value) in source.entries() {
        let present = target.get(key.bytes());
        match (&present, &value) {
            (Some(Datum::Map(inner)), Datum::Map(other)) if inner.len() > 0 => {
                merge(call, inner, other, overwrites, depth + 1)?;
            }
            (_, Datum::Nil) if !overwrites => {}
            (Some(present), _) if present.is_true() && !overwrites => {}
            _ => target.set(key, value),
        }
    }
    Ok(())
}

/// `dig KEY… DEFAULT DICT`.
fn dig(call: &mut Call<'_>) -> Answer {
    let [keys @ .., default, dict] = call.arguments else { return fault("dig needs at least three arguments") };
    if keys.is_empty() {
        return fault("dig needs at least three arguments");
    }
    let mut value = dict.clone();
    for key in keys {
        let Datum::Map(map) = &value else {
            return fault(format!("cannot dig in {}: not a dict", type_name(&value)));
        };
        let Datum::Text(key) = key else { return fault(format!("a key is {}, not string", type_name(key))) };
        value = match map.get(key.bytes()) {
            Some(found) => found,
            None => return Ok(default.clone()),
        };
    }
    Ok(value)
}

/// A copy that shares nothing which changes.
pub(crate) fn copied(meter: &mut Meter, datum: &Datum) -> Answer {
    copy(meter, datum, 0)
}

fn copy(meter: &mut Meter, datum: &Datum, depth: usize) -> Answer {
    meter.step(1)?;
    if depth >= meter.depth() {
        return fault(format!("a value is nested deeper than {}", meter.depth()));
    }
    Ok(match datum {
        Datum::List(list) => {
            let items = list.items.iter().map(|item| copy(meter, item, depth + 1)).collect::<Result<_, _>>()?;
            Datum::List(Rc::new(List { element: list.element, items, is_nil: list.is_nil }))
        }
        Datum::Map(map) => {
            let copy = |(key, value)| Ok((key, copy(meter, &value, depth + 1)?));
            let entries = map.entries().into_iter().map(copy).collect::<Result<_, Fault>>()?;
            if map.holds_texts { Datum::map_of_texts(entries) } else { Datum::map(entries) }
        }
        other => other.clone(),
    })
}

/// Go's `reflect.DeepEqual`: types count as well as values.
pub(super) fn deeply_equal(meter: &mut Meter, left: &Datum, right: &Datum) -> Result<bool, Fault> {
    compare(meter, left, right, 0)
}

fn compare(meter: &mut Meter, left: &Datum, right: &Datum, depth: usize) -> Result<bool, Fault> {
    meter.step(1)?;
    if depth >= meter.depth() {
        return fault(format!("a value is nested deeper than {}", meter.depth()));
    }
    Ok(match (left, right) {
        (Datum::Nil, Datum::Nil) => true,
        (Datum::Bool(left), Datum::Bool(right)) => left == right,
        (Datum::Int(left), Datum::Int(right)) | (Datum::Int64(left), Datum::Int64(right)) => left == right,
        (Datum::Byte(left), Datum::Byte(right)) => left == right,
        (Datum::Uint64(left), Datum::Uint64(right)) => left == right,
        (Datum::Float(left), Datum::Float(right)) => left == right,
        (Datum::Text(left), Datum::Text(right)) => left == right,
        (Datum::Time(left), Datum::Time(right)) => left == right,
        (Datum::Version(left), Datum::Version(right)) => left == right,
        (Datum::Certificate(left), Datum::Certificate(right)) => {
            left.certificate == right.certificate && left.key == right.key
        }
        (Datum::List(left), Datum::List(right)) => {
            let is_alike = left.element == right.element && left.is_nil == right.is_nil;
            is_alike && left.items.len() == right.items.len() && pairs(meter, &left.items, &right.items, depth)?
        }
        (Datum::Map(left), Datum::Map(right)) => {
            let (left_entries, right_entries) = (left.entries(), right.entries());
            let keys = |entries: &[(Text, Datum)]| entries.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
            let values = |entries: Vec<(Text, Datum)>| entries.into_iter().map(|(_, value)| value).collect::<Vec<_>>();
            left.holds_texts == right.holds_texts
                && keys(&left_entries) == keys(&right_entries)
                && pairs(meter, &values(left_entries), &values(right_entries), depth)?
        }
        _ => false,
    })
}

fn pairs(meter: &mut Meter, left: &[Datum], right: &[Datum], depth: usize) -> Result<bool, Fault> {
    for (left, right) in left.iter().zip(right) {
        if !compare(meter, left, right, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Element;

    #[test]
    fn equality_counts_types() {
        let mut meter = Meter::new(crate::limits::Limits::default(), None);
        let mut check = |left: Datum, right: Datum, expected| {
            assert_eq!(deeply_equal(&mut meter, &left, &right), Ok(expected));
        };
        check(Datum::Int(1), Datum::Int(1), true);
        check(Datum::Int(1), Datum::Int64(1), false);
        check(Datum::list(vec![Datum::text("a")]), Datum::list(vec![Datum::text("a")]), true);
        check(Datum::list(vec![Datum::text("a")]), Datum::texts([Text::from("a")]), false);
        check(Datum::nil_list(Element::Any), Datum::list(vec![]), false);
    }
}

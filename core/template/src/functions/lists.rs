//! Lists. The forms with `must` are the same here: both fail where they cannot do what is asked.

use std::rc::Rc;

use super::casts::{to_count, to_int};
use super::dicts::deeply_equal;
use super::{Answer, fault, fixed, variadic};
use crate::evaluate::{Call, Function, Kind};
use crate::limits::Fault;
use crate::values::{Datum, Element, List, kind_name};

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("list", &[], Kind::Any, |call| call.make_list(call.rest(0).to_vec())),
    variadic("tuple", &[], Kind::Any, |call| call.make_list(call.rest(0).to_vec())),
    fixed("append", &[Kind::Any, Kind::Any], append),
    fixed("mustAppend", &[Kind::Any, Kind::Any], append),
    fixed("push", &[Kind::Any, Kind::Any], append),
    fixed("mustPush", &[Kind::Any, Kind::Any], append),
    fixed("prepend", &[Kind::Any, Kind::Any], prepend),
    fixed("mustPrepend", &[Kind::Any, Kind::Any], prepend),
    fixed("first", &[Kind::Any], |call| element(call, "find first on", |items| items.first())),
    fixed("mustFirst", &[Kind::Any], |call| element(call, "find first on", |items| items.first())),
    fixed("last", &[Kind::Any], |call| element(call, "find last on", |items| items.last())),
    fixed("mustLast", &[Kind::Any], |call| element(call, "find last on", |items| items.last())),
    fixed("rest", &[Kind::Any], |call| part(call, "find rest on", |items| items.get(1..))),
    fixed("mustRest", &[Kind::Any], |call| part(call, "find rest on", |items| items.get(1..))),
    fixed("initial", &[Kind::Any], |call| {
        part(call, "find initial on", |items| items.split_last().map(|split| split.1))
    }),
    fixed("mustInitial", &[Kind::Any], |call| {
        part(call, "find initial on", |items| items.split_last().map(|split| split.1))
    }),
    fixed("reverse", &[Kind::Any], reverse),
    fixed("mustReverse", &[Kind::Any], reverse),
    fixed("compact", &[Kind::Any], compact),
    fixed("mustCompact", &[Kind::Any], compact),
    fixed("uniq", &[Kind::Any], unique),
    fixed("mustUniq", &[Kind::Any], unique),
    variadic("without", &[Kind::Any], Kind::Any, without),
    variadic("mustWithout", &[Kind::Any], Kind::Any, without),
    fixed("has", &[Kind::Any, Kind::Any], has),
    fixed("mustHas", &[Kind::Any, Kind::Any], has),
    variadic("slice", &[Kind::Any], Kind::Any, slice),
    variadic("mustSlice", &[Kind::Any], Kind::Any, slice),
    variadic("concat", &[], Kind::Any, concat),
    fixed("chunk", &[Kind::Int, Kind::Any], chunk),
    fixed("mustChunk", &[Kind::Int, Kind::Any], chunk),
];

/// The argument as a list; `deed` says what cannot be done with anything else.
fn list(call: &mut Call<'_>, index: usize, deed: &str) -> Result<Rc<List>, Fault> {
    match call.list(index) {
        Some(list) => {
            call.meter.step(list.items.len())?;
            Ok(list)
        }
        None => fault(format!("Cannot {deed} type {}", kind_name(&call.any(index)))),
    }
}

fn append(call: &mut Call<'_>) -> Answer {
    let list = list(call, 0, "push on")?;
    call.make_list(list.items.iter().cloned().chain([call.any(1)]).collect())
}

fn prepend(call: &mut Call<'_>) -> Answer {
    let list = list(call, 0, "prepend on")?;
    call.make_list([call.any(1)].into_iter().chain(list.items.iter().cloned()).collect())
}

fn element(call: &mut Call<'_>, deed: &str, choose: impl Fn(&[Datum]) -> Option<&Datum>) -> Answer {
    let list = list(call, 0, deed)?;
    Ok(choose(&list.items).cloned().unwrap_or(Datum::Nil))
}

/// A part of a list; of an empty one, Go's nil.
fn part(call: &mut Call<'_>, deed: &str, choose: impl Fn(&[Datum]) -> Option<&[Datum]>) -> Answer {
    let list = list(call, 0, deed)?;
    match choose(&list.items) {
        Some(items) => call.make_list(items.to_vec()),
        None => Ok(Datum::nil_list(Element::Any)),
    }
}

fn reverse(call: &mut Call<'_>) -> Answer {
    let list = list(call, 0, "find reverse on")?;
    call.make_list(list.items.iter().rev().cloned().collect())
}

fn compact(call: &mut Call<'_>) -> Answer {
    let list = list(call, 0, "compact on")?;
    call.make_list(list.items.iter().filter(|item| item.is_true()).cloned().collect())
}

fn contains(call: &mut Call<'_>, items: &[Datum], wanted: &Datum) -> Result<bool, Fault> {
    for item in items {
        if deeply_equal(call.meter, item, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unique(call: &mut Call<'_>) -> Answer {
    let list = list(call, 0, "find uniq on")?;
    let mut made: Vec<Datum> = Vec::new();
    for item in &list.items {
        if !contains(call, &made, item)? {
            made.push(item.clone());
        }
    }
    call.make_list(made)
}

fn without(call: &mut Call<'_>) -> Answer {
    let list = list(call, 0, "find without on")?;
    let left_out = call.arguments.get(1..).unwrap_or_default();
    let mut made = Vec::new();
    for item in &list.items {
        if !contains(call, left_out, item)? {
            made.push(item.clone());
        }
    }
    call.make_list(made)
}

fn has(call: &mut Call<'_>) -> Answer {
    if matches!(call.any(1), Datum::Nil) {
        return Ok(Datum::Bool(false));
    }
    let (wanted, list) = (call.any(0), list(call, 1, "find has on")?);
    contains(call, &list.items, &wanted).map(Datum::Bool)
}

fn slice(call: &mut Call<'_>) -> Answer {
    let Some(list) = call.list(0) else {
        return fault(format!("list should be type of slice or array but {}", kind_name(&call.any(0))));
    };
    if list.items.is_empty() {
        return Ok(Datum::Nil);
    }
    call.meter.step(list.items.len())?;
    let start = call.rest(1).first().map_or(0, to_int);
    let end = call.rest(1).get(1).map_or(i64::try_from(list.items.len()).unwrap_or(i64::MAX), to_int);
    let part = to_count(start).zip(to_count(end)).and_then(|(start, end)| list.items.get(start..end));
    match part {
        Some(items) => Ok(Datum::list_of(list.element, items.to_vec())),
        None => fault("slice bounds out of range"),
    }
}

fn concat(call: &mut Call<'_>) -> Answer {
    let mut made = Vec::new();
    for index in 0..call.count() {
        let Some(list) = call.list(index) else {
            return fault(format!("Cannot concat type {} as list", kind_name(&call.any(index))));
        };
        call.meter.step(list.items.len())?;
        made.extend(list.items.iter().cloned());
    }
    if made.is_empty() { Ok(Datum::nil_list(Element::Any)) } else { call.make_list(made) }
}

fn chunk(call: &mut Call<'_>) -> Answer {
    let (size, list) = (call.int(0), list(call, 1, "chunk")?);
    let Some(size) = to_count(size).filter(|size| *size > 0) else { return fault("a chunk has at least one element") };
    let chunks = list.items.chunks(size).map(|chunk| Datum::list(chunk.to_vec())).collect();
    Ok(Datum::list_of(Element::List, chunks))
}

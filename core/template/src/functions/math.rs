//! Numbers: sprig computes whole ones as `int64`, and the functions ending in `f` in decimals.

use super::casts::{to_float, to_int};
use super::{Answer, fault, fixed, variadic};
use crate::evaluate::{Call, Function, Kind};
use crate::formats::decimal::{self, Operation};
use crate::limits::Fault;
use crate::values::{Datum, Element};

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("add1", &[Kind::Any], |call| Ok(Datum::Int64(to_int(&call.any(0)).wrapping_add(1)))),
    variadic("add", &[], Kind::Any, |call| {
        Ok(Datum::Int64(call.rest(0).iter().fold(0, |sum, value| i64::wrapping_add(sum, to_int(value)))))
    }),
    fixed("sub", &[Kind::Any, Kind::Any], |call| {
        Ok(Datum::Int64(to_int(&call.any(0)).wrapping_sub(to_int(&call.any(1)))))
    }),
    variadic("mul", &[Kind::Any], Kind::Any, |call| {
        Ok(Datum::Int64(call.rest(0).iter().fold(1, |product, value| i64::wrapping_mul(product, to_int(value)))))
    }),
    fixed("div", &[Kind::Any, Kind::Any], |call| divided(call, i64::checked_div)),
    fixed("mod", &[Kind::Any, Kind::Any], |call| divided(call, i64::checked_rem)),
    variadic("max", &[Kind::Any], Kind::Any, |call| {
        Ok(Datum::Int64(call.rest(0).iter().map(to_int).max().unwrap_or(0)))
    }),
    variadic("biggest", &[Kind::Any], Kind::Any, |call| {
        Ok(Datum::Int64(call.rest(0).iter().map(to_int).max().unwrap_or(0)))
    }),
    variadic("min", &[Kind::Any], Kind::Any, |call| {
        Ok(Datum::Int64(call.rest(0).iter().map(to_int).min().unwrap_or(0)))
    }),
    variadic("maxf", &[Kind::Any], Kind::Any, |call| Ok(extreme(call, f64::max))),
    variadic("minf", &[Kind::Any], Kind::Any, |call| Ok(extreme(call, f64::min))),
    fixed("add1f", &[Kind::Any], |call| {
        let first = to_float(&call.any(0));
        Ok(Datum::Float(decimal::fold(first, &[1.0], Operation::Add).unwrap_or(f64::NAN)))
    }),
    variadic("addf", &[], Kind::Any, |call| {
        let values: Vec<f64> = call.rest(0).iter().map(to_float).collect();
        Ok(Datum::Float(decimal::fold(0.0, &values, Operation::Add).unwrap_or(f64::NAN)))
    }),
    variadic("subf", &[Kind::Any], Kind::Any, |call| decimals(call, Operation::Subtract)),
    variadic("mulf", &[Kind::Any], Kind::Any, |call| decimals(call, Operation::Multiply)),
    variadic("divf", &[Kind::Any], Kind::Any, |call| decimals(call, Operation::Divide)),
    fixed("floor", &[Kind::Any], |call| Ok(Datum::Float(to_float(&call.any(0)).floor()))),
    fixed("ceil", &[Kind::Any], |call| Ok(Datum::Float(to_float(&call.any(0)).ceil()))),
    variadic("round", &[Kind::Any, Kind::Int], Kind::Float, |call| Ok(Datum::Float(rounded(call)))),
    fixed("until", &[Kind::Int], |call| {
        let end = call.int(0);
        let numbers = steps(call, 0, end, if end < 0 { -1 } else { 1 })?;
        Ok(Datum::list_of(Element::Int, numbers.into_iter().map(Datum::Int).collect()))
    }),
    fixed("untilStep", &[Kind::Int, Kind::Int, Kind::Int], |call| {
        let numbers = steps(call, call.int(0), call.int(1), call.int(2))?;
        Ok(Datum::list_of(Element::Int, numbers.into_iter().map(Datum::Int).collect()))
    }),
    variadic("seq", &[], Kind::Int, sequence),
];

fn divided(call: &mut Call<'_>, divide: fn(i64, i64) -> Option<i64>) -> Answer {
    let (above, below) = (to_int(&call.any(0)), to_int(&call.any(1)));
    if below == 0 {
        return fault("integer divide by zero");
    }
    // The one quotient that does not fit wraps in Go: the least number by -1 is itself, with nothing left.
    Ok(Datum::Int64(divide(above, below).unwrap_or(if divide(1, 2) == Some(0) { above } else { 0 })))
}

fn extreme(call: &mut Call<'_>, choose: fn(f64, f64) -> f64) -> Datum {
    let values = call.rest(0).iter().map(to_float);
    let either = |one: f64, other: f64| if one.is_nan() || other.is_nan() { f64::NAN } else { choose(one, other) };
    Datum::Float(values.reduce(either).unwrap_or(0.0))
}

fn decimals(call: &mut Call<'_>, operation: Operation) -> Answer {
    let others: Vec<f64> = call.rest(1).iter().map(to_float).collect();
    match decimal::fold(to_float(&call.any(0)), &others, operation) {
        Some(value) => Ok(Datum::Float(value)),
        None => fault("decimal division by 0"),
    }
}

/// To `places` digits; away from zero from the given fraction on, a half where none is given.
fn rounded(call: &mut Call<'_>) -> f64 {
    let (value, places) = (to_float(&call.any(0)), call.int(1));
    let turning = if call.count() > 2 { call.float(2) } else { 0.5 };
    let power = 10_f64.powf(places as f64);
    let scaled = value * power;
    let made = if scaled.fract() >= turning { scaled.ceil() } else { scaled.floor() };
    made / power
}

/// Numbers from `start` to before `end`; none where the step leads away from it.
fn steps(call: &mut Call<'_>, start: i64, end: i64, step: i64) -> Result<Vec<i64>, Fault> {
    let distance = i128::from(end) - i128::from(start);
    if distance == 0 || step == 0 || (distance > 0) != (step > 0) {
        return Ok(Vec::new());
    }
    let count = distance.unsigned_abs().div_ceil(u128::from(step.unsigned_abs()));
    call.meter.step(usize::try_from(count).unwrap_or(usize::MAX))?;
    let count = i64::try_from(count).unwrap_or(0);
    Ok((0..count).map(|index| start.wrapping_add(index.wrapping_mul(step))).collect())
}

/// Numbers as the shell's `seq` prints them, in one line.
fn sequence(call: &mut Call<'_>) -> Answer {
    let toward = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let (start, end, step) = match call.count() {
        1 => (1, call.int(0), toward(1, call.int(0))),
        2 => (call.int(0), call.int(1), toward(call.int(0), call.int(1))),
        3 => (call.int(0), call.int(2), call.int(1)),
        _ => return Ok(Datum::text("")),
    };
    if call.count() == 3 && end < start && step > 0 {
        return Ok(Datum::text(""));
    }
    let numbers = steps(call, start, end.saturating_add(toward(start, end)), step)?;
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    call.make(texts.join(" "))
}

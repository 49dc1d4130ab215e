//! Defaults and choices.

use super::{Answer, fault, fixed, variadic};
use crate::evaluate::{Call, Function, Kind};
use crate::values::Datum;

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("default", &[Kind::Any], Kind::Any, |call| {
        Ok(if call.any(1).is_true() { call.any(1) } else { call.any(0) })
    }),
    fixed("empty", &[Kind::Any], |call| Ok(Datum::Bool(!call.any(0).is_true()))),
    variadic("coalesce", &[], Kind::Any, |call| {
        Ok(call.rest(0).iter().find(|datum| datum.is_true()).cloned().unwrap_or(Datum::Nil))
    }),
    variadic("all", &[], Kind::Any, |call| Ok(Datum::Bool(call.rest(0).iter().all(Datum::is_true)))),
    variadic("any", &[], Kind::Any, |call| Ok(Datum::Bool(call.rest(0).iter().any(Datum::is_true)))),
    fixed("ternary", &[Kind::Any, Kind::Any, Kind::Bool], |call| {
        Ok(if call.is_true(2) { call.any(0) } else { call.any(1) })
    }),
    fixed("fail", &[Kind::Text], fail),
    fixed("hello", &[], |_| Ok(Datum::text("Hello!"))),
];

/// Ends the template. A message that was computed may hold a value and is not told.
fn fail(call: &mut Call<'_>) -> Answer {
    if call.is_written {
        return fault(call.string(0));
    }
    fault("the template says so (its message is computed and could hold a value: only literal ones are shown)")
}

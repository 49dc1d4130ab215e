//! Go's names of types and kinds.

use super::{Datum, Element};

/// The type as Go's `%T` prints it.
pub(crate) fn type_name(datum: &Datum) -> &'static str {
    match datum {
        Datum::Nil => "<nil>",
        Datum::Bool(_) => "bool",
        Datum::Int(_) => "int",
        Datum::Int64(_) => "int64",
        Datum::Byte(_) => "uint8",
        Datum::Uint64(_) => "uint64",
        Datum::Float(_) => "float64",
        Datum::Text(_) => "string",
        Datum::List(list) => match list.element {
            Element::Any => "[]interface {}",
            Element::Text => "[]string",
            Element::Int => "[]int",
            Element::List => "[][]interface {}",
        },
        Datum::Map(map) if map.holds_texts => "map[string]string",
        Datum::Map(_) => "map[string]interface {}",
        Datum::Time(_) => "time.Time",
        Datum::Version(_) => "*semver.Version",
        Datum::Certificate(_) => "sprig.certificate",
    }
}

/// The kind as Go's `reflect.Kind` prints it.
pub(crate) fn kind_name(datum: &Datum) -> &'static str {
    match datum {
        Datum::Nil => "invalid",
        Datum::List(_) => "slice",
        Datum::Map(_) => "map",
        Datum::Time(_) | Datum::Certificate(_) => "struct",
        Datum::Version(_) => "ptr",
        _ => type_name(datum),
    }
}

//! Values as Go's `%v` prints them.

use super::{Builder, float, semver, time};
use crate::limits::Fault;
use crate::values::Datum;

/// A value as an action prints it.
pub(crate) fn print(builder: &mut Builder<'_>, datum: &Datum) -> Result<(), Fault> {
    match datum {
        Datum::Nil => builder.push("<no value>"),
        _ => plain(builder, datum),
    }
}

/// A value as `%v` prints it.
pub(crate) fn plain(builder: &mut Builder<'_>, datum: &Datum) -> Result<(), Fault> {
    builder.element()?;
    match datum {
        Datum::Nil => builder.push("<nil>"),
        Datum::Bool(value) => builder.push(value.to_string()),
        Datum::Int(value) | Datum::Int64(value) => builder.push(value.to_string()),
        Datum::Byte(value) => builder.push(value.to_string()),
        Datum::Uint64(value) => builder.push(value.to_string()),
        Datum::Float(value) => builder.push(float::general(*value, None)),
        Datum::Text(text) => builder.push(text.bytes()),
        Datum::List(list) => {
            builder.enter()?;
            builder.push("[")?;
            for (index, item) in list.items.iter().enumerate() {
                if index > 0 {
                    builder.push(" ")?;
                }
                plain(builder, item)?;
            }
            builder.leave();
            builder.push("]")
        }
        Datum::Map(map) => {
            builder.enter()?;
            builder.push("map[")?;
            for (index, (key, value)) in map.entries().iter().enumerate() {
                if index > 0 {
                    builder.push(" ")?;
                }
                builder.push(key.bytes())?;
                builder.push(":")?;
                plain(builder, value)?;
            }
            builder.leave();
            builder.push("]")
        }
        Datum::Time(moment) => builder.push(time::text(moment)),
        Datum::Version(version) => builder.push(semver::text(version)),
        Datum::Certificate(pair) => {
            let parts = [b"{", pair.certificate.bytes(), b" ", pair.key.bytes(), b"}"];
            parts.into_iter().try_for_each(|part| builder.push(part))
        }
    }
}

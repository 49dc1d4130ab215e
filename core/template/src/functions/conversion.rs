//! Types, JSON and YAML.

use super::casts::{to_float, to_int, to_text, to_texts};
use super::{Answer, fault, fixed};
use crate::evaluate::{Call, Function, Kind};
use crate::formats::json::{self, Style, Unwritten};
use crate::formats::yaml;
use crate::limits::Fault;
use crate::values::{Datum, Text, kind_name, type_name};

const COMPACT: Style = Style { is_pretty: false, escapes_html: true };
const PRETTY: Style = Style { is_pretty: true, escapes_html: true };
const RAW: Style = Style { is_pretty: false, escapes_html: false };

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("toString", &[Kind::Any], |call| {
        let value = call.any(0);
        Ok(Datum::Text(to_text(call, &value)?))
    }),
    fixed("toStrings", &[Kind::Any], |call| {
        let value = call.any(0);
        Ok(Datum::texts(to_texts(call, &value)?))
    }),
    fixed("atoi", &[Kind::Text], |call| {
        let text = call.string(0);
        let number = text.strip_prefix('+').unwrap_or(&text).parse().ok();
        Ok(Datum::Int(number.filter(|_| !text.starts_with("+-")).unwrap_or(0)))
    }),
    fixed("int", &[Kind::Any], |call| Ok(Datum::Int(to_int(&call.any(0))))),
    fixed("int64", &[Kind::Any], |call| Ok(Datum::Int64(to_int(&call.any(0))))),
    fixed("float64", &[Kind::Any], |call| Ok(Datum::Float(to_float(&call.any(0))))),
    fixed("toDecimal", &[Kind::Any], |call| {
        let value = call.any(0);
        let text = to_text(call, &value)?;
        Ok(Datum::Int64(i64::from_str_radix(&text.lossy(), 8).unwrap_or(0)))
    }),
    fixed("fromJson", &[Kind::Text], |call| Ok(read(call)?.unwrap_or(Datum::Nil))),
    fixed("mustFromJson", &[Kind::Text], |call| read(call)?.map_or_else(|| fault("invalid JSON"), Ok)),
    fixed("toJson", &[Kind::Any], |call| written_or_empty(call, COMPACT)),
    fixed("toPrettyJson", &[Kind::Any], |call| written_or_empty(call, PRETTY)),
    fixed("toRawJson", &[Kind::Any], |call| written(call, RAW)),
    fixed("mustToJson", &[Kind::Any], |call| written(call, COMPACT)),
    fixed("mustToPrettyJson", &[Kind::Any], |call| written(call, PRETTY)),
    fixed("mustToRawJson", &[Kind::Any], |call| written(call, RAW)),
    fixed("toYaml", &[Kind::Any], |call| {
        let value = call.any(0);
        Ok(yaml::write(call.meter, &value)?.map_or_else(|| Datum::text(""), Datum::text))
    }),
    fixed("fromYaml", &[Kind::Text], from_yaml),
    fixed("typeOf", &[Kind::Any], |call| Ok(Datum::text(type_name(&call.any(0))))),
    fixed("typeIs", &[Kind::Text, Kind::Any], |call| {
        Ok(Datum::Bool(call.text(0).bytes() == type_name(&call.any(1)).as_bytes()))
    }),
    fixed("typeIsLike", &[Kind::Text, Kind::Any], |call| {
        let (wanted, value) = (call.string(0), call.any(1));
        Ok(Datum::Bool(wanted == type_name(&value) || format!("*{wanted}") == type_name(&value)))
    }),
    fixed("kindOf", &[Kind::Any], |call| Ok(Datum::text(kind_name(&call.any(0))))),
    fixed("kindIs", &[Kind::Text, Kind::Any], |call| {
        Ok(Datum::Bool(call.text(0).bytes() == kind_name(&call.any(1)).as_bytes()))
    }),
];

fn read(call: &mut Call<'_>) -> Result<Option<Datum>, Fault> {
    let text = call.text(0);
    json::read(call.meter, text.bytes())
}

fn written(call: &mut Call<'_>, style: Style) -> Answer {
    let value = call.any(0);
    let mut builder = call.builder();
    match json::write(&mut builder, &value, style) {
        Ok(()) => Ok(Datum::text(builder.finish())),
        Err(Unwritten::Unsupported) => fault("JSON has no form for this value"),
        Err(Unwritten::Fault(fault)) => Err(fault),
    }
}

/// sprig's forms without `must`: a value that is no JSON is nothing. A limit is an error all the same.
fn written_or_empty(call: &mut Call<'_>, style: Style) -> Answer {
    let value = call.any(0);
    let mut builder = call.builder();
    match json::write(&mut builder, &value, style) {
        Ok(()) => Ok(Datum::text(builder.finish())),
        Err(Unwritten::Unsupported) => Ok(Datum::text("")),
        Err(Unwritten::Fault(fault)) => Err(fault),
    }
}

/// A mapping; what is wrong with the text is its entry `Error`.
fn from_yaml(call: &mut Call<'_>) -> Answer {
    let text = call.string(0);
    Ok(Datum::map(match yaml::read(call.meter, &text)? {
        Ok(entries) => entries,
        Err(words) => [(Text::from("Error"), Datum::text(words))].into(),
    }))
}

//! Addresses as dicts and back.

use std::collections::BTreeMap;

use super::{Answer, fault, fixed};
use crate::evaluate::{Call, Function, Kind};
use crate::formats::url::{self, Url};
use crate::limits::Fault;
use crate::values::{Datum, Text, kind_name};

pub(super) const FUNCTIONS: &[Function] =
    &[fixed("urlParse", &[Kind::Text], parse), fixed("urlJoin", &[Kind::Map], join)];

fn parse(call: &mut Call<'_>) -> Answer {
    let text = call.string(0);
    call.meter.make(text.len())?;
    let url = match url::parse(&text) {
        Ok(url) => url,
        Err(words) => return fault(format!("unable to parse url: {words}")),
    };
    let hostname = url::hostname(&url.host).to_owned();
    let entries = [
        ("scheme", url.scheme.into_bytes()),
        ("host", url.host.into_bytes()),
        ("hostname", hostname.into_bytes()),
        ("path", url.path),
        ("query", url.query.into_bytes()),
        ("opaque", url.opaque.into_bytes()),
        ("fragment", url.fragment),
        ("userinfo", url.userinfo.unwrap_or_default().into_bytes()),
    ];
    let entries = entries.into_iter().map(|(key, value)| (Text::from(key), Datum::text(value)));
    Ok(Datum::map(entries.collect::<BTreeMap<_, _>>()))
}

fn join(call: &mut Call<'_>) -> Answer {
    let userinfo = part(call, "userinfo")?;
    let userinfo = match userinfo.bytes() {
        [] => None,
        _ => match url::userinfo(&userinfo.lossy()) {
            Ok(userinfo) => Some(userinfo),
            Err(words) => return fault(format!("unable to parse userinfo in dict: {words}")),
        },
    };
    let text = |text: Text| text.lossy().into_owned();
    let url = Url {
        scheme: text(part(call, "scheme")?),
        opaque: text(part(call, "opaque")?),
        userinfo,
        host: text(part(call, "host")?),
        path: part(call, "path")?.bytes().to_vec(),
        query: text(part(call, "query")?),
        fragment: part(call, "fragment")?.bytes().to_vec(),
    };
    let made = url::join(&url);
    call.make(made)
}

fn part(call: &mut Call<'_>, key: &str) -> Result<Text, Fault> {
    match call.map(0).and_then(|map| map.get(key.as_bytes())) {
        None => Ok(Text::default()),
        Some(Datum::Text(text)) => {
            call.meter.make(text.bytes().len().saturating_mul(3))?;
            Ok(text)
        }
        Some(other) => {
            fault(format!("unable to parse {key} key, must be of type string, but {} found", kind_name(&other)))
        }
    }
}

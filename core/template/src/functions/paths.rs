//! Paths with slashes; the forms with `os` are the same here.

use super::{Answer, fixed};
use crate::evaluate::{Call, Function, Kind};
use crate::values::Datum;

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("base", &[Kind::Text], |call| changed(call, base)),
    fixed("osBase", &[Kind::Text], |call| changed(call, base)),
    fixed("dir", &[Kind::Text], |call| changed(call, directory)),
    fixed("osDir", &[Kind::Text], |call| changed(call, directory)),
    fixed("clean", &[Kind::Text], |call| changed(call, clean)),
    fixed("osClean", &[Kind::Text], |call| changed(call, clean)),
    fixed("ext", &[Kind::Text], |call| changed(call, extension)),
    fixed("osExt", &[Kind::Text], |call| changed(call, extension)),
    fixed("isAbs", &[Kind::Text], |call| Ok(Datum::Bool(call.text(0).bytes().starts_with(b"/")))),
    fixed("osIsAbs", &[Kind::Text], |call| Ok(Datum::Bool(call.text(0).bytes().starts_with(b"/")))),
];

fn changed(call: &mut Call<'_>, change: fn(&str) -> String) -> Answer {
    let text = call.string(0);
    call.meter.make(text.len())?;
    let made = change(&text);
    call.make(made)
}

fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    match path.trim_end_matches('/').rsplit('/').next() {
        None | Some("") => "/".to_owned(),
        Some(last) => last.to_owned(),
    }
}

fn directory(path: &str) -> String {
    clean(path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or_default())
}

fn extension(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    last.rfind('.').and_then(|at| last.get(at..)).unwrap_or_default().to_owned()
}

fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_rooted => {}
            _ => parts.push(part),
        }
    }
    match (is_rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

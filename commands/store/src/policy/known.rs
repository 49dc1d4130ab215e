//! Policies from a store and from files.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use strongroom_failure::{Class, Failure};
use strongroom_policy::acl::Policy;
use strongroom_read::{Audience, report};

use super::{absent, place};
use crate::api::Api;
use crate::input;
use crate::terminal::Progress;

/// The policy that may do everything and has no text.
pub(super) const ROOT: &str = "root";

/// What files of policies end with.
const ENDING: &str = "hcl";

/// Policies by their names.
pub(super) type Policies = BTreeMap<String, Policy>;

/// The names of a store's policies.
///
/// # Errors
/// Where they may not be listed.
pub(super) fn names(api: &Api) -> Result<Vec<String>, Failure> {
    let known = api.data("LIST", "sys/policies/acl", None)?;
    let names = known["keys"].as_array().into_iter().flatten();
    Ok(names.filter_map(|name| name.as_str()).map(str::to_owned).collect())
}

/// The text of a store's policy.
///
/// # Errors
/// Where there is none, or it may not be read.
pub(super) fn text(api: &Api, name: &str) -> Result<String, Failure> {
    let read = api.data("GET", &place(name), None);
    let read = read.map_err(|failure| if failure.class == Class::NotFound { absent(name) } else { failure })?;
    Ok(read["policy"].as_str().unwrap_or_default().to_owned())
}

/// A text understood. All mistakes but the last are reported.
///
/// # Errors
/// The last mistake, with its place.
pub(super) fn parsed(name: &str, source: &str, text: &str) -> Result<Policy, Failure> {
    Policy::parse(name, text).map_err(|problems| {
        let placed = |failure: Failure| {
            let field = failure.subject.field.as_ref().map(|field| format!("{source}, {field}"));
            failure.in_field(field.unwrap_or_else(|| source.to_owned()))
        };
        let mut problems: Vec<Failure> = problems.into_iter().map(placed).collect();
        let last = problems.pop().unwrap_or_else(|| Failure::new(Class::Invalid, "is no policy").in_field(source));
        report(Audience::Person, "", &problems);
        last
    })
}

/// All policies of a store but `root`, or those of these names.
///
/// # Errors
/// Where one may not be read or understood, or there is none of a name.
pub(super) fn of_store(api: &Api, wanted: Option<&[String]>) -> Result<Policies, Failure> {
    let names = wanted.map_or_else(|| names(api), |names| Ok(names.to_vec()))?;
    let mut progress = Progress::new("reading policies", Some(names.len()));
    let mut policies = Policies::new();
    for name in names.into_iter().filter(|name| name != ROOT) {
        let text = text(api, &name)?;
        policies.insert(name.clone(), parsed(&name, &format!("policy {name:?}"), &text)?);
        progress.step();
    }
    Ok(policies)
}

/// The policies of a folder's `*.hcl` files, each named after its file.
///
/// # Errors
/// Where one cannot be read or understood, or there is none.
pub(super) fn of_folder(folder: &Path) -> Result<Policies, Failure> {
    let invalid = |words: String| Failure::new(Class::Invalid, words).in_field(folder.display().to_string());
    let entries = std::fs::read_dir(folder).map_err(|error| invalid(format!("cannot be read: {error}")))?;
    let mut policies = Policies::new();
    for entry in entries {
        let path = entry.map_err(|error| invalid(format!("cannot be read: {error}")))?.path();
        if path.extension().is_none_or(|ending| ending != ENDING) {
            continue;
        }
        let Some(name) = path.file_stem().and_then(|name| name.to_str()).map(str::to_lowercase) else {
            return Err(invalid("a file's name is no text".to_owned()));
        };
        let source = path.display().to_string();
        policies.insert(name.clone(), parsed(&name, &source, &input::text(&source)?)?);
    }
    match policies.is_empty() {
        true => Err(invalid(format!("there is no *.{ENDING} file"))),
        false => Ok(policies),
    }
}

/// Seconds since 1970, for blocks that expire.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

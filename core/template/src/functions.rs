//! What templates call: one module a group, each with its table of names.

mod builtin;
mod casts;
mod certificates;
mod conversion;
mod dates;
mod defaults;
mod dicts;
mod encoding;
mod hashes;
mod lists;
mod math;
mod paths;
mod pem;
mod random;
mod regex;
mod strings;
mod urls;
mod versions;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::evaluate::{Call, Function, Kind};
use crate::limits::Fault;
use crate::values::Datum;

pub(crate) use self::dicts::copied;

/// What a function gives.
type Answer = Result<Datum, Fault>;

const GROUPS: &[&[Function]] = &[
    builtin::FUNCTIONS,
    certificates::FUNCTIONS,
    conversion::FUNCTIONS,
    dates::FUNCTIONS,
    defaults::FUNCTIONS,
    dicts::FUNCTIONS,
    encoding::FUNCTIONS,
    hashes::FUNCTIONS,
    lists::FUNCTIONS,
    math::FUNCTIONS,
    paths::FUNCTIONS,
    pem::FUNCTIONS,
    random::FUNCTIONS,
    regex::FUNCTIONS,
    strings::FUNCTIONS,
    urls::FUNCTIONS,
    versions::FUNCTIONS,
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Function>> =
    LazyLock::new(|| GROUPS.iter().flat_map(|group| group.iter()).map(|function| (function.name, function)).collect());

/// The function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    BY_NAME.get(name).copied()
}

/// Whether a template may call `name`.
pub(crate) fn is_function(name: &str) -> bool {
    matches!(name, "and" | "or") || find(name).is_some()
}

/// All names, in order.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = BY_NAME.keys().copied().chain(["and", "or"]).collect();
    names.sort_unstable();
    names
}

/// The method of this name that `receiver` has.
pub(crate) fn find_method(receiver: &Datum, name: &str) -> Option<&'static Function> {
    let methods = match receiver {
        Datum::Time(_) => dates::METHODS,
        Datum::Version(_) => versions::METHODS,
        _ => return None,
    };
    methods.iter().find(|method| method.name == name)
}

/// A function with exactly these parameters.
const fn fixed(name: &'static str, parameters: &'static [Kind], run: fn(&mut Call<'_>) -> Answer) -> Function {
    Function { name, parameters, rest: None, run }
}

/// A function that takes any number of further arguments.
const fn variadic(
    name: &'static str,
    parameters: &'static [Kind],
    rest: Kind,
    run: fn(&mut Call<'_>) -> Answer,
) -> Function {
    Function { name, parameters, rest: Some(rest), run }
}

fn fault<T>(words: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(words))
}

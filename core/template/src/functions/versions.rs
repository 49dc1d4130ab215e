//! Semantic versions.

use std::rc::Rc;

use super::{Answer, fault, fixed};
use crate::evaluate::{Call, Function, Kind};
use crate::formats::semver::{self, Version};
use crate::limits::Fault;
use crate::values::Datum;

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("semver", &[Kind::Text], |call| Ok(Datum::Version(Rc::new(read(&call.string(0))?)))),
    fixed("semverCompare", &[Kind::Text, Kind::Text], |call| {
        let (constraints, version) = (call.string(0), read(&call.string(1))?);
        call.meter.step(constraints.len())?;
        semver::satisfies(&constraints, &version).map(Datum::Bool)
    }),
];

/// What a version can be asked, as methods of Masterminds' `semver.Version`.
pub(super) const METHODS: &[Function] = &[
    fixed("Major", &[], |call| Ok(Datum::Uint64(version(call, 0)?.major))),
    fixed("Minor", &[], |call| Ok(Datum::Uint64(version(call, 0)?.minor))),
    fixed("Patch", &[], |call| Ok(Datum::Uint64(version(call, 0)?.patch))),
    fixed("Prerelease", &[], |call| Ok(Datum::text(version(call, 0)?.prerelease.as_str()))),
    fixed("Metadata", &[], |call| Ok(Datum::text(version(call, 0)?.metadata.as_str()))),
    fixed("Original", &[], |call| Ok(Datum::text(version(call, 0)?.original.as_str()))),
    fixed("String", &[], |call| Ok(Datum::text(semver::text(&*version(call, 0)?)))),
    fixed("Compare", &[Kind::Version], |call| {
        Ok(Datum::Int(semver::compare(&*version(call, 0)?, &*version(call, 1)?) as i64))
    }),
    fixed("Equal", &[Kind::Version], |call| {
        Ok(Datum::Bool(semver::compare(&*version(call, 0)?, &*version(call, 1)?).is_eq()))
    }),
    fixed("LessThan", &[Kind::Version], |call| {
        Ok(Datum::Bool(semver::compare(&*version(call, 0)?, &*version(call, 1)?).is_lt()))
    }),
    fixed("GreaterThan", &[Kind::Version], |call| {
        Ok(Datum::Bool(semver::compare(&*version(call, 0)?, &*version(call, 1)?).is_gt()))
    }),
    fixed("IncMajor", &[], |call| increased(call, |major, _, _| (major + 1, 0, 0))),
    fixed("IncMinor", &[], |call| increased(call, |major, minor, _| (major, minor + 1, 0))),
    fixed("IncPatch", &[], |call| {
        // A prerelease comes before its version: the next patch of it is that version.
        let is_early = !version(call, 0)?.prerelease.is_empty();
        increased(call, |major, minor, patch| (major, minor, if is_early { patch } else { patch + 1 }))
    }),
];

fn read(text: &str) -> Result<Version, Fault> {
    semver::parse(text).ok_or_else(|| Fault::new("Invalid Semantic Version"))
}

fn version(call: &Call<'_>, index: usize) -> Result<Rc<Version>, Fault> {
    match call.any(index) {
        Datum::Version(version) => Ok(version),
        _ => fault("this is no version"),
    }
}

fn increased(call: &mut Call<'_>, increase: impl Fn(u64, u64, u64) -> (u64, u64, u64)) -> Answer {
    let before = version(call, 0)?;
    if [before.major, before.minor, before.patch].contains(&u64::MAX) {
        return fault("the version cannot be increased");
    }
    let (major, minor, patch) = increase(before.major, before.minor, before.patch);
    let mut next =
        Version { major, minor, patch, prerelease: String::new(), metadata: String::new(), original: String::new() };
    next.original = semver::text(&next);
    Ok(Datum::Version(Rc::new(next)))
}

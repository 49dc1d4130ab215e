//! How Go writes and reads things: printing, quoting, JSON, YAML, times, versions, addresses.

mod builder;
pub(crate) mod casing;
pub(crate) mod decimal;
pub(crate) mod duration;
pub(crate) mod float;
pub(crate) mod json;
pub(crate) mod layout;
pub(crate) mod print;
pub(crate) mod printf;
pub(crate) mod quote;
pub(crate) mod semver;
pub(crate) mod time;
pub(crate) mod url;
pub(crate) mod utf8;
pub(crate) mod yaml;

pub(crate) use self::builder::Builder;

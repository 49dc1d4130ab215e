//! What the templates are given. Pure.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{RemoteKey, Version};
use strongroom_secret::SecretBytes;
use strongroom_template::Value;

/// What templates call the key.
pub(crate) const KEY: &str = "remoteRef";

/// Everything but what Go's `url.QueryEscape` leaves as it is; it turns spaces into `+`.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// Secrets by the names that templates have for them, each with its keys.
pub(crate) type Secrets = BTreeMap<String, BTreeMap<String, SecretBytes>>;

/// Refuses names that templates could not tell apart.
pub(crate) fn check(secrets: &Secrets) -> Result<(), Failure> {
    if secrets.contains_key(KEY) {
        let words = format!("templates call the key \"{KEY}\", so that no Secret may be called so");
        return Err(Failure::new(Class::Invalid, words).in_field("secrets"));
    }
    Ok(())
}

/// The data for one key, or for none, as it is and as an address can carry it.
pub(crate) struct Data {
    pub(crate) plain: Value,
    pub(crate) escaped: Value,
}

impl Data {
    pub(crate) fn of(key: Option<&RemoteKey>, namespace: &str, secrets: &Secrets) -> Self {
        let with = |escape: fn(&str) -> String| {
            let mut data: BTreeMap<String, Value> =
                secrets.iter().map(|(name, entries)| (name.clone(), Value::Texts(entries.clone()))).collect();
            if let Some(key) = key {
                data.insert(KEY.to_owned(), Value::Texts(of_key(key, namespace, escape)));
            }
            Value::Map(data)
        };
        Self { plain: with(str::to_owned), escaped: with(escaped) }
    }
}

fn of_key(key: &RemoteKey, namespace: &str, escape: fn(&str) -> String) -> BTreeMap<String, SecretBytes> {
    let version = match &key.version {
        Some(Version::Id(version) | Version::Stage(version)) => version.as_str(),
        None => "",
    };
    let property = key.property.as_deref().unwrap_or_default();
    [
        ("key", escape(&key.name)),
        ("version", escape(version)),
        ("property", escape(property)),
        // A namespace has no letter that an address could not carry.
        ("namespace", namespace.to_owned()),
    ]
    .map(|(name, text)| (name.to_owned(), SecretBytes::from(text)))
    .into()
}

/// `text` as Go's `url.QueryEscape` writes it.
fn escaped(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string().replace(' ', "+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_carry_any_key() {
        let check = |text: &str, expected: &str| assert_eq!(escaped(text), expected);
        check("a/b?c=d&e#f", "a%2Fb%3Fc%3Dd%26e%23f");
        check("a b+c%20", "a+b%2Bc%2520");
        check("../x_y-z.~", "..%2Fx_y-z.~");
        check("é", "%C3%A9");
    }

    #[test]
    fn a_secret_may_not_take_the_keys_name() {
        assert!(check(&[(KEY.to_owned(), BTreeMap::new())].into()).is_err());
        assert!(check(&[("auth".to_owned(), BTreeMap::new())].into()).is_ok());
    }
}

//! The encrypted values of an object.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use strongroom_api::kamus::KamusSecret;
use strongroom_failure::{Class, Failure};
use strongroom_kamus::Identity;
use strongroom_secret::SecretBytes;

/// One encrypted value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The key in the Secret.
    pub key: &'a str,
    /// What was encrypted.
    pub encrypted: &'a str,
    /// Where it stands: `data` or `stringData`.
    list: &'static str,
    /// Whether base64 was encrypted.
    is_base64: bool,
}

/// The account that the values of `object` are read as: one of its own namespace, whatever it says.
///
/// # Errors
/// `Invalid` where it names none, or what none can be called.
pub fn identity(object: &KamusSecret) -> Result<Identity, Failure> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let account = object.service_account.as_deref().unwrap_or_default();
    Identity::new(namespace, account)
        .map_err(|error| Failure::new(Class::Invalid, error.to_string()).in_field("serviceAccount"))
}

/// The values of `object`, each key once: of `data` what `stringData` has too is nobody's.
pub fn items(object: &KamusSecret) -> Vec<Item<'_>> {
    let texts =
        object.string_data.iter().map(|(key, encrypted)| Item { key, encrypted, list: "stringData", is_base64: false });
    let left = object.data.iter().filter(|(key, _)| !object.string_data.contains_key(*key));
    let data = left.map(|(key, encrypted)| Item {
        key,
        encrypted,
        list: "data",
        is_base64: !object.texts.contains(key.as_str()),
    });
    texts.chain(data).collect()
}

impl Item<'_> {
    /// Where it stands, for people: `data["tls.key"]`.
    pub fn field(&self) -> String {
        format!("{}[{:?}]", self.list, self.key)
    }

    /// The Secret's value, of what was decrypted.
    ///
    /// # Errors
    /// `Invalid` where base64 was expected and it is none. What is there is not quoted.
    pub fn value(&self, decrypted: SecretBytes) -> Result<SecretBytes, Failure> {
        if !self.is_base64 {
            return Ok(decrypted);
        }
        // Kamus' decoder heeds no blanks.
        let compact = decrypted.expose().iter().copied().filter(|byte| !byte.is_ascii_whitespace());
        let compact = SecretBytes::new(compact.collect());
        BASE64_STANDARD.decode(compact.expose()).map(SecretBytes::new).map_err(|_| {
            Failure::new(Class::Invalid, "what was encrypted is no base64").in_field(self.field()).with_hint(
                "put a text under stringData; what was written for v1alpha1 and lost its managed fields belongs there, too",
            )
        })
    }
}

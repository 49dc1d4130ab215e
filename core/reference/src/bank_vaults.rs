//! The references of bank-vaults: `vault:PATH#KEY[#VERSION]`, `>>vault:PATH#KEY[#JSON]`, the same with `bao:`, and
//! `azure:keyvault:NAME[/VERSION]`.
//!
//! KEY and JSON are taken to the letter, without escapes; our own query stands between PATH and the first `#`. Not
//! served yet, and refused rather than delivered raw: templates in KEY, `${vault:…}` inside a longer value, decryption
//! of Transit's ciphertexts, and `vault:login`.

use strongroom_failure::Failure;
use strongroom_secret::Version;

use crate::escape::{gjson_member, invalid, refuse_control};
use crate::suffix::{Parts, json_object, split_off};
use crate::{ProviderKind, Reference};

const AZURE: &str = "azure:keyvault:";

/// How a reference to Vault or OpenBao begins, behind an optional `>>`.
const VAULT: [&str; 2] = ["vault:", "bao:"];

/// `VAULT_TOKEN=vault:login` asks bank-vaults to pass the token of its own login on.
const LOGIN: &str = "login";

/// Whether `text` begins as one of this syntax's references, or holds one inside.
pub(crate) fn claims(text: &str) -> bool {
    if text.starts_with(AZURE) {
        return true;
    }
    match vault_form(text) {
        Some((true, _)) => true,
        Some((false, form)) => !is_ordinary(form),
        None => has_inline(text),
    }
}

/// Reads what [`claims`] recognised.
pub(crate) fn parse(text: &str) -> Result<Reference, Failure> {
    if let Some(rest) = text.strip_prefix(AZURE) {
        return azure(rest);
    }
    match vault_form(text) {
        Some((writes, form)) => vault(writes, form),
        None => Err(invalid(
            "a reference inside a longer value, ${vault:…}, is not served yet",
            "make the reference the whole value, and compose the longer one in the workload",
        )),
    }
}

/// Whether the reference writes (`>>`), and what follows `vault:`.
fn vault_form(text: &str) -> Option<(bool, &str)> {
    let (writes, rest) = match text.strip_prefix(">>") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    VAULT.iter().find_map(|prefix| rest.strip_prefix(prefix)).map(|form| (writes, form))
}

/// Whether `vault:FORM` is an ordinary value: a host and its port (`vault:8200/ui`), an image and its tag
/// (`vault:1.13.3`), a URL (`vault://…`). What has a path but lacks `#KEY` is a slip instead.
fn is_ordinary(form: &str) -> bool {
    if form.is_empty() || form == LOGIN || form.contains('#') || is_transit_ciphertext(form) {
        return false;
    }
    let Some((first, _)) = form.split_once('/') else { return true };
    // An empty first part is a URL's.
    form.starts_with("//") || (!first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether `${vault:PATH#…}` stands somewhere in `text`. Shells' `${vault:-x}` and the like are not meant.
fn has_inline(text: &str) -> bool {
    let Some(last_brace) = text.rfind('}') else { return false };
    text[..last_brace].match_indices("${").any(|(start, opening)| {
        let inside = &text[start + opening.len()..last_brace];
        // Stopping at the next opening keeps the whole search linear.
        vault_form(inside).is_some_and(|(_, form)| {
            form.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
                && form.find(['#', '$', '{', '}']).is_some_and(|end| form[end..].starts_with('#'))
        })
    })
}

/// `PATH[?query]#KEY[#VERSION]`, and `#JSON` in place of the version where it writes.
fn vault(writes: bool, form: &str) -> Result<Reference, Failure> {
    if is_transit_ciphertext(form) {
        return Err(invalid(
            "this is a ciphertext of Vault's Transit engine, not a reference",
            "decrypt it in the workload: decryption on delivery is not served yet",
        ));
    }
    if form == LOGIN {
        return Err(invalid(
            "passing on the token of our own login is not served yet",
            "give the workload a login of its own",
        ));
    }
    let (front, rest) = split_off(form, '#');
    let (path, query) = split_off(front, '?');
    let (key, last) = split_off(rest.unwrap_or_default(), '#');
    if path.is_empty() || path.starts_with("//") {
        return Err(invalid("the path is missing", "write vault:PATH#KEY, the path as in Vault's API"));
    }
    if key.is_empty() {
        return Err(invalid("the #KEY is missing", "write vault:PATH#KEY; sr://vault/PATH reads all of it"));
    }
    if key.contains("${") {
        return Err(invalid(
            "templates in keys are not served yet",
            "name one key, and compose values in the workload",
        ));
    }
    refuse_control("#KEY", key)?;
    let mut reference = Reference::whole(ProviderKind::Vault, path);
    reference.property = Some(gjson_member(key));
    if writes {
        reference.key.request = Some(json_object("body", last.unwrap_or("{}").to_owned())?);
    } else if let Some(version) = last {
        reference.key.version = vault_version(version)?;
    }
    Parts { form: path, query, property: None }.complete(reference)
}

/// The version that a positive number names; zero and negative numbers mean the latest.
fn vault_version(version: &str) -> Result<Option<Version>, Failure> {
    let (negative, digits) = match version.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, version),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse::<u32>() {
        Ok(number) if is_number => Ok((!negative && number > 0).then(|| Version::Id(number.to_string()))),
        _ => Err(invalid("the #VERSION is not a number", "write #3, or leave it out for the latest version")),
    }
}

/// `vault:v1:…`, as Transit writes it.
fn is_transit_ciphertext(form: &str) -> bool {
    let number = form.strip_prefix('v').and_then(|rest| rest.split_once(':')).map(|(number, _)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `NAME[/VERSION][?query][#property]`.
fn azure(rest: &str) -> Result<Reference, Failure> {
    let parts = Parts::of(rest);
    let (name, version) = split_off(parts.form, '/');
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_name(name) || !version.is_none_or(is_name) {
        return Err(invalid(
            "the text after azure:keyvault: does not name a secret",
            "write azure:keyvault:NAME or azure:keyvault:NAME/VERSION, in letters, digits and dashes",
        ));
    }
    let mut reference = Reference::whole(ProviderKind::AzureKeyVault, name);
    reference.key.version = version.map(|version| Version::Id(version.to_owned()));
    parts.complete(reference)
}

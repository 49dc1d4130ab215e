//! The references of bank-vaults: `vault:PATH#KEY[#VERSION]`, `>>vault:PATH#KEY[#JSON]`, the same with `bao:`, these
//! inside a longer value as `${vault:…}`, and `azure:keyvault:NAME[/VERSION]`.
//!
//! KEY and JSON are taken to the letter, without escapes; our own query stands between PATH and the first `#`. A KEY
//! with `${` in it is a template over all keys of the secret. Not served, and refused rather than delivered raw:
//! decryption of Transit's ciphertexts.

use std::ops::Range;

use strongroom_failure::Failure;
use strongroom_secret::Version;

use crate::composition::{Composition, Slot};
use crate::escape::{gjson_member, invalid, refuse_control};
use crate::suffix::{Parts, json_object, split_off};
use crate::syntax::check_foreign_length;
use crate::{Decode, Language, ProviderKind, Reference};

const AZURE: &str = "azure:keyvault:";

/// How a reference to Vault or OpenBao begins, behind an optional `>>`.
const VAULT: [&str; 2] = ["vault:", "bao:"];

/// `VAULT_TOKEN=vault:login` asks bank-vaults to pass the token of its own login on.
const LOGIN: &str = "login";

/// What Vault's API says about the token that asks, the token itself among it as `id`: what `vault:login` means.
pub const OWN_TOKEN_PATH: &str = "auth/token/lookup-self";

/// What opens a reference inside a longer value, and a field of a template in KEY.
const OPENING: &str = "${";

/// The delimiters of the templates in KEY ([`Slot::template`]).
pub const KEY_TEMPLATE_DELIMITERS: (&str, &str) = (OPENING, "}");

/// Whether `text` begins as one of this syntax's references, or holds one inside.
pub(crate) fn claims(text: &str) -> bool {
    let is_whole = || vault_form(text).is_some_and(|(writes, form)| writes || !is_ordinary(form));
    text.starts_with(AZURE) || is_whole() || !inline_spans(text).is_ok_and(|spans| spans.is_empty())
}

/// Reads what [`claims`] recognised, where it must be one reference and nothing else.
pub(crate) fn parse(text: &str) -> Result<Reference, Failure> {
    match compose(text)? {
        Composition::Whole(reference) => Ok(reference),
        Composition::Parts(_) => Err(invalid(
            "a reference inside a longer value, or a template of several keys, is for variables alone",
            "name one key of one secret: vault:PATH#KEY",
        )),
    }
}

/// Reads what [`claims`] recognised, where it is the value of a variable. As in the original, a reference inside wins
/// over the whole.
pub(crate) fn compose(text: &str) -> Result<Composition, Failure> {
    let spans = inline_spans(text)?;
    let Some(first) = spans.first() else {
        check_foreign_length(text)?;
        return match (text.strip_prefix(AZURE), vault_form(text)) {
            (Some(rest), _) => azure(rest).map(Composition::Whole),
            (None, Some((writes, form))) => Ok(match vault(writes, form)? {
                (reference, None) => Composition::Whole(reference),
                (reference, template) => Composition::Parts(vec![Slot { span: 0..text.len(), reference, template }]),
            }),
            (None, None) => Err(invalid("this is no reference of bank-vaults", "write vault:PATH#KEY")),
        };
    };
    let front = &text[..first.start];
    if front.starts_with(AZURE) || vault_form(front).is_some_and(|(writes, form)| writes || !is_ordinary(form)) {
        return Err(invalid(
            "a reference stands inside another reference",
            "write the path, key and body of a reference out",
        ));
    }
    let slot = |span: Range<usize>| {
        let inside = &text[span.start + OPENING.len()..span.end - 1];
        check_foreign_length(inside)?;
        let (writes, form) = vault_form(inside).unwrap_or((false, inside));
        vault(writes, form).map(|(reference, template)| Slot { span, reference, template })
    };
    spans.into_iter().map(slot).collect::<Result<_, _>>().map(Composition::Parts)
}

/// The secrets of a list such as `VAULT_FROM_PATH` has: `PATH[?query][#VERSION]` with commas between, each whole and
/// once, in their order.
///
/// # Errors
/// A path or version that cannot be one; never repeats the text.
pub fn parse_paths(list: &str) -> Result<Vec<Reference>, Failure> {
    let mut references = Vec::new();
    for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let (front, version) = split_off(text, '#');
        let (path, query) = split_off(front, '?');
        if path.is_empty() || vault_form(text).is_some() {
            return Err(invalid("an entry is not a path", "write PATH or PATH#VERSION, with commas between"));
        }
        let mut reference = Reference::whole(ProviderKind::Vault, path);
        reference.key.version = version.map(vault_version).transpose()?.flatten();
        let reference = Parts { form: path, query, property: None }.complete(reference)?;
        if !references.contains(&reference) {
            references.push(reference);
        }
    }
    Ok(references)
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

/// Where `${vault:…}` stands in `text`, each from its `$` to behind its closing brace. Takes time in proportion to
/// the text.
fn inline_spans(text: &str) -> Result<Vec<Range<usize>>, Failure> {
    let mut spans = Vec::new();
    let Some(last_brace) = text.rfind('}') else { return Ok(spans) };
    let mut from = 0;
    while let Some(at) = text.get(from..last_brace).and_then(|rest| rest.find(OPENING)) {
        let inside = from + at + OPENING.len();
        if !opens_inline(&text[inside..]) {
            from = inside;
            continue;
        }
        let length = closing_brace(&text[inside..]).ok_or_else(|| {
            invalid("a reference inside the value, ${vault:…, is never closed", "close each { of it by a }")
        })?;
        spans.push(from + at..inside + length + 1);
        from = inside + length + 1;
    }
    Ok(spans)
}

/// Whether what follows `${` is a reference. Shells' `${vault:-x}` and `${vault:0:3}` are not meant.
fn opens_inline(inside: &str) -> bool {
    vault_form(inside).is_some_and(|(writes, form)| {
        // Stopping at the next opening keeps the whole search linear.
        let end = form.find(['#', '$', '{', '}']).unwrap_or(form.len());
        let (path, rest) = form.split_at(end);
        path.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
            && (rest.starts_with('#') || rest.starts_with('}') && (writes || !is_ordinary(path)))
    })
}

/// The brace that closes what is open before `inside`: templates and bodies have braces of their own.
fn closing_brace(inside: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// `PATH[?query]#KEY[#VERSION]`, and `#JSON` in place of the version where it writes; KEY besides where it is a
/// template.
fn vault(writes: bool, form: &str) -> Result<(Reference, Option<String>), Failure> {
    if is_transit_ciphertext(form) {
        return Err(invalid(
            "this is a ciphertext of Vault's Transit engine, not a reference",
            "decrypt it in the workload, or keep the secret itself in Vault: decryption on delivery is not served",
        ));
    }
    if form == LOGIN && !writes {
        let mut reference = Reference::whole(ProviderKind::Vault, OWN_TOKEN_PATH);
        reference.property = Some("id".to_owned());
        return Ok((reference, None));
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
    refuse_control("#KEY", key)?;
    let template = key.contains(OPENING).then(|| key.to_owned());
    let mut reference = Reference::whole(ProviderKind::Vault, path);
    reference.property = template.is_none().then(|| gjson_member(key));
    if writes {
        reference.key.request = Some(json_object("body", last.unwrap_or("{}").to_owned())?);
    } else if let Some(version) = last {
        reference.key.version = vault_version(version)?;
    }
    let reference = Parts { form: path, query, property: None }.complete(reference)?;
    let is_shaped =
        reference.decode != Decode::None || reference.language != Language::Gjson || reference.default.is_some();
    if template.is_some() && is_shaped {
        return Err(invalid(
            "\"decode\", \"select\" or \"default\" is given for a template",
            "leave it out, and use functions of the template, such as ${.NAME | b64dec}",
        ));
    }
    Ok((reference, template))
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

//! `--in-place`: plain values of manifests become encrypted ones where they stand.

use std::io::Write as _;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strongroom_deliver_files::replace;
use strongroom_failure::Failure;
use strongroom_kamus::manifest::{self, Edit, Entry, Kind, Manifest, Standing, apply};
use strongroom_read::read_file;
use strongroom_secret::SecretBytes;

use crate::sealer::{Request, Sealer};
use crate::value::invalid;

/// Many manifests in one file.
pub(crate) const LARGEST_FILE: usize = 16 * 1024 * 1024;

/// What a Secret becomes.
const API_VERSION: &str = "soluto.com/v1alpha2";
const KIND: &str = "KamusSecret";

/// For whom values are encrypted where a manifest does not say it.
pub(crate) struct Place<'a> {
    pub(crate) account: Option<&'a str>,
    pub(crate) namespace: Option<&'a str>,
}

/// Encrypts the plain values of `files`, each of which changes whole or not at all.
pub(crate) fn run(files: &[PathBuf], place: &Place<'_>, sealer: &Sealer) -> Result<(), Failure> {
    for file in files {
        let named = |failure: Failure| {
            let field = failure.subject.field.clone().map(|field| format!(": {field}")).unwrap_or_default();
            failure.in_field(format!("{}{field}", file.display()))
        };
        let content = read_file(file, LARGEST_FILE)?;
        let text = content.expose_text().ok_or_else(|| named(invalid("is no UTF-8")))?;
        let (edited, count) = encrypted(text, place, sealer).map_err(named)?;
        if count > 0 {
            replace(file, &SecretBytes::from(edited)).map_err(named)?;
        }
        say(&format!("{}: values encrypted: {count}\n", file.display()));
    }
    Ok(())
}

/// The text with its plain values encrypted, and how many they were.
fn encrypted(text: &str, place: &Place<'_>, sealer: &Sealer) -> Result<(String, usize), Failure> {
    let manifests = manifest::read(text)?;
    if manifests.is_empty() {
        return Err(invalid("holds no KamusSecret and no Secret"));
    }
    let mut edits = Vec::new();
    let mut count = 0;
    for manifest in &manifests {
        let of_object = |failure: Failure| {
            let field = failure.subject.field.clone().map(|field| format!(": {field}")).unwrap_or_default();
            failure.in_field(format!("{}{field}", manifest.name))
        };
        let reader = reader(manifest, place).map_err(of_object)?;
        let plain = manifest.values.iter().filter(|entry| entry.standing(manifest.kind) == Standing::Plain);
        let edited: Vec<Edit> =
            plain.map(|entry| sealed(manifest, entry, reader, sealer)).collect::<Result<_, _>>().map_err(of_object)?;
        count += edited.len();
        if manifest.kind == Kind::Secret || manifest.account.is_none() {
            edits.extend(turned(text, manifest, reader.0).map_err(of_object)?);
        }
        edits.extend(edited);
    }
    Ok((apply(text, edits)?, count))
}

/// Account and namespace of whoever may read; what the manifest says and what was given must not differ.
fn reader<'a>(manifest: &'a Manifest, place: &Place<'a>) -> Result<(&'a str, &'a str), Failure> {
    let one = |what: &str, own: Option<&'a str>, given: Option<&'a str>, flag: &str| match (own, given) {
        (Some(own), Some(given)) if own != given => {
            Err(invalid(format!("is for the {what} {own}, and {flag} says {given}")))
        }
        (Some(name), _) | (None, Some(name)) => Ok(name),
        (None, None) => Err(invalid(format!("its {what} is not known")).with_hint(format!("give {flag}"))),
    };
    let own = manifest.account.as_deref();
    Ok((
        one("service account", own, place.account, "--service-account")?,
        one("namespace", manifest.namespace.as_deref(), place.namespace, "--namespace")?,
    ))
}

fn sealed(manifest: &Manifest, entry: &Entry, reader: (&str, &str), sealer: &Sealer) -> Result<Edit, Failure> {
    entry.check_editable()?;
    let is_old = manifest.api_version.as_ref().is_some_and(|version| version.text.ends_with("/v1alpha1"));
    let dense: String = entry.value.text.split_ascii_whitespace().collect();
    // In v1alpha1 data was text.
    if entry.group == "data" && !is_old && STANDARD.decode(&dense).is_err() {
        let failure = invalid("is no base64").in_field(entry.field());
        return Err(failure.with_hint("data holds base64; text belongs below stringData"));
    }
    let value = SecretBytes::new(entry.value.text.as_bytes().to_vec());
    let request = Request { account: Some(reader.0), namespace: Some(reader.1), value: &value };
    let text = sealer.seal(&request).map_err(|failure| failure.in_field(entry.field()))?;
    Edit::encrypted(&entry.value, text).map_err(|failure| failure.in_field(entry.field()))
}

/// A Secret becomes a KamusSecret, and one that names no account names it: below its kind.
fn turned(text: &str, manifest: &Manifest, account: &str) -> Result<Vec<Edit>, Failure> {
    if manifest.is_immutable {
        return Err(invalid("is immutable, which a KamusSecret cannot be").with_hint("take immutable out"));
    }
    let start = manifest.begins.ok_or_else(|| invalid("is not written in block style, one member a line"))?;
    let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
    // A member of a list stands behind its dash.
    let margin = " ".repeat(text[line..start].chars().count());
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut edits = Vec::new();
    if manifest.kind == Kind::Secret
        && let Some(version) = &manifest.api_version
    {
        edits.push(Edit::new(version, API_VERSION.to_owned(), vec![API_VERSION.to_owned()]));
    }
    let source = format!("{KIND}{newline}{margin}serviceAccount: {account}");
    let reads = [KIND, "serviceAccount", account].map(str::to_owned).to_vec();
    edits.push(Edit::new(&manifest.kind_at, source, reads));
    Ok(edits)
}

pub(crate) fn say(text: &str) {
    // A reader that has gone away has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use strongroom_kamus::{Identity, Installation, KeyRing, NewRecord, OpenedKey, PublicKey, Text};

    use super::*;

    static KEYS: LazyLock<(KeyRing, OpenedKey)> = LazyLock::new(|| {
        let installation = Installation::new("production").unwrap();
        let fresh = NewRecord::generate(&installation).unwrap();
        let key = fresh.key.clone();
        let record = fresh.wrapped(String::new(), String::new());
        let opened = record.open(&installation, &key).unwrap();
        (KeyRing { installation, keys: vec![record] }, opened)
    });

    fn sealer() -> Sealer {
        let (ring, opened) = &*KEYS;
        let document = format!(
            r#"{{"installation":"production","key":"{}","publicKey":"{}"}}"#,
            opened.id, ring.keys[0].public_key
        );
        Sealer::Offline(PublicKey::read(document.as_bytes()).unwrap())
    }

    const PLACE: Place<'static> = Place { account: Some("web"), namespace: Some("team-a") };

    /// The text with every encrypted value as `<its value>`, opened as the account web of team-a.
    fn edited(text: &str, place: &Place<'_>) -> Result<(String, usize), String> {
        let (mut edited, count) = encrypted(text, place, &sealer()).map_err(|failure| failure.to_string())?;
        let (ring, opened) = &*KEYS;
        let reader = Identity::new("team-a", "web").unwrap();
        while let Some(start) = edited.find("sr1.") {
            let is_part = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
            let length = edited[start..].find(|character| !is_part(character)).unwrap_or(edited.len() - start);
            let Ok(Text::Sealed(sealed)) = Text::read(&edited[start..start + length]) else {
                panic!("no text of ours")
            };
            let fresh = sealed.unwrap(&opened.key, &ring.installation, &reader).unwrap();
            let plain = sealed.open(&fresh).unwrap();
            edited.replace_range(start..start + length, &format!("<{}>", plain.expose_text().unwrap()));
        }
        Ok((edited, count))
    }

    #[test]
    fn plain_values_are_replaced_and_comments_order_and_layout_stay() {
        let before = "\
# ours
apiVersion: soluto.com/v1alpha2
kind: KamusSecret   # a kind
metadata:
  name: app
  namespace: team-a
serviceAccount: web
stringData:
  # first
  plain: hunter2   # why
  'quoted' : 'it''s'
  double: \"two\\nlines\"
  empty: \"\"

  literal: |
    one
      two

    three

  folded: >-
    a
    b
  number: 5432
  last: |+
    end
data:
  binary: AAEC
  flow: \"/w==\"
---
# another
kind: ConfigMap
data:
  a: b
";
        let (got, count) = edited(before, &Place { account: None, namespace: None }).unwrap();
        let expected = "\
# ours
apiVersion: soluto.com/v1alpha2
kind: KamusSecret   # a kind
metadata:
  name: app
  namespace: team-a
serviceAccount: web
stringData:
  # first
  plain: <hunter2>   # why
  'quoted' : <it's>
  double: <two
lines>
  empty: <>

  literal: <one
  two

three
>

  folded: <a b>
  number: <5432>
  last: <end
>
data:
  binary: <AAEC>
  flow: </w==>
---
# another
kind: ConfigMap
data:
  a: b
";
        assert_eq!((got.as_str(), count), (expected, 10));
        // What is encrypted stays to the byte.
        let (once, _) = encrypted(before, &PLACE, &sealer()).unwrap();
        assert_eq!(encrypted(&once, &PLACE, &sealer()).unwrap(), (once, 0));
    }

    #[test]
    fn a_secret_becomes_a_kamus_secret() {
        let before = "apiVersion: v1\r\nkind: Secret # old\r\nmetadata: {name: s}\r\ntype: Opaque\r\ndata: {a: eA==, b: 'eQ=='}\r\n";
        let after = "apiVersion: soluto.com/v1alpha2\r\nkind: KamusSecret\r\nserviceAccount: web # old\r\nmetadata: {name: s}\r\ntype: Opaque\r\ndata: {a: <eA==>, b: <eQ==>}\r\n";
        assert_eq!(edited(before, &PLACE), Ok((after.to_owned(), 2)));
        let list =
            "kind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  stringData:\n    a: |-\n      x\n- kind: Other\n";
        let after = "kind: List\nitems:\n- apiVersion: soluto.com/v1alpha2\n  kind: KamusSecret\n  serviceAccount: web\n  stringData:\n    a: <x>\n- kind: Other\n";
        assert_eq!(edited(list, &PLACE), Ok((after.to_owned(), 1)));
        // Looks like a text of Google's, but a Secret's values are plain.
        let secret = "apiVersion: v1\nkind: Secret\ndata:\n  a: CiQA\n";
        assert_eq!(edited(secret, &PLACE).unwrap().1, 1);
    }

    #[test]
    fn what_cannot_be_edited_safely_is_refused_by_name() {
        let check = |text: &str, place: &Place<'_>, words: &str| {
            let said = edited(text, place).unwrap_err();
            assert!(said.contains(words) && !said.contains("canary"), "{words}: {said}");
        };
        let kamus =
            |rest: &str| format!("apiVersion: soluto.com/v1alpha2\nkind: KamusSecret\nserviceAccount: web\n{rest}");
        let data = |value: &str| kamus(&format!("stringData:\n  a: {value}\n"));
        check(&data("&x canary"), &PLACE, "stringData.a: has a tag, an anchor or an alias");
        check(&data("!!str canary"), &PLACE, "has a tag");
        check(&data("&x |\n    canary"), &PLACE, "has a tag");
        check(&data("{b: canary}"), &PLACE, "is no value");
        check(&data(""), &PLACE, "has no value");
        check(&data("null"), &PLACE, "has no value");
        check(&data("[canary"), &PLACE, "this is no YAML");
        check(&kamus("data:\n  a: canary!\n"), &PLACE, "data.a: is no base64");
        check(&kamus("stringData: [canary]\n"), &PLACE, "are mappings");
        check(&data("canary"), &Place { account: Some("api"), namespace: Some("n") }, "is for the service account web");
        check(&data("canary"), &Place { account: None, namespace: None }, "its namespace is not known");
        check(&data("canary"), &Place { account: None, namespace: Some("Bad") }, "lower case");
        check("kind: ConfigMap\n", &PLACE, "holds no KamusSecret and no Secret");
        check("{apiVersion: v1, kind: Secret, stringData: {a: canary}}\n", &PLACE, "block style");
        check("apiVersion: v1\nkind: Secret\nimmutable: true\ndata: {}\n", &PLACE, "is immutable");
        check("apiVersion: v1\nkind: Secret\nx: &k {}\ndata: *k\n", &PLACE, "are mappings");
    }
}

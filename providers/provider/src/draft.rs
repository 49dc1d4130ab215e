//! What a secret becomes by what is pushed to it or taken from it; pure, and the same for every store that keeps one
//! value a secret.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_http::json_body;
use strongroom_secret::SecretBytes;

use crate::document::{Document, not_text};
use crate::{Content, DeleteAnswer, Deleted, Place, Push, PushAnswer, Pushed};

/// The name of External Secrets Operator's mark of ownership: a tag, a label, an entry of custom metadata.
pub const MARK: &str = "managed-by";

/// The mark's value.
pub const MARKED: &str = "external-secrets";

/// What a store keeps as a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// JSON objects and nothing else, compared by what they say (Vault). A property is the name of a member.
    Objects,
    /// Bytes, compared as they are. A property is a path of names with dots between them, `\.` being a dot in a name.
    Bytes,
}

/// What a list of pushes makes of one secret.
#[derive(Debug)]
pub struct Draft {
    /// The secret's new content; nothing where it stays as it is.
    pub content: Option<SecretBytes>,
    answers: Vec<PushAnswer>,
}

impl Draft {
    /// Applies `pushes`, in their order, to what is `there`.
    pub fn new(there: Option<&SecretBytes>, pushes: &[&Push], keeps: Keeps) -> Self {
        let (mut content, mut answers) = (None, Vec::with_capacity(pushes.len()));
        for push in pushes {
            let now = content.as_ref().or(there);
            answers.push(match applied(there, now, push, keeps) {
                Ok(Step::Kept) => Ok(Pushed::Kept),
                Ok(Step::Same) => Ok(Pushed::Unchanged),
                Ok(Step::Becomes(changed)) => {
                    content = Some(changed);
                    Ok(Pushed::Written)
                }
                Err(failure) => Err(failure),
            });
        }
        Self { content, answers }
    }

    /// The answers of a store that keeps no values but parts, and changed them by itself.
    pub fn of(answers: Vec<PushAnswer>) -> Self {
        Self { content: None, answers }
    }

    /// Whether any push has a say: what is only kept or refused changes neither content nor settings.
    pub fn has_a_say(&self) -> bool {
        self.answers.iter().any(has_a_say)
    }

    /// The answers once the store has what it should: `wrote` says whether anything but the content was written, and a
    /// failure is that of every push that had a say.
    pub fn answers(self, wrote: Result<bool, Failure>) -> Vec<PushAnswer> {
        let settled = |answer: PushAnswer| match &wrote {
            Err(failure) if has_a_say(&answer) => Err(failure.clone()),
            Ok(true) if matches!(answer, Ok(Pushed::Unchanged)) => Ok(Pushed::Written),
            _ => answer,
        };
        self.answers.into_iter().map(settled).collect()
    }

    /// The answers where the secret is somebody else's: it may be kept, and nothing else.
    pub fn foreign(self) -> Vec<PushAnswer> {
        let refused = |answer: PushAnswer| match answer {
            Ok(Pushed::Kept) => answer,
            _ => Err(foreign()),
        };
        self.answers.into_iter().map(refused).collect()
    }
}

/// The refusal of a secret without the mark of ownership.
pub fn foreign() -> Failure {
    Failure::new(Class::Denied, format!("it is not managed by us: it lacks the mark {MARK}: {MARKED}"))
        .with_hint("push to another name, or add the mark to it where it may be overwritten")
}

/// What is left of a secret after deletions.
#[derive(Debug)]
pub enum Left {
    /// All of it.
    Same,
    /// This much.
    Content(SecretBytes),
    /// Nothing: the secret goes.
    Nothing,
}

/// Takes `places` out of what is `there`.
pub fn reduced(there: &SecretBytes, places: &[&Place], keeps: Keeps) -> (Left, Vec<DeleteAnswer>) {
    let mut left = Left::Same;
    let mut answers = Vec::with_capacity(places.len());
    for place in places {
        let answer = match (&place.property, &left) {
            (_, Left::Nothing) => Ok((Deleted::Absent, None)),
            (None, _) => Ok((Deleted::Removed, Some(Left::Nothing))),
            (Some(property), Left::Same) => without(there, property, keeps),
            (Some(property), Left::Content(content)) => without(content, property, keeps),
        };
        answers.push(answer.map(|(deleted, changed)| {
            left = changed.unwrap_or_else(|| std::mem::replace(&mut left, Left::Nothing));
            deleted
        }));
    }
    // Whoever asks for the whole secret and for a property of it has both removed.
    if places.iter().any(|place| place.property.is_none()) {
        left = Left::Nothing;
    }
    (left, answers)
}

fn without(there: &SecretBytes, property: &str, keeps: Keeps) -> Result<(Deleted, Option<Left>), Failure> {
    let mut document = Document::parse(there, property)?;
    if !document.remove(property, keeps) {
        return Ok((Deleted::Absent, None));
    }
    let left = if document.is_empty() { Left::Nothing } else { Left::Content(document.bytes()?) };
    Ok((Deleted::Removed, Some(left)))
}

enum Step {
    Kept,
    Same,
    Becomes(SecretBytes),
}

/// What one push does to what is there `now`; `before` is what was there before any push of the list.
fn applied(
    before: Option<&SecretBytes>,
    now: Option<&SecretBytes>,
    push: &Push,
    keeps: Keeps,
) -> Result<Step, Failure> {
    let Some(property) = &push.place.property else {
        if push.only_if_absent && before.is_some() {
            return Ok(Step::Kept);
        }
        let wanted = whole(&push.content)?;
        let is_object = keeps == Keeps::Objects || matches!(push.content, Content::Whole(_));
        return Ok(if now.is_some_and(|now| is_same(now, &wanted, is_object)) {
            Step::Same
        } else {
            Step::Becomes(wanted)
        });
    };
    let mut document = now.map_or_else(|| Ok(Document::default()), |now| Document::parse(now, property))?;
    if push.only_if_absent && before.is_some() && document.has(property, keeps) {
        return Ok(Step::Kept);
    }
    let value = whole(&push.content)?;
    let text = value.expose_text().ok_or_else(|| not_text(property))?;
    if document.text(property, keeps) == Some(text) {
        return Ok(Step::Same);
    }
    document.set(property, text, keeps)?;
    Ok(Step::Becomes(document.bytes()?))
}

/// The content as one value; a whole Secret is a JSON object of its texts.
pub fn whole(content: &Content) -> Result<SecretBytes, Failure> {
    let all = match content {
        Content::One(value) => return Ok(value.clone()),
        Content::Whole(all) => all,
    };
    let text = |(key, value)| {
        let (key, value): (&String, &SecretBytes) = (key, value);
        value.expose_text().map(|text| (key.as_str(), text)).ok_or_else(|| not_text(key))
    };
    let texts: BTreeMap<&str, &str> = all.iter().map(text).collect::<Result<_, _>>()?;
    Ok(json_body(&texts)?)
}

fn is_same(there: &SecretBytes, wanted: &SecretBytes, is_object: bool) -> bool {
    let parsed = |bytes| Document::parse(bytes, "").ok();
    there.expose() == wanted.expose()
        || is_object && matches!((parsed(there), parsed(wanted)), (Some(there), Some(wanted)) if there == wanted)
}

fn has_a_say(answer: &PushAnswer) -> bool {
    matches!(answer, Ok(Pushed::Written | Pushed::Unchanged))
}

/// The settings of one secret (`metadata` of its entries): those of its last entry that has some, else the default.
///
/// # Errors
/// Where they are not `PushSecretMetadata` as External Secrets Operator has it, or name a field that `T` lacks.
pub fn settings<T: DeserializeOwned + Default>(pushes: &[&Push]) -> Result<T, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Wrapped<T> {
        api_version: String,
        kind: String,
        spec: Option<T>,
    }
    let Some(written) = pushes.iter().rev().find_map(|push| push.metadata.as_ref()) else { return Ok(T::default()) };
    let wrong = |words: String| Failure::new(Class::Invalid, format!("metadata: {words}"));
    let wrapped: Wrapped<T> =
        Wrapped::deserialize(written).map_err(|error| wrong(outside_words(&error.to_string(), &[])))?;
    if wrapped.api_version != "kubernetes.external-secrets.io/v1alpha1" {
        return Err(wrong("apiVersion must be kubernetes.external-secrets.io/v1alpha1".to_owned()));
    }
    if wrapped.kind != "PushSecretMetadata" {
        return Err(wrong("kind must be PushSecretMetadata".to_owned()));
    }
    Ok(wrapped.spec.unwrap_or_default())
}

/// For stores that have nothing to set.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn push(property: Option<&str>, content: &str) -> Push {
        let place = Place { key: "app".to_owned(), property: property.map(str::to_owned), ..Place::default() };
        let content = Content::One(SecretBytes::from(content.to_owned()));
        Push { place, content, metadata: None, source: crate::Source::default(), only_if_absent: false }
    }

    fn bytes(text: &str) -> SecretBytes {
        SecretBytes::from(text.to_owned())
    }

    /// The new content and the answers, failures by their words.
    fn drafted(there: Option<&str>, pushes: &[Push], keeps: Keeps) -> (Option<String>, Vec<Result<Pushed, String>>) {
        let draft = Draft::new(there.map(bytes).as_ref(), &pushes.iter().collect::<Vec<_>>(), keeps);
        let content = draft.content.as_ref().map(|content| content.expose_text().unwrap().to_owned());
        let answers = draft.answers(Ok(false));
        (content, answers.into_iter().map(|answer| answer.map_err(|failure| failure.words)).collect())
    }

    #[test]
    fn properties_are_merged_in_place_and_the_rest_stays_as_it_is() {
        let check = |there: Option<&str>, pushes: &[(&str, &str)], keeps: Keeps, expected: Option<&str>| {
            let pushes: Vec<_> = pushes.iter().map(|(name, value)| push(Some(name), value)).collect();
            assert_eq!(drafted(there, &pushes, keeps).0.as_deref(), expected, "{there:?}");
        };
        let both = [("a", "1"), ("b", "2")];
        check(None, &both, Keeps::Bytes, Some(r#"{"a":"1","b":"2"}"#));
        check(
            Some(r#"{"z":1.50,"a":"0","y":[1]}"#),
            &both,
            Keeps::Bytes,
            Some(r#"{"z":1.50,"a":"1","y":[1],"b":"2"}"#),
        );
        check(Some(r#"{"b":"2","a":"1"}"#), &both, Keeps::Bytes, None);
        check(None, &[("a.b", "1"), (r"a.c\.d", "2")], Keeps::Bytes, Some(r#"{"a":{"b":"1","c.d":"2"}}"#));
        check(Some(r#"{"a.b":"0"}"#), &[("a.b", "1")], Keeps::Bytes, Some(r#"{"a.b":"1"}"#));
        check(None, &[("a.b", "1")], Keeps::Objects, Some(r#"{"a.b":"1"}"#));
    }

    #[test]
    fn what_is_there_is_unchanged_or_kept() {
        let only_if_absent = |push: Push| Push { only_if_absent: true, ..push };
        let check = |there: Option<&str>, push: Push, keeps: Keeps, expected: Pushed| {
            let (content, answers) = drafted(there, &[push], keeps);
            assert_eq!((answers, content.is_some()), (vec![Ok(expected)], expected == Pushed::Written), "{there:?}");
        };
        check(Some("v"), push(None, "v"), Keeps::Bytes, Pushed::Unchanged);
        check(Some(r#"{"a": 1}"#), push(None, r#"{"a":1}"#), Keeps::Bytes, Pushed::Written);
        check(Some(r#"{"a": 1, "b": 2}"#), push(None, r#"{"b":2,"a":1}"#), Keeps::Objects, Pushed::Unchanged);
        check(Some("v"), only_if_absent(push(None, "w")), Keeps::Bytes, Pushed::Kept);
        check(None, only_if_absent(push(None, "w")), Keeps::Bytes, Pushed::Written);
        check(Some(r#"{"a":"1"}"#), only_if_absent(push(Some("a"), "2")), Keeps::Bytes, Pushed::Kept);
        check(Some(r#"{"a":"1"}"#), only_if_absent(push(Some("b"), "2")), Keeps::Bytes, Pushed::Written);
    }

    #[test]
    fn what_cannot_have_properties_is_named_and_never_shown() {
        for there in ["canary", "[1]", r#""canary""#] {
            let (content, answers) = drafted(Some(there), &[push(Some("a"), "1")], Keeps::Bytes);
            let words = answers[0].as_ref().unwrap_err();
            assert!(content.is_none() && words.contains("property \"a\"") && !words.contains("canary"), "{words}");
        }
        let binary = Push { content: Content::One(SecretBytes::new(vec![255])), ..push(Some("a"), "") };
        assert!(drafted(None, &[binary], Keeps::Bytes).1[0].as_ref().unwrap_err().contains("\"a\" is not text"));
        let (_, answers) = drafted(Some(r#"{"a":"text"}"#), &[push(Some("a.b"), "1")], Keeps::Bytes);
        assert!(answers[0].as_ref().unwrap_err().contains("\"a\" is there"));
    }

    #[test]
    fn a_whole_secret_is_an_object_of_texts() {
        let content = [("b", "2"), ("a", "\"1\"")].map(|(key, value)| (key.to_owned(), bytes(value)));
        let all = Push { content: Content::Whole(content.into()), ..push(None, "") };
        let object = r#"{"a":"\"1\"","b":"2"}"#;
        assert_eq!(drafted(None, std::slice::from_ref(&all), Keeps::Bytes).0.as_deref(), Some(object));
        assert_eq!(drafted(Some(r#"{"b":"2", "a":"\"1\""}"#), &[all], Keeps::Bytes).1, [Ok(Pushed::Unchanged)]);
    }

    #[test]
    fn a_secret_goes_with_its_last_property() {
        let check = |there: &str, properties: &[Option<&str>], left: Option<&str>, removed: &[Deleted]| {
            let place = |name: &Option<&str>| Place {
                key: "app".to_owned(),
                property: name.map(str::to_owned),
                ..Place::default()
            };
            let places: Vec<_> = properties.iter().map(place).collect();
            let (got, answers) = reduced(&bytes(there), &places.iter().collect::<Vec<_>>(), Keeps::Bytes);
            let got = match &got {
                Left::Same => Some(there),
                Left::Content(content) => content.expose_text(),
                Left::Nothing => None,
            };
            let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
            assert_eq!((got, answers.as_slice()), (left, removed), "{there}");
        };
        check(r#"{"c":1,"a":"1","b":2}"#, &[Some("a")], Some(r#"{"c":1,"b":2}"#), &[Deleted::Removed]);
        check(r#"{"a":"1"}"#, &[Some("b"), Some("a")], None, &[Deleted::Absent, Deleted::Removed]);
        check(r#"{"a":{"b":"1"}}"#, &[Some("a.b")], None, &[Deleted::Removed]);
        check("anything", &[None], None, &[Deleted::Removed]);
        check(r#"{"a":"1"}"#, &[Some("b")], Some(r#"{"a":"1"}"#), &[Deleted::Absent]);
    }

    #[test]
    fn settings_are_read_strictly() {
        #[derive(Debug, Default, Deserialize, PartialEq)]
        #[serde(deny_unknown_fields)]
        struct Tags {
            tags: Option<BTreeMap<String, String>>,
        }
        let read = |metadata: serde_json::Value| {
            let with = Push { metadata: Some(metadata), ..push(None, "v") };
            settings::<Tags>(&[&with, &push(None, "w")]).map_err(|failure| failure.words)
        };
        let wrap = |spec| json!({"apiVersion": "kubernetes.external-secrets.io/v1alpha1", "kind": "PushSecretMetadata", "spec": spec});
        let tags = Some([("a".to_owned(), "b".to_owned())].into());
        assert_eq!(read(wrap(json!({"tags": {"a": "b"}}))), Ok(Tags { tags }));
        assert!(read(wrap(json!({"tagz": {}}))).unwrap_err().contains("unknown field `tagz`"));
        assert!(read(json!({"apiVersion": "v1", "kind": "PushSecretMetadata"})).unwrap_err().contains("apiVersion"));
        assert_eq!(settings::<Tags>(&[&push(None, "v")]).unwrap(), Tags::default());
    }
}

//! What searching and reading tags have in common in both stores.

use std::collections::BTreeMap;
use std::future::Future;

use strongroom_failure::{Class, Failure};
use strongroom_provider::{Find, Found, RemoteKey, RemoteValue, SecretBytes};

use crate::failure::Refusal;
use crate::prefix::Prefix;

/// The most pages that one search goes through: 200,000 secrets, or 20,000 parameters, which is a minute of waiting.
const MOST_PAGES: usize = 2_000;

/// The most secrets that one search finds. What they become is a Kubernetes Secret of at most 1 MiB, which leaves each
/// of so many 200 bytes.
const MOST_FOUND: usize = 5_000;

/// The most bytes of values that one search brings along, which bounds the memory that a careless one can take.
const MOST_BYTES: usize = 64 << 20;

/// What a search has found so far.
pub(crate) struct Harvest<'a> {
    query: &'a Find,
    prefix: &'a Prefix,
    found: Vec<Found>,
    bytes: usize,
}

impl<'a> Harvest<'a> {
    /// # Errors
    /// `Invalid` where the query's path lies where the prefix does not reach: nothing found would be mistaken for
    /// nothing there.
    pub(crate) fn new(query: &'a Find, prefix: &'a Prefix) -> Result<Self, Failure> {
        match query.path.as_deref() {
            Some(path) if !prefix.reaches(path) => {
                let words = format!("the path \"{path}\" is outside of the store's prefix \"{}\"", prefix.text());
                Err(Failure::new(Class::Invalid, words))
            }
            _ => Ok(Self { query, prefix, found: Vec::new(), bytes: 0 }),
        }
    }

    /// Whether the query asks for the secret with this whole name, as far as names tell.
    pub(crate) fn is_wanted(&self, name: &str) -> bool {
        self.prefix.key_of(name).is_some() && self.query.name.as_ref().is_none_or(|pattern| pattern.is_match(name))
    }

    /// Takes a secret that is wanted; without a value where it must be read by its key.
    ///
    /// # Errors
    /// `Invalid` where that is too much.
    pub(crate) fn add(&mut self, name: String, value: Option<RemoteValue>) -> Result<(), Failure> {
        let Some(key) = self.prefix.key_of(&name).map(RemoteKey::current) else { return Ok(()) };
        self.bytes += value.as_ref().map_or(0, |read| read.value.len());
        if self.found.len() == MOST_FOUND {
            return Err(too_much(&format!("finds more than {MOST_FOUND} secrets")));
        }
        if self.bytes > MOST_BYTES {
            return Err(too_much(&format!("finds more than {} MiB", MOST_BYTES >> 20)));
        }
        self.found.push(Found { name, key, value });
        Ok(())
    }

    pub(crate) fn found(self) -> Vec<Found> {
        self.found
    }
}

/// Asks for page after page. `take` uses up a page and gives the next one's token.
///
/// # Errors
/// What `ask` or `take` refuses, and `Invalid` where there is no end of pages.
pub(crate) async fn each_page<Page, Asked>(
    ask: impl Fn(Option<String>) -> Asked,
    mut take: impl FnMut(Page) -> Result<Option<String>, Failure>,
) -> Result<(), Refusal>
where
    Asked: Future<Output = Result<Page, Refusal>>,
{
    let mut token = None;
    for _ in 0..MOST_PAGES {
        token = take(ask(token).await?)?.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(());
        }
    }
    Err(too_much(&format!("goes through more than {MOST_PAGES} pages")).into())
}

fn too_much(what: &str) -> Failure {
    Failure::new(Class::Invalid, format!("the search {what}")).with_hint("restrict it by a path, a name or tags")
}

/// A search that failed as a whole.
pub(crate) fn about_search(refusal: Refusal, store: String) -> Failure {
    let is_denied = refusal.is_denied();
    let failure = refusal.failure.from_store(store);
    if is_denied { failure.with_hint("allow the action, on resource *, in the role's policy") } else { failure }
}

/// Tags as a JSON object, letter by letter as Go's encoder writes it: a change of the text would be taken for a change
/// of the secret by whoever changes from one to the other.
pub(crate) fn tags_as_json<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Result<RemoteValue, Failure> {
    let tags: BTreeMap<&str, &str> = tags.collect();
    let json = serde_json::to_string(&tags).map_err(|_| Failure::new(Class::Invalid, "its tags cannot be written"))?;
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => escaped.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => escaped.push(letter),
        }
    }
    Ok(RemoteValue::new(SecretBytes::from(escaped), None))
}

#[cfg(test)]
mod tests {
    use strongroom_provider::Pattern;

    use super::*;

    #[test]
    fn tags_are_written_as_go_writes_them() {
        let check = |tags: &[(&str, &str)], expected: &str| {
            let written = tags_as_json(tags.iter().copied()).unwrap();
            assert_eq!(written.value.expose_text(), Some(expected));
        };
        check(&[], "{}");
        check(&[("team", "a"), ("env", "prod é")], r#"{"env":"prod é","team":"a"}"#);
        check(&[("a", "<b> & \"c\"\u{2028}")], r#"{"a":"\u003cb\u003e \u0026 \"c\"\u2028"}"#);
    }

    #[test]
    fn a_search_stays_where_the_prefix_reaches() {
        let check = |prefix: &str, path: Option<&str>, name: &str, expected: Option<&str>| {
            let query = Find { path: path.map(str::to_owned), ..Find::default() };
            let prefix = Prefix::new(prefix);
            let harvest = Harvest::new(&query, &prefix).and_then(|mut harvest| {
                if harvest.is_wanted(name) {
                    harvest.add(name.to_owned(), None)?;
                }
                Ok(harvest.found())
            });
            let found = harvest.map(|found| found.first().map(|found| (found.name.clone(), found.key.name.clone())));
            let expected = expected.map(|key| (name.to_owned(), key.to_owned()));
            assert_eq!(found.map_err(|failure| failure.class), Ok(expected), "{name}");
        };
        check("", None, "app/db", Some("app/db"));
        check("app/", None, "app/db", Some("db"));
        check("app/", Some("app"), "app/db", Some("db"));
        check("app/", Some("app/d"), "app/db", Some("db"));
        check("app/", None, "other/db", None);
        check("app/", None, "app/", None);
        let query = Find { path: Some("other".to_owned()), ..Find::default() };
        let failure = Harvest::new(&query, &Prefix::new("app/")).map(|_| ()).unwrap_err();
        assert_eq!(failure.to_string(), "the path \"other\" is outside of the store's prefix \"app/\"");
    }

    #[test]
    fn names_are_matched_whole_with_their_prefix() {
        let query = Find { name: Some(Pattern::new("^app/d").unwrap()), ..Find::default() };
        let prefix = Prefix::new("app/");
        let harvest = Harvest::new(&query, &prefix).unwrap();
        assert!(harvest.is_wanted("app/db") && !harvest.is_wanted("app/cache"));
    }

    #[test]
    fn a_search_is_bounded() {
        let (query, prefix) = (Find::default(), Prefix::default());
        let mut harvest = Harvest::new(&query, &prefix).unwrap();
        (0..MOST_FOUND).for_each(|place| harvest.add(place.to_string(), None).unwrap());
        let words = harvest.add("more".to_owned(), None).unwrap_err().words;
        assert_eq!(words, "the search finds more than 5000 secrets");
        let mut harvest = Harvest::new(&query, &prefix).unwrap();
        let large = || Some(RemoteValue::new(SecretBytes::new(vec![0; MOST_BYTES / 2 + 1]), None));
        harvest.add("a".to_owned(), large()).unwrap();
        assert_eq!(harvest.add("b".to_owned(), large()).unwrap_err().words, "the search finds more than 64 MiB");
    }

    #[tokio::test]
    async fn pages_without_an_end_are_given_up() {
        let endless =
            each_page(|_| async { Ok(()) }, |()| -> Result<Option<String>, Failure> { Ok(Some("again".to_owned())) });
        assert_eq!(endless.await.unwrap_err().failure.words, "the search goes through more than 2000 pages");
    }
}

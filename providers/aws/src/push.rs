//! What both stores have in common when they are written to: tags, and the mark of ownership among them.

use std::collections::BTreeMap;

use strongroom_failure::{Class, Failure};
use strongroom_provider::{MARK, MARKED};

/// A secret's tags, by name.
pub(crate) type Tags = BTreeMap<String, String>;

/// What External Secrets Operator writes where nobody describes a secret.
pub(crate) const DESCRIPTION: &str = "secret 'managed-by:external-secrets'";

/// Tags that AWS itself keeps begin so; nobody else may touch them.
const OF_AWS: &str = "aws:";

/// `written`, with the mark.
pub(crate) fn marked(written: Option<&Tags>) -> Result<Tags, Failure> {
    let mut tags = written.cloned().unwrap_or_default();
    match tags.insert(MARK.to_owned(), MARKED.to_owned()) {
        None => Ok(tags),
        Some(_) => {
            Err(Failure::new(Class::Invalid, format!("metadata: the tag {MARK} is set by us and cannot be chosen")))
        }
    }
}

/// Whether tags have the mark.
pub(crate) fn is_ours(tags: &Tags) -> bool {
    tags.get(MARK).is_some_and(|value| value == MARKED)
}

/// The tags to set and the names of those to take away, so that `there` becomes `written`. Where nobody wrote any, all
/// stay as they are.
pub(crate) fn tag_changes(there: &Tags, written: Option<&Tags>) -> Result<(Tags, Vec<String>), Failure> {
    if written.is_none() {
        return Ok((Tags::new(), Vec::new()));
    }
    let wanted = marked(written)?;
    let is_foreign = |name: &&String| !wanted.contains_key(*name) && !name.starts_with(OF_AWS);
    let gone = there.keys().filter(is_foreign).cloned().collect();
    let set = wanted.iter().filter(|(name, value)| there.get(*name) != Some(*value));
    Ok((set.map(|(name, value)| (name.clone(), value.clone())).collect(), gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[(&str, &str)]) -> Tags {
        tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tags_become_what_was_written_and_the_mark_stays() {
        let there = tags(&[(MARK, MARKED), ("a", "1"), ("b", "2"), ("aws:cloudformation:stack-name", "s")]);
        let (set, gone) = tag_changes(&there, Some(&tags(&[("a", "2"), ("c", "3")]))).unwrap();
        assert_eq!((set, gone), (tags(&[("a", "2"), ("c", "3")]), vec!["b".to_owned()]));
        assert_eq!(tag_changes(&there, None).unwrap(), (Tags::new(), Vec::new()));
        assert_eq!(marked(Some(&tags(&[(MARK, "me")]))).unwrap_err().class, Class::Invalid);
    }
}

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Find, Found, Provider as _, RemoteKey, RemoteValue};

use super::{Answered, BATCH, BATCH_LIMIT, DESCRIBE, SecretsManager};
use crate::catalog::{Harvest, about_search, each_page, tags_as_json};
use crate::failure::{Refusal, from_code};

const LIST: &str = "secretsmanager:ListSecrets";

/// The most secrets that AWS lists in one page.
const LIST_LIMIT: i32 = 100;

/// The most tags that AWS is asked to compare: it takes ten filters, one for the name and two for each tag. We compare
/// all of them ourselves.
const MOST_TAGS: usize = 4;

/// The longest text of a filter, in bytes.
const FILTER_LIMIT: usize = 512;

impl SecretsManager {
    /// The tags of a secret.
    pub(super) async fn metadata(&self, key: &RemoteKey) -> Result<RemoteValue, Refusal> {
        let client = self.client().await?;
        let request = client.describe_secret().secret_id(&key.name);
        let output = self.session.call(DESCRIBE, || request.clone().send()).await?;
        if output.deleted_date().is_some() {
            // The words that a read of its value would have had.
            return Err(from_code("InvalidRequestException", "marked for deletion", 400).into());
        }
        let tags = output.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())));
        Ok(tags_as_json(tags)?)
    }

    pub(super) async fn search(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        let outcome = Box::pin(self.search_either_way(query)).await;
        outcome.map_err(|refusal| about_search(refusal, self.describe()))
    }

    /// Below a path, values come with their names. Elsewhere names are listed, for most of what is there is not wanted;
    /// and so where there are tags, which AWS tells of names alone and compares by their beginnings.
    async fn search_either_way(&self, query: &Find) -> Result<Vec<Found>, Refusal> {
        let is_below = is_filter(self.start_of(query));
        if query.tags.is_empty() && is_below && !self.session.secrets_manager_memory().singly() {
            match self.search_values(query).await {
                // One secret may be what AWS refuses the call for: then each is asked for by itself.
                Err(refusal) if refusal.may_be_one_keys() || refusal.is_unknown_operation() => {}
                outcome => return outcome,
            }
        }
        self.search_names(query).await
    }

    async fn search_values(&self, query: &Find) -> Result<Vec<Found>, Refusal> {
        let mut harvest = Harvest::new(query, &self.prefix)?;
        let client = self.client().await?;
        let request = client.batch_get_secret_value().set_filters(Some(self.filters(query)));
        let request = request.max_results(i32::try_from(BATCH_LIMIT).unwrap_or(1));
        let ask = |token| {
            let request = request.clone().set_next_token(token);
            async move { self.session.call(BATCH, || request.clone().send()).await }
        };
        each_page(ask, |page| {
            let mut answered = Answered::default();
            let token = answered.add(page);
            for (names, answer) in answered.values {
                if self.is_wanted(query, &harvest, &names.name) {
                    harvest.add(names.name, answer.ok())?;
                }
            }
            for (id, failure) in answered.errors {
                let name = name_of(&id);
                // What is gone is not found. Other errors are told when the key is read by itself.
                if failure.class != Class::NotFound && self.is_wanted(query, &harvest, name) {
                    harvest.add(name.to_owned(), None)?;
                }
            }
            Ok(token)
        })
        .await?;
        Ok(harvest.found())
    }

    async fn search_names(&self, query: &Find) -> Result<Vec<Found>, Refusal> {
        let mut harvest = Harvest::new(query, &self.prefix)?;
        let client = self.client().await?;
        let request = client.list_secrets().set_filters(Some(self.filters(query))).max_results(LIST_LIMIT);
        let ask = |token| {
            let request = request.clone().set_next_token(token);
            async move { self.session.call(LIST, || request.clone().send()).await }
        };
        each_page(ask, |page| {
            for entry in page.secret_list.unwrap_or_default() {
                let name = entry.name().unwrap_or_default();
                if self.is_wanted(query, &harvest, name) && has_tags(&entry, query) {
                    harvest.add(name.to_owned(), None)?;
                }
            }
            Ok(page.next_token)
        })
        .await?;
        Ok(harvest.found())
    }

    fn is_wanted(&self, query: &Find, harvest: &Harvest<'_>, name: &str) -> bool {
        name.starts_with(self.start_of(query)) && harvest.is_wanted(name)
    }

    /// What every name that is wanted begins with.
    fn start_of<'a>(&'a self, query: &'a Find) -> &'a str {
        let path = query.path.as_deref().unwrap_or_default();
        if path.len() > self.prefix.text().len() { path } else { self.prefix.text() }
    }

    fn filters(&self, query: &Find) -> Vec<Filter> {
        let tags = query.tags.iter().take(MOST_TAGS);
        let tags = tags.flat_map(|(key, value)| {
            [(FilterNameStringType::TagKey, key.as_str()), (FilterNameStringType::TagValue, value.as_str())]
        });
        let name = [(FilterNameStringType::Name, self.start_of(query))];
        let filters = name.into_iter().chain(tags).filter(|(_, text)| is_filter(text));
        filters.map(|(key, text)| Filter::builder().key(key).values(text).build()).collect()
    }
}

/// Whether AWS takes `text` as a filter; a `!` at its beginning would turn its meaning around.
fn is_filter(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b" :_@/+=.-".contains(&byte);
    (1..=FILTER_LIMIT).contains(&text.len()) && text.bytes().all(is_fit)
}

fn has_tags(entry: &SecretListEntry, query: &Find) -> bool {
    let has =
        |key: &str, value: &str| entry.tags().iter().any(|tag| tag.key() == Some(key) && tag.value() == Some(value));
    query.tags.iter().all(|(key, value)| has(key, value))
}

/// The name in an ARN: without the random ending that AWS adds.
fn name_of(id: &str) -> &str {
    match id.strip_prefix("arn:").and_then(|rest| rest.split_once(":secret:")) {
        Some((_, name)) => name.rsplit_once('-').map_or(name, |(name, _)| name),
        None => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_holds_the_secrets_name() {
        let check = |id: &str, expected: &str| assert_eq!(name_of(id), expected);
        check("prod/db-main", "prod/db-main");
        check("arn:aws:secretsmanager:eu-west-1:1:secret:prod/db-main-AbCdEf", "prod/db-main");
    }

    #[test]
    fn only_what_aws_takes_becomes_a_filter() {
        let check = |text: &str, expected| assert_eq!(is_filter(text), expected, "{text}");
        check("prod/db_1.a@b+c=d-e f:g", true);
        check("", false);
        check("!prod", false);
        check("prüf", false);
        check(&"a".repeat(FILTER_LIMIT + 1), false);
    }
}

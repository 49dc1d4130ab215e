use aws_sdk_ssm::types::{ParameterStringFilter, ResourceTypeForTagging};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Find, Found, Provider as _, RemoteValue};

use super::{BATCH_LIMIT, Name, ParameterStore, TAGS, not_found, value};
use crate::catalog::{Harvest, about_search, each_page, tags_as_json};
use crate::failure::Refusal;
use crate::prefix::Prefix;

const BY_PATH: &str = "ssm:GetParametersByPath";
const DESCRIBE: &str = "ssm:DescribeParameters";

/// The most parameters that AWS describes in one page.
const DESCRIBE_LIMIT: i32 = 50;

impl ParameterStore {
    /// The tags of a parameter, which all of its versions share.
    pub(super) async fn metadata(&self, name: &Name) -> Result<RemoteValue, Refusal> {
        let mut outcome = Err(not_found().into());
        for id in ids(&name.base) {
            outcome = self.tags_of(&id).await;
            if !outcome.as_ref().is_err_and(|refusal| refusal.failure.class == Class::NotFound) {
                break;
            }
        }
        outcome
    }

    async fn tags_of(&self, id: &str) -> Result<RemoteValue, Refusal> {
        let client = self.client().await?;
        let request = client.list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter).resource_id(id);
        let output = self.session.call(TAGS, || request.clone().send()).await?;
        let tags = output.tag_list.unwrap_or_default();
        Ok(tags_as_json(tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())))?)
    }

    pub(super) async fn search(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        let outcome = Box::pin(self.search_either_way(query)).await;
        outcome.map_err(|refusal| about_search(refusal, self.describe()))
    }

    /// By path, values come with their names; tags can only be asked for where parameters are described.
    async fn search_either_way(&self, query: &Find) -> Result<Vec<Found>, Refusal> {
        if !query.tags.is_empty() {
            return self.search_names(query).await;
        }
        let refused = match self.search_values(query).await {
            Err(refusal) if refusal.is_denied() || refusal.is_unknown_operation() => refusal,
            outcome => return outcome,
        };
        let names = self.search_names(query).await;
        // The first refusal names the operation that is better allowed.
        names.map_err(|other| if other.is_denied() { refused } else { other })
    }

    async fn search_values(&self, query: &Find) -> Result<Vec<Found>, Refusal> {
        let mut harvest = Harvest::new(query, &self.prefix)?;
        let client = self.client().await?;
        let request = client.get_parameters_by_path().path(path(query, &self.prefix)).recursive(true);
        let request = request.with_decryption(true).max_results(i32::try_from(BATCH_LIMIT).unwrap_or(1));
        let ask = |token| {
            let request = request.clone().set_next_token(token);
            async move { self.session.call(BY_PATH, || request.clone().send()).await }
        };
        each_page(ask, |page| {
            for mut parameter in page.parameters.unwrap_or_default() {
                let name = parameter.name.take().unwrap_or_default();
                if harvest.is_wanted(&name) {
                    harvest.add(name, value(parameter))?;
                }
            }
            Ok(page.next_token)
        })
        .await?;
        Ok(harvest.found())
    }

    async fn search_names(&self, query: &Find) -> Result<Vec<Found>, Refusal> {
        let mut harvest = Harvest::new(query, &self.prefix)?;
        let client = self.client().await?;
        let filters = filters(query, path(query, &self.prefix))?;
        let request = client.describe_parameters().set_parameter_filters(Some(filters)).max_results(DESCRIBE_LIMIT);
        let ask = |token| {
            let request = request.clone().set_next_token(token);
            async move { self.session.call(DESCRIBE, || request.clone().send()).await }
        };
        each_page(ask, |page| {
            for described in page.parameters.unwrap_or_default() {
                let name = described.name.unwrap_or_default();
                if harvest.is_wanted(&name) {
                    harvest.add(name, None)?;
                }
            }
            Ok(page.next_token)
        })
        .await?;
        Ok(harvest.found())
    }
}

/// How a parameter can be called where its tags are asked for: AWS takes no ARN there, and an ARN does not tell
/// `/foo` from `foo`.
fn ids(base: &str) -> Vec<String> {
    let name = match base.split_once(":parameter/") {
        Some((_, rest)) if base.starts_with("arn:") => format!("/{rest}"),
        _ => base.to_owned(),
    };
    let bare = name.strip_prefix('/').filter(|rest| !rest.is_empty() && !rest.contains('/')).map(str::to_owned);
    [Some(name), bare].into_iter().flatten().collect()
}

/// The folder to search: the query's, else the one in which the prefix lies.
fn path<'a>(query: &'a Find, prefix: &'a Prefix) -> &'a str {
    if let Some(path) = query.path.as_deref().filter(|path| !path.is_empty()) {
        return path;
    }
    let folder = prefix.text().rsplit_once('/').map_or("", |(folder, _)| folder);
    if folder.starts_with('/') { folder } else { "/" }
}

fn filters(query: &Find, path: &str) -> Result<Vec<ParameterStringFilter>, Failure> {
    let invalid = |words: String| Failure::new(Class::Invalid, words);
    let mut filters = Vec::new();
    for (key, value) in &query.tags {
        if value.is_empty() {
            return Err(invalid(format!("Parameter Store cannot search for an empty value of the tag \"{key}\"")));
        }
        filters.push(ParameterStringFilter::builder().key(format!("tag:{key}")).option("Equals").values(value));
    }
    // Everything is below the root.
    if path != "/" {
        filters.push(ParameterStringFilter::builder().key("Path").option("Recursive").values(path));
    }
    let built = filters.into_iter().map(|filter| filter.build().map_err(|error| invalid(error.to_string())));
    built.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_asked_for_by_name() {
        let check = |base: &str, expected: &[&str]| assert_eq!(ids(base), expected, "{base}");
        check("/a/b", &["/a/b"]);
        check("/a", &["/a", "a"]);
        check("a", &["a"]);
        check("arn:aws:ssm:eu-west-1:1:parameter/a/b", &["/a/b"]);
        check("arn:aws:ssm:eu-west-1:1:parameter/a", &["/a", "a"]);
    }

    #[test]
    fn a_search_begins_in_the_smallest_folder_that_is_known() {
        let check = |asked: Option<&str>, prefix: &str, expected: &str| {
            let query = Find { path: asked.map(str::to_owned), ..Find::default() };
            assert_eq!(path(&query, &Prefix::new(prefix)), expected, "{asked:?} {prefix}");
        };
        check(None, "", "/");
        check(Some(""), "", "/");
        check(Some("/a/b"), "/a/", "/a/b");
        check(None, "/a/b/", "/a/b");
        check(None, "/a/b-", "/a");
        check(None, "/a", "/");
        check(None, "app-", "/");
    }

    #[test]
    fn tags_and_path_become_filters() {
        let tags = [("team".to_owned(), "a".to_owned())].into();
        let made = filters(&Find { tags, ..Find::default() }, "/app").unwrap();
        let shown: Vec<_> = made.iter().map(|filter| (filter.key(), filter.option(), filter.values())).collect();
        let (team, app) = (["a".to_owned()], ["/app".to_owned()]);
        assert_eq!(shown, [("tag:team", Some("Equals"), team.as_slice()), ("Path", Some("Recursive"), app.as_slice())]);
        let tags = [("team".to_owned(), String::new())].into();
        assert_eq!(filters(&Find { tags, ..Find::default() }, "/").unwrap_err().class, Class::Invalid);
    }
}

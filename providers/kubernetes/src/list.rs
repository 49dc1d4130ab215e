//! Reading a list page by page.

use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::connection::Connection;
use crate::object::in_query;

/// Objects a page. Most are small; where a page does not fit, [`FEW`] are asked for instead.
const MANY: usize = 200;

/// Objects a page where they are large: five of etcd's greatest size fit into one answer.
const FEW: usize = 5;

/// The most pages of one search: 200,000 objects of ordinary size, which no API server gives in reasonable time.
const PAGES_LIMIT: usize = 1000;

/// The most bytes of values that one search may find. They become one Secret, which holds 1 MiB; sixteen times that
/// leaves room for what a rewrite or a template drops.
pub(crate) const FOUND_LIMIT: usize = 16 << 20;

/// Reads the list at `path`, narrowed by a label `selector`, and gives each page's body to `take`, which returns where
/// the next page begins.
pub(crate) async fn pages(
    connection: &Connection,
    operation: &'static str,
    path: &str,
    selector: Option<&str>,
    mut take: impl FnMut(&SecretBytes) -> Result<Option<String>, Failure> + Send,
) -> Result<(), Failure> {
    let selector = selector.map(|selector| format!("&labelSelector={}", in_query(selector))).unwrap_or_default();
    let mut size = MANY;
    let mut next = String::new();
    for _ in 0..PAGES_LIMIT {
        let page = connection.get(operation, &format!("{path}?limit={size}{selector}{next}")).await;
        let page = match page {
            Err(trouble) if trouble.is_too_large() && size == MANY => {
                size = FEW;
                connection.get(operation, &format!("{path}?limit={size}{selector}{next}")).await?
            }
            page => page?,
        };
        match take(&page.body)?.filter(|token| !token.is_empty()) {
            Some(token) => next = format!("&continue={}", in_query(&token)),
            None => return Ok(()),
        }
    }
    Err(Failure::new(Class::Invalid, format!("the list has more than {PAGES_LIMIT} pages")))
}

/// Counts the bytes that a search found.
///
/// # Errors
/// `Invalid` where they are more than one search may find.
pub(crate) fn count(found: &mut usize, bytes: usize) -> Result<(), Failure> {
    *found += bytes;
    if *found > FOUND_LIMIT {
        let words = format!("the search finds more than {FOUND_LIMIT} bytes; narrow it");
        return Err(Failure::new(Class::Invalid, words));
    }
    Ok(())
}

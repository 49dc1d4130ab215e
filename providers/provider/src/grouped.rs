use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use strongroom_failure::Failure;

/// Secrets of one list that are written at once; each is a read and at most a few writes, one after another.
const AT_ONCE: usize = 8;

/// Asks once for each secret, with all entries of the list that concern it, and puts the answers in the list's order.
/// A failure as a whole is that of each of its entries. Failures name the key.
pub async fn each_secret<'a, T, A>(
    entries: &'a [T],
    key: impl Fn(&'a T) -> &'a str,
    ask: impl Fn(&'a str, Vec<&'a T>) -> BoxFuture<'a, Result<Vec<Result<A, Failure>>, Failure>>,
) -> Vec<Result<A, Failure>> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let key = key(entry);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, places)) => places.push(place),
            None => groups.push((key, vec![place])),
        }
    }
    let asks = groups.iter().map(|(key, places)| ask(key, places.iter().map(|place| &entries[*place]).collect()));
    let asks: Vec<_> = asks.collect();
    let outcomes: Vec<_> = stream::iter(asks).buffered(AT_ONCE).collect().await;
    let mut placed = Vec::with_capacity(entries.len());
    for ((key, places), outcome) in groups.into_iter().zip(outcomes) {
        let answers = outcome.unwrap_or_else(|failure| places.iter().map(|_| Err(failure.clone())).collect());
        let answers = answers.into_iter().map(|answer| answer.map_err(|failure| failure.on_key(key)));
        placed.extend(places.into_iter().zip(answers));
    }
    placed.sort_unstable_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, answer)| answer).collect()
}

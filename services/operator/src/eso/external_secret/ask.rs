//! Asking the stores: every want of an ExternalSecret becomes keys of lanes, all lanes are asked at once, and each want
//! gets its own answer. Generators are asked beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use strongroom_api::external_secrets::SecretStoreKind;
use strongroom_failure::{Class, Failure};
use strongroom_policy::TargetKind;
use strongroom_provider::{Find, RemoteKey, Version};
use strongroom_resolve::Lane;
use strongroom_sync::Values;
use strongroom_sync::assemble::Answer;
use strongroom_sync::keys::{Conversion, convert_keys};
use strongroom_sync::wants::{Part, StoreRef, Want, What};
use tokio::time::Instant;

use crate::eso::generators::{Kept, Wanted};
use crate::names::{Name, StoreName};
use crate::operator::Operator;

/// The most secrets that one search may bring into a Secret, which holds 1 MiB altogether.
const FOUND_LIMIT: usize = 5_000;

/// Whom the stores are asked for.
pub(super) struct Asker<'a> {
    pub(super) operator: &'a Operator,
    pub(super) name: &'a Name,
    /// Where the values go, which a policy may restrict.
    pub(super) target: TargetKind,
    pub(super) deadline: Instant,
    /// Where values of generators are kept.
    pub(super) kept: Kept<'a>,
    /// Whether a read that is under way already is not good enough.
    pub(super) is_afresh: bool,
}

/// A want on its way.
enum Asked {
    /// It is answered already.
    Now(Answer),
    /// The answer is this one of the lane's.
    Key { lane: usize, place: usize, selects_itself: bool },
    /// It is a search.
    Find { lane: usize, store: StoreName, query: Find, conversion: Conversion },
    /// It is for the next of the generators.
    Generator,
}

/// Keys for each lane.
#[derive(Default)]
struct Lanes {
    lanes: Vec<(Arc<Lane>, Vec<RemoteKey>)>,
    /// Of each store, the lane's place, or why there is none.
    by_store: BTreeMap<StoreName, Result<usize, Failure>>,
}

impl Asker<'_> {
    /// Asks for all `wants` and answers each in its place.
    pub(super) async fn ask(&self, wants: &[Want]) -> Vec<Answer> {
        let mut lanes = Lanes::default();
        let mut asked = Vec::with_capacity(wants.len());
        for want in wants {
            asked.push(self.prepare(&mut lanes, want).await);
        }
        let reads = lanes.lanes.iter_mut().map(|(lane, keys)| {
            let (lane, keys) = (Arc::clone(lane), std::mem::take(keys));
            async move { self.read(&lane, keys).await }
        });
        // Room for generators is taken only by who has some: most have none.
        let (read, generated) = join(join_all(reads), self.generated(wants)).await;
        let mut generated = generated.into_iter();
        let mut answers = Vec::with_capacity(wants.len());
        for asked in asked {
            answers.push(match asked {
                Asked::Now(answer) => answer,
                Asked::Generator => Answer::Many(generated.next().unwrap_or_else(|| Err(unanswered()))),
                Asked::Key { lane, place, selects_itself: false } => Answer::Whole(read[lane][place].clone()),
                Asked::Key { lane, place, selects_itself: true } => {
                    Answer::Part(read[lane][place].clone().map(|found| found.value))
                }
                Asked::Find { lane, store, query, conversion } => {
                    let lane = Arc::clone(&lanes.lanes[lane].0);
                    let found = self.find(&lane, &store, &query).await;
                    let converts = lane.provider().converts_names();
                    Answer::Many(if converts { found.and_then(|found| convert_keys(conversion, found)) } else { found })
                }
            });
        }
        answers
    }

    /// The values of each want that is one of a generator.
    async fn generated(&self, wants: &[Want]) -> Vec<Result<Values, Failure>> {
        let generators = wants.iter().filter_map(|want| match &want.what {
            What::Generator { generator, .. } => {
                Some(Wanted { generator, field: format!("{}.sourceRef.generatorRef", want.field) })
            }
            What::Value { .. } | What::Extract { .. } | What::Find { .. } => None,
        });
        let wanted: Vec<Wanted<'_>> = generators.collect();
        if wanted.is_empty() { Vec::new() } else { Box::pin(self.kept.values(&wanted)).await }
    }

    async fn read(&self, lane: &Arc<Lane>, keys: Vec<RemoteKey>) -> Vec<strongroom_provider::Answer> {
        match (keys.is_empty(), self.is_afresh) {
            (true, _) => Vec::new(),
            (false, false) => lane.read(keys, self.deadline).await,
            (false, true) => Box::pin(lane.read_afresh(keys, self.deadline)).await,
        }
    }

    async fn prepare(&self, lanes: &mut Lanes, want: &Want) -> Asked {
        match self.prepared(lanes, want).await {
            Ok(asked) => asked,
            Err(failure) => Asked::Now(Answer::Part(Err(failure))),
        }
    }

    async fn prepared(&self, lanes: &mut Lanes, want: &Want) -> Result<Asked, Failure> {
        let Some(store) = want.store() else { return Ok(Asked::Generator) };
        let store = self.store_name(store);
        let lane = self.lane(lanes, &store).await?;
        match &want.what {
            What::Find { find, conversion, .. } => {
                let query = Find { path: find.path.clone(), name: find.name.clone(), tags: find.tags.clone() };
                Ok(Asked::Find { lane, store, query, conversion: *conversion })
            }
            What::Value { part, .. } | What::Extract { part, .. } => {
                self.operator.may_read(&store, &self.name.namespace, &part.key, &self.target)?;
                let (lane_itself, keys) = &mut lanes.lanes[lane];
                let selects_itself = lane_itself.provider().takes_properties();
                keys.push(remote_key(part, selects_itself));
                Ok(Asked::Key { lane, place: keys.len() - 1, selects_itself })
            }
            What::Generator { .. } => Ok(Asked::Generator),
        }
    }

    async fn lane(&self, lanes: &mut Lanes, store: &StoreName) -> Result<usize, Failure> {
        if let Some(known) = lanes.by_store.get(store) {
            return known.clone();
        }
        let opened = self.open(store).await.map_err(of_store);
        let place = opened.map(|lane| {
            lanes.lanes.push((lane, Vec::new()));
            lanes.lanes.len() - 1
        });
        lanes.by_store.insert(store.clone(), place.clone());
        place
    }

    async fn open(&self, store: &StoreName) -> Result<Arc<Lane>, Failure> {
        let admitted = self.operator.admitted(store, &self.name.namespace)?;
        let opened = self.operator.lane(&admitted, &self.name.namespace).await;
        opened.map_err(|failure| match failure.subject.store {
            Some(_) => failure,
            None => failure.from_store(store.to_string()),
        })
    }

    /// What a search finds, as far as policies let the asker see it.
    async fn find(&self, lane: &Arc<Lane>, store: &StoreName, query: &Find) -> Result<Values, Failure> {
        let found = lane.find(query, self.deadline).await?;
        let may_see = |key: &str| self.operator.may_read(store, &self.name.namespace, key, &self.target).is_ok();
        let visible: Vec<_> = found.into_iter().filter(|found| may_see(&found.key.name)).collect();
        if visible.len() > FOUND_LIMIT {
            let words = format!("the search found {} secrets, and at most {FOUND_LIMIT} are taken", visible.len());
            return Err(Failure::new(Class::Invalid, words).with_hint("name a path, or a narrower name"));
        }
        let mut values = Values::new();
        let mut unread = Vec::new();
        for found in visible {
            match found.value {
                Some(value) => drop(values.insert(found.name, value.value)),
                None => unread.push((found.name, found.key)),
            }
        }
        let keys: Vec<RemoteKey> = unread.iter().map(|(_, key)| key.clone()).collect();
        let answers = self.read(lane, keys).await;
        for ((name, _), answer) in unread.into_iter().zip(answers) {
            match answer {
                Ok(value) => drop(values.insert(name, value.value)),
                // It vanished since it was listed, or is only marked as deleted.
                Err(failure) if failure.class == Class::NotFound => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(values)
    }

    pub(super) fn store_name(&self, store: &StoreRef) -> StoreName {
        let namespace = match store.kind {
            SecretStoreKind::SecretStore => Some(Arc::clone(&self.name.namespace)),
            SecretStoreKind::ClusterSecretStore => None,
        };
        StoreName { namespace, name: store.name.as_str().into() }
    }
}

/// A generator without an answer must not look like one without values.
fn unanswered() -> Failure {
    Failure::new(Class::Unavailable, "the generator gave no answer")
}

/// A store that is missing or cannot be opened is no store without the secret: what was delivered stays (design
/// invariant 7).
fn of_store(failure: Failure) -> Failure {
    match failure.class {
        Class::NotFound => Failure { class: Class::Unavailable, ..failure },
        _ => failure,
    }
}

fn remote_key(part: &Part, selects_itself: bool) -> RemoteKey {
    RemoteKey {
        name: part.key.clone(),
        version: part.version.clone().map(Version::Stage),
        property: part.property.clone().filter(|_| selects_itself),
        facet: part.facet,
        request: None,
    }
}

//! Which containers are wrapped, and why.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use strongroom_failure::Failure;
use strongroom_reference::{ProviderKind, Syntax, parse_paths};

use crate::annotations::{Inject, Wishes};
use crate::aws;
use crate::explanation::{CAUSES_LIMIT, Cause, Outcome};
use crate::files;
use crate::found::{Feed, Found, Origin, Source, SourceKind, feeds};
use crate::pod::{Container, List, Pod, list, text, trimmed};
use crate::refusal::{Reason, Refusal};
use crate::settings::{LabelRule, Settings};
use crate::vault;
use crate::wrap::COPY;

/// A pod's containers, before anything outside of the pod is known.
pub struct Candidates<'pod> {
    pub(crate) pod: Pod<'pod>,
    pub(crate) settings: &'pod Settings,
    pub(crate) wishes: Wishes<'pod>,
    /// Why no container is wrapped, where that is so.
    pub(crate) opt_out: Option<String>,
    /// The container that copies the program, of an earlier plan.
    pub(crate) copy: Option<Injected<'pod>>,
    /// The agent that renders files, of an earlier plan.
    pub(crate) agent: Option<Injected<'pod>>,
    /// Every container that is looked at, with what is known of it already; `None` for those that are open.
    pub(crate) containers: Vec<(Container<'pod>, Option<Outcome>)>,
}

/// An init container of an earlier plan that fills a volume.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Injected<'pod> {
    /// Its place among the init containers.
    pub(crate) index: usize,
    /// The volume.
    pub(crate) volume: &'pod str,
}

impl<'pod> Candidates<'pod> {
    /// Looks at a pod as the API server sends it.
    ///
    /// # Errors
    /// An object that is no pod, or an annotation of ours that says what it cannot say.
    pub fn of(pod: &'pod Value, settings: &'pod Settings) -> Result<Self, Refusal> {
        let pod = Pod::read(pod)?;
        let wishes = Wishes::of(&pod)?;
        let labelled = || LabelRule::first(&settings.pod_opt_outs, pod.object.get("metadata")?);
        let opt_out = match wishes.inject {
            _ if !settings.wraps => Some("variables are not looked at here".to_owned()),
            Inject::Never => Some("the annotation strongroom.dev/inject is \"false\"".to_owned()),
            Inject::Seen | Inject::Forced(_) => labelled(),
        };
        let copy = pod.containers().find_map(|container| copy(&container, &pod, settings));
        let agent = pod.containers().find_map(|container| agent(&container, &pod));
        let known = |container: &Container<'_>| {
            let is_init = container.list == List::Init;
            let ours = [copy, agent];
            let is_filling = is_init && ours.iter().flatten().any(|ours| ours.index == container.index);
            if is_filling || is_init && container.name == aws::CONTAINER {
                return Some(Outcome::Ours);
            }
            if copy.is_some_and(|copy| is_wrapped(container, copy, settings)) {
                return Some(Outcome::WrappedBefore);
            }
            opt_out.is_some().then_some(Outcome::Untouched)
        };
        let containers = pod.containers().map(|container| (container, known(&container))).collect();
        Ok(Self { pod, settings, wishes, opt_out, copy, agent, containers })
    }

    /// The containers of which it is not known yet whether they are wrapped.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Container<'pod>> {
        self.containers.iter().filter(|(_, outcome)| outcome.is_none()).map(|(container, _)| container)
    }
}

fn copy<'pod>(container: &Container<'pod>, pod: &Pod<'pod>, settings: &Settings) -> Option<Injected<'pod>> {
    if container.list != List::Init || !container.name.starts_with(COPY) {
        return None;
    }
    let mut arguments = container.words("args");
    let is_copying = matches!(arguments.next(), Some("copy" | "cp"));
    if !is_copying || arguments.last().map(trimmed) != Some(settings.mount()) {
        return None;
    }
    filling(container, container.mounted(settings.mount())?, pod)
}

fn agent<'pod>(container: &Container<'pod>, pod: &Pod<'pod>) -> Option<Injected<'pod>> {
    if !files::is_agent(container) {
        return None;
    }
    filling(container, container.mounted(files::FOLDER)?, pod)
}

fn filling<'pod>(container: &Container<'pod>, volume: &'pod str, pod: &Pod<'pod>) -> Option<Injected<'pod>> {
    let is_volume = |entry: &&Value| text(entry, "name") == Some(volume) && entry.get("emptyDir").is_some();
    pod.volumes().iter().find(is_volume)?;
    Some(Injected { index: container.index, volume })
}

/// Whether an earlier plan has wrapped this container.
fn is_wrapped(container: &Container<'_>, copy: Injected<'_>, settings: &Settings) -> bool {
    container.words("command").next().is_some_and(|word| word == settings.program())
        && container.mounted(settings.mount()) == Some(copy.volume)
}

/// What is done with every container, now that the sources of their variables are known.
pub struct Survey<'pod> {
    pub(crate) candidates: Candidates<'pod>,
    pub(crate) found: &'pod Found,
    /// As many as containers, in their order.
    pub(crate) verdicts: Vec<Verdict>,
}

/// What is done with one container.
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) needs: Needs,
}

/// Where a container logs in, as far as can be seen.
#[derive(Clone, Copy, Default)]
pub(crate) struct Needs {
    pub(crate) vault: bool,
    pub(crate) aws: bool,
}

impl Needs {
    /// What references to a store of this kind need.
    pub(crate) fn of(provider: ProviderKind) -> Self {
        use ProviderKind::{AwsParameterStore, AwsSecretsManager};
        Self { vault: provider == ProviderKind::Vault, aws: matches!(provider, AwsSecretsManager | AwsParameterStore) }
    }
}

impl std::ops::BitOrAssign for Needs {
    fn bitor_assign(&mut self, other: Self) {
        self.vault |= other.vault;
        self.aws |= other.aws;
    }
}

impl Verdict {
    pub(crate) fn is_wrapped(&self) -> bool {
        matches!(self.outcome, Outcome::Wrapped { .. })
    }
}

impl<'pod> Survey<'pod> {
    /// Decides about every container. `found` answers [`Candidates::lookups`].
    ///
    /// # Errors
    /// What is missing, and what cannot be read or is not served.
    pub fn of(candidates: Candidates<'pod>, found: &'pod Found) -> Result<Self, Refusal> {
        let skips_vault = vault::keeps_out(&candidates.pod);
        if candidates.opt_out.is_none() && !skips_vault {
            vault::check(&candidates.pod)?;
        }
        let mut view = View {
            inject: &candidates.wishes.inject,
            found,
            judged: BTreeMap::new(),
            skips_vault,
            reads_path: candidates.pod.annotation(vault::FROM_PATH).is_some(),
            unseen: Needs {
                vault: candidates.pod.annotation_names().any(|name| name.starts_with(vault::PREFIX)),
                aws: true,
            },
        };
        let verdict = |(container, outcome): &(Container<'pod>, Option<Outcome>)| match outcome {
            Some(outcome) => Ok(Verdict { outcome: outcome.clone(), needs: Needs::default() }),
            None => view.verdict(container),
        };
        let verdicts = candidates.containers.iter().map(verdict).collect::<Result<_, _>>()?;
        Ok(Self { candidates, found, verdicts })
    }

    /// The containers that are wrapped now.
    pub(crate) fn wrapped(&self) -> impl Iterator<Item = (usize, &Container<'pod>, &Verdict)> {
        let all = self.candidates.containers.iter().zip(&self.verdicts).enumerate();
        all.filter(|(_, (_, verdict))| verdict.is_wrapped())
            .map(|(place, ((container, _), verdict))| (place, container, verdict))
    }
}

/// What containers are looked at with.
struct View<'view> {
    inject: &'view Inject<'view>,
    found: &'view Found,
    /// The references inside of sources, each of which is searched once, however many variables come from it.
    judged: BTreeMap<(SourceKind, &'view str), Judged<'view>>,
    /// bank-vaults is told to keep out: its references count as ordinary values.
    skips_vault: bool,
    /// bank-vaults is told to make variables of a whole secret.
    reads_path: bool,
    /// What a container may need that cannot be looked into: Vault where bank-vaults' annotations are there, and a role of
    /// AWS, which it gets where one is named.
    unseen: Needs,
}

/// The references among a source's values, by key.
#[derive(Default)]
struct Judged<'view> {
    references: BTreeMap<&'view str, Reference>,
    /// What cannot be read and is refused; the others that cannot are wrapped.
    unreadable: BTreeMap<&'view str, Failure>,
    needs: Needs,
}

/// What matters of a reference.
#[derive(Clone, Copy)]
struct Reference {
    /// `None` where it is malformed.
    provider: Option<ProviderKind>,
    needs: Needs,
}

/// What one container was seen to need.
#[derive(Default)]
struct Sight<'view> {
    causes: Vec<Cause>,
    /// Causes beyond [`CAUSES_LIMIT`].
    more: usize,
    unseen: BTreeSet<(SourceKind, &'view str)>,
    needs: Needs,
}

impl Sight<'_> {
    fn note(&mut self, cause: impl FnOnce() -> Cause) {
        if self.causes.len() < CAUSES_LIMIT {
            self.causes.push(cause());
        } else {
            self.more += 1;
        }
    }

    fn note_path(&mut self, variable: &str) {
        self.needs.vault = true;
        self.note(|| Cause::PathVariable { name: variable.to_owned() });
    }

    fn note_variable(&mut self, prefix: &str, variable: &str, reference: Reference) {
        self.needs |= reference.needs;
        self.note(|| Cause::Variable { name: format!("{prefix}{variable}"), provider: reference.provider });
    }
}

/// How a container's source answers.
enum Answer {
    Looked,
    Absent,
    Unseen,
}

impl<'view> View<'view> {
    fn verdict(&mut self, container: &Container<'view>) -> Result<Verdict, Refusal> {
        let mut sight = Sight::default();
        if self.inject.forces(container.name) {
            sight.needs |= self.unseen;
            sight.note(|| Cause::Annotation);
        }
        if self.reads_path && !self.skips_vault {
            sight.needs.vault = true;
            sight.note(|| Cause::VaultPath);
        }
        for feed in feeds(container) {
            self.look(container, &feed, &mut sight)?;
        }
        for (kind, name) in std::mem::take(&mut sight.unseen) {
            sight.note(|| Cause::Unseen { kind, name: name.to_owned() });
        }
        let Sight { causes, more, mut needs, .. } = sight;
        needs.vault &= !self.skips_vault;
        let outcome = if causes.is_empty() { Outcome::Untouched } else { Outcome::Wrapped { causes, more } };
        Ok(Verdict { outcome, needs })
    }

    fn look(
        &mut self,
        container: &Container<'view>,
        feed: &Feed<'view>,
        sight: &mut Sight<'view>,
    ) -> Result<(), Refusal> {
        let origin = match feed {
            Feed::Literal { variable, value } => {
                let about = |failure| Refusal::unreadable(container, &feed.field(), variable, failure);
                if let Some(reference) = self.judge(value).map_err(about)? {
                    sight.note_variable("", variable, reference);
                }
                if vault::is_path_variable(variable) && !self.skips_vault {
                    let names_some = !parse_paths(value).map_err(about)?.is_empty();
                    names_some.then(|| sight.note_path(variable));
                }
                return Ok(());
            }
            Feed::Key { origin, .. } | Feed::All { origin, .. } => origin,
        };
        match self.ask(origin) {
            Answer::Absent if origin.is_optional => return Ok(()),
            Answer::Absent => {
                let reason = Reason::Missing { kind: origin.kind, name: origin.name.to_owned() };
                return Err(Refusal::of_container(container, &feed.field(), reason));
            }
            Answer::Unseen => {
                sight.unseen.insert((origin.kind, origin.name));
                sight.needs |= self.unseen;
                return Ok(());
            }
            Answer::Looked => {}
        }
        let Some(judged) = self.judged.get(&(origin.kind, origin.name)) else { return Ok(()) };
        let refused = |variable: &str, failure: &Failure| {
            Err(Refusal::unreadable(container, &feed.field(), variable, failure.clone()))
        };
        match feed {
            Feed::Literal { .. } => {}
            Feed::Key { variable, key, .. } => {
                if let Some(failure) = judged.unreadable.get(key) {
                    return refused(variable, failure);
                }
                if vault::is_path_variable(variable) && !self.skips_vault {
                    sight.note_path(variable);
                }
                if let Some(reference) = judged.references.get(key) {
                    sight.note_variable("", variable, *reference);
                }
            }
            Feed::All { prefix, .. } => {
                if let Some((key, failure)) = judged.unreadable.first_key_value() {
                    return refused(&format!("{prefix}{key}"), failure);
                }
                if let Source::Values(values) = self.found.get(origin.kind, origin.name)
                    && !self.skips_vault
                {
                    let names = vault::path_variables(|name| {
                        name.strip_prefix(prefix).is_some_and(|key| values.contains_key(key))
                    });
                    names.for_each(|name| sight.note_path(name));
                }
                sight.needs |= judged.needs;
                let room = CAUSES_LIMIT.saturating_sub(sight.causes.len());
                for (key, reference) in judged.references.iter().take(room) {
                    sight.note_variable(prefix, key, *reference);
                }
                sight.more += judged.references.len().saturating_sub(room);
            }
        }
        Ok(())
    }

    /// Looks into a source, unless that was done before.
    fn ask(&mut self, origin: &Origin<'view>) -> Answer {
        let values = match self.found.get(origin.kind, origin.name) {
            Source::Absent => return Answer::Absent,
            Source::Unreadable => return Answer::Unseen,
            Source::Values(values) => values,
        };
        let place = (origin.kind, origin.name);
        if !self.judged.contains_key(&place) {
            let texts = values.iter().filter_map(|(key, value)| Some((key.as_str(), value.expose_text()?)));
            let mut judged = Judged::default();
            for (key, text) in texts {
                match self.judge(text) {
                    Ok(Some(reference)) => {
                        judged.needs |= reference.needs;
                        judged.references.insert(key, reference);
                    }
                    Ok(None) => {}
                    Err(failure) => {
                        judged.unreadable.insert(key, failure);
                    }
                }
            }
            self.judged.insert(place, judged);
        }
        Answer::Looked
    }

    /// What matters of a value that is a reference, or holds some.
    ///
    /// What is malformed is wrapped: the program says what is wrong and does not start the command. In bank-vaults'
    /// syntax it is a failure, since there it may be something that the original serves and we do not: who comes from
    /// it is told before anything starts.
    fn judge(&self, value: &str) -> Result<Option<Reference>, Failure> {
        let Some(syntax) = Syntax::of(value) else { return Ok(None) };
        let composed = syntax.compose(value);
        // All references inside one value are of one kind.
        let provider = composed.as_ref().ok().and_then(|composed| composed.references().next()).map(|one| one.provider);
        let of_syntax = Needs { vault: syntax == Syntax::BankVaults, aws: false };
        let needs = provider.map_or(of_syntax, Needs::of);
        if self.skips_vault && needs.vault && syntax == Syntax::BankVaults {
            return Ok(None);
        }
        match composed {
            Err(failure) if syntax == Syntax::BankVaults => Err(failure),
            _ => Ok(Some(Reference { provider, needs })),
        }
    }
}

/// Whether the pod's class of service is Guaranteed: every container has limits that are its requests. What is added
/// must not take that away.
pub(crate) fn is_guaranteed(pod: &Pod<'_>) -> bool {
    let is_whole = |container: Container<'_>| {
        let resources = container.value.get("resources");
        let of = |kind: &str, name: &str| resources?.get(kind)?.get(name).cloned();
        ["cpu", "memory"].into_iter().all(|name| {
            let limit = of("limits", name);
            limit.is_some() && of("requests", name).is_none_or(|request| Some(request) == limit)
        })
    };
    !list(pod.spec, "containers").is_empty() && pod.containers().all(is_whole)
}

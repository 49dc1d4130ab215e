//! Values of generators: where they are kept, for how long, and what is done about those that end.

use jiff::Timestamp;
use strongroom_api::external_secrets::{CreationPolicy, GeneratorRef, RefreshPolicy};

use super::Round;
use crate::eso::generators::{Kept, Tended, Term, Wanted};
use crate::eso::timing::DEFAULT_INTERVAL;

impl Round<'_> {
    fn generators(&self) -> impl Iterator<Item = (usize, &GeneratorRef)> {
        let entries = self.object.spec.data_from.iter().enumerate();
        entries.filter_map(|(place, entry)| Some((place, entry.source_ref.as_ref()?.generator_ref.as_ref()?)))
    }

    /// Whether a generator that it names is of another controller's class.
    pub(super) async fn leaves_to_others(&self) -> bool {
        let generators: Vec<_> = self.generators().map(|(_, generator)| generator).collect();
        !generators.is_empty() && self.operator.leaves_to_others(&generators, &self.name.namespace).await
    }

    /// Where the values of its generators are kept, and for how long they are the right ones: as long as
    /// [`Round::decide`] would not have them read again. What else makes it look again (a restart, a damaged target, an
    /// annotation) gives the same values.
    pub(super) fn kept(&self, now: Timestamp, is_rehearsal: bool) -> Kept<'_> {
        let spec = &self.object.spec;
        let interval = spec.refresh_interval.as_ref().and_then(|interval| interval.duration().ok());
        let interval = interval.unwrap_or(DEFAULT_INTERVAL);
        let policy = spec.refresh_policy.unwrap_or_default();
        let is_once = match policy {
            RefreshPolicy::CreatedOnce => true,
            RefreshPolicy::Periodic => interval.is_zero(),
            RefreshPolicy::OnChange => false,
        };
        let is_sealed = spec.target.as_ref().is_some_and(|target| target.immutable);
        let term = Term {
            now,
            generation: self.object.metadata.generation.unwrap_or_default(),
            interval: (policy == RefreshPolicy::Periodic).then_some(interval),
            is_forever: is_once || is_sealed,
        };
        let ends_with_user = self.creation() == CreationPolicy::Owner;
        Kept { operator: self.operator, user: &self.about, ends_with_user, term, is_rehearsal }
    }

    /// Renews what is due of the values that end; most have none.
    pub(super) async fn tend(&self, now: Timestamp) -> Tended {
        if !self.operator.index().generator_states.concerns(&self.key()) {
            return Tended::default();
        }
        Box::pin(self.kept(now, false).tend()).await
    }

    /// How the values that end stand now; most have none.
    pub(super) fn standing(&self, now: Timestamp) -> Tended {
        if !self.operator.index().generator_states.concerns(&self.key()) {
            return Tended::default();
        }
        self.kept(now, false).standing()
    }

    /// After a synchronisation that ended well: what was delivered before is used no more.
    pub(super) async fn settle_generated(&self, now: Timestamp) -> Tended {
        if !self.operator.index().generator_states.concerns(&self.key()) {
            return Tended::default();
        }
        let field = |place| format!("spec.dataFrom[{place}].sourceRef.generatorRef");
        let wanted: Vec<Wanted<'_>> =
            self.generators().map(|(place, generator)| Wanted { generator, field: field(place) }).collect();
        let kept = self.kept(now, false);
        Box::pin(kept.settle(&wanted)).await;
        kept.standing()
    }
}

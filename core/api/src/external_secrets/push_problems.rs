//! What is wrong with a PushSecret or ClusterPushSecret before anything is done with it.

use std::collections::HashMap;

use strongroom_failure::Failure;

use super::problems::{check_duration, check_pattern, check_selector, problem};
use super::{
    ClusterPushSecret, PushDataTo, PushRemoteRef, PushSecret, PushSecretSpec, PushSelector, PushStoreRef, Rewrite,
};

/// What `secretStoreRefs` and `storeRef` must say.
const STORE: &str = "set name, or labelSelector";

impl PushSecret {
    /// What is wrong with it; each problem names its field and says what to do. Nothing is pushed while there are any.
    pub fn problems(&self) -> Vec<Failure> {
        self.spec.problems("spec")
    }
}

impl ClusterPushSecret {
    /// What is wrong with it; each problem names its field and says what to do.
    pub fn problems(&self) -> Vec<Failure> {
        let mut problems = self.spec.push_secret_spec.problems("spec.pushSecretSpec");
        check_duration(self.spec.refresh_interval.as_ref(), "spec.refreshTime", &mut problems);
        for (place, selector) in self.spec.namespace_selectors.iter().enumerate() {
            check_selector(Some(selector), &format!("spec.namespaceSelectors[{place}]"), &mut problems);
        }
        problems
    }
}

impl PushSecretSpec {
    /// What is wrong with it, where it stands under `field` in its object.
    fn problems(&self, field: &str) -> Vec<Failure> {
        let mut problems = Vec::new();
        check_duration(self.refresh_interval.as_ref(), &format!("{field}.refreshInterval"), &mut problems);
        if self.secret_store_refs.is_empty() {
            problems.push(problem(format!("{field}.secretStoreRefs"), "no store is named", "name at least one store"));
        }
        for (place, store) in self.secret_store_refs.iter().enumerate() {
            store.check(&format!("{field}.secretStoreRefs[{place}]"), &mut problems);
        }
        self.selector.check(&format!("{field}.selector"), &mut problems);
        if let Some(template) = &self.template {
            template.check(&format!("{field}.template"), &mut problems);
        }
        self.check_data(field, &mut problems);
        for (place, entry) in self.data_to.iter().enumerate() {
            entry.check(&format!("{field}.dataTo[{place}]"), &self.secret_store_refs, &mut problems);
        }
        problems
    }

    fn check_data(&self, field: &str, problems: &mut Vec<Failure>) {
        let mut seen: HashMap<&PushRemoteRef, usize> = HashMap::new();
        for (place, entry) in self.data.iter().enumerate() {
            let remote_ref = &entry.matching.remote_ref;
            let field = format!("{field}.data[{place}].match.remoteRef");
            if remote_ref.remote_key.is_empty() {
                problems.push(problem(format!("{field}.remoteKey"), "is empty", "name the secret in the store"));
            }
            if let Some(first) = seen.insert(remote_ref, place) {
                let words = format!("data[{first}] goes to the same place");
                problems.push(problem(field, words, "give each entry a remoteKey or property of its own"));
            }
        }
    }
}

impl PushStoreRef {
    fn check(&self, field: &str, problems: &mut Vec<Failure>) {
        if self.name.is_none() && self.label_selector.is_none() {
            problems.push(problem(field, "names no store", STORE));
        }
        check_selector(self.label_selector.as_ref(), &format!("{field}.labelSelector"), problems);
    }
}

impl PushSelector {
    fn check(&self, field: &str, problems: &mut Vec<Failure>) {
        let cure = "set exactly one of secret.name, secret.selector and generatorRef";
        match (&self.secret, &self.generator_ref) {
            (Some(source), None) => {
                if source.name.is_none() && source.selector.is_none() {
                    problems.push(problem(format!("{field}.secret"), "names no Secret", cure));
                }
                check_selector(source.selector.as_ref(), &format!("{field}.secret.selector"), problems);
            }
            (None, Some(_)) => {}
            (None, None) => problems.push(problem(field, "names nothing to push", cure)),
            (Some(_), Some(_)) => problems.push(problem(field, "names more than one thing to push", cure)),
        }
    }
}

impl PushDataTo {
    fn check(&self, field: &str, known: &[PushStoreRef], problems: &mut Vec<Failure>) {
        match &self.store_ref {
            None => problems.push(problem(format!("{field}.storeRef"), "names no store", STORE)),
            Some(store) => {
                store.check(&format!("{field}.storeRef"), problems);
                // Stores that are selected by labels are known only when somebody looks.
                let is_known = known.iter().any(|known| {
                    known.label_selector.is_some()
                        || known.name == store.name && known.kind.unwrap_or_default() == store.kind.unwrap_or_default()
                });
                if store.name.is_some() && !is_known {
                    let words = "is none of the stores in secretStoreRefs";
                    problems.push(problem(format!("{field}.storeRef"), words, "name it in spec.secretStoreRefs too"));
                }
            }
        }
        if self.remote_key.is_some() && !self.rewrite.is_empty() {
            let words = "has nothing to name: remoteKey keeps all keys in one secret";
            problems.push(problem(format!("{field}.rewrite"), words, "leave out rewrite, or remoteKey"));
        }
        let pattern = self.matching.as_ref().and_then(|matching| matching.regexp.as_deref());
        check_pattern(pattern, format!("{field}.match.regexp"), problems);
        for (place, step) in self.rewrite.iter().enumerate() {
            Rewrite::from(step).check(&format!("{field}.rewrite[{place}]"), problems);
        }
    }
}

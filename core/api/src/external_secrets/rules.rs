//! What schemas say by CEL (`x-kubernetes-validations`): the API server refuses an object with these words.

use serde::Serialize;

/// One rule of a schema.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Rule {
    /// What must hold, in CEL.
    rule: &'static str,
    /// What the person reads whom it refuses.
    message: &'static str,
}

/// Of an ExternalSecret's spec.
pub(crate) const EXTERNAL_SECRET: &[Rule] = &[Rule {
    rule: "(has(self.data) && size(self.data) > 0) || (has(self.dataFrom) && size(self.dataFrom) > 0)",
    message: "either data or dataFrom must name something to read",
}];

/// Of what is written.
pub(crate) const TARGET: &[Rule] = &[
    Rule {
        rule: "!has(self.deletionPolicy) || self.deletionPolicy != 'Delete' || !has(self.creationPolicy) || \
               !(self.creationPolicy in ['Merge', 'None', 'CreateOrMerge'])",
        message: "deletionPolicy Delete needs a Secret of our own: set creationPolicy to Owner",
    },
    Rule {
        rule: "!has(self.deletionPolicy) || self.deletionPolicy != 'Merge' || !has(self.creationPolicy) || \
               self.creationPolicy != 'None'",
        message: "deletionPolicy Merge needs a Secret, and creationPolicy None writes none",
    },
    Rule {
        rule: "!has(self.template) || !has(self.template.type) || \
               self.template.type != 'bootstrap.kubernetes.io/token'",
        message: "template.type bootstrap.kubernetes.io/token is not allowed: it would let nodes join the cluster",
    },
    Rule {
        rule: "!has(self.template) || !has(self.template.type) || \
               self.template.type != 'kubernetes.io/service-account-token' || !has(self.template.metadata) || \
               !has(self.template.metadata.annotations) || \
               !('kubernetes.io/service-account.name' in self.template.metadata.annotations)",
        message: "template.type kubernetes.io/service-account-token with the annotation \
                  kubernetes.io/service-account.name is not allowed: the cluster would make a token that never ends",
    },
];

/// Of an entry of dataFrom.
pub(crate) const DATA_FROM: &[Rule] = &[
    Rule {
        rule: "has(self.extract) || has(self.find) || has(self.sourceRef)",
        message: "one of extract, find and sourceRef.generatorRef is needed",
    },
    Rule {
        rule: "(has(self.extract) ? 1 : 0) + (has(self.find) ? 1 : 0) + \
               (has(self.sourceRef) && has(self.sourceRef.generatorRef) ? 1 : 0) <= 1",
        message: "only one of extract, find and sourceRef.generatorRef may be set",
    },
];

/// Of an entry of a PushSecret's dataTo.
pub(crate) const DATA_TO: &[Rule] = &[
    Rule {
        rule: "has(self.storeRef) && (has(self.storeRef.name) || has(self.storeRef.labelSelector))",
        message: "storeRef must name a store, or select stores by labels",
    },
    Rule {
        rule: "!has(self.remoteKey) || self.remoteKey == '' || !has(self.rewrite) || size(self.rewrite) == 0",
        message: "remoteKey keeps all keys in one secret, where rewrite has nothing to name",
    },
];

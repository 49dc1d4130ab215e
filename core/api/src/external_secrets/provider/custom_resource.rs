use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strongroom_failure::{Class, Failure};
use strongroom_pattern::Pattern;

use super::{KubernetesAuth, KubernetesServer};
use crate::external_secrets::{SecretKeySelector, ServiceAccountSelector};

/// Any object of a Kubernetes API server, Secrets excepted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomResourceProvider {
    /// Which API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<KubernetesServer>,
    /// Who asks. Exactly one way is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<KubernetesAuth>,
    /// A kubeconfig in a Secret, instead of `server` and `auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<SecretKeySelector>,
    /// Alone: the service account of this cluster that asks, as `auth.serviceAccount`. Beside `auth` or `authRef`: the
    /// service account of the other cluster that is impersonated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
    /// In a SecretStore: the namespace to read instead of the store's. In a ClusterSecretStore: the only namespace that
    /// is searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub remote_namespace: Option<String>,
    /// Which kind of object.
    pub resource: CustomResourceKind,
    /// What may be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whitelist: Option<CustomResourceWhitelist>,
}

/// A kind of object by its full name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomResourceKind {
    /// The API group; `""`, written out, for the core kinds.
    pub group: String,
    /// The version: `v1`, `v1alpha1`.
    #[schemars(length(min = 1))]
    pub version: String,
    /// The kind: `ConfigMap`, `Widget`.
    #[schemars(length(min = 1))]
    pub kind: String,
}

/// What may be read: everything where there is no rule, else what at least one rule allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomResourceWhitelist {
    /// The rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<CustomResourceRule>,
}

/// Allows what matches in all the fields that it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomResourceRule {
    /// A regular expression for the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A regular expression for the object's namespace; only in a ClusterSecretStore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Regular expressions, one of which the property must match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<String>,
}

impl CustomResourceKind {
    /// Whether this is the core kind Secret, which this provider never reads: the Kubernetes provider is for that.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.kind.eq_ignore_ascii_case("secret")
    }
}

impl CustomResourceProvider {
    /// What is wrong with this provider of a ClusterSecretStore or SecretStore, each problem with its field; nothing
    /// where it is right. Nothing is read while there are any.
    pub fn problems(&self, is_cluster_store: bool) -> Vec<Failure> {
        let mut problems = Vec::new();
        let has_login = self.auth.is_some() || self.auth_ref.is_some();
        let names_server = self.server.as_ref().and_then(|server| server.url.as_deref()).is_some_and(is_elsewhere);
        if self.auth.is_some() && self.auth_ref.is_some() {
            problems.push(problem("authRef", "auth and authRef exclude each other"));
        }
        if !has_login && names_server {
            problems.push(problem("auth", "a server needs auth or authRef to log in to it"));
        } else if !has_login && self.service_account_ref.is_none() {
            problems.push(problem("auth", "one of auth and authRef is needed"));
        }
        let impersonated = self.service_account_ref.as_ref().filter(|_| has_login);
        if is_cluster_store && impersonated.is_some_and(|account| account.namespace.is_none()) {
            let words = "a ClusterSecretStore must name whom to impersonate";
            problems.push(problem("serviceAccountRef.namespace", words));
        }
        problems.extend(self.resource.problems());
        let rules = self.whitelist.iter().flat_map(|whitelist| &whitelist.rules).enumerate();
        problems.extend(rules.flat_map(|(place, rule)| rule.problems(place, is_cluster_store)));
        problems
    }
}

fn problem(field: &str, words: &str) -> Failure {
    Failure::new(Class::Invalid, words).in_field(format!("spec.provider.crd.{field}"))
}

/// Whether an address is another than the schema's default, which stands for this cluster.
fn is_elsewhere(url: &str) -> bool {
    !url.is_empty() && url != super::THIS_CLUSTER
}

impl CustomResourceKind {
    fn problems(&self) -> Vec<Failure> {
        let mut problems = Vec::new();
        if self.version.is_empty() {
            problems.push(problem("resource.version", "a version is needed"));
        }
        if self.kind.is_empty() {
            problems.push(problem("resource.kind", "a kind is needed"));
        }
        if self.is_secret() {
            let words = "Secrets are read by the kubernetes provider, never by this one";
            problems.push(problem("resource.kind", words));
        }
        problems
    }
}

impl CustomResourceRule {
    fn problems(&self, place: usize, is_cluster_store: bool) -> Vec<Failure> {
        let rule = format!("whitelist.rules[{place}]");
        let mut problems = Vec::new();
        if self.name().is_none() && self.namespace().is_none() && self.properties.is_empty() {
            problems.push(problem(&rule, "a rule names at least one of name, namespace and properties"));
        }
        if self.namespace().is_some() && !is_cluster_store {
            let words = "only a ClusterSecretStore reads other namespaces than its own";
            problems.push(problem(&format!("{rule}.namespace"), words));
        }
        let mut check = |field: String, expression: &str| {
            if let Err(failure) = Pattern::new(expression) {
                problems.push(problem(&format!("{rule}.{field}"), &failure.words));
            }
        };
        self.name().into_iter().for_each(|name| check("name".to_owned(), name));
        self.namespace().into_iter().for_each(|namespace| check("namespace".to_owned(), namespace));
        for (place, property) in self.properties.iter().enumerate() {
            check(format!("properties[{place}]"), property);
        }
        problems
    }

    /// The expression for names; an empty one is none.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| !name.is_empty())
    }

    /// The expression for namespaces; an empty one is none.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref().filter(|namespace| !namespace.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const WIDGET: &str = "widget";

    /// A store for widgets that logs in as a service account, changed by `change`.
    fn problems(is_cluster_store: bool, change: Value) -> Vec<String> {
        let mut spec = json!({
            "auth": {"serviceAccount": {"name": "reader"}},
            "resource": {"group": "example.io", "version": "v1", "kind": WIDGET},
        });
        for (name, value) in change.as_object().unwrap() {
            spec[name] = value.clone();
        }
        let problems = serde_json::from_value::<CustomResourceProvider>(spec).unwrap().problems(is_cluster_store);
        problems.iter().map(|problem| problem.to_string().replace("spec.provider.crd.", "")).collect()
    }

    #[test]
    fn who_asks_must_be_clear() {
        let check = |is_cluster_store: bool, change: Value, expected: &[&str]| {
            assert_eq!(problems(is_cluster_store, change.clone()), expected, "{change}");
        };
        let account = json!({"name": "reader"});
        let needed = "auth: one of auth and authRef is needed";
        let server = "auth: a server needs auth or authRef to log in to it";
        check(false, json!({}), &[]);
        check(true, json!({}), &[]);
        check(false, json!({"auth": null}), &[needed]);
        check(false, json!({"auth": null, "authRef": {"name": "kubeconfig"}}), &[]);
        check(false, json!({"authRef": {"name": "kubeconfig"}}), &["authRef: auth and authRef exclude each other"]);
        check(false, json!({"auth": null, "serviceAccountRef": account}), &[]);
        check(false, json!({"auth": null, "server": {"url": "https://a"}}), &[server]);
        check(false, json!({"auth": null, "serviceAccountRef": account, "server": {"url": "https://a"}}), &[server]);
        check(false, json!({"auth": null, "server": {"url": "kubernetes.default"}}), &[needed]);
        check(false, json!({"serviceAccountRef": account}), &[]);
        let whom = "serviceAccountRef.namespace: a ClusterSecretStore must name whom to impersonate";
        check(true, json!({"serviceAccountRef": account}), &[whom]);
    }

    #[test]
    fn secrets_are_refused_in_any_spelling() {
        let check = |group: &str, kind: &str, is_refused: bool| {
            let resource = json!({"resource": {"group": group, "version": "v1", "kind": kind}});
            assert_eq!(!problems(false, resource).is_empty(), is_refused, "{group}/{kind}");
        };
        check("", "Secret", true);
        check("", "secret", true);
        check("", "ConfigMap", false);
        check("example.io", "Secret", false);
        check("example.io", "", true);
    }

    #[test]
    fn rules_say_something_and_compile() {
        let check = |is_cluster_store: bool, rule: Value, expected: &[&str]| {
            let whitelist = json!({"whitelist": {"rules": [{"name": "^ok$"}, rule]}});
            assert_eq!(problems(is_cluster_store, whitelist), expected, "{rule}");
        };
        let empty = "whitelist.rules[1]: a rule names at least one of name, namespace and properties";
        let foreign = "whitelist.rules[1].namespace: only a ClusterSecretStore reads other namespaces than its own";
        check(false, json!({}), &[empty]);
        check(false, json!({"name": "", "properties": []}), &[empty]);
        check(false, json!({"properties": ["^spec\\.password$"]}), &[]);
        check(true, json!({"namespace": "^team-"}), &[]);
        check(false, json!({"namespace": "^team-"}), &[foreign]);
        let broken =
            |field: &str| format!("whitelist.rules[1]{field}: this is not a regular expression: unclosed group");
        check(false, json!({"name": "canary("}), &[&broken(".name")]);
        check(true, json!({"namespace": "("}), &[&broken(".namespace")]);
        check(false, json!({"properties": ["a", "("]}), &[&broken(".properties[1]")]);
    }

    #[test]
    fn all_parts_of_a_kind_are_written_out() {
        for resource in [json!({"version": "v1", "kind": "ConfigMap"}), json!({"group": "", "kind": "ConfigMap"})] {
            assert!(serde_json::from_value::<CustomResourceKind>(resource).is_err());
        }
    }
}

use std::sync::Arc;

use strongroom_api::external_secrets::provider::{CustomResourceProvider, CustomResourceRule, KubernetesAuth};
use strongroom_failure::Failure;
use strongroom_kubernetes::{
    ConnectionSettings, CustomResourceSettings, CustomResources, Kind, Namespaces, Rule, Whitelist,
};
use strongroom_pattern::Pattern;
use strongroom_provider::Provider;

use super::Scope;
use super::kubernetes::{Login, within};

const SLOT: &str = "crd";

/// Opens any objects of a Kubernetes API server as `spec` says.
pub(super) async fn open(spec: &CustomResourceProvider, scope: &Scope) -> Result<Arc<dyn Provider>, Failure> {
    if let Some(problem) = spec.problems(scope.is_cluster_store()).into_iter().next() {
        return Err(problem);
    }
    let settings = CustomResourceSettings {
        connection: connection(spec, scope).await?,
        kind: Kind {
            group: spec.resource.group.clone(),
            version: spec.resource.version.clone(),
            kind: spec.resource.kind.clone(),
        },
        namespaces: namespaces(spec, scope),
        whitelist: whitelist(spec)?,
    };
    let opened = CustomResources::open(settings, scope.meter());
    opened.map(|objects| Arc::new(objects) as Arc<dyn Provider>).map_err(|failure| within(failure, SLOT))
}

async fn connection(spec: &CustomResourceProvider, scope: &Scope) -> Result<ConnectionSettings, Failure> {
    let account = spec.service_account_ref.as_ref();
    let has_login = spec.auth.is_some() || spec.auth_ref.is_some();
    // Alone, the account is the short form of a login.
    let short =
        account.map(|account| KubernetesAuth { service_account: Some(account.clone()), ..KubernetesAuth::default() });
    let auth = if has_login { spec.auth.as_ref() } else { short.as_ref() };
    let login = Login { slot: SLOT, server: spec.server.as_ref(), auth, auth_ref: spec.auth_ref.as_ref() };
    let mut connection = login.connection(scope).await?;
    if let Some(account) = account.filter(|_| has_login) {
        let field = format!("spec.provider.{SLOT}.serviceAccountRef");
        let namespace = scope.namespace(&field, account.namespace.as_deref())?;
        connection.impersonate = Some(format!("system:serviceaccount:{namespace}:{}", account.name));
    }
    Ok(connection)
}

fn namespaces(spec: &CustomResourceProvider, scope: &Scope) -> Namespaces {
    let named = spec.remote_namespace.clone().filter(|name| !name.is_empty());
    match &scope.store().namespace {
        Some(own) => Namespaces::One(named.unwrap_or_else(|| own.clone())),
        None => Namespaces::Any { searched: named },
    }
}

fn whitelist(spec: &CustomResourceProvider) -> Result<Whitelist, Failure> {
    let rules = spec.whitelist.iter().flat_map(|whitelist| &whitelist.rules);
    rules.map(rule).collect::<Result<_, _>>().map(Whitelist).map_err(|failure| within(failure, SLOT))
}

fn rule(rule: &CustomResourceRule) -> Result<Rule, Failure> {
    Ok(Rule {
        name: rule.name().map(Pattern::new).transpose()?,
        namespace: rule.namespace().map(Pattern::new).transpose()?,
        properties: rule.properties.iter().map(|source| Pattern::new(source)).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::kubernetes::tests::scope;
    use super::*;

    fn spec(more: Value) -> CustomResourceProvider {
        let mut spec = json!({
            "auth": {"serviceAccount": {"name": "app"}},
            "resource": {"group": "example.io", "version": "v1", "kind": "Widget"},
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    async fn opened(more: Value, is_cluster_store: bool) -> Result<(String, String), String> {
        let opened = open(&spec(more), &scope(is_cluster_store)).await;
        let shown = opened.map(|provider| (provider.describe(), provider.identity()));
        assert!(!format!("{shown:?}").contains("canary"), "a secret is shown");
        shown.map_err(|failure| format!("{:?} {failure}", failure.class))
    }

    #[tokio::test]
    async fn the_spec_says_which_objects_and_as_whom() {
        let check = async |more: Value, is_cluster_store: bool, store: &str, identity: &str| {
            let found = opened(more.clone(), is_cluster_store).await;
            assert_eq!(found, Ok((store.to_owned(), identity.to_owned())), "{more}");
        };
        let own = "the Widget.example.io objects of namespace team-a at 10.0.0.1";
        let all = "the Widget.example.io objects at 10.0.0.1";
        let account = "service account team-a/app";
        check(json!({}), false, own, account).await;
        check(json!({}), true, all, account).await;
        check(json!({"auth": null, "serviceAccountRef": {"name": "app"}}), false, own, account).await;
        check(json!({"auth": null, "serviceAccountRef": {"name": "app"}}), true, all, account).await;
        let other = "the Widget.example.io objects of namespace team-b at 10.0.0.1";
        check(json!({"remoteNamespace": "team-b"}), false, other, account).await;
        let acting = "system:serviceaccount:team-a:reader, impersonated by service account team-a/app";
        check(json!({"serviceAccountRef": {"name": "reader"}}), false, own, acting).await;
        let named = json!({"serviceAccountRef": {"name": "reader", "namespace": "prod"}});
        let acting = "system:serviceaccount:prod:reader, impersonated by service account team-a/app";
        check(named, true, all, acting).await;
        let kubeconfig = json!({"auth": null, "authRef": {"name": "a", "key": "config"}});
        let remote = "the Widget.example.io objects of namespace team-a at remote:6443";
        check(kubeconfig, false, remote, "the token in the settings").await;
    }

    #[tokio::test]
    async fn what_admission_refuses_is_refused_here_as_well() {
        let check = async |more: Value, is_cluster_store: bool, expected: &str| {
            let refused = opened(more, is_cluster_store).await.unwrap_err();
            assert!(refused.starts_with(expected), "{refused}");
        };
        let secret = json!({"resource": {"group": "", "version": "v1", "kind": "Secret"}});
        check(secret, false, "Invalid spec.provider.crd.resource.kind: Secrets are read by").await;
        check(json!({"auth": null}), false, "Invalid spec.provider.crd.auth: one of auth and authRef").await;
        let rule = json!({"whitelist": {"rules": [{"namespace": "a"}]}});
        check(rule.clone(), false, "Invalid spec.provider.crd.whitelist.rules[0].namespace: ").await;
        assert!(opened(rule, true).await.is_ok());
        let foreign = json!({"auth": {"serviceAccount": {"name": "app", "namespace": "kube-system"}}});
        check(foreign, false, "Denied spec.provider.crd.auth.serviceAccount: ").await;
        let acting = json!({"serviceAccountRef": {"name": "app", "namespace": "kube-system"}});
        check(acting, false, "Denied spec.provider.crd.serviceAccountRef: ").await;
    }

    #[test]
    fn keys_and_rules_follow_the_spec() {
        let rules = json!([{"name": "", "namespace": "^a$"}, {"name": "b", "properties": ["c", "d"]}]);
        let spec = spec(json!({"whitelist": {"rules": rules}, "remoteNamespace": "team-b"}));
        let Whitelist(rules) = whitelist(&spec).unwrap();
        assert!(rules[0].name.is_none() && rules[0].namespace.is_some());
        assert!(rules[1].name.is_some() && rules[1].properties.len() == 2);
        assert_eq!(namespaces(&spec, &scope(false)), Namespaces::One("team-b".to_owned()));
        assert_eq!(namespaces(&spec, &scope(true)), Namespaces::Any { searched: Some("team-b".to_owned()) });
    }
}

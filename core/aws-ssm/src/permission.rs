//! Whether anybody allowed what a Secret asks for (S10). Whoever may annotate a Secret could otherwise read every
//! parameter that the operator can, and take every role.
//!
//! `StorePolicy` knows the parameters as a store of its own, and the roles as another: names that are reserved.

use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_policy::{Decision, Namespace, StorePolicies, TargetKind};

use crate::{Kind, Request};

/// The store whose keys are the names of parameters, as annotations and directories have them.
pub const PARAMETERS: &str = "aws-ssm.strongroom.dev";

/// The store whose keys are the ARNs of roles that are taken to read them.
pub const ROLES: &str = "aws-iam.strongroom.dev";

/// How long a refusal with its manifest may be, in bytes: an event holds 1,024 letters, and half a manifest helps nobody.
const REFUSAL_LIMIT: usize = 850;

/// The longest name of an object, in bytes.
const OBJECT_NAME_LIMIT: usize = 253;

/// Whether the policies let `namespace` have the Secret `secret` made from `request`. Of a directory's parameters, each
/// one's name is asked for when it is known ([`check_found`]).
///
/// # Errors
/// `Denied`, with the manifest that would allow it as the hint.
pub fn check(policies: &StorePolicies, namespace: &Namespace, secret: &str, request: &Request) -> Result<(), Failure> {
    let is_role_allowed = request.role.as_deref().is_none_or(|role| allows(policies, ROLES, namespace, role));
    let is_allowed = match request.kind {
        Kind::Directory => policies.concern(PARAMETERS, namespace),
        Kind::String | Kind::SecureString | Kind::StringList => allows(policies, PARAMETERS, namespace, &request.name),
    };
    match (is_allowed, is_role_allowed, request.role.as_deref()) {
        (true, true, _) => Ok(()),
        (true, false, Some(role)) => Err(refused(namespace, secret, request, &format!("take the role {role}"))),
        _ => Err(refused(namespace, secret, request, &format!("read the parameter {}", request.name))),
    }
}

/// The same for a parameter that was found below the path of `request`.
///
/// # Errors
/// As [`check`].
pub fn check_found(
    policies: &StorePolicies,
    namespace: &Namespace,
    secret: &str,
    request: &Request,
    name: &str,
) -> Result<(), Failure> {
    match allows(policies, PARAMETERS, namespace, name) {
        true => Ok(()),
        false => Err(refused(namespace, secret, request, &format!("read the parameter {name}"))),
    }
}

/// Unlike other stores, these are closed while no policy names them.
fn allows(policies: &StorePolicies, store: &str, namespace: &Namespace, key: &str) -> bool {
    matches!(policies.allows(store, namespace, key, &TargetKind::secret()), Decision::Allowed { .. })
}

fn refused(namespace: &Namespace, secret: &str, request: &Request, what: &str) -> Failure {
    let words = format!("no StorePolicy lets the namespace {} {what}", namespace.name);
    let manifest = manifest(&namespace.name, secret, request);
    let cure = match words.len() + manifest.len() {
        ..=REFUSAL_LIMIT => format!("to allow it, kubectl apply this: {manifest}"),
        _ => format!("to allow it, write a StorePolicy for the store {PARAMETERS}"),
    };
    Failure::new(Class::Denied, words).with_hint(cure)
}

/// The StorePolicy, as JSON in one line, that allows this one Secret what it asks for and nothing else.
pub fn manifest(namespace: &str, secret: &str, request: &Request) -> String {
    let parameters = match request.kind {
        Kind::Directory => format!("{}/**", request.name.trim_end_matches('/')),
        Kind::String | Kind::SecureString | Kind::StringList => request.name.clone(),
    };
    let keys: Vec<String> = [parameters].into_iter().chain(request.role.clone()).collect();
    let stores = [PARAMETERS].into_iter().chain(request.role.iter().map(|_| ROLES));
    // No namespace has a dot in its name: never the name of another Secret's policy.
    let mut name = format!("aws-ssm.{namespace}.{secret}");
    name.truncate(OBJECT_NAME_LIMIT);
    json!({
        "apiVersion": "strongroom.dev/v1alpha1",
        "kind": "StorePolicy",
        "metadata": { "name": name.trim_end_matches(['.', '-']) },
        "spec": {
            "stores": stores.map(|store| json!({ "name": store })).collect::<Vec<_>>(),
            "rules": [{
                "namespaces": { "names": [namespace] },
                "keys": keys,
            }],
        },
    })
    .to_string()
}

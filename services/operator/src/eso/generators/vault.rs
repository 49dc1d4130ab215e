//! VaultDynamicSecret: the server that its spec names, and the values in what that answers.

use std::sync::Arc;

use strongroom_api::generators::{VaultDynamicSecretSpec, VaultResultType};
use strongroom_failure::{Class, Failure};
use strongroom_http::json_body;
use strongroom_secret::SecretBytes;
use strongroom_sync::Values;
use strongroom_sync::json::members;
use strongroom_vault::{Action, Answered, Vault};

use crate::eso::stores::open_vault;
use crate::names::StoreName;
use crate::operator::Operator;
use crate::reader::Reader;

/// What External Secrets Operator gives of a token and what belongs to it.
const OF_AUTH: [&str; 11] = [
    "client_token",
    "accessor",
    "policies",
    "token_policies",
    "identity_policies",
    "metadata",
    "orphan",
    "entity_id",
    "lease_duration",
    "renewable",
    "mfa_requirement",
];

/// Opens the server for somebody in `namespace`, where everything lies that the spec refers to: also a ClusterGenerator's
/// is looked up there and nowhere else. By a login of its own, which ends by itself what hangs from it.
pub(super) async fn open(
    operator: &Operator,
    spec: &VaultDynamicSecretSpec,
    namespace: &str,
) -> Result<Vault, Failure> {
    let reader = Reader::new(operator.connection.clone(), Arc::clone(&operator.variables));
    let name = StoreName { namespace: Some(namespace.into()), name: "generator".into() };
    open_vault(&spec.provider, &operator.scope(&name, namespace, reader)).await
}

/// What is asked of the spec's path.
pub(super) fn action(spec: &VaultDynamicSecretSpec) -> Result<Action, Failure> {
    Ok(match spec.method().as_str() {
        "GET" => Action::Read(spec.get_parameters.clone()),
        "LIST" => Action::List,
        "DELETE" => Action::Delete,
        _ => Action::Write(match &spec.parameters {
            Some(parameters) => json_body(parameters)?,
            None => SecretBytes::default(),
        }),
    })
}

/// The values in an answer.
pub(super) fn values(spec: &VaultDynamicSecretSpec, answered: Option<&Answered>) -> Result<Values, Failure> {
    let part = match (answered, spec.result_type) {
        (None, _) => None,
        (Some(answered), VaultResultType::Data) => answered.data()?,
        (Some(answered), VaultResultType::Auth) => answered.auth()?,
        (Some(answered), VaultResultType::Raw) => Some(answered.body.clone()),
    };
    let Some(part) = part else {
        return if spec.allow_empty_response { Ok(Values::new()) } else { Err(nothing(spec, answered)) };
    };
    let mut values = members(&part)?;
    match spec.result_type {
        VaultResultType::Data => {}
        VaultResultType::Auth => values.retain(|key, _| OF_AUTH.contains(&key.as_str())),
        VaultResultType::Raw => {
            values.retain(|key, value| !value.is_empty() || !["auth", "wrap_info"].contains(&key.as_str()));
        }
    }
    Ok(values)
}

fn nothing(spec: &VaultDynamicSecretSpec, answered: Option<&Answered>) -> Failure {
    let is_token = answered.is_some_and(|answered| answered.auth().is_ok_and(|auth| auth.is_some()));
    let hint = match (is_token, spec.result_type) {
        (true, VaultResultType::Data) => "the path gives a token: set resultType: Auth",
        _ => "check path and method, or set allowEmptyResponse: true",
    };
    let words = format!("empty response from Vault: {} holds nothing", spec.path);
    Failure::new(Class::Invalid, words).in_field("spec.path").with_hint(hint)
}

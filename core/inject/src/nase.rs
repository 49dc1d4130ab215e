//! Native secrets ("NASE"): a Secret's key `nase` moves to AWS Secrets Manager, and its ARN stays behind.
//!
//! Whether a namespace takes part is the caller's to know; a Secret without the key never does. What to do is decided
//! without a call ([`plan`]), so that a dry run and an update that changes nothing make none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use strongroom_secret::SecretBytes;

use crate::aws::is_secret_arn;
use crate::patch::Operation;
use crate::pod::text;
use crate::refusal::{Reason, Refusal};

/// The key of a Secret that is moved.
const KEY: &str = "nase";

/// On a Deployment: asked NASE to read a secret, which it printed.
const DEPLOYMENT_ANNOTATION: &str = "nase.mhausenblas.info/secret-arn";

/// Where `kubectl apply` keeps what it was given, values and all.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What to do about a Secret.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Nothing: no key, an empty value, or an ARN already.
    Nothing,
    /// Create a secret, and put its ARN into the key by [`patch`]. Where it exists already, put the value to it.
    Create {
        /// `NAMESPACE.NAME`.
        name: String,
        /// The value of the key.
        value: SecretBytes,
    },
    /// Put a new value to the secret that was made for this Secret before, and put its ARN into the key by [`patch`].
    Put {
        /// `NAMESPACE.NAME`: never what an ARN in the Secret says, which its owner may have copied from elsewhere.
        name: String,
        /// The value of the key.
        value: SecretBytes,
    },
}

/// Decides about a Secret that is created, or updated from `old`, in `namespace` (of the request: the object may not
/// have it yet).
///
/// # Errors
/// An object of another kind, a name that is not known yet, a value that is not base64; no refusal shows a value.
pub fn plan(secret: &Value, old: Option<&Value>, namespace: &str) -> Result<Decision, Refusal> {
    if text(secret, "kind").is_some_and(|kind| kind != "Secret") {
        return Err(Refusal::new("kind", Reason::OtherKind("Secret")));
    }
    let Some(encoded) = of_key(secret) else { return Ok(Decision::Nothing) };
    let value = decoded(encoded).ok_or_else(|| Refusal::new("data.nase", Reason::NotBase64))?;
    if value.is_empty() || value.expose_text().is_some_and(is_secret_arn) {
        return Ok(Decision::Nothing);
    }
    let name = secret.get("metadata").and_then(|metadata| text(metadata, "name"));
    let name = name.ok_or_else(|| Refusal::new("metadata.name", Reason::NoName))?;
    let name = format!("{namespace}.{name}");
    let before = old.and_then(of_key).and_then(decoded);
    let was_moved = before.is_some_and(|before| before.expose_text().is_some_and(|arn| is_arn_of(arn, &name)));
    Ok(if was_moved { Decision::Put { name, value } } else { Decision::Create { name, value } })
}

/// The patch of a Secret whose value was moved to the secret with this ARN; it touches `data.nase` alone.
pub fn patch(secret: &Value, arn: &str) -> Vec<Operation> {
    let replace = |_| Operation::Replace { path: "/data/nase".to_owned(), value: Value::from(STANDARD.encode(arn)) };
    of_key(secret).map(replace).into_iter().collect()
}

/// What whoever sent a Secret that is moved should be told.
pub fn warnings(secret: &Value) -> Vec<String> {
    let applied = annotation(secret, LAST_APPLIED).is_some_and(|text| text.contains("\"nase\""));
    let words = || {
        format!(
            "the annotation {LAST_APPLIED} holds the value of the key {KEY} as well; use kubectl create, or kubectl \
             apply --server-side, which leave no copy"
        )
    };
    applied.then(words).into_iter().collect()
}

/// What whoever sent a Deployment should be told: NASE's annotation never did anything for it. It is allowed unchanged.
pub fn deployment(deployment: &Value) -> Vec<String> {
    let words = || {
        format!(
            "{DEPLOYMENT_ANNOTATION} delivers nothing: write the ARN as the value of a container's variable, which \
             {} = env on the pod template injects, or into secrets.k8s.aws/secret-arn there for a file",
            crate::annotations::INJECT
        )
    };
    annotation(deployment, DEPLOYMENT_ANNOTATION).map(|_| words()).into_iter().collect()
}

fn annotation<'object>(object: &'object Value, name: &str) -> Option<&'object str> {
    object.get("metadata")?.get("annotations")?.get(name)?.as_str()
}

fn of_key(secret: &Value) -> Option<&str> {
    secret.get("data")?.get(KEY)?.as_str()
}

fn decoded(encoded: &str) -> Option<SecretBytes> {
    STANDARD.decode(encoded).ok().map(SecretBytes::new)
}

/// Whether `arn` is that of the secret called `name`, behind whose name AWS writes a dash and six letters.
fn is_arn_of(arn: &str, name: &str) -> bool {
    let own = arn.rsplit(':').next().and_then(|last| last.strip_prefix(name));
    is_secret_arn(arn) && own.is_some_and(|rest| rest.len() == 7 && rest.starts_with('-'))
}

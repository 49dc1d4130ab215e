//! What all injected containers have in common.

use serde_json::{Value, json};
use strongroom_files::Owner;

use crate::pod::{Pod, list};
use crate::survey::is_guaranteed;

/// Who runs an injected container in a pod that runs as root: nobody in particular.
pub(crate) const NOBODY: u32 = 65532;

/// A security context that the Pod Security standard `restricted` admits, in a pod that may demand anything else; not
/// where root is to own what it writes.
pub(crate) fn security_context(pod: &Pod<'_>, owner: Option<Owner>) -> Value {
    let mut context = json!({
        "runAsNonRoot": true,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let user = pod.spec.get("securityContext").and_then(|context| context.get("runAsUser")?.as_i64());
    // Any other user of the pod is ours as well, and without one the image's, which is not root: a number here could
    // lie outside of the range that a namespace allows.
    if let Some(owner) = owner {
        context["runAsUser"] = json!(owner.user);
        context["runAsNonRoot"] = json!(owner.user != 0);
    } else if user == Some(0) {
        context["runAsUser"] = json!(NOBODY);
    }
    if let Some(group) = owner.and_then(|owner| owner.group) {
        context["runAsGroup"] = json!(group);
    }
    context
}

/// How long an injected container lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It ends before the pod's own containers begin.
    Ends,
    /// It goes on beside them.
    Stays,
}

/// The resources of an injected container; its requests are its limits where the pod is Guaranteed, which it stays. What
/// the pod has as a whole is not said again: one container's limit may be no higher than the pod's.
///
/// Where one of the pod's own containers has no limit of the processors, no quota asks for one, and it has none either.
/// Else one that ends may have as much as the largest of them. The container runtime itself works under that limit while
/// it starts a container: with a hundredth of a core that takes four seconds. And it costs the pod nothing, for of
/// containers that run one after the other schedulers and quotas count the largest.
pub(crate) fn resources(settings: &Value, pod: &Pod<'_>, life: Life) -> Value {
    let mut resources = settings.clone();
    match largest(pod) {
        None => drop(amounts(&mut resources, "limits").and_then(|limits| limits.remove("cpu"))),
        Some(largest) if life == Life::Ends => {
            raise(amounts(&mut resources, "limits"), largest.limit);
            raise(amounts(&mut resources, "requests"), largest.request.unwrap_or(&Value::Null));
        }
        Some(_) => {}
    }
    if is_guaranteed(pod)
        && let Some(limits) = resources.get("limits").cloned()
    {
        resources = json!({"requests": limits, "limits": limits});
    }
    let of_pod = pod.spec.get("resources");
    let is_of_pod = |name: &str| {
        ["requests", "limits"].iter().any(|kind| of_pod.and_then(|of_pod| of_pod.get(kind)?.get(name)).is_some())
    };
    for kind in ["requests", "limits"] {
        if let Some(amounts) = amounts(&mut resources, kind) {
            amounts.retain(|name, _| !is_of_pod(name));
        }
    }
    resources
}

type Amounts = serde_json::Map<String, Value>;

fn amounts<'a>(resources: &'a mut Value, kind: &str) -> Option<&'a mut Amounts> {
    resources.get_mut(kind)?.as_object_mut()
}

/// Gives as many processors as another container has, if that is more.
fn raise(amounts: Option<&mut Amounts>, to: &Value) {
    if let Some(amounts) = amounts
        && is_more(to, amounts.get("cpu"))
    {
        amounts.insert("cpu".to_owned(), to.clone());
    }
}

/// What the pod's own container with the highest limit has of the processors.
#[derive(Clone, Copy)]
struct Largest<'pod> {
    limit: &'pod Value,
    request: Option<&'pod Value>,
}

/// `None` where one of the containers has no limit.
fn largest<'pod>(pod: &Pod<'pod>) -> Option<Largest<'pod>> {
    let mut largest: Option<Largest<'_>> = None;
    for container in list(pod.spec, "containers") {
        let of = |kind: &str| container.get("resources")?.get(kind)?.get("cpu");
        let limit = of("limits")?;
        if is_more(limit, largest.map(|largest| largest.limit)) {
            largest = Some(Largest { limit, request: of("requests") });
        }
    }
    largest
}

/// Whether a quantity of processors is more than another one, or than none.
fn is_more(one: &Value, other: Option<&Value>) -> bool {
    processors(one) > other.and_then(processors)
}

/// A quantity of processors as Kubernetes writes it: `0.5`, `500m`, 2; `None` for what is not one.
fn processors(quantity: &Value) -> Option<f64> {
    let Some(text) = quantity.as_str() else { return quantity.as_f64() };
    let units = [("m", 1e-3), ("u", 1e-6), ("n", 1e-9), ("k", 1e3)];
    let (number, unit) =
        units.into_iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size))).unwrap_or((text, 1.0));
    number.parse::<f64>().ok().map(|number| number * unit)
}

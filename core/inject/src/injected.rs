//! What all injected containers have in common.

use serde_json::{Value, json};

use crate::pod::{Pod, list};
use crate::survey::is_guaranteed;

/// Who runs an injected container in a pod that runs as root: nobody in particular.
const NOBODY: u32 = 65532;

/// A security context that the Pod Security standard `restricted` admits, in a pod that may demand anything else.
pub(crate) fn security_context(pod: &Pod<'_>) -> Value {
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
    if user == Some(0) {
        context["runAsUser"] = json!(NOBODY);
    }
    context
}

/// The resources of an injected container that ends before the pod's own begin; its requests are its limits where the pod
/// is Guaranteed, which it stays.
///
/// It may have as much of the processors as the largest of the pod's own containers. The container runtime itself works
/// under that limit while it starts a container: with a hundredth of a core that takes four seconds. And it costs the pod
/// nothing, for of containers that run one after the other schedulers and quotas count the largest. Where one of the
/// pod's own has no limit, no quota asks for one.
pub(crate) fn resources(settings: &Value, pod: &Pod<'_>) -> Value {
    let mut resources = settings.clone();
    let largest = largest(pod);
    if let Some(limits) = resources.get_mut("limits").and_then(Value::as_object_mut) {
        match largest {
            None => drop(limits.remove("cpu")),
            Some(Largest { limit, .. }) if is_more(limit, limits.get("cpu")) => {
                limits.insert("cpu".to_owned(), limit.clone());
            }
            Some(_) => {}
        }
    }
    if let Some(request) = largest.and_then(|largest| largest.request)
        && is_more(request, resources["requests"].get("cpu"))
    {
        resources["requests"]["cpu"] = request.clone();
    }
    if is_guaranteed(pod) && resources.get("limits").is_some() {
        resources["requests"] = resources["limits"].clone();
    }
    resources
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

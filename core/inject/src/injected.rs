//! What all injected containers have in common.

use serde_json::{Value, json};
use strongroom_files::Owner;

use crate::pod::Pod;
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

/// The resources of an injected container; its requests are its limits where the pod is Guaranteed, which it stays. What
/// the pod has as a whole is not said again: one container's limit may be no higher than the pod's.
pub(crate) fn resources(settings: &Value, pod: &Pod<'_>) -> Value {
    let mut resources = match settings.get("limits") {
        Some(limits) if is_guaranteed(pod) => json!({"requests": limits, "limits": limits}),
        _ => settings.clone(),
    };
    let of_pod = pod.spec.get("resources");
    let is_of_pod = |name: &str| {
        ["requests", "limits"].iter().any(|kind| of_pod.and_then(|of_pod| of_pod.get(kind)?.get(name)).is_some())
    };
    for kind in ["requests", "limits"] {
        if let Some(amounts) = resources.get_mut(kind).and_then(Value::as_object_mut) {
            amounts.retain(|name, _| !is_of_pod(name));
        }
    }
    resources
}

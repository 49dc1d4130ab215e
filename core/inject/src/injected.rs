//! What all injected containers have in common.

use serde_json::{Value, json};

use crate::pod::Pod;
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

/// The resources of an injected container; its requests are its limits where the pod is Guaranteed, which it stays.
pub(crate) fn resources(settings: &Value, pod: &Pod<'_>) -> Value {
    match settings.get("limits") {
        Some(limits) if is_guaranteed(pod) => json!({"requests": limits, "limits": limits}),
        _ => settings.clone(),
    }
}

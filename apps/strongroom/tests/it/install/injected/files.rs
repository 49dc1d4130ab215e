//! Pods whose secrets are files that an agent beside them keeps current.

use serde_json::{Value, json};
use world::node::Node;
use world::switchboard::{Line, Switchboard};

use super::{APP, guides, printed, traces};
use crate::operator::support::eventually;
use crate::{CANARY, VAULT};

/// The value after a change.
const SECOND: &str = "canary7f3a9c51-second";

/// What is `/follow`: it prints its file as a line, now and whenever it is told to look again.
pub(super) const SCRIPT: &str = r#"#!/busybox sh
show() { /busybox cat /run/strongroom/files/db/password; echo; }
trap 'exit 0' TERM
trap show HUP
show
while :; do /busybox sleep 60 & wait $!; done
"#;

/// Pods with files, of which one cannot have them yet.
pub(super) struct Followers<'node> {
    node: &'node Node,
    /// What leads the last pod to its store.
    line: Switchboard,
}

impl<'node> Followers<'node> {
    /// Creates all of them; they start meanwhile.
    pub(super) fn create(node: &'node Node) -> Self {
        VAULT.command(&["kv", "put", "secret/files", &format!("password={CANARY}")]).unwrap();
        let line = Switchboard::to(VAULT.host_port()).unwrap();
        let address = super::exposed(node, line.host_port());
        line.set_line(Line::Refused).unwrap();
        let mut late = pod("late", &["/follow"]);
        late["metadata"]["annotations"]["vault.security.banzaicloud.io/vault-addr"] = json!(address);
        let mut job = pod("job", &["/busybox", "cat", "/run/strongroom/files/db/password"]);
        job["metadata"]["annotations"].as_object_mut().unwrap().remove("strongroom.dev/files-signal");
        let template = json!({"metadata": {"annotations": job["metadata"]["annotations"]}, "spec": job["spec"]});
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job", "namespace": "team"},
            "spec": {"template": template, "backoffLimit": 0}});
        for object in [late, pod("follower", &["/follow"]), job] {
            node.apply(&object.to_string()).unwrap();
        }
        Self { node, line }
    }

    /// A change in the store reaches the file and the program.
    pub(super) fn a_change_arrives(&self) {
        self.prints("follower", &[CANARY]);
        VAULT.command(&["kv", "put", "secret/files", &format!("password={SECOND}")]).unwrap();
        self.prints("follower", &[CANARY, SECOND]);
        traces::memory_goes_with_the_pod(self.node, "follower", "strongroom-files");
    }

    /// The agent keeps no Job from its end.
    pub(super) fn the_job_ends(&self) {
        let waited = self.node.kubectl(&["wait", "--for=condition=Complete", "job/job", "-n", "team", "--timeout=60s"]);
        let described = || self.node.kubectl(&["describe", "pods", "-l", "job-name=job", "-n", "team"]);
        assert!(waited.is_ok(), "{waited:?}\n{}", described().unwrap_or_default());
    }

    /// Without its store a pod's program does not start, and an event says why; it does when the store is back.
    pub(super) fn nothing_starts_before_its_store_answers(&self) {
        let told = ["get", "events", "-n", "team", "--field-selector", "involvedObject.name=late,reason=Unhealthy"];
        let told = [&told[..], &["-o", "jsonpath={.items[*].message}"]].concat();
        let words = eventually("an event tells", || match self.node.kubectl(&told).unwrap() {
            words if words.is_empty() => Err("none"),
            words => Ok(words),
        });
        assert!(words.contains("Startup probe failed: db/password: cannot read \"secret/data/files\""), "{words}");
        let running = ["get", "pod", "late", "-n", "team", "-o", "jsonpath={.status.containerStatuses[0].state}"];
        let state = self.node.kubectl(&running).unwrap();
        assert!(state.contains("PodInitializing"), "{state}");
        self.line.set_line(Line::Open).unwrap();
        self.prints("late", &[SECOND]);
    }

    /// Waits until a pod has printed these lines and no others.
    fn prints(&self, name: &str, lines: &[&str]) {
        let expected: String = lines.iter().map(|line| format!("{line}\n")).collect();
        eventually(name, || match printed(self.node, name, "condition=Ready") {
            text if text == expected => Ok(()),
            other => Err(format!("it printed {} lines that are not its values", other.lines().count())),
        });
    }
}

/// A pod with a file, whose program is signalled after a change.
fn pod(name: &str, command: &[&str]) -> Value {
    let files = "[{path: db/password, from: 'vault:secret/data/files#password'}]";
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "team", "annotations": {
            "strongroom.dev/files": files, "strongroom.dev/files-refresh": "1s",
            "strongroom.dev/files-signal": "HUP:follow",
        }},
        "spec": {
            "serviceAccountName": "app", "restartPolicy": "Never", "shareProcessNamespace": true,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 12345, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "app", "image": APP, "command": command, "securityContext": guides::restricted()}],
        },
    })
}

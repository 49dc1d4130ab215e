//! Reloader beside us: both restart what asks for it.

use std::time::Duration;

use world::control_plane::{ControlPlane, Options};

use super::support::{Operator, add_kinds, eventually};

/// Reloader as its plain manifests have it, at work, from a mirror.
const RELOADER: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: reloader-reloader, namespace: default, labels: {app: reloader-reloader}}
spec:
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: 'mirror:5000/stakater/reloader:v1.4.0'}]}}
";

#[test]
fn a_reloader_that_is_at_work_is_warned_of_where_we_restart() {
    // No controller runs here: the status stays as it is written.
    let cluster = ControlPlane::start(&Options::default()).unwrap();
    add_kinds(&cluster);
    cluster.apply(RELOADER).unwrap();
    let running = r#"{"status":{"replicas":1,"readyReplicas":1,"availableReplicas":1}}"#;
    let patch = ["patch", "deployment", "reloader-reloader", "--subresource=status", "--type=merge", "-p", running];
    cluster.kubectl(&patch).unwrap();
    let variables = [("POD_NAME", "strongroom-1"), ("POD_NAMESPACE", "default")];
    let operator = Operator::spawn(&cluster, &["--restarts=all"], &variables);
    let who = "Deployment default/reloader-reloader with 1 available replicas";
    eventually("the log warns of it", || {
        let logged = operator.logged();
        let is_warned = |line: &str| line.contains("level=warn") && line.contains("Reloader") && line.contains(who);
        if logged.lines().any(is_warned) { Ok(()) } else { Err(logged) }
    });
    eventually("an event tells of it", || {
        let told =
            cluster.kubectl(&["get", "events", "--field-selector=reason=ForeignController", "-o", "json"]).unwrap();
        if told.contains(who) { Ok(()) } else { Err(told) }
    });
    // It is no reason to wait.
    operator.wait_until_ready();
    drop(operator);
    let off = Operator::start(&cluster, &["--restarts=off"]);
    eventually("it works", || {
        let logged = off.logged();
        if logged.contains("the operator works") { Ok(()) } else { Err(logged) }
    });
    std::thread::sleep(Duration::from_secs(1));
    assert!(!off.logged().contains("Reloader"), "{}", off.logged());
}

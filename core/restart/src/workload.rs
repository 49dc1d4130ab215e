//! A workload as its object tells: what it consumes and asks for, and how far its last rollout is.

use std::fmt;

use serde_json::Value;

use crate::annotations::{Annotations, MARK, OBSERVED};
use crate::baseline::TEXT_LIMIT;
use crate::consumption::Consumption;
use crate::demand::Demand;

/// The kinds of workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `apps/v1`.
    Deployment,
    /// `apps/v1`.
    StatefulSet,
    /// `apps/v1`.
    DaemonSet,
    /// `batch/v1`: the next run reads Secrets anew.
    CronJob,
    /// `batch/v1`: runs once.
    Job,
    /// `v1`, where nobody owns it.
    Pod,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::CronJob, Self::Job, Self::Pod];

    /// As in `kind:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::CronJob => "CronJob",
            Self::Job => "Job",
            Self::Pod => "Pod",
        }
    }

    /// As in `apiVersion:`.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => "apps/v1",
            Self::CronJob | Self::Job => "batch/v1",
            Self::Pod => "v1",
        }
    }

    /// Whether its controller replaces its pods when their template changes. The others are never written to.
    pub fn can_restart(self) -> bool {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => true,
            Self::CronJob | Self::Job | Self::Pod => false,
        }
    }

    /// Where the pod's metadata and spec are in an object; nothing in front for a Pod.
    fn template(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::Job => "/spec/template",
            Self::CronJob => "/spec/jobTemplate/spec/template",
            Self::Pod => "",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What matters of a workload; thousands are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Tells it from others of its name.
    pub uid: Box<str>,
    /// Its version, which a write must still find.
    pub resource_version: Box<str>,
    /// Goes up with each change of its spec and, of a Deployment, of its annotations.
    pub generation: i64,
    /// What its pods consume.
    pub consumption: Consumption,
    /// Which Secrets' changes are to restart it.
    pub demand: Demand,
    /// The baseline's annotation, as it is written.
    pub observed: Option<Box<str>>,
    /// The mark on its pod template.
    pub mark: Option<Box<str>>,
    /// `spec.paused`: its owner has stopped rollouts.
    pub is_paused: bool,
    /// `spec.updateStrategy.type: OnDelete`: its pods are replaced as somebody deletes them.
    pub is_on_delete: bool,
    /// Whether it has ended, or belongs to another one that is looked at itself: nothing is told of it.
    pub is_over: bool,
    progress: Progress,
}

/// How far a rollout is, as the controller says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    /// The generation that it speaks of.
    observed: i64,
    /// All pods are of the last template and available.
    is_complete: bool,
    /// The controller has given up waiting.
    is_stuck: bool,
}

impl Workload {
    /// Reads an object of `kind` as the API server gives it; `None` where it has no name. What is not as it should be
    /// counts as absent: the API server has checked it, and one odd object must not stop the others.
    pub fn read(kind: Kind, object: &Value) -> Option<Self> {
        let metadata = &object["metadata"];
        let text = |name: &str| Box::<str>::from(metadata[name].as_str().unwrap_or_default());
        let (name, namespace) = (text("name"), text("namespace"));
        if name.is_empty() || namespace.is_empty() {
            return None;
        }
        let template = object.pointer(kind.template()).unwrap_or(&Value::Null);
        let (own, of_template) = (annotations(metadata), annotations(&template["metadata"]));
        let observed = own.get(OBSERVED).filter(|text| text.len() <= TEXT_LIMIT);
        Some(Self {
            kind,
            namespace,
            name,
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            generation: number(metadata, "generation"),
            consumption: Consumption::of(&template["spec"]),
            demand: Demand::of(&own, &of_template),
            observed: observed.map(|text| text.as_str().into()),
            mark: of_template.get(MARK).map(|text| text.as_str().into()),
            is_paused: kind == Kind::Deployment && object["spec"]["paused"].as_bool() == Some(true),
            is_on_delete: object["spec"]["updateStrategy"]["type"].as_str() == Some("OnDelete"),
            is_over: is_over(kind, object),
            progress: progress(kind, object),
        })
    }

    /// Whether the last rollout has ended: all pods are new and available, or the controller gave up on it, or nothing
    /// rolls by itself.
    pub fn is_rolled_out(&self) -> bool {
        if !self.kind.can_restart() || self.is_on_delete {
            return true;
        }
        self.progress.observed >= self.generation && (self.progress.is_complete || self.progress.is_stuck)
    }
}

fn annotations(metadata: &Value) -> Annotations {
    let members = metadata["annotations"].as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn number(value: &Value, name: &str) -> i64 {
    value[name].as_i64().unwrap_or_default()
}

/// Jobs and Pods that have ended; Jobs of CronJobs and Pods of anything, which are not looked at for themselves.
fn is_over(kind: Kind, object: &Value) -> bool {
    let has_controller = || {
        let owners = object["metadata"]["ownerReferences"].as_array();
        owners.into_iter().flatten().any(|owner| owner["controller"].as_bool() == Some(true))
    };
    match kind {
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::CronJob => false,
        Kind::Job => has_controller() || is_true(object, "Complete") || is_true(object, "Failed"),
        Kind::Pod => has_controller() || matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")),
    }
}

fn condition<'object>(object: &'object Value, kind: &str) -> Option<&'object Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"].as_str() == Some(kind))
}

fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"].as_str() == Some("True"))
}

/// By the rules of `kubectl rollout status`.
fn progress(kind: Kind, object: &Value) -> Progress {
    let status = &object["status"];
    let of_status = |name: &str| number(status, name);
    let replicas = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let is_complete = match kind {
        Kind::Deployment => {
            let updated = of_status("updatedReplicas");
            updated >= replicas && of_status("replicas") <= updated && of_status("availableReplicas") >= updated
        }
        Kind::StatefulSet => {
            let partition = number(&object["spec"]["updateStrategy"]["rollingUpdate"], "partition");
            of_status("updatedReplicas") >= replicas - partition && of_status("readyReplicas") >= replicas
        }
        Kind::DaemonSet => {
            let wanted = of_status("desiredNumberScheduled");
            of_status("updatedNumberScheduled") >= wanted && of_status("numberAvailable") >= wanted
        }
        Kind::CronJob | Kind::Job | Kind::Pod => true,
    };
    let progressing = condition(object, "Progressing");
    let is_stuck = progressing.is_some_and(|condition| condition["reason"] == "ProgressDeadlineExceeded");
    Progress { observed: of_status("observedGeneration"), is_complete, is_stuck }
}

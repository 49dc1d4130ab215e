//! What is to be changed about a pod, while it is found out.

use serde_json::{Value, json};

use crate::patch::{Operation, append, set};
use crate::pod::{Container, Pod, text, trimmed};
use crate::refusal::{Reason, Refusal};

/// Changes of one container.
#[derive(Default)]
pub(crate) struct Edit {
    /// The new command and its arguments.
    pub(crate) command: Option<(String, Vec<String>)>,
    pub(crate) env: Vec<Value>,
    mounts: Vec<Value>,
    /// The paths at which the container finds secrets.
    pub(crate) files: Vec<String>,
    /// Whether it did not find all of them there before.
    pub(crate) has_new_files: bool,
}

/// Changes of a pod.
pub(crate) struct Draft<'pod> {
    pub(crate) pod: Pod<'pod>,
    /// As many as containers, in their order.
    pub(crate) edits: Vec<Edit>,
    pub(crate) volumes: Vec<Value>,
    /// Init containers that start before all others, in their order.
    pub(crate) front: Vec<Value>,
    /// Init containers that start after all others.
    pub(crate) back: Vec<Value>,
    /// Init containers that must come first and stand behind one that needs them.
    pub(crate) first: Vec<usize>,
}

impl<'pod> Draft<'pod> {
    pub(crate) fn new(pod: Pod<'pod>, containers: usize) -> Self {
        let edits = std::iter::repeat_with(Edit::default).take(containers).collect();
        Self { pod, edits, volumes: Vec::new(), front: Vec::new(), back: Vec::new(), first: Vec::new() }
    }

    /// A name for a volume: `wanted`, or the next that is free.
    pub(crate) fn free_volume(&self, wanted: &str) -> String {
        let names: Vec<_> = self.pod.volumes().iter().chain(&self.volumes).filter_map(|it| text(it, "name")).collect();
        free(wanted, &names)
    }

    /// A name for a container: `wanted`, or the next that is free.
    pub(crate) fn free_container(&self, wanted: &str) -> String {
        let ours = self.front.iter().chain(&self.back).filter_map(|it| text(it, "name"));
        let ephemeral = crate::pod::list(self.pod.spec, "ephemeralContainers").iter().filter_map(|it| text(it, "name"));
        let names: Vec<_> = self.pod.containers().map(|it| it.name).chain(ours).chain(ephemeral).collect();
        free(wanted, &names)
    }

    /// Notes where the container at `place` of [`Draft::edits`] finds files.
    pub(crate) fn note_files(&mut self, place: usize, files: Vec<String>, is_new: bool) {
        let edit = &mut self.edits[place];
        edit.files.extend(files);
        edit.has_new_files |= is_new;
    }

    /// Mounts a volume into the container at `place` of [`Draft::edits`]; whether it was not mounted there before. `more`
    /// are further members of the mount.
    ///
    /// # Errors
    /// Something else is mounted there.
    pub(crate) fn mount(
        &mut self,
        place: usize,
        container: &Container<'_>,
        volume: &str,
        path: &str,
        more: Value,
    ) -> Result<bool, Refusal> {
        let edit = &mut self.edits[place];
        let is_ours = |mount: &Value| text(mount, "mountPath").map(trimmed) == Some(trimmed(path));
        match container.mounted(path) {
            Some(mounted) if mounted == volume => return Ok(false),
            None if !edit.mounts.iter().any(is_ours) => {}
            _ => return Err(Refusal::of_container(container, "volumeMounts", Reason::PathTaken(path.to_owned()))),
        }
        let mut mount = json!({"name": volume, "mountPath": path});
        if let (Value::Object(mount), Value::Object(more)) = (&mut mount, more) {
            mount.extend(more);
        }
        edit.mounts.push(mount);
        Ok(true)
    }

    /// The patch of `spec`: what changes elements of lists comes before what moves them.
    pub(crate) fn operations(mut self, containers: impl Iterator<Item = Container<'pod>>) -> Vec<Operation> {
        let mut operations = Vec::new();
        for (container, edit) in containers.zip(self.edits) {
            let pointer = container.pointer();
            if let Some((command, arguments)) = edit.command {
                set(&mut operations, container.value, &pointer, "command", json!([command]));
                set(&mut operations, container.value, &pointer, "args", json!(arguments));
            }
            append(&mut operations, container.value, &pointer, "env", edit.env);
            append(&mut operations, container.value, &pointer, "volumeMounts", edit.mounts);
        }
        let spec = self.pod.spec;
        append(&mut operations, spec, "/spec", "volumes", self.volumes);
        // The last one goes first, and shifts those before it by one.
        self.first.sort_unstable();
        for (shift, index) in self.first.iter().rev().enumerate() {
            let from = format!("/spec/initContainers/{}", index + shift);
            operations.push(Operation::Move { from, path: "/spec/initContainers/0".to_owned() });
        }
        if spec.get("initContainers").is_some_and(Value::is_array) {
            // Each goes before all others, so the last one goes first.
            let first = |value| Operation::add("/spec/initContainers/0".to_owned(), value);
            operations.extend(self.front.into_iter().rev().map(first));
            append(&mut operations, spec, "/spec", "initContainers", self.back);
        } else {
            let all = self.front.into_iter().chain(self.back).collect();
            append(&mut operations, spec, "/spec", "initContainers", all);
        }
        operations
    }
}

fn free(wanted: &str, taken: &[&str]) -> String {
    let is_free = |name: &String| !taken.contains(&name.as_str());
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    std::iter::once(wanted.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

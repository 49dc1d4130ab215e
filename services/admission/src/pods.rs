//! `/pods` and `/mutating-pods`: pods as they are created.

use std::time::{Duration, Instant};

use strongroom_failure::{Class, Failure};
use strongroom_inject::{Candidates, Found, ImageConfig, Images, Plan, Settings, Survey};
use strongroom_registry::{Image, Registry};

use crate::pulling::{Pulling, platform};
use crate::review::{Request, Verdict};
use crate::sources::Sources;

/// What pods are changed with.
pub(crate) struct Pods {
    pub(crate) settings: Settings,
    pub(crate) sources: Sources,
    pub(crate) pulling: Pulling,
    pub(crate) registry: Registry,
}

impl Pods {
    /// Changes a pod, or says why it must not be created. `deadline` is when the API server stops waiting.
    pub(crate) async fn review(&self, request: &Request, settings: &Settings, deadline: Instant) -> Verdict {
        if request.operation != "CREATE" || !request.sub_resource.is_empty() {
            // Containers and volumes of a pod that exists cannot change.
            return Verdict::unchanged();
        }
        let planned = tokio::time::timeout_at(deadline.into(), self.plan(request, settings, deadline)).await;
        let late = |_| Err(Failure::new(Class::Unavailable, "what the pod refers to was not read in time"));
        match planned.unwrap_or_else(late) {
            Ok(plan) => {
                if plan.explanation.is_change() {
                    tracing::info!(pod = request.object_name(), "{}", plan.explanation.event());
                } else {
                    tracing::debug!(pod = request.object_name(), "{}", plan.explanation.event());
                }
                Verdict::Allowed { patch: plan.patch, warnings: Vec::new() }
            }
            Err(failure) => refused(request, &failure),
        }
    }

    async fn plan(&self, request: &Request, settings: &Settings, deadline: Instant) -> Result<Plan, Failure> {
        let candidates = Candidates::of(&request.object, settings)?;
        let lookups = candidates.lookups();
        let found = match lookups.is_empty() {
            true => Found::default(),
            false => self.sources.find(&request.namespace, lookups).await?,
        };
        let survey = Survey::of(candidates, &found)?;
        let images = self.images(request, &survey, deadline).await?;
        Ok(survey.plan(&images)?)
    }

    /// What the images start of those containers that have no command.
    async fn images(&self, request: &Request, survey: &Survey<'_>, deadline: Instant) -> Result<Images, Failure> {
        let pod = &request.object;
        let needed = survey.images();
        let mut known = Images::new();
        if needed.is_empty() {
            return Ok(known);
        }
        let credentials = self.pulling.credentials(pod, &request.namespace).await?;
        let platform = platform(pod);
        for image in needed {
            let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(TELLING);
            let is_latest = Image::parse(&image.image).is_ok_and(|image| image.is_latest());
            let is_fresh = match image.pull_policy.as_deref() {
                Some(policy) => policy == "Always",
                None => is_latest,
            };
            let read = self.registry.config(&image.image, &platform, &credentials, is_fresh, left).await;
            let read = read.map_err(|failure| of_container(failure, &image.container))?;
            let config = ImageConfig { entrypoint: read.entrypoint.clone(), command: read.command.clone() };
            known.insert(image.container, config);
        }
        Ok(known)
    }
}

fn of_container(failure: Failure, container: &str) -> Failure {
    let hint = failure.hint.clone();
    let words = format!("container \"{container}\" has no command, and its image cannot be looked up: {failure}");
    let failure = Failure::new(failure.class, words);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure.with_hint("write the command into the container"),
    }
}

/// As kube-secrets-init words it (KI-04), with the cure behind.
fn refused(request: &Request, failure: &Failure) -> Verdict {
    tracing::warn!(pod = request.object_name(), hint = failure.hint, "a pod is refused: {failure}");
    let cure = failure.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
    let message = format!("could not mutate object: failed to mutate pod: {failure}{cure}");
    match failure.class.can_retry() {
        true => Verdict::Denied { code: 500, message },
        false => Verdict::refused(message),
    }
}

/// How long a review may take: what the API server says that it waits, less the way back.
pub(crate) fn deadline(query: Option<&str>, began: Instant) -> Instant {
    let parameters = query.unwrap_or_default().split('&');
    let timeout = parameters.filter_map(|parameter| parameter.strip_prefix("timeout=")).find_map(seconds);
    began + timeout.unwrap_or(USUAL).saturating_sub(WAY_BACK).max(WAY_BACK)
}

/// API servers write `5s`, and at most 30.
fn seconds(text: &str) -> Option<Duration> {
    text.strip_suffix('s')?.parse().ok().filter(|seconds| (1..=30).contains(seconds)).map(Duration::from_secs)
}

/// What an API server waits where nobody says: 10 s.
const USUAL: Duration = Duration::from_secs(10);

/// What is left for the answer to arrive.
const WAY_BACK: Duration = Duration::from_millis(500);

/// What is left to say which image was not looked up in time: the review's own end could not name it.
const TELLING: Duration = Duration::from_millis(100);

/// The settings of a path that serves files alone, as the AWS sidecar injector does: variables of its pods are the
/// program's own.
pub(crate) fn files_alone(settings: &Settings) -> Settings {
    Settings { wraps: false, ..settings.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_ends_before_the_api_server_stops_waiting() {
        let check = |query: Option<&str>, millis: u64| {
            let began = Instant::now();
            assert_eq!(deadline(query, began) - began, Duration::from_millis(millis), "{query:?}");
        };
        check(Some("timeout=5s"), 4_500);
        check(Some("a=b&timeout=1s"), 500);
        check(None, 9_500);
        check(Some("timeout=0s"), 9_500);
        check(Some("timeout=9999s"), 9_500);
        check(Some("timeout=x"), 9_500);
    }
}

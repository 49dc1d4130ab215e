//! The objects that hold bundles: watched, and written where a bundle is not what it should be.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use serde_json::{Value, json};
use strongroom_crypto::Certificate;
use strongroom_failure::Failure;
use strongroom_http::Uri;
use strongroom_kube::{Initialized, Observed, Selection, WriteFailure, watch_all};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::FIELD_MANAGER;
use crate::settings::{Configuration, Kind, Settings};

/// Events that wait to be taken in: there is one object for each watch.
const EVENTS: usize = 16;

/// The shortest and the longest pause between two times that bundles are put back. Longer each time, since somebody may
/// keep changing them.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// What is known of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Nothing yet.
    Unknown,
    /// That there is none.
    Absent,
    /// How it is.
    There(Hooked),
}

/// Our webhooks in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hooked {
    /// The resource version that was seen.
    version: String,
    hooks: Vec<Hook>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hook {
    /// Empty for a conversion.
    name: String,
    /// The authorities in its bundle; empty where that cannot be read.
    bundle: Vec<Certificate>,
}

/// Which webhooks are ours.
#[derive(Clone, Debug)]
struct Ours {
    namespace: String,
    service: String,
    hosts: Vec<String>,
}

/// Whom a webhook calls, and whom it trusts.
struct Called<'a> {
    name: &'a str,
    service: Option<(&'a str, &'a str)>,
    url: Option<&'a str>,
    bundle: Option<&'a ByteString>,
}

impl Ours {
    fn is_called(&self, called: &Called<'_>) -> bool {
        match (called.service, called.url) {
            (Some((namespace, service)), _) => namespace == self.namespace && service == self.service,
            (None, Some(url)) => {
                let uri = url.parse::<Uri>().ok();
                let host = uri.as_ref().and_then(Uri::host).map(|host| host.trim_matches(['[', ']']));
                host.is_some_and(|host| self.hosts.iter().any(|ours| ours == host))
            }
            (None, None) => false,
        }
    }
}

/// A kind that holds bundles.
trait Carrier: Resource<DynamicType = (), Scope: Sized> + Clone + Send + Sync + 'static {
    fn called(&self) -> Vec<Called<'_>>;

    fn hooked(&self, ours: &Ours) -> Hooked {
        let called = self.called().into_iter().filter(|called| ours.is_called(called));
        let read = |bundle: &ByteString| Certificate::read_all(std::str::from_utf8(&bundle.0).ok()?);
        let hook = |called: Called<'_>| Hook {
            name: called.name.to_owned(),
            bundle: called.bundle.and_then(read).unwrap_or_default(),
        };
        Hooked { version: self.meta().resource_version.clone().unwrap_or_default(), hooks: called.map(hook).collect() }
    }
}

fn called<'a>(name: &'a str, client: &'a WebhookClientConfig) -> Called<'a> {
    let service = client.service.as_ref().map(|service| (service.namespace.as_str(), service.name.as_str()));
    Called { name, service, url: client.url.as_deref(), bundle: client.ca_bundle.as_ref() }
}

impl Carrier for MutatingWebhookConfiguration {
    fn called(&self) -> Vec<Called<'_>> {
        self.webhooks.iter().flatten().map(|webhook| called(&webhook.name, &webhook.client_config)).collect()
    }
}

impl Carrier for ValidatingWebhookConfiguration {
    fn called(&self) -> Vec<Called<'_>> {
        self.webhooks.iter().flatten().map(|webhook| called(&webhook.name, &webhook.client_config)).collect()
    }
}

impl Carrier for CustomResourceDefinition {
    fn called(&self) -> Vec<Called<'_>> {
        let conversion = self.spec.conversion.as_ref().and_then(|conversion| conversion.webhook.as_ref());
        let Some(client) = conversion.and_then(|webhook| webhook.client_config.as_ref()) else { return Vec::new() };
        let service = client.service.as_ref().map(|service| (service.namespace.as_str(), service.name.as_str()));
        vec![Called { name: "", service, url: client.url.as_deref(), bundle: client.ca_bundle.as_ref() }]
    }
}

/// The configurations, as the watches have told of them and as we have written them.
pub(crate) struct Configurations {
    client: Client,
    ours: Ours,
    known: Vec<(Configuration, Sight)>,
    news: mpsc::Receiver<(usize, Sight)>,
    restraint: Restraint,
    /// Dropping them ends the watches.
    _watches: JoinSet<()>,
}

impl Configurations {
    /// Begins to watch; each watch holds a handle of `ready` until it knows how its object is.
    pub(crate) fn watch(client: Client, settings: &Settings, ready: &Initialized) -> Self {
        let (told, news) = mpsc::channel(EVENTS);
        let ours = Ours {
            namespace: settings.namespace.clone(),
            service: settings.service.clone(),
            hosts: settings.hosts.clone(),
        };
        let mut watches = JoinSet::new();
        for (index, configuration) in settings.configurations.iter().enumerate() {
            let watch = Watch { index, configuration: configuration.clone(), ours: ours.clone(), told: told.clone() };
            let client = client.clone();
            match configuration.kind {
                Kind::Mutating => watch.spawn::<MutatingWebhookConfiguration>(client, ready, &mut watches),
                Kind::Validating => watch.spawn::<ValidatingWebhookConfiguration>(client, ready, &mut watches),
                Kind::Conversion => watch.spawn::<CustomResourceDefinition>(client, ready, &mut watches),
            }
        }
        let known = settings.configurations.iter().map(|configuration| (configuration.clone(), Sight::Unknown));
        Self { client, ours, known: known.collect(), news, restraint: Restraint::default(), _watches: watches }
    }

    /// Waits for news and takes it in.
    pub(crate) async fn changed(&mut self) {
        match self.news.recv().await {
            Some((index, sight)) => self.note(index, sight),
            // No configurations, no news.
            None => std::future::pending().await,
        }
    }

    /// Takes in one piece of news that is there already; whether there was one.
    pub(crate) fn note_next(&mut self) -> bool {
        let next = self.news.try_recv().ok();
        let Some((index, sight)) = next else { return false };
        self.note(index, sight);
        true
    }

    fn note(&mut self, index: usize, sight: Sight) {
        let Some((configuration, known)) = self.known.get_mut(index) else { return };
        let (kind, name) = (configuration.kind.as_str(), configuration.name.as_str());
        match &sight {
            Sight::Absent if *known != Sight::Absent => {
                tracing::info!(kind, name, "there is no such configuration; its caBundle is set when it comes");
            }
            Sight::There(hooked) if hooked.hooks.is_empty() && !matches!(known, Sight::There(_)) => {
                tracing::warn!(kind, name, service = %self.ours.service, "no webhook in this configuration calls us");
            }
            _ => {}
        }
        *known = sight;
    }

    fn hooks(&self) -> impl Iterator<Item = &Hook> {
        self.known.iter().flat_map(|(_, sight)| match sight {
            Sight::There(hooked) => hooked.hooks.as_slice(),
            _ => &[],
        })
    }

    /// Whether all have been looked at.
    pub(crate) fn are_known(&self) -> bool {
        self.known.iter().all(|(_, sight)| *sight != Sight::Unknown)
    }

    /// Whether all bundles are these authorities, no more and no fewer.
    pub(crate) fn are_in_place(&self, wanted: &[Certificate]) -> bool {
        self.hooks().all(|hook| hook.is(wanted))
    }

    /// Whether all bundles hold this authority.
    pub(crate) fn trust(&self, authority: &Certificate) -> bool {
        self.are_known() && self.hooks().all(|hook| hook.bundle.contains(authority))
    }

    /// The authorities in any bundle.
    pub(crate) fn trusted(&self) -> Vec<Certificate> {
        self.hooks().flat_map(|hook| hook.bundle.iter().cloned()).collect()
    }

    /// Puts `wanted` in place wherever it is not, unless that was done too short a time ago; how long to wait then.
    ///
    /// # Errors
    /// Where a configuration cannot be written; the others are written all the same.
    pub(crate) async fn spread(&mut self, wanted: &[Certificate]) -> Result<Option<Duration>, Failure> {
        if let Some(left) = self.restraint.take(Instant::now()) {
            return Ok(Some(left));
        }
        let pem: String = wanted.iter().map(Certificate::to_pem).collect();
        let bundle = json!(ByteString(pem.into_bytes()));
        let mut failed = None;
        for index in 0..self.known.len() {
            let (configuration, Sight::There(hooked)) = &self.known[index] else { continue };
            if hooked.hooks.iter().all(|hook| hook.is(wanted)) {
                continue;
            }
            let (kind, name) = (configuration.kind.as_str(), configuration.name.as_str());
            match self.write(configuration, hooked, &bundle).await {
                Ok(written) => {
                    tracing::info!(kind, name, authorities = wanted.len(), "the caBundle was put in place");
                    self.known[index].1 = Sight::There(written);
                }
                // The watch tells what has become of it.
                Err(WriteFailure::Conflict | WriteFailure::NotFound) => {}
                Err(other) => {
                    let failure = other.into_failure(&format!("write the caBundle of {kind} {name}"));
                    failed.get_or_insert(failure);
                }
            }
        }
        failed.map_or(Ok(None), Err)
    }

    async fn write(
        &self,
        configuration: &Configuration,
        hooked: &Hooked,
        bundle: &Value,
    ) -> Result<Hooked, WriteFailure> {
        let body = patch(configuration, hooked, bundle);
        match configuration.kind {
            Kind::Mutating => self.apply::<MutatingWebhookConfiguration>(&configuration.name, &body).await,
            Kind::Validating => self.apply::<ValidatingWebhookConfiguration>(&configuration.name, &body).await,
            Kind::Conversion => self.apply::<CustomResourceDefinition>(&configuration.name, &body).await,
        }
    }

    async fn apply<K>(&self, name: &str, body: &Value) -> Result<Hooked, WriteFailure>
    where
        K: Carrier + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let asked = format!("write the caBundle of {} {name}", K::kind(&()));
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let written = Api::<K>::all(self.client.clone()).patch(name, &parameters, &Patch::Apply(body)).await;
        written.map(|object| object.hooked(&self.ours)).map_err(|error| WriteFailure::from_error(&error, &asked, &[]))
    }
}

impl Hook {
    fn is(&self, wanted: &[Certificate]) -> bool {
        self.bundle.len() == wanted.len() && wanted.iter().all(|authority| self.bundle.contains(authority))
    }
}

/// What is applied: the bundles alone, against the version that was seen, so that a webhook that is gone by then is not
/// made again by half.
fn patch(configuration: &Configuration, hooked: &Hooked, bundle: &Value) -> Value {
    let version = match configuration.kind {
        Kind::Mutating | Kind::Validating => "admissionregistration.k8s.io/v1",
        Kind::Conversion => "apiextensions.k8s.io/v1",
    };
    let mut body = json!({
        "apiVersion": version,
        "kind": configuration.kind.as_str(),
        "metadata": {"name": configuration.name, "resourceVersion": hooked.version},
    });
    let client = json!({"caBundle": bundle});
    match configuration.kind {
        Kind::Mutating | Kind::Validating => {
            let webhook = |hook: &Hook| json!({"name": hook.name, "clientConfig": client});
            body["webhooks"] = hooked.hooks.iter().map(webhook).collect();
        }
        Kind::Conversion => body["spec"] = json!({"conversion": {"webhook": {"clientConfig": client}}}),
    }
    body
}

/// The watch of one object.
struct Watch {
    index: usize,
    configuration: Configuration,
    ours: Ours,
    told: mpsc::Sender<(usize, Sight)>,
}

impl Watch {
    fn spawn<K>(self, client: Client, ready: &Initialized, watches: &mut JoinSet<()>)
    where
        K: Carrier + serde::de::DeserializeOwned,
    {
        let (sender, events) = mpsc::channel(EVENTS);
        let selection = Selection { labels: None, fields: Some(format!("metadata.name={}", self.configuration.name)) };
        let name = format!("watch of {} {}", self.configuration.kind.as_str(), self.configuration.name);
        let (handle, known) = (ready.handle(name.clone()), ready.handle(name));
        watches.spawn(watch_all::<K>(client, selection, sender, handle));
        watches.spawn(async move {
            // Dropped when the first list has been told on.
            let mut known = Some(known);
            let mut events: mpsc::Receiver<Observed<K>> = events;
            while let Some(event) = events.recv().await {
                let is_whole = matches!(event, Observed::Restarted { .. });
                if let Some(sight) = self.sight(event)
                    && self.told.send((self.index, sight)).await.is_err()
                {
                    return;
                }
                if is_whole {
                    known = None;
                }
            }
            drop(known);
        });
    }

    /// What an event says of our object.
    fn sight<K: Carrier>(&self, event: Observed<K>) -> Option<Sight> {
        match event {
            Observed::Apply(object) => Some(Sight::There(object.hooked(&self.ours))),
            Observed::Delete(_) | Observed::DeleteMalformed(_) => Some(Sight::Absent),
            Observed::Malformed { name, why } => {
                tracing::warn!(kind = self.configuration.kind.as_str(), %name, why, "this configuration cannot be read");
                Some(Sight::Absent)
            }
            Observed::Restarted { names, .. } => {
                names.iter().all(|name| name.name != self.configuration.name).then_some(Sight::Absent)
            }
        }
    }
}

/// Keeps us from fighting with somebody who changes bundles as fast as we put them back.
#[derive(Debug, Default)]
struct Restraint {
    last: Option<(Instant, Duration)>,
}

impl Restraint {
    /// How long to wait still; `None` where it may be done now, which counts.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        let (shortest, longest) = PAUSES;
        let pause = match self.last {
            None => shortest,
            Some((last, pause)) => {
                let passed = now.saturating_duration_since(last);
                if passed < pause {
                    return Some(pause - passed);
                }
                if passed > 2 * longest { shortest } else { (pause * 2).min(longest) }
            }
        };
        self.last = Some((now, pause));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_ours_by_service_or_by_host() {
        let ours =
            Ours { namespace: "team".to_owned(), service: "hook".to_owned(), hosts: vec!["127.0.0.1".to_owned()] };
        let check = |service: Option<(&str, &str)>, url: Option<&str>, expected: bool| {
            let called = Called { name: "a", service, url, bundle: None };
            assert_eq!(ours.is_called(&called), expected, "{service:?} {url:?}");
        };
        check(Some(("team", "hook")), None, true);
        check(Some(("other", "hook")), None, false);
        check(Some(("team", "other")), None, false);
        check(None, Some("https://127.0.0.1:8443/pods"), true);
        check(None, Some("https://hook.example/pods"), false);
        check(None, Some("::"), false);
        check(None, None, false);
    }

    #[test]
    fn whoever_fights_with_us_makes_us_slower_and_rest_makes_us_fast_again() {
        let mut restraint = Restraint::default();
        let mut now = Instant::now();
        assert_eq!(restraint.take(now), None);
        assert_eq!(restraint.take(now), Some(PAUSES.0));
        let mut waited = Duration::ZERO;
        for _ in 0..20 {
            if let Some(left) = restraint.take(now) {
                waited += left;
                now += left;
                assert_eq!(restraint.take(now), None);
            }
        }
        assert!(waited > 10 * PAUSES.1, "{waited:?}");
        now += 3 * PAUSES.1;
        assert_eq!(restraint.take(now), None);
        assert_eq!(restraint.take(now), Some(PAUSES.0));
    }
}

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use strongroom_failure::{Failure, outside_words};
use strongroom_http::{AddressPolicy, Client, Proxy, Redirects, Timeouts, TlsSettings};
use strongroom_provider::{
    Answer, Call, Limits, Meter, Outcome, Provider, RemoteKey, RemoteValue, SecretBytes, one_by_one,
};

use crate::answer;
use crate::data::{self, Data};
use crate::request;

const OPERATION: &str = "webhook:HTTPRequest";

/// Requests under way at once. Nobody tells what an endpoint takes; this is what a small service takes.
const CONCURRENCY: usize = 8;

/// The longest that a store may make its readers wait: a slot is taken as long.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);

/// Redirects followed on one host, as many as Go's client.
const REDIRECTS: usize = 10;

/// One endpoint, described by templates over `.remoteRef.{key,version,property,namespace}` and `.NAME.KEY` of `secrets`.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The method; GET where it is empty.
    pub method: String,
    /// The address, a template whose `.remoteRef` is escaped for addresses.
    pub url: String,
    /// Headers by name, templates.
    pub headers: BTreeMap<String, String>,
    /// The body, a template; none where it is empty.
    pub body: String,
    /// The JSONPath of the value in the answer, a template; the whole answer where it is empty.
    pub json_path: String,
    /// What templates may use: entries by name, by the name that templates have for the Secret.
    pub secrets: BTreeMap<String, BTreeMap<String, SecretBytes>>,
    /// The namespace on whose behalf is read.
    pub namespace: String,
    /// How long an answer may take, five minutes at most; a minute where nothing is said.
    pub timeout: Option<Duration>,
    /// Whom to trust.
    pub tls: TlsSettings,
    /// Where requests may go.
    pub addresses: AddressPolicy,
    /// Which proxy stands before which host.
    pub proxy: Proxy,
}

/// An HTTP endpoint as a store. The property is the templates' to use: what comes back is the value.
pub struct Webhook {
    settings: Settings,
    client: Client,
    meter: Arc<Meter>,
}

impl Webhook {
    /// Opens the store, without asking the endpoint.
    ///
    /// # Errors
    /// `Invalid` where a template or another setting cannot be used; the field says which.
    pub fn open(settings: Settings, meter: Arc<Meter>) -> Result<Self, Failure> {
        data::check(&settings.secrets)?;
        request::check(&settings)?;
        let client = Client::new(strongroom_http::Settings {
            tls: settings.tls.clone(),
            proxy: settings.proxy.clone(),
            addresses: settings.addresses,
            redirects: Redirects::SameHost(REDIRECTS),
            timeouts: timeouts(settings.timeout),
            idle_connections: CONCURRENCY,
            ..strongroom_http::Settings::default()
        })?;
        Ok(Self { settings, client, meter })
    }

    /// Asks the endpoint for no key in particular, as one that makes values is asked: templates see the Secrets alone.
    /// Gives what the JSONPath means, a text without its quotes.
    ///
    /// # Errors
    /// What the endpoint answers, or that it does not. `NotFound` is the endpoint's own: what it makes is not there.
    pub async fn made(&self) -> Result<SecretBytes, Failure> {
        self.access(None).await.map_err(|failure| self.masked(failure))
    }

    async fn access(&self, key: Option<&RemoteKey>) -> Result<SecretBytes, Failure> {
        let data = Data::of(key, &self.settings.namespace, &self.settings.secrets);
        let request = request::request(&self.settings, &data)?;
        let json_path = request::json_path(&self.settings, &data)?;
        let result = self.client.send(request).await;
        let answered = matches!(&result, Ok(response) if answer::is_answer(response.status));
        self.meter.record(OPERATION, if answered { Outcome::Answered } else { Outcome::Failed });
        answer::value(result?, &json_path)
    }

    async fn answer(&self, key: &RemoteKey) -> Answer {
        let value = self.access(Some(key)).await.map_err(|failure| self.masked(failure).on_key(&key.name))?;
        Ok(RemoteValue::new(value, None))
    }

    /// A failure that names the store. A host or a path may have been made of a credential.
    fn masked(&self, failure: Failure) -> Failure {
        let known: Vec<_> = self.settings.secrets.values().flat_map(BTreeMap::values).collect();
        let words = outside_words(&failure.words, &known);
        Failure { words, ..failure }.from_store(self.describe())
    }
}

fn timeouts(asked: Option<Duration>) -> Timeouts {
    let Some(asked) = asked.filter(|asked| !asked.is_zero()) else { return Timeouts::default() };
    let total = asked.min(LONGEST_TIMEOUT);
    Timeouts { connect: Timeouts::default().connect.min(total), wait: total, total }
}

/// The host of an address, where no template makes it.
fn host(url: &str) -> Option<&str> {
    let rest = url.trim_start().split_once("://")?.1;
    let host = rest.split(['/', '?', '#']).next()?.trim_end();
    (!host.is_empty() && !host.contains(['{', '@'])).then_some(host)
}

#[async_trait]
impl Provider for Webhook {
    fn describe(&self) -> String {
        match host(&self.settings.url) {
            Some(host) => format!("the webhook at {host}"),
            None => "the webhook".to_owned(),
        }
    }

    fn identity(&self) -> String {
        let names: Vec<_> = self.settings.secrets.keys().map(String::as_str).collect();
        match names.as_slice() {
            [] => "nobody (no Secrets are given to the templates)".to_owned(),
            names => format!("whoever the Secrets {} stand for", names.join(", ")),
        }
    }

    fn limits(&self) -> Limits {
        Limits { concurrency: CONCURRENCY, rate: 20.0, burst: 40 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        let method = if self.settings.method.is_empty() { "GET" } else { &self.settings.method };
        one_by_one(keys, |_| format!("{method} {}", self.describe()))
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        // Boxed: the state of one read is large, and many are kept.
        let reads = keys.iter().map(|key| -> BoxFuture<'_, Answer> { Box::pin(self.answer(key)) });
        stream::iter(reads.collect::<Vec<_>>()).buffered(CONCURRENCY).collect().await
    }

    fn takes_properties(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_a_host_that_no_template_makes() {
        let check = |url: &str, expected: Option<&str>| assert_eq!(host(url), expected, "{url}");
        check("https://api.example/{{ .remoteRef.key }}", Some("api.example"));
        check("http://10.0.0.1:80?x", Some("10.0.0.1:80"));
        check("https://{{ .auth.host }}/a", None);
        check("https://user:canary@api/", None);
        check("{{ .auth.url }}", None);
    }

    #[test]
    fn a_timeout_is_bounded() {
        let check = |asked: Option<u64>, connect: u64, total: u64| {
            let got = timeouts(asked.map(Duration::from_secs));
            assert_eq!((got.connect.as_secs(), got.total.as_secs()), (connect, total));
        };
        check(None, 10, 60);
        check(Some(0), 10, 60);
        check(Some(5), 5, 5);
        check(Some(100_000), 10, 300);
    }
}

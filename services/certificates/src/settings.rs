//! What is kept, where, and by which times.

use std::path::PathBuf;
use std::time::Duration;

use strongroom_failure::{Class, Failure};

/// A webhook's certificate, and the configurations that trust it. Every name in the cluster comes from here, so that
/// two releases do not meet.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the webhook's Service, the Secret and the Lease are.
    pub namespace: String,
    /// The Service that API servers call.
    pub service: String,
    /// Host names and addresses beside those of the Service, for webhooks that are called by URL.
    pub hosts: Vec<String>,
    /// The Lease whose holder writes; `<release>-webhook-certificate`, usually.
    pub lease: String,
    /// Whose `caBundle` is kept.
    pub configurations: Vec<Configuration>,
    /// Where the certificate comes from.
    pub source: Source,
}

/// An object whose `caBundle` is kept, in those of its webhooks that call our Service or one of our hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Of which kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// Objects that hold a `caBundle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `MutatingWebhookConfiguration`.
    Mutating,
    /// `ValidatingWebhookConfiguration`.
    Validating,
    /// `CustomResourceDefinition`, with its conversion webhook.
    Conversion,
}

impl Kind {
    /// The kind's name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
            Self::Conversion => "CustomResourceDefinition",
        }
    }
}

/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From an authority of our own, both in a Secret.
    Own {
        /// The Secret's name; `<release>-webhook-certificate`, usually.
        secret: String,
        /// By which times it is replaced.
        times: Times,
    },
    /// From files that somebody else renews.
    Files {
        /// PEM: the certificate, then those that signed it.
        certificate: PathBuf,
        /// PEM: its key.
        key: PathBuf,
        /// PEM: what goes into the `caBundle`; where absent, configurations are left alone.
        bundle: Option<PathBuf>,
    },
}

/// By which times certificates are replaced.
#[derive(Clone, Debug)]
pub struct Times {
    /// How long an authority holds; a year. Replaced when a third is left.
    pub authority: Duration,
    /// How long a certificate holds, at most a third of the authority's time; 30 days. Replaced when a third is left.
    pub serving: Duration,
    /// After how long every API server has seen a change of a `caBundle`; 30 s.
    pub settle: Duration,
    /// How long the former authority is trusted after the certificate of the new one is in the Secret, so that replicas
    /// that hear of it late are; at least three times `settle`; 5 minutes, since a replica looks every minute and one
    /// whose connection is dead notices within four.
    pub linger: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        let (settle, linger) = (Duration::from_secs(30), Duration::from_secs(300));
        Self { authority: days(365), serving: days(30), settle, linger }
    }
}

/// The longest time of an authority: what X.509 can say in any of our days, by far.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Settings {
    /// The names that the certificate is for: those by which a Service is called, and the hosts.
    pub fn names(&self) -> Vec<String> {
        let service = format!("{}.{}", self.service, self.namespace);
        let mut names = vec![format!("{service}.svc"), format!("{service}.svc.cluster.local"), service];
        names.extend(self.hosts.iter().cloned());
        names
    }

    /// Whether they can be kept to.
    ///
    /// # Errors
    /// Names the setting that cannot.
    pub fn check(&self) -> Result<(), Failure> {
        let invalid = |field: &str, words: &str| Err(Failure::new(Class::Invalid, words).in_field(field));
        for name in [&self.namespace, &self.service, &self.lease] {
            strongroom_kube::failure::checked_name(name)?;
        }
        for configuration in &self.configurations {
            strongroom_kube::failure::checked_name(&configuration.name)?;
        }
        let Source::Own { secret, times } = &self.source else { return Ok(()) };
        strongroom_kube::failure::checked_name(secret)?;
        if times.authority > LONGEST {
            return invalid("authority", "an authority holds for at most 100 years");
        }
        // Otherwise a certificate could outlive its authority, and would be due as soon as it is made.
        if times.serving > times.authority / 3 || times.serving < Duration::from_secs(3) {
            return invalid(
                "serving",
                "a certificate holds for 3 s or more, and for at most a third of its authority's time",
            );
        }
        if times.linger < 3 * times.settle {
            return invalid("linger", "a former authority is trusted for at least three times the settle time");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(times: Times) -> Settings {
        Settings {
            namespace: "team".to_owned(),
            service: "hook".to_owned(),
            hosts: vec!["127.0.0.1".to_owned()],
            lease: "lease".to_owned(),
            configurations: Vec::new(),
            source: Source::Own { secret: "secret".to_owned(), times },
        }
    }

    #[test]
    fn a_certificate_is_for_all_names_of_the_service() {
        let names = ["hook.team.svc", "hook.team.svc.cluster.local", "hook.team", "127.0.0.1"];
        assert_eq!(settings(Times::default()).names(), names);
    }

    #[test]
    fn times_that_cannot_work_are_refused_by_their_name() {
        let check = |change: fn(&mut Times), expected: Option<&str>| {
            let mut times = Times::default();
            change(&mut times);
            let field = settings(times).check().err().map(|failure| failure.subject.field.unwrap());
            assert_eq!(field.as_deref(), expected);
        };
        check(|_| {}, None);
        check(|times| times.serving = times.authority / 2, Some("serving"));
        check(|times| times.serving = Duration::from_secs(1), Some("serving"));
        check(|times| times.linger = 2 * times.settle, Some("linger"));
        check(|times| times.authority = LONGEST * 2, Some("authority"));
    }
}

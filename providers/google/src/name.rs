//! How secrets are named. Pure.

use strongroom_failure::{Class, Failure};
use strongroom_secret::{RemoteKey, Version};

/// A secret version as a key names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SecretName {
    /// `None`: the ambient project.
    pub(crate) project: Option<String>,
    /// `None`: a global secret.
    pub(crate) location: Option<String>,
    pub(crate) secret: String,
    /// A number, an alias, or `latest`.
    pub(crate) version: String,
}

impl SecretName {
    /// Reads a key; a short one is in `location` where that is given. No other is taken where keys are confined.
    ///
    /// Every part is checked letter by letter: they become a path and, the location, a host name.
    pub(crate) fn parse(key: &RemoteKey, location: Option<&str>, is_confined: bool) -> Result<Self, Failure> {
        if key.request.is_some() {
            return Err(Failure::new(Class::Invalid, "Google Secret Manager takes no request"));
        }
        let segments: Vec<&str> = key.name.split('/').collect();
        if is_confined && segments.len() > 1 {
            return Err(Failure::new(Class::Invalid, "the key must be the name of a secret in the store's project"));
        }
        let (path, written) = match segments.as_slice() {
            [path @ .., "versions", version] => (path, Some(*version)),
            path => (path, None),
        };
        let (project, location, secret) = match *path {
            [secret] => (None, location, secret),
            ["projects", project, "secrets", secret] => (Some(project), None, secret),
            ["projects", project, "locations", location, "secrets", secret] => (Some(project), Some(location), secret),
            _ => return Err(malformed()),
        };
        let version = match (&key.version, written) {
            (Some(Version::Id(_) | Version::Stage(_)), Some(_)) => {
                return Err(Failure::new(Class::Invalid, "the name and the reference both give a version"));
            }
            (Some(Version::Id(version) | Version::Stage(version)), None) => version,
            (None, Some(version)) => version,
            (None, None) => "latest",
        };
        let good = project.is_none_or(is_project)
            && location.is_none_or(is_location)
            && is_identifier(secret)
            && is_identifier(version);
        if !good {
            return Err(malformed());
        }
        let owned = |part: Option<&str>| part.map(ToOwned::to_owned);
        let (project, location) = (owned(project), owned(location));
        Ok(Self { project, location, secret: secret.to_owned(), version: version.to_owned() })
    }

    /// The version's resource name, with `project` where the key names none.
    pub(crate) fn resource(&self, project: &str) -> String {
        format!("{}/versions/{}", self.secret_resource(project), self.version)
    }

    /// The secret's resource name, with `project` where the key names none.
    pub(crate) fn secret_resource(&self, project: &str) -> String {
        let Self { project: own, location, secret, .. } = self;
        let project = own.as_deref().unwrap_or(project);
        match location {
            Some(location) => format!("projects/{project}/locations/{location}/secrets/{secret}"),
            None => format!("projects/{project}/secrets/{secret}"),
        }
    }
}

fn malformed() -> Failure {
    Failure::new(Class::Invalid, "this does not name a secret version").with_hint(
        "write projects/P/secrets/S, projects/P/locations/L/secrets/S or S alone, each with /versions/V if wanted",
    )
}

/// Whether this may be a project's id or number; old ones carry a domain, `example.com:name`.
pub(crate) fn is_project(text: &str) -> bool {
    is_word(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':'))
        && !matches!(text, "." | "..")
}

/// Whether this may be a region: `europe-west3`.
pub(crate) fn is_location(text: &str) -> bool {
    is_word(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether this may be one of Google's domains: `googleapis.com`.
pub(crate) fn is_domain(text: &str) -> bool {
    is_word(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}

fn is_identifier(text: &str) -> bool {
    is_word(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Google's names have at most 255 letters.
fn is_word(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(key: &RemoteKey, location: Option<&str>) -> Result<String, Failure> {
        SecretName::parse(key, location, false).map(|name| name.resource("ambient"))
    }

    #[test]
    fn si_16_names_become_resources() {
        let check = |name: &str, expected: &str| {
            assert_eq!(resource(&RemoteKey::current(name), None).unwrap(), expected);
        };
        check("projects/p/secrets/s", "projects/p/secrets/s/versions/latest");
        check("projects/p/secrets/s/versions/5", "projects/p/secrets/s/versions/5");
        check("projects/p/secrets/s/versions/latest", "projects/p/secrets/s/versions/latest");
        check("s", "projects/ambient/secrets/s/versions/latest");
        check("s/versions/7", "projects/ambient/secrets/s/versions/7");
        check("projects/123456/secrets/A_b-9", "projects/123456/secrets/A_b-9/versions/latest");
        check("projects/example.com:p/secrets/s", "projects/example.com:p/secrets/s/versions/latest");
        check(
            "projects/p/locations/europe-west3/secrets/s/versions/2",
            "projects/p/locations/europe-west3/secrets/s/versions/2",
        );
    }

    #[test]
    fn versions_and_locations_come_from_beside_the_name_as_well() {
        let at = |name: &str, version: Version| RemoteKey::at(name, version);
        let check = |key: RemoteKey, location: Option<&str>, expected: &str| {
            assert_eq!(resource(&key, location).unwrap(), expected);
        };
        let global = "projects/p/secrets/s";
        check(at(global, Version::Id("3".to_owned())), None, "projects/p/secrets/s/versions/3");
        check(at(global, Version::Stage("prod".to_owned())), None, "projects/p/secrets/s/versions/prod");
        check(
            RemoteKey::current("s"),
            Some("us-east1"),
            "projects/ambient/locations/us-east1/secrets/s/versions/latest",
        );
        // A whole name says itself whether it is regional.
        check(RemoteKey::current(global), Some("us-east1"), "projects/p/secrets/s/versions/latest");
        let twice = at("s/versions/1", Version::Id("1".to_owned()));
        assert_eq!(resource(&twice, None).unwrap_err().class, Class::Invalid);
    }

    #[test]
    fn confined_keys_name_no_other_project_or_region() {
        let parse = |name: &str| SecretName::parse(&RemoteKey::current(name), Some("us-east1"), true);
        let name = parse("s").unwrap();
        assert_eq!(name.resource("own"), "projects/own/locations/us-east1/secrets/s/versions/latest");
        for name in ["projects/p/secrets/s", "projects/p/locations/us-east1/secrets/s", "s/versions/1"] {
            assert_eq!(parse(name).unwrap_err().class, Class::Invalid, "{name}");
        }
    }

    #[test]
    fn what_is_no_name_goes_nowhere() {
        let long = "x".repeat(256);
        let names = [
            "",
            "/",
            "a/b",
            "projects/p/secrets/",
            "projects//secrets/s",
            "projects/p/secrets/s/versions/",
            "projects/p/secrets/s/extra",
            "projects/../secrets/s",
            "projects/p/secrets/s?x=y",
            "projects/p/secrets/s#x",
            "projects/p/secrets/a b",
            "s:access",
            "projects/p/locations/evil.example/secrets/s",
            "projects/p/locations/a@b/secrets/s",
            "secrets/ü",
            "%2e%2e",
            &long,
        ];
        for name in names {
            assert_eq!(resource(&RemoteKey::current(name), None).unwrap_err().class, Class::Invalid, "{name}");
        }
        let version = RemoteKey::at("s", Version::Id("../x".to_owned()));
        assert_eq!(resource(&version, None).unwrap_err().class, Class::Invalid);
        let request = RemoteKey { request: Some("{}".to_owned()), ..RemoteKey::current("s") };
        assert_eq!(resource(&request, None).unwrap_err().class, Class::Invalid);
    }
}

//! Logins as Secrets hold them: `.dockerconfigjson` and the older `.dockercfg`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::bytes::is_shallow;
use crate::credential::Credential;

/// With or without padding, as clients write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A value that is wiped when it is dropped.
#[derive(Default, Deserialize)]
#[serde(from = "Option<String>")]
struct Text(SecretBytes);

impl From<Option<String>> for Text {
    fn from(text: Option<String>) -> Self {
        Self(SecretBytes::from(text.unwrap_or_default()))
    }
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Text,
    username: Text,
    password: Text,
    identitytoken: Text,
}

/// The logins of a Secret of type `kubernetes.io/dockerconfigjson`: `content` is what it has under `.dockerconfigjson`,
/// `secret` its name for people, `NAMESPACE/NAME`. Entries without a login, as credential helpers leave them, are left
/// out.
///
/// # Errors
/// `Invalid` where it is not what docker writes; Secret and field are named, and nothing is quoted.
pub fn docker_config_json(secret: &str, content: &SecretBytes) -> Result<Vec<Credential>, Failure> {
    let field = format!("Secret {secret}: .dockerconfigjson");
    let config: DockerConfig = parsed(&field, content)?;
    credentials(&format!("{field}: auths"), config.auths.unwrap_or_default())
}

/// The same for a Secret of type `kubernetes.io/dockercfg`: `content` is what it has under `.dockercfg`.
///
/// # Errors
/// As [`docker_config_json`].
pub fn legacy_docker_config(secret: &str, content: &SecretBytes) -> Result<Vec<Credential>, Failure> {
    let field = format!("Secret {secret}: .dockercfg");
    credentials(&field, parsed(&field, content)?)
}

fn parsed<T: serde::de::DeserializeOwned>(field: &str, content: &SecretBytes) -> Result<T, Failure> {
    let invalid = |words: String| Failure::new(Class::Invalid, words).in_field(field);
    if !is_shallow(content.expose()) {
        return Err(invalid("the JSON is nested too deeply".to_owned()));
    }
    // serde's own words may quote what stands there.
    serde_json::from_slice(content.expose()).map_err(|error| {
        invalid(format!("it is not a docker config (line {}, column {})", error.line(), error.column()))
    })
}

fn credentials(field: &str, entries: BTreeMap<String, Entry>) -> Result<Vec<Credential>, Failure> {
    let login = |(place, entry): (String, Entry)| entry.login(&place).transpose().map(|result| (place, result));
    let named = |(place, result): (String, Result<Credential, &'static str>)| {
        result.map_err(|words| Failure::new(Class::Invalid, words).in_field(format!("{field}[{}].auth", shown(&place))))
    };
    entries.into_iter().filter_map(login).map(named).collect()
}

/// A place without the user and password that somebody may have written into it.
fn shown(place: &str) -> &str {
    place.rsplit_once('@').map_or(place, |(_, place)| place)
}

impl Entry {
    /// `None` where the entry holds none. A token goes before a password, and `auth` before both its parts.
    fn login(self, place: &str) -> Result<Option<Credential>, &'static str> {
        if !self.identitytoken.0.is_empty() {
            return Ok(Some(Credential::with_identity_token(place, self.identitytoken.0)));
        }
        if self.auth.0.is_empty() {
            let is_empty = self.username.0.is_empty() && self.password.0.is_empty();
            return Ok((!is_empty).then(|| Credential::with_password(place, self.username.0, self.password.0)));
        }
        let is_kept = |byte: &u8| !matches!(byte, b'\r' | b'\n');
        let text: Zeroizing<Vec<u8>> = Zeroizing::new(self.auth.0.expose().iter().copied().filter(is_kept).collect());
        let pair = BASE64.decode(text.trim_ascii()).map(Zeroizing::new).map_err(|_| "it is not base64")?;
        let colon = pair.iter().position(|byte| *byte == b':').ok_or("it is not base64 of USER:PASSWORD")?;
        let [user, password] = [&pair[..colon], &pair[colon + 1..]].map(|part| SecretBytes::new(part.to_vec()));
        Ok(Some(Credential::with_password(place, user, password)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Login;

    fn secret(text: &str) -> SecretBytes {
        SecretBytes::from(text.to_owned())
    }

    /// Place and login of each.
    fn shown_all(credentials: &[Credential]) -> Vec<String> {
        let text = |secret: &SecretBytes| secret.expose_text().unwrap().to_owned();
        let login = |credential: &Credential| match credential.login() {
            Login::Basic { user, password } => format!("{}:{}", text(user), text(password)),
            Login::Identity(token) => format!("token {}", text(token)),
        };
        credentials.iter().map(|credential| format!("{credential:?} {}", login(credential))).collect()
    }

    #[test]
    fn logins_are_read_in_every_form() {
        let check = |entry: &str, expected: &[&str]| {
            let legacy = format!(r#"{{"r.io":{entry}}}"#);
            let config = format!(r#"{{"auths":{legacy},"HttpHeaders":{{"x":"y"}},"credsStore":"x"}}"#);
            assert_eq!(shown_all(&docker_config_json("a/b", &secret(&config)).unwrap()), expected, "{entry}");
            assert_eq!(shown_all(&legacy_docker_config("a/b", &secret(&legacy)).unwrap()), expected, "{entry}");
        };
        check(r#"{"username":"u","password":"p","email":"e@f"}"#, &["Credential(r.io) u:p"]);
        check(r#"{"auth":"dTpwOnE="}"#, &["Credential(r.io) u:p:q"]);
        check(r#"{"auth":"dTpwOnE","username":"x","password":"y"}"#, &["Credential(r.io) u:p:q"]);
        check(r#"{"auth":"dTpw\nOnE=\n"}"#, &["Credential(r.io) u:p:q"]);
        check(r#"{"auth":"PHRva2VuPjo=","identitytoken":"t"}"#, &["Credential(r.io) token t"]);
        check(r#"{"auth":null,"username":"u"}"#, &["Credential(r.io) u:"]);
        check("{}", &[]);
        assert!(docker_config_json("a/b", &secret("{}")).unwrap().is_empty());
        assert!(docker_config_json("a/b", &secret(r#"{"auths":null}"#)).unwrap().is_empty());
    }

    #[test]
    fn a_bad_config_is_told_by_secret_and_field_and_never_quoted() {
        let check = |content: &str, expected: &str| {
            let failure = docker_config_json("team-a/pull", &secret(content)).unwrap_err();
            assert_eq!(failure.to_string(), expected);
            assert!(!format!("{failure:?}").contains("canary"));
        };
        let start = "Secret team-a/pull: .dockerconfigjson";
        check("canary", &format!("{start}: it is not a docker config (line 1, column 1)"));
        check(r#"{"auths":{"r.io":"canary"}}"#, &format!("{start}: it is not a docker config (line 1, column 25)"));
        check(r#"{"auths":{"r.io":{"auth":"canary!"}}}"#, &format!("{start}: auths[r.io].auth: it is not base64"));
        check(
            r#"{"auths":{"https://u:canary@r.io/v1/":{"auth":"Y2FuYXJ5"}}}"#,
            &format!("{start}: auths[r.io/v1/].auth: it is not base64 of USER:PASSWORD"),
        );
        check(&"[".repeat(100_000), &format!("{start}: the JSON is nested too deeply"));
        let failure = legacy_docker_config("a/b", &secret("[]canary")).unwrap_err();
        assert!(failure.to_string().starts_with("Secret a/b: .dockercfg: it is not"), "{failure}");
    }
}

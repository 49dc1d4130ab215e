use std::path::PathBuf;
use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_http::{ClientCertificate, Pem, Proxy, Roots, TlsSettings};
use strongroom_provider::SecretBytes;

use crate::{AppRole, Auth, Credential, Jwt, Settings, Token};

impl Settings {
    /// The settings that the variables of Vault's and OpenBao's own clients and of bank-vaults describe. Each is read
    /// as `BAO_NAME` before `VAULT_NAME`; an empty variable counts as none.
    ///
    /// `ADDR`, `NAMESPACE`, `CLIENT_TIMEOUT`; `CACERT`, `CACERT_BYTES`, `CAPATH`, `CLIENT_CERT`, `CLIENT_KEY`,
    /// `TLS_SERVER_NAME`, `SKIP_VERIFY`; `PROXY_ADDR`, `HTTP_PROXY` and the usual proxy variables. The first of these
    /// decides how to log in: `TOKEN` (unless it is `vault:login`), `TOKEN_FILE`, `AUTH_METHOD` or `ROLE` or `ROLE_ID`
    /// (with `PATH` for the mount, `JWT_FILE`, `SECRET_ID`, `SECRET_ID_FILE`), then the file `~/.vault-token`.
    ///
    /// # Errors
    /// Where there is no address or no way to log in, or a variable cannot be used; it is named, its value is not shown.
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let variables = Variables(lookup);
        let Some((_, address)) = variables.find("ADDR") else {
            return Err(Failure::new(Class::Invalid, "no address of a Vault or OpenBao server is known")
                .with_hint("set VAULT_ADDR or BAO_ADDR, for example to https://vault.example:8200"));
        };
        let mut settings = Self::new(address, variables.auth()?);
        settings.namespace = variables.value("NAMESPACE");
        settings.tls = variables.tls()?;
        settings.proxy = variables.proxy()?;
        settings.timeout_seconds = variables.timeout()?.map(|timeout| timeout.as_secs().max(1));
        Ok(settings)
    }

    /// These settings with the proxies that the environment names, for a store that a settings file describes.
    ///
    /// # Errors
    /// A variable that holds no proxy's address; it is named, its value is not shown.
    pub fn with_ambient_proxy(mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        self.proxy = Variables(lookup).proxy()?;
        Ok(self)
    }
}

/// The environment as both families of names see it.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    /// The variable that is set and its value.
    fn find(&self, name: &str) -> Option<(String, String)> {
        ["BAO_", "VAULT_"].into_iter().find_map(|family| {
            let full = format!("{family}{name}");
            (self.0)(&full).filter(|value| !value.trim().is_empty()).map(|value| (full, value.trim().to_owned()))
        })
    }

    fn value(&self, name: &str) -> Option<String> {
        self.find(name).map(|(_, value)| value)
    }

    fn credential(&self, name: &str) -> Option<Credential> {
        let direct = self.find(name).map(|(origin, value)| Credential::Value { value: value.into(), origin });
        direct.or_else(|| self.value(&format!("{name}_FILE")).map(|path| Credential::File(path.into())))
    }

    fn auth(&self) -> Result<Auth, Failure> {
        // bank-vaults: "log in, and pass the token on to the child".
        let wants_login = |value: &str| matches!(value, "vault:login" | "bao:login");
        if let Some((origin, value)) = self.find("TOKEN").filter(|(_, value)| !wants_login(value)) {
            return Ok(Auth::Token(Token(Credential::Value { value: value.into(), origin })));
        }
        if let Some(path) = self.value("TOKEN_FILE") {
            return Ok(Auth::Token(Token(Credential::File(path.into()))));
        }
        if let Some(method) = self.method() {
            return self.login(&method);
        }
        match (self.0)("HOME").filter(|home| !home.is_empty()) {
            Some(home) => Ok(Auth::Token(Token(Credential::File(PathBuf::from(home).join(".vault-token"))))),
            None => Err(Failure::new(Class::Unauthenticated, "no credentials for Vault are known").with_hint(
                "set VAULT_TOKEN, VAULT_TOKEN_FILE, or VAULT_AUTH_METHOD (kubernetes, jwt, approle) and VAULT_ROLE",
            )),
        }
    }

    /// The method that is named, or else the one that the other variables are for.
    fn method(&self) -> Option<String> {
        let implied = || match (self.credential("ROLE_ID"), self.value("ROLE")) {
            (Some(_), _) => Some("approle".to_owned()),
            (None, Some(_)) => Some("kubernetes".to_owned()),
            (None, None) => None,
        };
        self.value("AUTH_METHOD").or_else(implied)
    }

    fn login(&self, method: &str) -> Result<Auth, Failure> {
        let missing = |name: &str| {
            let words = format!("VAULT_AUTH_METHOD is {method}, but {name} is not set");
            Failure::new(Class::Invalid, words).with_hint(format!("set {name}"))
        };
        let mount = self.value("PATH").map(|path| path.trim_start_matches("auth/").to_owned());
        match method {
            "kubernetes" | "jwt" => {
                let role = self.value("ROLE");
                let jwt = Jwt { mount, role, jwt: self.jwt() };
                match method {
                    "jwt" => Ok(Auth::Jwt(jwt)),
                    _ if jwt.role.is_none() => Err(missing("VAULT_ROLE")),
                    _ => Ok(Auth::Kubernetes(jwt)),
                }
            }
            "approle" => {
                let role_id = self.credential("ROLE_ID").ok_or_else(|| missing("VAULT_ROLE_ID"))?;
                let secret_id = self.credential("SECRET_ID");
                Ok(Auth::AppRole(AppRole { mount, role_id, secret_id, wrapped: false }))
            }
            "token" => Err(missing("VAULT_TOKEN or VAULT_TOKEN_FILE")),
            _ => Err(Failure::new(Class::Invalid, "VAULT_AUTH_METHOD names a method that is not supported")
                .with_hint("kubernetes, jwt, approle and token are")),
        }
    }

    fn jwt(&self) -> Credential {
        // The second name is bank-vaults' own for the token's path.
        let file = self.value("JWT_FILE").or_else(|| (self.0)("KUBERNETES_SERVICE_ACCOUNT_TOKEN"));
        match (self.find("JWT"), file.filter(|path| !path.is_empty())) {
            (Some((origin, value)), _) => Credential::Value { value: value.into(), origin },
            (None, Some(path)) => Credential::File(path.into()),
            (None, None) => Credential::own_token(),
        }
    }

    fn tls(&self) -> Result<TlsSettings, Failure> {
        let mut tls = TlsSettings::from_environment(self.0);
        let roots: Vec<Pem> = [
            self.value("CACERT_BYTES").map(|text| Pem::Text(SecretBytes::from(text))),
            self.value("CACERT").map(|path| Pem::File(path.into())),
            self.value("CAPATH").map(|path| Pem::Directory(path.into())),
        ]
        .into_iter()
        .flatten()
        .take(1)
        .collect();
        if !roots.is_empty() {
            tls.roots = Roots::Only(roots);
        }
        tls.client = match (self.value("CLIENT_CERT"), self.value("CLIENT_KEY")) {
            (Some(certificate), Some(key)) => {
                Some(ClientCertificate { certificate: Pem::File(certificate.into()), key: Pem::File(key.into()) })
            }
            (None, None) => None,
            _ => {
                return Err(Failure::new(Class::Invalid, "VAULT_CLIENT_CERT and VAULT_CLIENT_KEY go together")
                    .with_hint("set both or neither"));
            }
        };
        tls.server_name = self.value("TLS_SERVER_NAME");
        tls.insecure_skip_verify = match self.find("SKIP_VERIFY") {
            None => false,
            Some((name, value)) => boolean(&value)
                .ok_or_else(|| Failure::new(Class::Invalid, format!("{name} is neither true nor false")))?,
        };
        Ok(tls)
    }

    fn proxy(&self) -> Result<Proxy, Failure> {
        match self.find("PROXY_ADDR").or_else(|| self.find("HTTP_PROXY")) {
            Some((name, address)) => Proxy::new(Some(&address), Some(&address), "")
                .map_err(|error| Failure::new(Class::Invalid, format!("{name}: {error}"))),
            None => Ok(Proxy::from_environment(self.0)?),
        }
    }

    fn timeout(&self) -> Result<Option<Duration>, Failure> {
        let Some((name, value)) = self.find("CLIENT_TIMEOUT") else { return Ok(None) };
        let unfit = || Failure::new(Class::Invalid, format!("{name} is not a time such as 30 (seconds), 45s or 1m30s"));
        match duration(&value) {
            // 0 means the default, as for the official clients.
            Some(Duration::ZERO) => Ok(None),
            Some(timeout) => Ok(Some(timeout)),
            None => Err(unfit()),
        }
    }
}

/// Truth as Go's `strconv.ParseBool` reads it, which is how the official clients do.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Seconds (`30`), or numbers with units as Go writes them (`1m30s`, `500ms`, `1.5h`).
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = next;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, Failure> {
        Settings::from_environment(&|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_says_how_to_log_in() {
        let check = |pairs: &[(&str, &str)], expected: &str| {
            let all: Vec<_> = [&[("VAULT_ADDR", "http://v")], pairs].concat();
            let shown = match settings(&all) {
                Ok(settings) => settings.auth.to_string(),
                Err(failure) => format!("{:?}: {failure}", failure.class),
            };
            assert_eq!(shown, expected, "{pairs:?}");
        };
        check(&[("VAULT_TOKEN", "canary")], "token from VAULT_TOKEN");
        check(&[("VAULT_TOKEN", "canary"), ("BAO_TOKEN", "canary")], "token from BAO_TOKEN");
        check(&[("VAULT_TOKEN", "canary"), ("VAULT_ROLE", "app")], "token from VAULT_TOKEN");
        check(&[("VAULT_TOKEN_FILE", "/t")], "token from /t");
        check(&[("HOME", "/home/me")], "token from /home/me/.vault-token");
        check(&[], "Unauthenticated: no credentials for Vault are known");
        let own = "with the token in /var/run/secrets/kubernetes.io/serviceaccount/token";
        check(&[("VAULT_ROLE", "app")], &format!("role app by auth/kubernetes {own}"));
        check(&[("VAULT_TOKEN", "vault:login"), ("VAULT_ROLE", "app")], &format!("role app by auth/kubernetes {own}"));
        check(
            &[("VAULT_AUTH_METHOD", "jwt"), ("VAULT_PATH", "kubernetes"), ("VAULT_ROLE", "app")],
            &format!("role app by auth/kubernetes {own}"),
        );
        check(
            &[("VAULT_AUTH_METHOD", "jwt"), ("VAULT_JWT_FILE", "/j")],
            "the default role by auth/jwt with the token in /j",
        );
        check(
            &[("VAULT_AUTH_METHOD", "kubernetes")],
            "Invalid: VAULT_AUTH_METHOD is kubernetes, but VAULT_ROLE is not set",
        );
        check(
            &[("VAULT_ROLE_ID", "r"), ("VAULT_SECRET_ID_FILE", "/s"), ("VAULT_PATH", "auth/team")],
            "the AppRole of VAULT_ROLE_ID by auth/team with the secret id in /s",
        );
        check(
            &[("VAULT_AUTH_METHOD", "approle")],
            "Invalid: VAULT_AUTH_METHOD is approle, but VAULT_ROLE_ID is not set",
        );
        check(&[("VAULT_AUTH_METHOD", "canary")], "Invalid: VAULT_AUTH_METHOD names a method that is not supported");
    }

    #[test]
    fn without_an_address_the_variable_is_named() {
        let failure = settings(&[("VAULT_TOKEN", "canary"), ("VAULT_ADDR", " ")]).unwrap_err();
        assert!(failure.hint.unwrap().contains("VAULT_ADDR"));
    }

    #[test]
    fn tls_and_time_come_from_the_environment() {
        let base = [("BAO_ADDR", "https://b"), ("VAULT_ADDR", "https://v"), ("VAULT_TOKEN", "canary")];
        let with = |more: &[(&str, &str)]| settings(&[&base, more].concat());
        let full = with(&[
            ("VAULT_CACERT", "/ca.pem"),
            ("VAULT_CLIENT_CERT", "/c"),
            ("VAULT_CLIENT_KEY", "/k"),
            ("VAULT_SKIP_VERIFY", "true"),
            ("VAULT_TLS_SERVER_NAME", "vault.internal"),
            ("VAULT_CLIENT_TIMEOUT", "1m30s"),
            ("BAO_NAMESPACE", "team"),
            ("VAULT_HTTP_PROXY", "http://p:3128"),
        ])
        .unwrap();
        assert_eq!(full.address, "https://b");
        assert_eq!(full.namespace.as_deref(), Some("team"));
        assert_eq!(full.timeout_seconds, Some(90));
        assert!(full.tls.insecure_skip_verify && full.tls.client.is_some());
        assert!(matches!(&full.tls.roots, Roots::Only(roots) if roots.len() == 1));
        assert!(full.proxy.hop(&"https://b".parse().unwrap()).is_some());
        assert!(!format!("{full:?}").contains("canary"));
        for wrong in [
            ("VAULT_SKIP_VERIFY", "perhaps"),
            ("VAULT_CLIENT_CERT", "/c"),
            ("VAULT_CLIENT_TIMEOUT", "soon"),
            ("VAULT_PROXY_ADDR", "socks5://p"),
        ] {
            let failure = with(&[wrong]).unwrap_err();
            assert!(failure.words.contains(wrong.0) && failure.class == Class::Invalid, "{failure}");
        }
    }

    #[test]
    fn times_are_seconds_or_go_durations() {
        let check = |text: &str, expected: Option<f64>| {
            assert_eq!(duration(text).map(|time| time.as_secs_f64()), expected, "{text}");
        };
        check("60", Some(60.0));
        check("1m30s", Some(90.0));
        check("500ms", Some(0.5));
        check("1.5h", Some(5400.0));
        check("", None);
        check("5", Some(5.0));
        check("5x", None);
        check("s", None);
        check("1.2.3s", None);
        check("99999999999999999999999h", None);
    }
}

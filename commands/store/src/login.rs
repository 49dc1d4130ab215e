//! `strongroom login` and `strongroom logout`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_stores::Ambient;

use crate::api::{Api, Ending, ended};
use crate::input;
use crate::kept;
use crate::table::{facts, span};
use crate::terminal::{note, say};

/// Where Kubernetes puts a pod's own token.
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Log in to a store, and keep the token for the commands to come
#[derive(Args)]
#[command(after_help = "The token is kept in $HOME/.strongroom/token, for you alone. Commands take the first of \
                        STRONGROOM_TOKEN, BAO_TOKEN, VAULT_TOKEN, that file, and ~/.vault-token. Passwords and tokens are \
                        typed without being shown, or come from standard input and files, never from the command line.\n\n\
                        Exit status: 0 all is well, 1 something is wrong, 2 wrong usage\n\n\
                        Examples:\n  \
                        strongroom login                                      a token, which is asked for\n  \
                        strongroom login userpass ann\n  \
                        strongroom login approle --role-id web --secret-id-file secret-id\n  \
                        strongroom login kubernetes --role web\n  \
                        strongroom login jwt --role ci --jwt-file - < id-token")]
pub struct LoginCommand {
    #[command(subcommand)]
    method: Option<Method>,
}

#[derive(Subcommand)]
enum Method {
    /// With a token that you have
    #[command(after_help = "Examples:\n  strongroom login token\n  strongroom login token --token-file token")]
    Token {
        /// The token; - for standard input [default: it is asked for]
        #[arg(long, value_name = "FILE")]
        token_file: Option<String>,
    },
    /// With a name and a password
    #[command(after_help = "Examples:\n  strongroom login userpass ann\n  \
                            strongroom login userpass ann --password-file - < password")]
    Userpass {
        name: String,
        /// The password; - for standard input [default: it is asked for]
        #[arg(long, value_name = "FILE")]
        password_file: Option<String>,
        /// Where the method is mounted
        #[arg(long, default_value = "userpass")]
        path: String,
    },
    /// With the ids of an AppRole
    #[command(after_help = "Examples:\n  strongroom login approle --role-id web --secret-id-file secret-id")]
    Approle {
        /// The role's id
        #[arg(long, value_name = "ID", required_unless_present = "role_id_file", conflicts_with = "role_id_file")]
        role_id: Option<String>,
        /// The role's id
        #[arg(long, value_name = "FILE")]
        role_id_file: Option<String>,
        /// The secret id; - for standard input [default: it is asked for]
        #[arg(long, value_name = "FILE")]
        secret_id_file: Option<String>,
        /// Where the method is mounted
        #[arg(long, default_value = "approle")]
        path: String,
    },
    /// With a pod's own token
    #[command(after_help = "Examples:\n  strongroom login kubernetes --role web")]
    Kubernetes {
        #[arg(long)]
        role: String,
        /// The pod's token; - for standard input
        #[arg(long, value_name = "FILE", default_value = POD_TOKEN)]
        jwt_file: String,
        /// Where the method is mounted
        #[arg(long, default_value = "kubernetes")]
        path: String,
    },
    /// With a JWT
    #[command(after_help = "Examples:\n  strongroom login jwt --role ci --jwt-file - < id-token")]
    Jwt {
        /// The role [default: the method's own]
        #[arg(long)]
        role: Option<String>,
        /// The JWT; - for standard input [default: it is asked for]
        #[arg(long, value_name = "FILE")]
        jwt_file: Option<String>,
        /// Where the method is mounted
        #[arg(long, default_value = "jwt")]
        path: String,
    },
}

/// Forget the token that login keeps
#[derive(Args)]
#[command(after_help = "The token lives on until its time is over, unless --revoke is given.\n\n\
                        Exit status: 0 all is well, 1 something is wrong, 2 wrong usage\n\n\
                        Examples:\n  strongroom logout\n  strongroom logout --revoke")]
pub struct LogoutCommand {
    /// End the token in the store as well, and all tokens that it made
    #[arg(long)]
    revoke: bool,
}

/// Who has logged in.
struct LoggedIn {
    token: SecretBytes,
    policies: String,
    seconds: u64,
}

impl LoginCommand {
    /// Asks the store that the environment names.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        let ambient = Ambient::of(variables);
        ended(log_in(self.method.unwrap_or(Method::Token { token_file: None }), &ambient).map(|()| Ending::Well))
    }
}

impl LogoutCommand {
    /// Forgets, and asks the store that the environment names where the token is to end.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        ended(log_out(&Ambient::of(variables), self.revoke).map(|()| Ending::Well))
    }
}

fn log_in(method: Method, ambient: &Ambient) -> Result<(), Failure> {
    let api = Api::without_token(ambient)?;
    let done = match method {
        Method::Token { token_file } => with_token(api, input::secret(token_file.as_deref(), "token")?)?,
        Method::Userpass { name, password_file, path } => {
            let password = input::secret(password_file.as_deref(), "password")?;
            with(&api, &path, &format!("login/{name}"), &[("password", &password)])?
        }
        Method::Approle { role_id, role_id_file, secret_id_file, path } => {
            let role_id = match role_id {
                Some(id) => SecretBytes::from(id),
                None => input::secret(role_id_file.as_deref(), "role id")?,
            };
            let secret_id = input::secret(secret_id_file.as_deref(), "secret id")?;
            with(&api, &path, "login", &[("role_id", &role_id), ("secret_id", &secret_id)])?
        }
        Method::Kubernetes { role, jwt_file, path } => {
            let jwt = input::secret(Some(&jwt_file), "token")?;
            with(&api, &path, "login", &[("role", &SecretBytes::from(role)), ("jwt", &jwt)])?
        }
        Method::Jwt { role, jwt_file, path } => {
            let jwt = input::secret(jwt_file.as_deref(), "JWT")?;
            let role = SecretBytes::from(role.unwrap_or_default());
            with(&api, &path, "login", &[("role", &role), ("jwt", &jwt)])?
        }
    };
    let place = kept::keep(ambient, done.token)?;
    say(&facts(&[
        ("logged in", "the token is kept for the commands to come".to_owned()),
        ("policies", done.policies),
        ("lives", span(done.seconds)),
        ("kept in", place.display().to_string()),
    ]))?;
    if let Some(name) = kept::VARIABLES.into_iter().find(|name| ambient.get(name).is_some()) {
        note(&format!("note: {name} is set, and goes before the token that is kept"));
    }
    Ok(())
}

/// Keeps a token only if the store knows it.
fn with_token(api: Api, token: SecretBytes) -> Result<LoggedIn, Failure> {
    let known = api.with_token(token.clone()).data("GET", "auth/token/lookup-self", None)?;
    Ok(LoggedIn { token, policies: joined(&known["policies"]), seconds: known["ttl"].as_u64().unwrap_or_default() })
}

fn with(api: &Api, mount: &str, rest: &str, fields: &[(&str, &SecretBytes)]) -> Result<LoggedIn, Failure> {
    let path = format!("auth/{}/{rest}", mount.trim_matches('/'));
    let mut body = serde_json::Map::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        let text = value.expose_text().ok_or_else(|| Failure::new(Class::Invalid, format!("the {name} is no text")))?;
        body.insert((*name).to_owned(), text.into());
    }
    // A store does not tell strangers which of these it is.
    let refused = |failure: Failure| {
        match failure.class {
        Class::Invalid | Class::Denied | Class::NotFound => failure.with_hint(format!(
            "the name, the role or the secret is not what the store knows, or no method is mounted at auth/{}/ (--path)",
            mount.trim_matches('/')
        )),
        _ => failure,
    }
    };
    let answer = api.ask("POST", &path, "", Some(&Value::Object(body))).map_err(refused)?.unwrap_or_default();
    let auth = &answer["auth"];
    let missing = || Failure::new(Class::Unavailable, "the store answered without a token").in_field(path.clone());
    let token = auth["client_token"].as_str().filter(|token| !token.is_empty()).ok_or_else(missing)?;
    Ok(LoggedIn {
        token: SecretBytes::from(token.to_owned()),
        policies: joined(&auth["policies"]),
        seconds: auth["lease_duration"].as_u64().unwrap_or_default(),
    })
}

/// Names of a list, for people.
pub(crate) fn joined(names: &Value) -> String {
    let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    names.join(", ")
}

fn log_out(ambient: &Ambient, revokes: bool) -> Result<(), Failure> {
    if revokes && let Some(token) = kept::own(ambient)? {
        let api = Api::without_token(ambient)?.with_token(token);
        match api.ask("POST", "auth/token/revoke-self", "", Some(&json!({}))) {
            // It has ended before.
            Err(failure) if failure.class == Class::Denied => note("note: the store knew the token no more"),
            ended => drop(ended?),
        }
    }
    match kept::forget(ambient)? {
        Some(place) => {
            say(&format!("{} is gone{}\n", place.display(), if revokes { ", and the token is revoked" } else { "" }))
        }
        None => say("no token was kept\n"),
    }
}

//! `auth/approle/`: machines that log in by an id and a secret (OpenBao's AppRole).

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_barrier::{Changes, View};
use strongroom_http::StatusCode;
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;
use strongroom_storage::Outcome;
use strongroom_token::Cidr;

use crate::engine::{Call, Engine};
use crate::exchange::{Fault, Response};
use crate::identifiers::uuid;
use crate::login::{Login, TokenSettings, cidrs};
use crate::members::Members;
use crate::records::{delete, read, text};
use crate::trouble::of_view;

const ROLES: &str = "role/";
/// Names of roles by the keyed hashes of their ids.
const ROLE_IDS: &str = "role-id/";
const SECRET_IDS: &str = "secret-id/";
/// Keyed hashes of secret ids by their accessors.
const ACCESSORS: &str = "accessor/";

/// How often a login begins again because another used the same secret id.
const ATTEMPTS: usize = 32;

/// The engine of an AppRole mount.
pub(super) struct AppRole(View);

#[derive(Clone, Serialize, Deserialize)]
struct Role {
    role_id: String,
    bind_secret_id: bool,
    #[serde(default)]
    secret_id_num_uses: u64,
    #[serde(default)]
    secret_id_ttl: u64,
    #[serde(default)]
    secret_id_bound_cidrs: Vec<Cidr>,
    #[serde(flatten)]
    token: TokenSettings,
}

#[derive(Clone, Serialize, Deserialize)]
struct SecretId {
    accessor: String,
    created: i64,
    expires: Option<i64>,
    num_uses: u64,
    uses_left: u64,
    ttl: u64,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    cidr_list: Vec<Cidr>,
    #[serde(default)]
    token_bound_cidrs: Vec<Cidr>,
}

impl SecretId {
    fn is_live(&self, now: i64) -> bool {
        self.expires.is_none_or(|end| now < end) && (self.num_uses == 0 || self.uses_left > 0)
    }

    fn shown(&self) -> Members {
        let moment = |second: i64| Timestamp::from_second(second).map(|time| time.to_string()).unwrap_or_default();
        let shown = json!({
            "cidr_list": self.cidr_list,
            "creation_time": moment(self.created),
            "expiration_time": self.expires.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), moment),
            "last_updated_time": moment(self.created),
            "metadata": self.metadata,
            "secret_id_accessor": self.accessor,
            "secret_id_num_uses": self.uses_left,
            "secret_id_ttl": self.ttl,
            "token_bound_cidrs": self.token_bound_cidrs,
        });
        match shown {
            Value::Object(members) => members.into(),
            _ => Members::default(),
        }
    }
}

fn invalid_login() -> Fault {
    Fault::invalid("invalid role or secret ID")
}

fn role_key(name: &str) -> String {
    format!("{ROLES}{name}")
}

impl AppRole {
    pub(super) fn new(view: View) -> Self {
        Self(view)
    }

    async fn role(&self, name: &str) -> Result<Option<Role>, Fault> {
        Ok(read(&self.0, &role_key(name)).await?.map(|(role, _)| role))
    }

    async fn known(&self, name: &str) -> Result<Role, Fault> {
        let absent = || Fault::new(StatusCode::NOT_FOUND, format!("role {name:?} does not exist"));
        self.role(name).await?.ok_or_else(absent)
    }

    async fn write_role(&self, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
        let data = &call.request.data;
        let before = self.role(name).await?;
        let role_id = match (data.text("role_id")?.filter(|id| !id.is_empty()), &before) {
            (Some(id), _) => id,
            (None, Some(before)) => before.role_id.clone(),
            (None, None) => uuid()?,
        };
        let number = |field: &str, before: u64| -> Result<u64, Fault> {
            Ok(data.number(field)?.map_or(before, |number| u64::try_from(number).unwrap_or_default()))
        };
        let old = before.clone().unwrap_or(Role {
            role_id: String::new(),
            bind_secret_id: true,
            secret_id_num_uses: 0,
            secret_id_ttl: 0,
            secret_id_bound_cidrs: Vec::new(),
            token: TokenSettings::default(),
        });
        let bound = match data.texts("secret_id_bound_cidrs")? {
            Some(texts) => Some(texts),
            // Its old name: whoever gives it means to keep others out.
            None => data.texts("bound_cidr_list")?,
        };
        let bound = bound.map(|texts| cidrs(&texts)).transpose()?;
        let role = Role {
            role_id,
            bind_secret_id: data.flag("bind_secret_id")?.unwrap_or(old.bind_secret_id),
            secret_id_num_uses: number("secret_id_num_uses", old.secret_id_num_uses)?,
            secret_id_ttl: data.duration("secret_id_ttl")?.map_or(old.secret_id_ttl, |time| time.as_secs()),
            secret_id_bound_cidrs: bound.unwrap_or(old.secret_id_bound_cidrs),
            token: old.token.changed(data)?,
        };
        if !role.bind_secret_id && role.secret_id_bound_cidrs.is_empty() && role.token.bound_cidrs.is_empty() {
            return Err(Fault::invalid("at least one constraint should be enabled on the role"));
        }
        self.keep_role(call, name, before.as_ref(), &role).await?;
        Ok(Response::empty())
    }

    /// Keeps a role, and the name under the hash of its id.
    async fn keep_role(&self, call: &Call<'_>, name: &str, before: Option<&Role>, role: &Role) -> Result<(), Fault> {
        let hashed = |id: &str| format!("{ROLE_IDS}{}", hash(call, id));
        let taken = read::<String>(&self.0, &hashed(&role.role_id)).await?;
        if taken.is_some_and(|(owner, _)| owner != name) {
            return Err(Fault::invalid("role_id is already in use by another role"));
        }
        let mut changes = Changes {
            puts: vec![(role_key(name), text(role)?), (hashed(&role.role_id), text(&name)?)],
            ..Changes::default()
        };
        changes
            .deletes
            .extend(before.filter(|before| before.role_id != role.role_id).map(|before| hashed(&before.role_id)));
        self.0.commit(&changes).await.map_err(of_view)?;
        Ok(())
    }

    async fn delete_role(&self, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
        if let Some(role) = self.role(name).await? {
            // First what lets nobody in any more, then the rest.
            delete(&self.0, vec![role_key(name), format!("{ROLE_IDS}{}", hash(call, &role.role_id))]).await?;
            self.0.erase(&format!("{SECRET_IDS}{name}/")).await.map_err(of_view)?;
            self.0.erase(&format!("{ACCESSORS}{name}/")).await.map_err(of_view)?;
        }
        Ok(Response::empty())
    }

    /// Makes a secret id of a role; `given` where somebody chose it.
    async fn make_secret_id(&self, call: &Call<'_>, name: &str, given: Option<String>) -> Result<Response, Fault> {
        let (role, data, now) = (self.known(name).await?, &call.request.data, call.request.now.as_second());
        if !role.bind_secret_id {
            return Err(Fault::invalid("bind_secret_id is not set on the role"));
        }
        let stricter = |own: u64, asked: Option<u64>| match (own, asked) {
            (0, Some(asked)) => asked,
            (own, Some(asked)) if asked > 0 => own.min(asked),
            (own, _) => own,
        };
        let uses = data.number("num_uses")?.and_then(|uses| u64::try_from(uses).ok());
        let ttl = stricter(role.secret_id_ttl, data.duration("ttl")?.map(|time| time.as_secs()));
        let num_uses = stricter(role.secret_id_num_uses, uses);
        let (secret, accessor) = (given.map_or_else(uuid, Ok)?, uuid()?);
        let kept = SecretId {
            accessor: accessor.clone(),
            created: now,
            expires: (ttl > 0).then(|| now.saturating_add_unsigned(ttl)),
            num_uses,
            uses_left: num_uses,
            ttl,
            metadata: metadata(data)?,
            cidr_list: cidrs(&data.texts("cidr_list")?.unwrap_or_default())?,
            token_bound_cidrs: cidrs(&data.texts("token_bound_cidrs")?.unwrap_or_default())?,
        };
        let hashed = hash(call, &secret);
        let place = format!("{SECRET_IDS}{name}/{hashed}");
        let changes = Changes {
            conditions: vec![(place.clone(), None)],
            puts: vec![(place, text(&kept)?), (format!("{ACCESSORS}{name}/{accessor}"), text(&hashed)?)],
            deletes: Vec::new(),
        };
        if self.0.commit(&changes).await.map_err(of_view)? == Outcome::Conflict {
            return Err(Fault::invalid("SecretID is already registered"));
        }
        let answer = Members::default()
            .with("secret_id", secret)
            .with("secret_id_accessor", accessor)
            .with("secret_id_num_uses", num_uses)
            .with("secret_id_ttl", ttl);
        Ok(Response::of(answer))
    }

    async fn log_in(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let data = &call.request.data;
        let role_id = data.required("role_id")?;
        let found = read::<String>(&self.0, &format!("{ROLE_IDS}{}", hash(call, &role_id))).await?;
        let (name, _) = found.ok_or_else(invalid_login)?;
        let role = self.role(&name).await?.ok_or_else(invalid_login)?;
        let address = call.request.peer.ip();
        let is_inside = |ranges: &[Cidr]| ranges.is_empty() || ranges.iter().any(|range| range.contains(address));
        if !is_inside(&role.secret_id_bound_cidrs) {
            return Err(invalid_login());
        }
        let mut login = Login {
            display_name: "approle".to_owned(),
            alias: name.clone(),
            metadata: BTreeMap::from([("role_name".to_owned(), name.clone())]),
            bound_cidrs: Vec::new(),
        };
        if role.bind_secret_id {
            let secret = data.text("secret_id")?.filter(|secret| !secret.is_empty()).ok_or_else(invalid_login)?;
            let used = self.use_secret_id(call, &name, &secret).await?;
            if !is_inside(&used.cidr_list) {
                return Err(invalid_login());
            }
            login.metadata.extend(used.metadata);
            login.bound_cidrs = used.token_bound_cidrs;
        }
        role.token.log_in(call, login).await
    }

    /// Counts one use of a secret id, before it lets anybody in: of two who use the last one at once, one gets in.
    async fn use_secret_id(&self, call: &Call<'_>, name: &str, secret: &str) -> Result<SecretId, Fault> {
        let key = format!("{SECRET_IDS}{name}/{}", hash(call, secret));
        for _ in 0..ATTEMPTS {
            let (kept, revision) = read::<SecretId>(&self.0, &key).await?.ok_or_else(invalid_login)?;
            if !kept.is_live(call.request.now.as_second()) {
                delete(&self.0, vec![key, format!("{ACCESSORS}{name}/{}", kept.accessor)]).await?;
                return Err(invalid_login());
            }
            if kept.num_uses == 0 {
                return Ok(kept);
            }
            let used = SecretId { uses_left: kept.uses_left - 1, ..kept.clone() };
            let mut changes = Changes { conditions: vec![(key.clone(), Some(revision))], ..Changes::default() };
            match used.uses_left {
                0 => changes.deletes.extend([key.clone(), format!("{ACCESSORS}{name}/{}", kept.accessor)]),
                _ => changes.puts.push((key.clone(), text(&used)?)),
            }
            if self.0.commit(&changes).await.map_err(of_view)? != Outcome::Conflict {
                return Ok(kept);
            }
        }
        Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "others keep using this secret ID: try again"))
    }

    /// Looks a secret id up, or destroys it; by itself, or by its accessor.
    async fn about_secret_id(
        &self,
        call: &Call<'_>,
        name: &str,
        verb: &str,
        by_accessor: bool,
    ) -> Result<Response, Fault> {
        self.known(name).await?;
        let data = &call.request.data;
        let hashed = if by_accessor {
            let accessor = data.required("secret_id_accessor")?;
            match read::<String>(&self.0, &format!("{ACCESSORS}{name}/{accessor}")).await? {
                Some((hashed, _)) => hashed,
                None => {
                    let words = format!("failed to find accessor entry for secret_id_accessor: {accessor:?}");
                    return Err(Fault::absent().with_data(Members::default().with("error", words)));
                }
            }
        } else {
            hash(call, &data.required("secret_id")?)
        };
        let key = format!("{SECRET_IDS}{name}/{hashed}");
        let kept = read::<SecretId>(&self.0, &key).await?.map(|(kept, _)| kept);
        match (verb, kept) {
            ("lookup", Some(kept)) if kept.is_live(call.request.now.as_second()) => Ok(Response::of(kept.shown())),
            ("destroy", Some(kept)) => {
                delete(&self.0, vec![key, format!("{ACCESSORS}{name}/{}", kept.accessor)]).await?;
                Ok(Response::empty())
            }
            _ => Ok(Response::empty()),
        }
    }

    async fn of_role(&self, call: &Call<'_>, name: &str, rest: &str) -> Result<Response, Fault> {
        let is_write = matches!(call.operation, Operation::Create | Operation::Update);
        match rest {
            "" if is_write => self.write_role(call, name).await,
            "" if call.operation == Operation::Read => {
                let role = self.role(name).await?.ok_or_else(Fault::absent)?;
                let shown = role
                    .token
                    .shown()
                    .with("bind_secret_id", role.bind_secret_id)
                    .with("local_secret_ids", false)
                    .with("secret_id_bound_cidrs", json!(role.secret_id_bound_cidrs))
                    .with("secret_id_num_uses", role.secret_id_num_uses)
                    .with("secret_id_ttl", role.secret_id_ttl);
                Ok(Response::of(shown))
            }
            "" if call.operation == Operation::Delete => self.delete_role(call, name).await,
            "role-id" if call.operation == Operation::Read => {
                let role = self.role(name).await?.ok_or_else(Fault::absent)?;
                Ok(Response::of(Members::default().with("role_id", role.role_id)))
            }
            "role-id" if is_write => {
                let before = self.known(name).await?;
                let role = Role { role_id: call.request.data.required("role_id")?, ..before.clone() };
                self.keep_role(call, name, Some(&before), &role).await?;
                Ok(Response::empty())
            }
            "secret-id" if is_write => self.make_secret_id(call, name, None).await,
            "custom-secret-id" if is_write => {
                let given = call.request.data.required("secret_id")?;
                self.make_secret_id(call, name, Some(given)).await
            }
            "secret-id" if call.operation == Operation::List => {
                Response::of_names(self.0.list(&format!("{ACCESSORS}{name}/")).await.map_err(of_view)?)
            }
            _ => match rest.split_once('/') {
                Some(("secret-id", verb @ ("lookup" | "destroy")))
                    if is_write || call.operation == Operation::Delete =>
                {
                    self.about_secret_id(call, name, verb, false).await
                }
                Some(("secret-id-accessor", verb @ ("lookup" | "destroy")))
                    if is_write || call.operation == Operation::Delete =>
                {
                    self.about_secret_id(call, name, verb, true).await
                }
                _ => Err(Fault::unsupported()),
            },
        }
    }
}

/// The keyed hash that ids are kept under.
fn hash(call: &Call<'_>, id: &str) -> String {
    call.open.tokens.id(&SecretBytes::from(id.to_owned()))
}

/// What whoever makes a secret id says of it: an object of texts, or JSON text of one.
fn metadata(data: &Members) -> Result<BTreeMap<String, String>, Fault> {
    let invalid = || Fault::invalid("metadata has to be JSON text of an object of texts");
    let parsed: Option<Value> = match data.get("metadata") {
        None => return Ok(BTreeMap::new()),
        Some(Value::String(text)) => serde_json::from_str(text).ok(),
        Some(value) => Some(value.clone()),
    };
    serde_json::from_value(parsed.ok_or_else(invalid)?).map_err(|_| invalid())
}

#[async_trait]
impl Engine for AppRole {
    fn is_for_everybody(&self, path: &str, _operation: Operation) -> bool {
        path == "login"
    }

    async fn exists(&self, call: &Call<'_>) -> Result<Option<bool>, Fault> {
        match call.path.strip_prefix(ROLES) {
            Some(name) if !name.contains('/') => Ok(Some(self.role(name).await?.is_some())),
            _ => Ok(None),
        }
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let is_write = matches!(call.operation, Operation::Create | Operation::Update);
        let path = call.path.trim_end_matches('/');
        match path {
            "login" if is_write => self.log_in(call).await,
            "role" if call.operation == Operation::List => {
                Response::of_names(self.0.list(ROLES).await.map_err(of_view)?)
            }
            _ => match path.strip_prefix(ROLES) {
                Some(rest) => {
                    let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
                    // Roles are named without regard to letters' size, as in Vault.
                    self.of_role(call, &name.to_lowercase(), rest).await
                }
                None => Err(Fault::unsupported()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_id_lives_as_long_and_as_often_as_it_says() {
        let id = |expires: Option<i64>, num_uses: u64, uses_left: u64| SecretId {
            accessor: String::new(),
            created: 0,
            expires,
            num_uses,
            uses_left,
            ttl: 0,
            metadata: BTreeMap::new(),
            cidr_list: Vec::new(),
            token_bound_cidrs: Vec::new(),
        };
        for (id, expected) in [
            (id(None, 0, 0), true),
            (id(Some(10), 0, 0), false),
            (id(Some(11), 0, 0), true),
            (id(None, 2, 1), true),
            (id(None, 2, 0), false),
        ] {
            assert_eq!(id.is_live(10), expected);
        }
    }
}

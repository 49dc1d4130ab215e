//! `auth/token/`: making, looking up, renewing and revoking tokens (governance.md §10.3, §10.8).

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Value, json};
use strongroom_barrier::{Changes, View};
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;
use strongroom_token::{Asked, Maker, Role, Times, Ttl, decide};

use crate::engine::{Call, Engine};
use crate::exchange::{Fault, Response};
use crate::identity::{granted, shown};
use crate::members::Members;
use crate::trouble::{of_token, of_view};

const ROLES: &str = "roles/";

/// The engine of `auth/token/`.
pub(crate) struct TokenMethod(View);

impl TokenMethod {
    pub(super) fn new(view: View) -> Self {
        Self(view)
    }

    async fn role(&self, name: &str) -> Result<Option<Role>, Fault> {
        let Some(found) = self.0.read_one(&format!("{ROLES}{name}")).await.map_err(of_view)? else { return Ok(None) };
        let unread = |_| Fault::internal("a token role is a newer version's");
        serde_json::from_slice(found.value.expose()).map(Some).map_err(unread)
    }

    async fn create(&self, call: &Call<'_>, role: Option<(&str, Role)>, is_orphan: bool) -> Result<Response, Fault> {
        let asker = call.asker.ok_or_else(Fault::bad_token)?;
        let data = &call.request.data;
        if matches!(data.text("type")?.as_deref(), Some("batch")) {
            return Err(Fault::invalid("batch tokens are not served: ask for a service token"));
        }
        if data.text("id")?.is_some_and(|id| !id.is_empty()) {
            return Err(Fault::invalid("a token's id cannot be chosen: leave it out"));
        }
        let now = call.request.now.as_second();
        let own = call.open.tokens.find_id(&asker.id, now).await.map_err(of_token)?;
        let maker = Maker { id: &asker.id, token: &own.record, has_sudo: has_sudo(call) };
        let role = role.as_ref().map(|(name, role)| (*name, role));
        let (usual, most) = call.open.lease_times(call.mount);
        let asked = asked(call, is_orphan)?;
        let decided = decide(&maker, asked, role, Times { usual, most }).map_err(of_token)?;
        let created = call.open.tokens.create(decided.new, now).await.map_err(of_token)?;
        let auth = Some(granted(call.open, &created, call.request.now));
        Ok(Response { auth, warnings: decided.warnings, ..Response::default() })
    }

    async fn roles(&self, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
        let key = format!("{ROLES}{name}");
        match (call.operation, name) {
            (Operation::List, "") => Response::of_names(self.0.list(ROLES).await.map_err(of_view)?),
            (_, "") => Err(Fault::unsupported()),
            (Operation::Read, _) => {
                let role = self.role(name).await?.ok_or_else(Fault::absent)?;
                Ok(Response::of(shown_role(name, &role)))
            }
            (Operation::Create | Operation::Update, _) => {
                let role = changed(self.role(name).await?, &call.request.data)?;
                let record = serde_json::to_vec(&role).map_err(|error| Fault::internal(error.to_string()))?;
                let puts = vec![(key, SecretBytes::new(record))];
                self.0.commit(&Changes { puts, ..Changes::default() }).await.map_err(of_view)?;
                Ok(Response::empty())
            }
            (Operation::Delete, _) => {
                self.0.commit(&Changes { deletes: vec![key], ..Changes::default() }).await.map_err(of_view)?;
                Ok(Response::empty())
            }
            _ => Err(Fault::unsupported()),
        }
    }

    async fn about(&self, call: &Call<'_>, path: &str) -> Result<Response, Fault> {
        let (open, data, now) = (call.open, &call.request.data, call.request.now);
        let (verb, rest) = path.split_once('/').unwrap_or((path, ""));
        let is_self = verb.ends_with("-self");
        let id = match (is_self, verb.ends_with("-accessor")) {
            (true, _) => call.asker.map(|asker| asker.id.clone()).ok_or_else(Fault::bad_token)?,
            (_, true) => {
                let accessor = data.text("accessor")?.unwrap_or_else(|| rest.to_owned());
                let found = open.tokens.find_accessor(&accessor, now.as_second()).await;
                match found {
                    Err(_) if verb == "revoke-accessor" => {
                        return Ok(Response::empty().warning("No token found with this accessor"));
                    }
                    Err(_) => return Err(Fault::new(strongroom_http::StatusCode::FORBIDDEN, "invalid accessor")),
                    Ok(found) => found.id,
                }
            }
            _ => {
                let token = data.text("token")?.filter(|token| !token.is_empty());
                let token = token.or_else(|| Some(rest.to_owned()).filter(|rest| !rest.is_empty()));
                let token = token.ok_or_else(|| Fault::invalid("missing token ID"))?;
                open.tokens.id(&SecretBytes::from(token))
            }
        };
        match verb.split('-').next() {
            Some("lookup") => {
                let found = open.tokens.find_id(&id, now.as_second()).await.map_err(of_token)?;
                let token = match verb {
                    "lookup-accessor" => None,
                    "lookup-self" => call.asker.map(|asker| asker.token.clone()),
                    _ => data.text("token")?.map(SecretBytes::from),
                };
                Ok(Response::of(shown(open, &found.record, token.as_ref(), now)))
            }
            Some("renew") => {
                let increment = seconds(data, "increment")?.unwrap_or_default();
                let most = open.lease_times(call.mount).1;
                let renewed = open.tokens.renew(&id, increment, most, now.as_second()).await;
                let (record, is_less) = renewed.map_err(of_token)?;
                let token = match is_self {
                    true => call.asker.map(|asker| asker.token.clone()),
                    false => data.text("token")?.map(SecretBytes::from),
                };
                let auth = crate::identity::renewed(open, &record, token, now);
                let response = Response { auth: Some(auth), ..Response::default() };
                Ok(match is_less {
                    true => response.warning("the renewal was cut to the token's longest time"),
                    false => response,
                })
            }
            _ if verb == "revoke-orphan" => {
                open.tokens.revoke_orphan(&id).await.map_err(of_token)?;
                Ok(Response::empty())
            }
            _ => {
                open.tokens.revoke(&id).await.map_err(of_token)?;
                Ok(Response::empty())
            }
        }
    }
}

#[async_trait]
impl Engine for TokenMethod {
    fn needs_sudo(&self, path: &str, _operation: Operation) -> bool {
        matches!(path, "create-orphan" | "accessors" | "accessors/") || path.starts_with("revoke-orphan")
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let is_write = matches!(call.operation, Operation::Create | Operation::Update);
        let path = call.path.trim_end_matches('/');
        match path {
            "create" if is_write => self.create(call, None, false).await,
            "create-orphan" if is_write => self.create(call, None, true).await,
            "accessors" if call.operation == Operation::List => {
                Response::of_names(call.open.tokens.accessors().await.map_err(of_token)?)
            }
            "tidy" if is_write => {
                call.open.tokens.expire(call.request.now.as_second(), usize::MAX).await.map_err(of_token)?;
                Ok(Response::empty().warning("tokens that are over were taken away"))
            }
            "roles" => self.roles(call, "").await,
            "lookup-self" if call.operation == Operation::Read || is_write => self.about(call, path).await,
            _ => match path.split_once('/').unwrap_or((path, "")) {
                ("create", name) if is_write && !name.is_empty() => {
                    let role = self.role(name).await?;
                    let role = role.ok_or_else(|| Fault::invalid(format!("unknown role {name}")))?;
                    self.create(call, Some((name, role)), false).await
                }
                ("roles", name) => self.roles(call, name).await,
                (
                    "lookup" | "lookup-accessor" | "renew" | "renew-self" | "renew-accessor" | "revoke" | "revoke-self"
                    | "revoke-accessor" | "revoke-orphan",
                    _,
                ) if is_write || call.operation == Operation::Read => self.about(call, path).await,
                _ => Err(Fault::unsupported()),
            },
        }
    }
}

/// Whether the asker's policies grant `sudo` on the path.
fn has_sudo(call: &Call<'_>) -> bool {
    let names = call.asker.map(|asker| asker.acl.capability_names(&call.request.path)).unwrap_or_default();
    names.iter().any(|name| matches!(*name, "sudo" | "root"))
}

/// What a request asks for.
fn asked(call: &Call<'_>, is_orphans_path: bool) -> Result<Asked, Fault> {
    let data = &call.request.data;
    let policies = data.texts("policies")?.unwrap_or_default();
    Ok(Asked {
        policies: policies.iter().map(|name| name.trim().to_lowercase()).collect(),
        metadata: metadata(data)?,
        display_name: data.text("display_name")?.unwrap_or_default(),
        path: call.request.path.clone(),
        is_orphans_path,
        no_parent: data.flag("no_parent")?.unwrap_or_default(),
        no_default_policy: data.flag("no_default_policy")?.unwrap_or_default(),
        is_renewable: data.flag("renewable")?.unwrap_or(true),
        ttl: Ttl {
            first: seconds(data, "ttl")?.or(seconds(data, "lease")?).unwrap_or_default(),
            longest: seconds(data, "explicit_max_ttl")?.unwrap_or_default(),
            period: seconds(data, "period")?.unwrap_or_default(),
        },
        num_uses: data.number("num_uses")?.and_then(|uses| u64::try_from(uses).ok()).unwrap_or_default(),
    })
}

fn changed(before: Option<Role>, data: &Members) -> Result<Role, Fault> {
    let role = before.unwrap_or(Role { renewable: true, ..Role::default() });
    let texts = |name: &str, before: Vec<String>| -> Result<Vec<String>, Fault> {
        Ok(data.texts(name)?.map_or(before, |texts| texts.iter().map(|text| text.to_lowercase()).collect()))
    };
    let either =
        |name: &str, old: &str| -> Result<Option<u64>, Fault> { Ok(seconds(data, name)?.or(seconds(data, old)?)) };
    let cidrs = match data.texts("token_bound_cidrs")? {
        Some(texts) => Some(texts),
        None => data.texts("bound_cidrs")?,
    };
    let cidrs = cidrs.map(|texts| texts.iter().map(|text| text.parse().map_err(Fault::invalid)).collect());
    let uses = data.number("token_num_uses")?.and_then(|uses| u64::try_from(uses).ok());
    if matches!(data.text("token_type")?.as_deref(), Some("batch" | "default-batch")) {
        return Err(Fault::invalid("batch tokens are not served: token_type has to be service"));
    }
    Ok(Role {
        allowed_policies: texts("allowed_policies", role.allowed_policies)?,
        disallowed_policies: texts("disallowed_policies", role.disallowed_policies)?,
        allowed_policies_glob: texts("allowed_policies_glob", role.allowed_policies_glob)?,
        disallowed_policies_glob: texts("disallowed_policies_glob", role.disallowed_policies_glob)?,
        orphan: data.flag("orphan")?.unwrap_or(role.orphan),
        renewable: data.flag("renewable")?.unwrap_or(role.renewable),
        path_suffix: data.text("path_suffix")?.unwrap_or(role.path_suffix),
        token_explicit_max_ttl: either("token_explicit_max_ttl", "explicit_max_ttl")?
            .unwrap_or(role.token_explicit_max_ttl),
        token_period: either("token_period", "period")?.unwrap_or(role.token_period),
        token_num_uses: uses.unwrap_or(role.token_num_uses),
        token_no_default_policy: data.flag("token_no_default_policy")?.unwrap_or(role.token_no_default_policy),
        token_bound_cidrs: cidrs.transpose()?.unwrap_or(role.token_bound_cidrs),
    })
}

fn shown_role(name: &str, role: &Role) -> Members {
    let shown = json!({
        "name": name,
        "allowed_policies": role.allowed_policies,
        "disallowed_policies": role.disallowed_policies,
        "allowed_policies_glob": role.allowed_policies_glob,
        "disallowed_policies_glob": role.disallowed_policies_glob,
        "explicit_max_ttl": role.token_explicit_max_ttl,
        "orphan": role.orphan,
        "path_suffix": role.path_suffix,
        "period": role.token_period,
        "renewable": role.renewable,
        "token_bound_cidrs": role.token_bound_cidrs,
        "token_explicit_max_ttl": role.token_explicit_max_ttl,
        "token_no_default_policy": role.token_no_default_policy,
        "token_num_uses": role.token_num_uses,
        "token_period": role.token_period,
        "token_type": "default-service",
    });
    match shown {
        Value::Object(members) => members.into(),
        _ => Members::default(),
    }
}

fn metadata(data: &Members) -> Result<BTreeMap<String, String>, Fault> {
    let invalid = || Fault::invalid("meta has to be an object of texts");
    let given = match data.get("meta") {
        Some(given) => Some(given),
        None => data.get("metadata"),
    };
    match given {
        None => Ok(BTreeMap::new()),
        Some(Value::Object(members)) => members
            .iter()
            .map(|(name, value)| Ok((name.clone(), value.as_str().ok_or_else(invalid)?.to_owned())))
            .collect(),
        Some(_) => Err(invalid()),
    }
}

fn seconds(data: &Members, name: &str) -> Result<Option<u64>, Fault> {
    Ok(data.duration(name)?.map(|time| time.as_secs()))
}

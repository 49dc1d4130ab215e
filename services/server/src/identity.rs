//! From a token to who asks, and from a new token to what whoever logged in is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use strongroom_policy::acl::{Alias as PolicyAlias, Entity, Identity};
use strongroom_secret::SecretBytes;
use strongroom_token::{Alias, Created, NewToken, Token, TokenError, Ttl};

use crate::exchange::{Auth, Fault, Request};
use crate::members::Members;
use crate::mounts::{LONGEST_LEASE, Mount};
use crate::open::{Asker, Open};
use crate::policies::ROOT;
use crate::trouble::of_token;

impl Open {
    /// Who has the token, where it is live and may be used from where the request came. A token whose uses are counted is
    /// used by this.
    ///
    /// # Errors
    /// 403 for any other token.
    pub(crate) async fn asker(&self, token: &SecretBytes, request: &Request) -> Result<Asker, Fault> {
        let now = request.now.as_second();
        let found = match self.tokens.find(token, now).await {
            Err(TokenError::Unknown) => return Err(Fault::bad_token()),
            found => found.map_err(of_token)?,
        };
        if !found.record.may_come_from(request.peer.ip()) {
            return Err(Fault::bad_token());
        }
        if found.record.is_wrapping && !is_unwrapping(&request.path) {
            // Whoever uses it for anything else shows that it went astray.
            self.tokens.revoke(&found.id).await.map_err(of_token)?;
            return Err(Fault::bad_token());
        }
        if found.record.num_uses > 0 && !found.record.is_wrapping {
            match self.tokens.use_up(&found.id, now).await {
                Err(TokenError::Unknown) => return Err(Fault::bad_token()),
                used => drop(used.map_err(of_token)?),
            }
        }
        Ok(self.asker_of(token.clone(), found.id, &found.record, request.now))
    }

    /// After a request: a token that was used for the last time goes.
    pub(crate) async fn used(&self, asker: &Asker, now: Timestamp) {
        if asker.num_uses == 0 {
            return;
        }
        let is_over = match self.tokens.find_id(&asker.id, now.as_second()).await {
            Ok(found) => !found.record.has_uses(),
            Err(error) => error == TokenError::Unknown,
        };
        if is_over
            && !asker.is_wrapping
            && let Err(error) = self.tokens.revoke(&asker.id).await
        {
            tracing::warn!(%error, "a token that was used up is taken away later");
        }
    }

    fn asker_of(&self, token: SecretBytes, id: String, record: &Token, now: Timestamp) -> Asker {
        let identity = record.alias.as_ref().map(|alias| self.identity(alias)).unwrap_or_default();
        let entity_id = identity.entity.as_ref().map(|entity| entity.id.clone()).unwrap_or_default();
        let told = (self.hasher().token(&token), self.hasher().accessor(&record.accessor));
        Asker {
            told,
            token,
            id,
            display_name: record.display_name.clone(),
            policies: record.policies.clone(),
            metadata: record.metadata.clone(),
            entity_id,
            num_uses: record.num_uses,
            is_wrapping: record.is_wrapping,
            creation_ttl: record.ttl.first,
            issue_time: Timestamp::from_second(record.created).unwrap_or_default(),
            acl: self.policies.acl(&record.policies, &identity, now.as_second()),
        }
    }

    /// Who a login is, for templates of policies: one entity for each name that an auth mount knows, with the metadata of
    /// this login.
    fn identity(&self, alias: &Alias) -> Identity {
        let id = self.entity_id(alias);
        let known = PolicyAlias {
            accessor: alias.accessor.clone(),
            id: id.clone(),
            name: alias.name.clone(),
            metadata: alias.metadata.clone(),
            custom_metadata: BTreeMap::new(),
        };
        let (name, metadata) = (alias.name.clone(), alias.metadata.clone());
        Identity { entity: Some(Entity { id, name, metadata, aliases: vec![known] }), groups: Vec::new() }
    }

    /// The id of the entity that logged in: a UUID that is the same at each login, and tells nothing.
    pub(crate) fn entity_id(&self, alias: &Alias) -> String {
        let hash = self.tokens.id(&SecretBytes::from(format!("entity {} {}", alias.accessor, alias.name)));
        let digest = strongroom_crypto::sha256(hash.as_bytes());
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }

    /// The id of a token's entity; empty where it comes from no login.
    fn entity_of(&self, record: &Token) -> String {
        record.alias.as_ref().map(|alias| self.entity_id(alias)).unwrap_or_default()
    }

    /// What a token may do, asked by another.
    ///
    /// # Errors
    /// 403 for a token that is not live.
    pub(crate) async fn asker_of_token(&self, token: SecretBytes, now: Timestamp) -> Result<Asker, Fault> {
        let found = self.tokens.find(&token, now.as_second()).await.map_err(of_token)?;
        Ok(self.asker_of(token, found.id, &found.record, now))
    }

    /// The same by its accessor.
    ///
    /// # Errors
    /// As [`Open::asker_of_token`].
    pub(crate) async fn asker_of_accessor(&self, accessor: &str, now: Timestamp) -> Result<Asker, Fault> {
        let found = self.tokens.find_accessor(accessor, now.as_second()).await.map_err(of_token)?;
        Ok(self.asker_of(SecretBytes::default(), found.id, &found.record, now))
    }

    /// A token that may do everything and never ends.
    ///
    /// # Errors
    /// The storage's.
    pub(crate) async fn make_root_token(&self, now: Timestamp) -> Result<SecretBytes, Fault> {
        let new = NewToken {
            policies: vec![ROOT.to_owned()],
            display_name: "root".to_owned(),
            path: "auth/token/root".to_owned(),
            ttl: Ttl::default(),
            ..NewToken::default()
        };
        Ok(self.tokens.create(new, now.as_second()).await.map_err(of_token)?.token)
    }

    /// Seconds that tokens and leases of a mount stand: where nothing is asked for, and at the most.
    pub(crate) fn lease_times(&self, mount: &Mount) -> (u64, u64) {
        let most = match mount.config.max_lease_ttl {
            0 => LONGEST_LEASE,
            seconds => seconds,
        };
        let usual = match mount.config.default_lease_ttl {
            0 => LONGEST_LEASE,
            seconds => seconds,
        };
        (usual.min(most), most)
    }
}

fn is_unwrapping(path: &str) -> bool {
    matches!(path, "sys/wrapping/unwrap" | "sys/wrapping/lookup" | "sys/wrapping/rewrap" | "cubbyhole/response")
}

/// What whoever got a new token is told.
pub(crate) fn granted(open: &Open, created: &Created, now: Timestamp) -> Auth {
    renewed(open, &created.record, Some(created.token.clone()), now)
}

/// What whoever renewed a token is told; an empty token stands where it is not theirs to know.
pub(crate) fn renewed(open: &Open, record: &Arc<Token>, token: Option<SecretBytes>, now: Timestamp) -> Auth {
    Auth {
        entity_id: open.entity_of(record),
        token: Some(token.unwrap_or_default()),
        accessor: record.accessor.clone(),
        policies: record.policies.clone(),
        metadata: record.metadata.clone(),
        lease: record.rest(now.as_second()),
        is_renewable: record.is_renewable,
        is_orphan: record.parent.is_none(),
        num_uses: record.num_uses,
        display_name: record.display_name.clone(),
    }
}

/// A token as look-ups show it; without the token itself where that is not known.
pub(crate) fn shown(open: &Open, record: &Token, token: Option<&SecretBytes>, now: Timestamp) -> Members {
    let moment = |second: i64| Timestamp::from_second(second).map(|moment| moment.to_string()).unwrap_or_default();
    let mut shown = json!({
        "accessor": record.accessor,
        "creation_time": record.created,
        "creation_ttl": record.ttl.first,
        "display_name": record.display_name,
        "entity_id": open.entity_of(record),
        "expire_time": record.expires.map(moment),
        "explicit_max_ttl": record.ttl.longest,
        "id": token.and_then(SecretBytes::expose_text).unwrap_or_default(),
        "issue_time": moment(record.created),
        "meta": if record.metadata.is_empty() { Value::Null } else { json!(record.metadata) },
        "num_uses": record.uses_left,
        "orphan": record.parent.is_none(),
        "path": record.path,
        "policies": record.policies,
        "renewable": record.is_renewable,
        "ttl": record.rest(now.as_second()),
        "type": "service",
    });
    if let Some(members) = shown.as_object_mut() {
        if let Some(renewed) = record.renewed {
            members.insert("last_renewal".to_owned(), json!(moment(renewed)));
            members.insert("last_renewal_time".to_owned(), json!(renewed));
        }
        if record.ttl.period > 0 {
            members.insert("period".to_owned(), json!(record.ttl.period));
        }
        if !record.role.is_empty() {
            members.insert("role".to_owned(), json!(record.role));
        }
        if !record.bound_cidrs.is_empty() {
            members.insert("bound_cidrs".to_owned(), json!(record.bound_cidrs));
        }
    }
    match shown {
        Value::Object(members) => members.into(),
        _ => Members::default(),
    }
}

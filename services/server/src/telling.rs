//! What the audit trail tells of requests, answers and who asks.

use strongroom_audit::entry::{
    Auth, Data, GrantingPolicy, Leased, Mount as MountEntry, PolicyResults, Request as RequestEntry,
    Response as ResponseEntry, WrapInfo,
};
use strongroom_audit::{ClearKeys, Document, Hashed, Hasher, Limits};
use strongroom_policy::acl::Operation;

use crate::exchange::{Fault, Request, Response};
use crate::mounts::Mount;
use crate::open::Asker;

/// Who asks.
pub(crate) fn auth<'a>(asker: Option<&'a Asker>, is_allowed: bool, granting: &'a [String]) -> Auth<'a> {
    let policy = |name: &'a String| GrantingPolicy { name, namespace_id: "root", kind: "acl" };
    let results = PolicyResults { allowed: is_allowed, granting_policies: granting.iter().map(policy).collect() };
    let Some(asker) = asker else {
        return Auth { policy_results: (!is_allowed).then_some(results), ..Auth::default() };
    };
    Auth {
        client_token: asker.told.0.clone(),
        accessor: asker.told.1.clone(),
        display_name: &asker.display_name,
        policies: &asker.policies,
        token_policies: &asker.policies,
        policy_results: Some(results),
        metadata: asker.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        num_uses: asker.num_uses,
        entity_id: &asker.entity_id,
        token_type: "service",
        token_ttl: asker.creation_ttl,
        token_issue_time: Some(asker.issue_time),
        ..Auth::default()
    }
}

/// What serves it.
pub(crate) fn mount(mount: &Mount) -> MountEntry<'_> {
    MountEntry { point: &mount.path, kind: &mount.kind, accessor: &mount.accessor, class: mount.class.name() }
}

/// What is asked, but for the data.
pub(crate) fn request<'a>(
    hasher: &Hasher,
    request: &'a Request,
    operation: Operation,
    mount: MountEntry<'a>,
    asker: Option<&Asker>,
) -> RequestEntry<'a> {
    RequestEntry {
        id: &request.id,
        operation: operation.capability().name(),
        mount,
        client_token: match (asker, &request.token) {
            (Some(asker), _) => asker.told.0.clone(),
            (None, Some(token)) => hasher.token(token),
            (None, None) => Hashed::default(),
        },
        client_token_accessor: asker.map_or_else(Hashed::default, |asker| asker.told.1.clone()),
        path: &request.path,
        remote_address: &request.address,
        remote_port: u64::from(request.peer.port()),
        wrap_ttl: request.wrap_time.map_or(0, |time| time.as_secs()),
        ..RequestEntry::default()
    }
}

/// What is answered.
pub(crate) fn response<'a>(
    hasher: &'a Hasher,
    outcome: &'a Result<Response, Fault>,
    mount: MountEntry<'a>,
    clear: &'a ClearKeys,
    limits: Limits,
) -> ResponseEntry<'a> {
    let data = match outcome {
        Ok(response) => response.data.as_ref(),
        Err(fault) => fault.data.as_deref(),
    };
    let data = data.map_or(Data::Absent, |data| Document::new(hasher, data.expose(), clear, limits).into());
    let mut told = ResponseEntry { mount, data, ..ResponseEntry::default() };
    if let Ok(response) = outcome {
        told.warnings = &response.warnings;
        told.secret = response.lease.as_ref().map(|lease| Leased { lease_id: &lease.id });
        told.wrap_info = response.wrapped.as_ref().map(|wrapped| WrapInfo {
            ttl: wrapped.ttl,
            token: hasher.token(&wrapped.token),
            accessor: hasher.accessor(&wrapped.accessor),
            creation_time: wrapped.creation_time,
            creation_path: &wrapped.creation_path,
            wrapped_accessor: wrapped
                .wrapped_accessor
                .as_deref()
                .map_or_else(Hashed::default, |accessor| hasher.accessor(accessor)),
        });
        told.auth = response.auth.as_ref().map(|login| Auth {
            client_token: login.token.as_ref().map_or_else(Hashed::default, |token| hasher.token(token)),
            accessor: hasher.accessor(&login.accessor),
            display_name: &login.display_name,
            policies: &login.policies,
            token_policies: &login.policies,
            metadata: login.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            token_type: "service",
            token_ttl: login.lease,
            ..Auth::default()
        });
    }
    told
}

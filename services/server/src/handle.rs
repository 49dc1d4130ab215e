//! The way of every request through the open store: who asks, may they, the trail, the engine, the trail again.

use std::time::Duration;

use strongroom_audit::entry as audit;
use strongroom_audit::{Body, ClearKeys, Document, Entry, Half, Limits};
use strongroom_http::StatusCode;
use strongroom_policy::acl::{self, Argument, Decision, Operation};

use crate::engine::Call;
use crate::exchange::{Fault, Request, Response};
use crate::mounts::{Mount, Mounted};
use crate::open::{Asker, Open};
use crate::routes;
use crate::telling;

/// What was found out about a request before anything is done.
struct Judged<'m> {
    asker: Option<Asker>,
    mounted: Option<(&'m Mounted, String)>,
    operation: Operation,
    verdict: Result<(), Fault>,
    /// The policies that allowed it.
    granting: Vec<String>,
}

impl Open {
    /// Serves a request. What is answered is in the audit trail before; a request that the trail does not take has no
    /// effect.
    ///
    /// # Errors
    /// Whatever keeps it from being done, as it is to be answered.
    pub(crate) async fn serve(&self, request: &Request) -> Result<Response, Fault> {
        let mounts = self.mounts();
        let judged = self.judge(request, &mounts).await;
        let mount = judged.mounted.as_ref().map(|(mounted, _)| &*mounted.mount);
        let mut entries = vec![self.entry(Half::Request, request, &judged, None)?];
        // What only looks has no effect before its answer: both entries go into the trail together, before that.
        if changes(judged.operation) || request.wrap_time.is_some() {
            self.record(std::mem::take(&mut entries)).await?;
        }
        let outcome = match (&judged.verdict, &judged.mounted) {
            (Err(fault), _) => Err(fault.clone()),
            (Ok(()), None) => Err(Fault::no_handler(&request.path)),
            (Ok(()), Some((mounted, path))) => {
                let asker = judged.asker.as_ref();
                let call =
                    Call { request, operation: judged.operation, path, mount: &mounted.mount, asker, open: self };
                match routes::serves(&mounted.mount, path, judged.operation) {
                    true => self.handled(mounted, &call).await,
                    false => Err(mounted.engine.absent(&call)),
                }
            }
        };
        if let Some(asker) = &judged.asker {
            self.used(asker, request.now).await;
        }
        let told = self.entry(Half::Response, request, &judged, Some(&outcome));
        let recorded = match told {
            Ok(entry) => {
                entries.push(entry);
                self.record(entries).await
            }
            Err(fault) => Err(fault),
        };
        match recorded {
            Ok(()) => outcome,
            Err(_) if outcome.is_ok() && changes(judged.operation) => Err(Fault::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "the change {} was made, but the audit trail did not take the answer, which is withheld",
                    mount.map_or_else(String::new, |mount| format!("in {}", mount.path)).trim()
                ),
            )),
            Err(fault) => Err(fault),
        }
    }

    async fn handled(&self, mounted: &Mounted, call: &Call<'_>) -> Result<Response, Fault> {
        let late =
            |_| Fault::new(StatusCode::SERVICE_UNAVAILABLE, "the request took too long; a change may be made still");
        let response = tokio::time::timeout(LONGEST, mounted.engine.handle(call)).await.map_err(late)??;
        match call.request.wrap_time {
            Some(time) if response.data.is_some() || response.auth.is_some() => {
                crate::wrapping::wrap(call, response, time).await
            }
            _ => Ok(response),
        }
    }

    async fn judge<'m>(&self, request: &Request, mounts: &'m crate::mounts::Mounts) -> Judged<'m> {
        let mounted = mounts.find(&request.path).map(|(mounted, rest)| (mounted, rest.to_owned()));
        let asker = match &request.token {
            None => Ok(None),
            Some(token) => self.asker(token, request).await.map(Some),
        };
        let is_for_everybody =
            mounted.as_ref().is_some_and(|(mounted, rest)| mounted.engine.is_for_everybody(rest, request.operation));
        let (asker, known) = match asker {
            Ok(asker) => (asker, Ok(())),
            Err(fault) => (None, Err(fault)),
        };
        let mut judged = Judged { asker, mounted, operation: request.operation, verdict: Ok(()), granting: Vec::new() };
        if is_for_everybody {
            return judged;
        }
        judged.verdict = match (known, &judged.asker) {
            (Err(fault), _) => Err(fault),
            (Ok(()), None) => Err(Fault::bad_token()),
            (Ok(()), Some(_)) => Ok(()),
        };
        if judged.verdict.is_ok() {
            judged.verdict = self.allowed(request, &mut judged).await;
        }
        judged
    }

    /// Whether the policies allow it. Where nothing is yet, a write is a creation.
    async fn allowed(&self, request: &Request, judged: &mut Judged<'_>) -> Result<(), Fault> {
        let Some(asker) = judged.asker.clone() else { return Err(Fault::bad_token()) };
        let mut needs_sudo = false;
        if let Some((mounted, rest)) = &judged.mounted {
            needs_sudo = mounted.engine.needs_sudo(rest, request.operation);
            if request.operation == Operation::Update {
                let call = Call {
                    request,
                    operation: request.operation,
                    path: rest,
                    mount: &mounted.mount,
                    asker: Some(&asker),
                    open: self,
                };
                if mounted.engine.exists(&call).await? == Some(false) {
                    judged.operation = Operation::Create;
                }
            }
        }
        let members = request.data.expose();
        let parameters: Vec<_> = members.iter().map(|(name, value)| (name.as_str(), Argument::Value(value))).collect();
        let asked = acl::Request {
            path: &request.path,
            operation: judged.operation,
            parameters: &parameters,
            wrapping: request.wrap_time,
        };
        match asker.acl.check(&asked) {
            Decision::Allowed(grant) if needs_sudo && !grant.has_sudo => Err(Fault::denied()),
            Decision::Allowed(grant) => {
                judged.granting = match grant.rule {
                    None => vec![crate::policies::ROOT.to_owned()],
                    Some(rule) => rule.sources_of(grant.capability).map(|source| source.policy.to_string()).collect(),
                };
                Ok(())
            }
            Decision::Denied(_) => Err(Fault::denied()),
        }
    }

    fn entry<'a>(
        &'a self,
        half: Half,
        request: &'a Request,
        judged: &'a Judged<'_>,
        outcome: Option<&'a Result<Response, Fault>>,
    ) -> Result<Body, Fault> {
        let hasher = self.hasher();
        let mount: Option<&Mount> = judged.mounted.as_ref().map(|(mounted, _)| &*mounted.mount);
        let config = mount.map(|mount| &mount.config);
        let keys = |keys: Option<&Vec<String>>| keys.into_iter().flatten().map(String::as_str).collect();
        let clear: ClearKeys = keys(config.map(|config| &config.audit_non_hmac_request_keys));
        let clear_answer: ClearKeys = keys(config.map(|config| &config.audit_non_hmac_response_keys));
        let limits = Limits::default();
        let auth = telling::auth(judged.asker.as_ref(), judged.verdict.is_ok(), &judged.granting);
        let named = mount.map(telling::mount).unwrap_or_default();
        let asked = audit::Request {
            data: Document::new(hasher, request.data.expose(), &clear, limits).into(),
            ..telling::request(hasher, request, judged.operation, named, judged.asker.as_ref())
        };
        let error = match outcome {
            None => judged.verdict.as_ref().err(),
            Some(outcome) => outcome.as_ref().err(),
        };
        let error = error.map(|fault| fault.errors.join("; ")).unwrap_or_default();
        let response = outcome.map(|outcome| telling::response(hasher, outcome, named, &clear_answer, limits));
        let entry =
            Entry { time: request.now, half, auth, request: asked, response, error: &error, forwarded_from: "" };
        entry.body().map_err(|error| Fault::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
    }
}

/// Whether an operation leaves something behind.
fn changes(operation: Operation) -> bool {
    !matches!(operation, Operation::Read | Operation::List | Operation::Scan)
}

/// The most time that one request may take in its engine: none waits for people.
const LONGEST: Duration = Duration::from_secs(90);

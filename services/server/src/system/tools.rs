//! Smaller paths of `sys/`: what UIs and the command line ask first, random bytes, hashes, the state of keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use strongroom_policy::acl::Operation;

use super::repeated;
use crate::engine::Call;
use crate::exchange::{Fault, Response};
use crate::members::Members;
use crate::mounts::{MountClass, Mounted};

/// The most random bytes that one request gets.
const MOST_RANDOM: i64 = 128 * 1024;

/// `sys/internal/ui/…` and `sys/internal/specs/openapi`.
pub(super) fn internal(call: &Call<'_>, rest: &str) -> Result<Response, Fault> {
    match rest {
        "specs/openapi" => match crate::routes::document(&call.open.mounts()) {
            Value::Object(document) => Ok(Response::bare(Members::from(document))),
            _ => Err(Fault::no_handler(&call.request.path)),
        },
        "ui/mounts" => Ok(visible_mounts(call)),
        "ui/resultant-acl" => {
            let asker = call.asker.ok_or_else(Fault::bad_token)?;
            Ok(repeated(Members::default().with("root", asker.acl.is_root())))
        }
        _ => match rest.strip_prefix("ui/mounts/") {
            Some(path) => mount_of(call, path),
            None => Err(Fault::no_handler(&call.request.path)),
        },
    }
}

/// What the command line asks before every kv command: which mount serves a path, for whoever has any right on it.
fn mount_of(call: &Call<'_>, path: &str) -> Result<Response, Fault> {
    let refused = || {
        let words = format!(
            "preflight capability check returned 403, please ensure client's policies grant access to path \"{path}/\""
        );
        Fault::new(strongroom_http::StatusCode::FORBIDDEN, words)
    };
    let asker = call.asker.ok_or_else(Fault::bad_token)?;
    let mounts = call.open.mounts();
    let (mounted, _) = mounts.find(path).ok_or_else(refused)?;
    if !asker.acl.reaches_into(&mounted.mount.path) {
        return Err(refused());
    }
    let mut shown = members(mounted.mount.shown());
    shown.set("path", mounted.mount.path.clone());
    Ok(repeated(shown))
}

fn visible_mounts(call: &Call<'_>) -> Response {
    let mounts = call.open.mounts();
    let shown = |class: MountClass, prefix: &str| -> Value {
        let may_see = |mounted: &&Mounted| match call.asker {
            Some(asker) => asker.acl.reaches_into(&mounted.mount.path),
            None => mounted.mount.config.listing_visibility == "unauth",
        };
        let shown = mounts.of(class).filter(may_see).map(|mounted| {
            let path = mounted.mount.path.strip_prefix(prefix).unwrap_or(&mounted.mount.path);
            (path.to_owned(), mounted.mount.shown())
        });
        Value::Object(shown.collect())
    };
    let data =
        Members::default().with("auth", shown(MountClass::Auth, "auth/")).with("secret", shown(MountClass::Secret, ""));
    Response::of(data)
}

/// `sys/tools/random` and `sys/tools/hash`.
pub(super) fn tools(call: &Call<'_>, rest: &str) -> Result<Response, Fault> {
    if !matches!(call.operation, Operation::Create | Operation::Update) {
        return Err(Fault::unsupported());
    }
    let mut parts = rest.split('/');
    let data = &call.request.data;
    match parts.next() {
        Some("random") => {
            let last = parts.next_back();
            let count = match last.map(str::parse).transpose() {
                Ok(count) => count.or(data.number("bytes")?).unwrap_or(32),
                Err(_) => return Err(Fault::invalid("error parsing url-set byte count")),
            };
            if !(1..=MOST_RANDOM).contains(&count) {
                return Err(Fault::invalid(format!("\"bytes\" should be less than or equal to {MOST_RANDOM}")));
            }
            let bytes = strongroom_crypto::random_bytes(usize::try_from(count).unwrap_or(32));
            let bytes = bytes.ok_or_else(|| Fault::internal("the system gives no randomness"))?;
            let text = written(&data.text("format")?.unwrap_or_else(|| "base64".to_owned()), bytes.expose())?;
            Ok(Response::of(Members::default().with("random_bytes", text)))
        }
        Some("hash") => {
            let input = STANDARD.decode(data.required("input")?);
            let input = input.map_err(|_| Fault::invalid("unable to decode input as base64"))?;
            let named = parts.next().map(str::to_owned).or(data.text("algorithm")?);
            let sum = match named.as_deref().unwrap_or("sha2-256") {
                "sha2-256" => strongroom_crypto::sha256(&input).to_vec(),
                "sha2-512" => strongroom_crypto::sha512(&input).to_vec(),
                other => return Err(Fault::invalid(format!("unsupported algorithm {other}"))),
            };
            let text = written(&data.text("format")?.unwrap_or_else(|| "hex".to_owned()), &sum)?;
            Ok(Response::of(Members::default().with("sum", text)))
        }
        _ => Err(Fault::no_handler(&call.request.path)),
    }
}

fn written(format: &str, bytes: &[u8]) -> Result<String, Fault> {
    match format {
        "base64" => Ok(STANDARD.encode(bytes)),
        "hex" => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        _ => Err(Fault::invalid(format!("unsupported encoding format \"{format}\"; must be \"hex\" or \"base64\""))),
    }
}

/// The audit trail: its sinks, and what a value is written as in it.
pub(super) fn own(call: &Call<'_>, first: &str, rest: &str) -> Result<Response, Fault> {
    match (first, rest, call.operation) {
        ("audit", "", Operation::Read) => Ok(repeated(call.open.audit_devices())),
        ("audit", _, _) => Err(Fault::invalid(
            "audit sinks are set when the server starts, with --audit: an API that can add one can take one away",
        )),
        ("audit-hash", _, Operation::Create | Operation::Update) => {
            let hash = call.open.audit_hash(&call.request.data.required("input")?);
            Ok(repeated(Members::default().with("hash", hash)))
        }
        _ => Err(Fault::no_handler(&call.request.path)),
    }
}

/// Reads the audit trail again, and says whether it is what was written.
pub(super) async fn verify_trail(call: &Call<'_>) -> Result<Response, Fault> {
    if !matches!(call.operation, Operation::Create | Operation::Update) {
        return Err(Fault::unsupported());
    }
    let none = || Fault::invalid("the audit trail of this server is no file that could be read again");
    let failed = |failure: strongroom_failure::Failure| Fault::internal(failure.words.clone());
    let verdict = call.open.check_trail().await.ok_or_else(none)?.map_err(failed)?;
    let data = Members::default();
    Ok(Response::of(match verdict {
        Ok(verified) => data
            .with("whole", true)
            .with("first", verified.first)
            .with("last", verified.last.sequence)
            .with("checkpoints", verified.checkpoints)
            .with("vouched", verified.vouched),
        Err(fault) => data.with("whole", false).with("line", fault.place).with("fault", fault.to_string()),
    }))
}

fn members(value: Value) -> Members {
    match value {
        Value::Object(members) => members.into(),
        _ => Members::default(),
    }
}

//! `sys/rotate`, `sys/key-status` and `sys/storage/raft/snapshot`: the barrier's key, and backups.

use std::sync::PoisonError;
use std::time::Duration;

use strongroom_barrier::snapshot::{About, SnapshotWriter};
use strongroom_http::{ReplyPart, StatusCode};
use strongroom_policy::acl::Operation;
use strongroom_storage::Snapshot;
use tokio::sync::mpsc;

use super::repeated;
use crate::engine::Call;
use crate::exchange::{Fault, Response};
use crate::trouble::of_view;

/// Records that are read at once for a backup.
const RECORDS: usize = 200;

/// Parts that wait for a client that reads slowly, of about a megabyte each at the most.
const WAITING: usize = 2;

/// How long a client may take for a part: a backup that nobody reads must not keep the storage from forgetting.
const SLOWEST: Duration = Duration::from_secs(60);

/// Bytes of a part, about.
const PART: usize = 256 * 1024;

/// `sys/rotate` and `sys/rotate/keyring`.
pub(super) async fn rotate(call: &Call<'_>) -> Result<Response, Fault> {
    match call.operation {
        Operation::Create | Operation::Update => {
            call.open.rotate(call.request.now).await?;
            Ok(Response::empty())
        }
        _ => Err(Fault::unsupported()),
    }
}

/// `sys/key-status`.
pub(super) async fn status(call: &Call<'_>) -> Result<Response, Fault> {
    match call.operation {
        Operation::Read => Ok(repeated(call.open.key_status().await?)),
        _ => Err(Fault::unsupported()),
    }
}

/// A backup of all that is there as of one moment, while others write.
pub(super) async fn snapshot(call: &Call<'_>) -> Result<Response, Fault> {
    match call.operation {
        Operation::Read => {}
        Operation::Create | Operation::Update => {
            let words = "a backup is restored into a folder that is empty: strongroom store restore FILE --data FOLDER";
            return Err(Fault::invalid(words));
        }
        _ => return Err(Fault::unsupported()),
    }
    let busy = || Fault::new(StatusCode::TOO_MANY_REQUESTS, "two backups are under way: wait for one of them");
    let place = call.open.backups.clone().try_acquire_owned().map_err(|_| busy())?;
    let keys = call.open.keys();
    let snapshot = keys.storage().snapshot().await.map_err(|error| of_view(error.into()))?;
    let custody = keys.custody().ok_or_else(Fault::sealed)?;
    let about = About {
        created: call.request.now.to_string(),
        revision: snapshot.revision().0,
        store: custody.id.clone(),
        seal: custody.kind.clone(),
    };
    let (parts, receiver) = mpsc::channel(WAITING);
    let barrier = keys.barrier().clone();
    tokio::spawn(async move {
        let _place = place;
        let (mut writer, head) = SnapshotWriter::new(&about);
        if !sent(&parts, head).await || !records(&*snapshot, &mut writer, &parts).await {
            return;
        }
        let end = {
            let barrier = barrier.read().unwrap_or_else(PoisonError::into_inner);
            barrier.ring().and_then(|ring| writer.end(ring))
        };
        // A store that was sealed meanwhile ends no backup.
        if let Ok(end) = end
            && sent(&parts, end).await
        {
            // Whoever has gone has no backup, and knows it.
            let _ = parts.send(ReplyPart::Last).await;
        }
    });
    Ok(Response { stream: Some(receiver), ..Response::default() })
}

/// Whether all records went out.
async fn records(snapshot: &dyn Snapshot, writer: &mut SnapshotWriter, parts: &mpsc::Sender<ReplyPart>) -> bool {
    let mut after: Option<String> = None;
    let mut part = Vec::new();
    loop {
        let page = match snapshot.scan(after.as_deref(), RECORDS).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "a backup broke off");
                return false;
            }
        };
        for (key, stored) in &page.entries {
            part.extend(writer.record(key, &stored.bytes));
            if part.len() >= PART && !sent(parts, std::mem::take(&mut part)).await {
                return false;
            }
        }
        after = page.entries.into_iter().next_back().map(|(key, _)| key);
        if !page.has_more || after.is_none() {
            return sent(parts, part).await;
        }
    }
}

async fn sent(parts: &mpsc::Sender<ReplyPart>, part: Vec<u8>) -> bool {
    parts.send_timeout(ReplyPart::More(part), SLOWEST).await.is_ok()
}

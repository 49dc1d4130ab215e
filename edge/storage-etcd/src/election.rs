//! Which of several servers is the active one: whoever holds the key `leader`, which a lease takes away from one that is
//! gone or cut off.

use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_storage::{Election, Pending, StorageError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::calls::{Effect, decoded, encoded, number, unavailable};
use crate::{Etcd, Fence, Inner};

/// Seconds that a lease stands without being renewed: after that long another server takes over from one that is gone.
const LEASE: u64 = 10;

/// How often the lease is renewed.
const RENEWAL: Duration = Duration::from_secs(3);

/// How long a renewal may take.
const RENEWAL_TIME: Duration = Duration::from_secs(3);

/// How long before its lease ends by its own clock a server stops: clocks run apart, and etcd counts from when the renewal
/// reached it.
const MARGIN: Duration = Duration::from_secs(2);

/// How often those that stand by look.
const LOOK: Duration = Duration::from_millis(500);

/// The active server, as etcd holds it.
#[derive(Serialize, Deserialize)]
struct Leader {
    node: String,
    address: String,
}

/// A lease that is held.
pub(crate) struct Held {
    lease: u64,
    renewing: JoinHandle<()>,
    lost: watch::Receiver<Option<Box<str>>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

impl Inner {
    fn leader_key(&self) -> String {
        format!("{}leader", self.prefix)
    }

    /// The active server, and the commit that made it so.
    async fn leading(&self) -> Result<Option<(Leader, u64)>, StorageError> {
        let body = json!({"key": encoded(self.leader_key())});
        let answer = self.calls.call("kv/range", &body, Effect::None).await?;
        let Some(entry) = answer["kvs"].get(0) else { return Ok(None) };
        let strange = |_| StorageError::Damaged("the key that names the active server holds something else".into());
        let leader = serde_json::from_slice(&decoded(&entry["value"])?).map_err(strange)?;
        Ok(Some((leader, number(&entry["mod_revision"]))))
    }

    /// Tries once; the lease, and the commit that began this server's time.
    async fn campaign(&self, address: &str) -> Result<Option<(u64, u64)>, StorageError> {
        let before = match self.leading().await? {
            None => 0,
            // This very server, before it was started anew: its lease would only have to end.
            Some((leader, began)) if leader.node == self.node && !self.node.is_empty() => began,
            Some(_) => return Ok(None),
        };
        let granted = self.calls.call("lease/grant", &json!({"TTL": LEASE.to_string()}), Effect::None).await?;
        let lease = number(&granted["ID"]);
        let key = encoded(self.leader_key());
        let leader = Leader { node: self.node.clone(), address: address.to_owned() };
        let value = encoded(serde_json::to_vec(&leader).unwrap_or_default());
        let body = json!({
            "compare": [{"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": before.to_string()}],
            "success": [{"request_put": {"key": key, "value": value, "lease": lease.to_string()}}],
        });
        let answer = self.calls.call("kv/txn", &body, Effect::Change).await;
        match answer {
            Ok(answer) if answer["succeeded"] == Value::Bool(true) => {
                Ok(Some((lease, number(&answer["header"]["revision"]))))
            }
            other => {
                // The lease would keep a key that came about after all.
                self.revoke(lease).await?;
                other.map(|_| None)
            }
        }
    }

    /// Renews the lease; false where this server is no longer the active one.
    async fn renewed(&self, lease: u64, began: u64) -> Result<bool, StorageError> {
        let answer = self.calls.call("lease/keepalive", &json!({"ID": lease.to_string()}), Effect::None).await?;
        let is_ours = self.leading().await?.is_some_and(|(_, since)| since == began);
        Ok(number(&answer["result"]["TTL"]) > 0 && is_ours)
    }

    async fn revoke(&self, lease: u64) -> Result<(), StorageError> {
        self.calls.call("lease/revoke", &json!({"ID": lease.to_string()}), Effect::None).await.map(drop)
    }
}

/// Renews until that is no longer possible; why. A storage that nobody has any more is not kept alive by this.
async fn renew(storage: Weak<Inner>, lease: u64, began: u64) -> Box<str> {
    let whole = Duration::from_secs(LEASE);
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(RENEWAL).await;
        let Some(storage) = storage.upgrade() else { return "nobody uses it any more".into() };
        let asked = Instant::now();
        let words = match tokio::time::timeout(RENEWAL_TIME, storage.renewed(lease, began)).await {
            Ok(Ok(true)) => {
                renewed = asked;
                continue;
            }
            Ok(Ok(false)) => return "its lease in etcd is over, or another server took its place".into(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "etcd does not answer".to_owned(),
        };
        tracing::warn!(reason = words, "the lease of the active server is not renewed");
        if renewed.elapsed() + RENEWAL + RENEWAL_TIME > whole - MARGIN {
            return words.into();
        }
    }
}

impl Election for Etcd {
    fn win<'a>(&'a self, address: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            self.0.fence(Fence::StandsBy);
            let (lease, began) = loop {
                match self.0.campaign(address).await? {
                    Some(won) => break won,
                    None => tokio::time::sleep(LOOK).await,
                }
            };
            let (lose, lost) = watch::channel(None);
            let storage = Arc::downgrade(&self.0);
            let renewing = tokio::spawn(async move {
                let why = renew(storage.clone(), lease, began).await;
                if let Some(storage) = storage.upgrade() {
                    storage.fence(Fence::StandsBy);
                }
                lose.send_replace(Some(why));
            });
            *self.0.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Held { lease, renewing, lost });
            self.0.fence(Fence::Active(began));
            Ok(())
        })
    }

    fn lost(&self) -> Pending<'_, Box<str>> {
        Box::pin(async move {
            let held =
                self.0.held.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|held| held.lost.clone());
            let Some(mut lost) = held else { return Ok("it never was".into()) };
            let why = lost.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
            Ok(why.unwrap_or_else(|| "its lease is renewed no more".into()))
        })
    }

    fn resign(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            let held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(held) = held else { return Ok(()) };
            self.0.fence(Fence::StandsBy);
            let late = |_| unavailable("etcd does not answer");
            tokio::time::timeout(RENEWAL_TIME, self.0.revoke(held.lease)).await.map_err(late)?
        })
    }

    fn leader(&self) -> Pending<'_, Option<String>> {
        Box::pin(async move { Ok(self.0.leading().await?.map(|(leader, _)| leader.address)) })
    }
}

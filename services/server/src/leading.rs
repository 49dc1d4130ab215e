//! Several servers over one storage: one of them serves, the others stand by and send clients to it.

use std::sync::Arc;
use std::time::Duration;

use strongroom_storage::Election;

use crate::store::Store;

/// How long a server waits after something failed, and between looks at a store that it cannot open yet.
const PAUSE: Duration = Duration::from_secs(1);

/// Stands by whenever the store's keys are there, serves while this server is the active one, and never ends. Others find it
/// at `address`.
pub(crate) async fn lead(store: Arc<Store>, election: Arc<dyn Election>, address: String) {
    loop {
        unlocked(&store).await;
        let won = tokio::select! {
            won = election.win(&address) => won,
            () = store.keys().wait(false) => continue,
        };
        let began = match won {
            Ok(()) => store.activate().await.map_err(|failure| failure.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match began {
            Ok(()) => {
                tracing::info!("this server is the active one");
                tokio::select! {
                    why = election.lost() => {
                        let why = why.unwrap_or_else(|error| error.to_string().into());
                        tracing::warn!(why = %why, "this server is no longer the active one");
                    }
                    () = store.keys().wait(false) => {}
                }
                store.deactivate().await;
            }
            Err(error) => {
                tracing::error!(%error, "this server cannot be the active one");
                tokio::time::sleep(PAUSE).await;
            }
        }
        if let Err(error) = election.resign().await {
            tracing::warn!(%error, "the others find out by themselves that this server is not the active one");
        }
    }
}

/// Waits until the keys are there. Another server may have initialised the store meanwhile.
async fn unlocked(store: &Store) {
    loop {
        if store.keys().custody().is_none()
            && let Err(failure) = store.keys().look().await
        {
            tracing::error!(hint = failure.hint, "{failure}");
        }
        if store.opens_itself()
            && let Err(failure) = store.keys().unlock_itself().await
        {
            tracing::error!(hint = failure.hint, "{failure}");
        }
        if tokio::time::timeout(PAUSE, store.keys().wait(true)).await.is_ok() {
            return;
        }
    }
}

//! Rotating the key of the barrier, and bringing older records to the newest one meanwhile.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_barrier::ViewError;
use strongroom_barrier::renewal::renew_some;

use crate::exchange::Fault;
use crate::members::Members;
use crate::open::Open;
use crate::records::{read, write};
use crate::trouble::of_view;

/// What is known of the newest term, in the system's view.
const PLACE: &str = "key-term";

/// Records that are looked at, and then a pause: whoever asks meanwhile comes first.
const AT_ONCE: usize = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// The newest term.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    term: u32,
    installed: i64,
    /// Whether no record is of an older term any more.
    is_everywhere: bool,
}

impl Open {
    /// Adds a key, under which everything is written from now on. Older records follow: [`Open::renew`].
    ///
    /// # Errors
    /// 503 where somebody else changes the keys; the storage's.
    pub(crate) async fn rotate(&self, now: Timestamp) -> Result<(), Fault> {
        let term = self.keys().rotate().await?;
        let known = Known { term, installed: now.as_second(), is_everywhere: false };
        write(self.system(), PLACE, &known).await?;
        self.is_renewed.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// The newest term, as `sys/key-status` shows it.
    ///
    /// # Errors
    /// The storage's.
    pub(crate) async fn key_status(&self) -> Result<Members, Fault> {
        let known = read::<Known>(self.system(), PLACE).await?.map(|(known, _)| known).unwrap_or_default();
        let term = self.keys().newest_term().map_err(|error| of_view(error.into()))?;
        let installed = Timestamp::from_second(known.installed).unwrap_or_default();
        Ok(Members::default()
            .with("term", term)
            .with("install_time", installed.to_string())
            .with("encryptions", 0)
            .with("reencrypted", term == 1 || (known.term == term && known.is_everywhere)))
    }

    /// Brings all records to the newest term where they are not; goes on with what a restart cut off.
    ///
    /// # Errors
    /// The storage's; what was done stays done.
    pub(crate) async fn renew(&self) -> Result<(), Fault> {
        if self.is_renewed.load(Ordering::SeqCst) {
            return Ok(());
        }
        let term = self.keys().newest_term().map_err(|error| of_view(error.into()))?;
        let known = read::<Known>(self.system(), PLACE).await?.map(|(known, _)| known).unwrap_or_default();
        if term > 1 && !(known.term == term && known.is_everywhere) {
            let changed = self.renew_all().await.map_err(of_view)?;
            tracing::info!(term, changed, "every record is encrypted under the newest key");
            // Between a rotation and its note the process may have ended.
            let installed = if known.term == term { known.installed } else { crate::clock::now().as_second() };
            write(self.system(), PLACE, &Known { term, installed, is_everywhere: true }).await?;
        }
        // One that came meanwhile is seen to by the next call.
        let newest = self.keys().newest_term().map_err(|error| of_view(error.into()))?;
        self.is_renewed.store(newest == term, Ordering::SeqCst);
        Ok(())
    }

    async fn renew_all(&self) -> Result<usize, ViewError> {
        let (mut changed, mut after) = (0, None::<String>);
        loop {
            let part = renew_some(&**self.keys().storage(), self.keys().barrier(), after.as_deref(), AT_ONCE).await?;
            changed += part.changed;
            after = part.last;
            if after.is_none() {
                return Ok(changed);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

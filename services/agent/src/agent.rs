//! The loop: read, render, deliver, tell, wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use strongroom_deliver_files::{Change, FileSet, Medium, SetFile};
use strongroom_failure::Failure;
use strongroom_files::File;
use strongroom_http::TlsSettings;
use strongroom_process::{release_program_pages, release_unused_memory};
use strongroom_renew::{Pace, Rendered, Renewal};
use strongroom_resolve::{Ask, Resolver};
use tokio::time::{Instant, sleep_until};

use crate::hooks::{Hook, Hooks};
use crate::orders::Orders;
use crate::status::StatusFile;
use crate::telling::{Telling, kinds};

/// How long the set before stays for whoever has its folder open: reading some files takes less.
const PREVIOUS_STAYS: Duration = Duration::from_secs(10);

/// What an agent does.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the files are.
    pub folder: PathBuf,
    /// Where that may lie.
    pub medium: Medium,
    /// What is wanted there.
    pub files: Vec<File>,
    /// How often to read.
    pub pace: Pace,
    /// How long one round of reading may take.
    pub deadline: Duration,
    /// Whom to tell of changes.
    pub hooks: Vec<Hook>,
    /// How long to wait for further changes before telling.
    pub debounce: Duration,
    /// Whom hooks of https trust.
    pub tls: TlsSettings,
}

/// Keeps the files of one folder current.
pub struct Agent {
    files: Vec<File>,
    set: FileSet,
    status: StatusFile,
    renewal: Renewal,
    pace: Pace,
    deadline: Duration,
    hooks: Hooks,
    telling: Telling,
    /// Whether somebody may use files of this folder already, and wants to hear of changes.
    has_set: bool,
    /// Rounds in a row whose files could not be made or written although everything was read.
    undelivered: u32,
    /// When to try those again.
    retry: Option<Instant>,
    /// When the set before is taken away.
    previous_ends: Option<Instant>,
}

impl Agent {
    /// Checks `settings` and opens the folder; asks no store. Runs inside a tokio runtime.
    ///
    /// # Errors
    /// What no retry can mend: a store that is unknown or wrongly configured, a folder that cannot be used, a hook that
    /// is none.
    pub fn open(settings: Settings, resolver: Arc<Resolver>) -> Result<Self, Failure> {
        let Settings { folder, medium, files, pace, deadline, hooks, debounce, tls } = settings;
        let hooks = Hooks::new(hooks, debounce, tls)?;
        for file in &files {
            let asks: Vec<Ask> = file.references().map(Ask::from).collect();
            resolver.cost(&asks).map_err(|failure| failure.in_field(&file.path))?;
        }
        let set = FileSet::open(folder.clone(), medium)?;
        let has_set = set.has_set()?;
        let status = StatusFile::open(folder, &files, has_set)?;
        let references = files.iter().flat_map(File::references).cloned().collect();
        let renewal = Renewal::new(resolver, references, pace);
        Ok(Self {
            files,
            set,
            status,
            renewal,
            pace,
            deadline,
            hooks,
            telling: Telling::default(),
            has_set,
            undelivered: 0,
            retry: None,
            previous_ends: None,
        })
    }

    /// Delivers once and ends.
    ///
    /// # Errors
    /// Why nothing was delivered; what was there before is still there.
    pub async fn once(mut self) -> Result<(), Vec<Failure>> {
        let outcome = self.round().await.map(drop);
        if let Err(failures) = &outcome {
            self.note(failures);
            return outcome;
        }
        let settled = self.set.remove_previous().and_then(|()| self.status.delivered());
        settled.map_err(|failure| vec![failure])
    }

    /// Keeps the files current until `orders` say that it is over.
    pub async fn run(mut self, orders: Orders) {
        let told = self.hooks.attend();
        tokio::select! {
            biased;
            () = orders.ended() => {}
            () = self.work(&orders) => {}
            () = told => {}
        }
    }

    async fn work(&mut self, orders: &Orders) {
        loop {
            let outcome = self.round().await;
            let settled = outcome.and_then(|change| self.settle_delivered(change));
            if let Err(failures) = settled {
                self.settle_failed(&failures);
            }
            rest();
            self.wait(orders).await;
        }
    }

    /// Reads, renders and delivers.
    async fn round(&mut self) -> Result<Change, Vec<Failure>> {
        self.retry = None;
        let answers = self.renewal.round(self.deadline).await;
        let read = self.read(answers)?;
        let delivered =
            render(&self.files, read).and_then(|files| self.set.deliver(&files).map_err(|failure| vec![failure]));
        if delivered.is_err() {
            self.retry_later();
        }
        delivered
    }

    /// Values for each file.
    fn read(&self, answers: Vec<Rendered>) -> Result<Vec<Values>, Vec<Failure>> {
        let mut answers = answers.into_iter();
        let mut failures = Vec::new();
        let mut read = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let answered = answers.by_ref().take(file.references().count());
            let mut values = Vec::new();
            for answer in answered {
                match answer {
                    Ok(value) => values.push(value),
                    Err(failure) => failures.push(failure.in_field(&file.path)),
                }
            }
            read.push(values);
        }
        if failures.is_empty() { Ok(read) } else { Err(failures) }
    }

    /// Everything was read, so that the pause of reading is long: writing has one of its own.
    fn retry_later(&mut self) {
        let doubled = self.pace.first_pause.saturating_mul(1 << self.undelivered.min(16));
        self.undelivered = self.undelivered.saturating_add(1);
        self.retry = Some(Instant::now() + doubled.min(self.pace.longest_pause).min(self.pace.refresh));
    }

    fn settle_delivered(&mut self, change: Change) -> Result<(), Vec<Failure>> {
        if let Some(paths) = &change {
            let files: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            tracing::info!(files = files.join(","), "delivered");
            self.previous_ends = Some(Instant::now() + PREVIOUS_STAYS);
            if self.has_set {
                self.hooks.changed();
            }
        }
        self.has_set = true;
        self.status.delivered().map_err(|failure| {
            self.retry_later();
            vec![failure]
        })?;
        self.undelivered = 0;
        if let Some(since) = self.telling.succeeded() {
            tracing::info!(%since, "secrets are up to date again");
        }
        Ok(())
    }

    fn settle_failed(&mut self, failures: &[Failure]) {
        let is_delivered = self.status.is_delivered();
        if self.telling.failed(failures, is_delivered, Instant::now(), Timestamp::now()) {
            tell(failures, is_delivered);
        }
        self.note(failures);
    }

    /// Where not even the status can be written, the failure is told all the same.
    fn note(&mut self, failures: &[Failure]) {
        if let Err(failure) = self.status.failed(failures, self.telling.since()) {
            tracing::debug!("{failure}");
        }
    }

    /// Until the next round.
    async fn wait(&mut self, orders: &Orders) {
        loop {
            let due = self.retry.map_or(self.renewal.due(), |retry| retry.min(self.renewal.due()));
            let previous_ends = self.previous_ends.filter(|ends| *ends < due);
            tokio::select! {
                biased;
                () = orders.again() => return self.renewal.hasten(),
                () = sleep_until(previous_ends.unwrap_or(due)) => {}
            }
            if previous_ends.is_none() {
                return;
            }
            self.previous_ends = None;
            if let Err(failure) = self.set.remove_previous() {
                tracing::warn!(error = failure.to_string(), "the files before the last change are still there");
            }
            rest();
        }
    }
}

/// Until the next round most of the program is not needed: of its memory, a few hundred kilobytes stay.
fn rest() {
    release_unused_memory();
    release_program_pages();
}

/// What the references of one file came to.
type Values = Vec<Option<strongroom_secret::SecretBytes>>;

fn render(files: &[File], read: Vec<Values>) -> Result<Vec<SetFile>, Vec<Failure>> {
    let now = Timestamp::now();
    let mut failures = Vec::new();
    let mut rendered = Vec::with_capacity(files.len());
    for (file, values) in files.iter().zip(read) {
        match file.render(values, now) {
            Ok(Some(content)) => {
                let (path, mode) = (PathBuf::from(&file.path), file.mode);
                rendered.push(SetFile { path, mode, owner: file.owner, content });
            }
            // Its only value is optional and does not exist.
            Ok(None) => {}
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(rendered) } else { Err(failures) }
}

fn tell(failures: &[Failure], is_delivered: bool) {
    for kind in kinds(failures) {
        let (error, class, hint) = (kind.first.to_string(), kind.first.class.reason(), kind.first.hint.as_deref());
        let more = Some(kind.others).filter(|others| *others > 0);
        if is_delivered {
            tracing::warn!(error, class, hint, more, "secrets are not up to date; what was delivered stays");
        } else {
            tracing::error!(error, class, hint, more, "failed to deliver secrets; trying again");
        }
    }
}

//! `--watch`: the program stays above the command, reads its references again and again, and when what they come to has
//! changed, starts the command anew or sends it a signal.
//!
//! It holds no value while the command runs, but for what a store has lent (dynamic secrets of Vault), which it must
//! keep to renew it. What was delivered is known by keyed fingerprints. Those are of what each reference comes to, not of
//! the environment that is made of it: a template that prints the time would change at each look.

use std::ffi::OsString;
use std::future::{Future, pending};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use strongroom_crypto::HmacKey;
use strongroom_deliver_env::Environment;
use strongroom_failure::{Class, Failure};
use strongroom_process::{Keeper, Resolving, Restart, Signal, release_unused_memory, wipe_stack};
use strongroom_read::{Ambient, log, parse_duration};
use strongroom_renew::{Pace, Rendered, Renewal};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::time::{Instant, sleep_until};

use crate::delivery::Delivery;
use crate::init::arguments::InitArguments;
use crate::init::{
    Applet, NO_PROVIDER, Step, cannot_start, command, delivered, did_not_run, failed, gather, provider_is_known,
};

/// Who changes several secrets that belong together does it within this time: the command is not started in between.
const DEBOUNCE: Duration = Duration::from_secs(1);

/// How references are watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watching {
    pub(super) interval: Interval,
    pub(super) on_change: OnChange,
}

/// How long after one look at the references the next one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval(pub(super) Duration);

impl Interval {
    /// As a person writes it.
    pub(super) const DEFAULT: &str = "5m";

    /// A shorter one is a mistake in the unit: it would be a load to every store.
    const SHORTEST: Duration = Duration::from_secs(1);
}

impl Default for Interval {
    fn default() -> Self {
        Self(Pace::default().refresh)
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let interval = parse_duration(text)?;
        let too_short = || format!("\"{text}\" is less than a second");
        (interval >= Self::SHORTEST).then_some(Self(interval)).ok_or_else(too_short)
    }
}

/// The signal of this name, with or without `SIG` before it.
pub(super) fn signal_of(name: &str) -> Option<Signal> {
    Signal::from_str(&format!("SIG{}", name.strip_prefix("SIG").unwrap_or(name))).ok()
}

/// What the command is told of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OnChange {
    /// It is started anew.
    #[default]
    Restart,
    /// It is sent this signal.
    Signal(Signal),
}

impl FromStr for OnChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "restart" {
            return Ok(Self::Restart);
        }
        // These two no command can notice.
        let useful = signal_of(text).filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP));
        useful.map(Self::Signal).ok_or_else(|| format!("\"{text}\" is neither restart nor a signal such as HUP"))
    }
}

/// Delivers, starts the command and stays until it ends.
pub(super) fn run(
    applet: Applet,
    arguments: &InitArguments,
    watching: Watching,
    variables: &[OsString],
    ambient: Ambient,
    mut resolving: Resolving,
) -> Step<ExitCode> {
    let delivery = gather(arguments, variables, &mut resolving)?;
    let is_known = provider_is_known(arguments)?;
    resolving.end_on_signals().map_err(cannot_start)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(NO_PROVIDER, unavailable(&error)))?;
    let resolver = arguments.read.resolver(ambient, arguments.google_project.clone());
    let resolver = resolver.map_err(|failure| failed(NO_PROVIDER, failure))?;
    let pace = Pace { refresh: watching.interval.0, ..Pace::default() };
    let outcome = runtime.block_on(async {
        let (renewal, keys) = (Renewal::new(Arc::new(resolver), delivery.references(), pace), Keys::new()?);
        let is_blind = !is_known || delivery.is_plain() || delivery.check().is_err();
        let mut sight = Sight { arguments, delivery: &delivery, renewal, keys, seen: None, is_blind };
        let environment = if is_known { sight.first(applet).await? } else { delivery.undelivered() };
        let watch = Watch::begin(sight, watching.on_change, environment, resolving)?;
        Ok(watch.until_end().await)
    });
    // A name look-up or a file that hangs is not waited for.
    runtime.shutdown_background();
    outcome
}

/// What the references come to, and how it is delivered.
struct Sight<'a> {
    arguments: &'a InitArguments,
    delivery: &'a Delivery,
    renewal: Renewal,
    keys: Keys,
    /// Whether there is nothing that could be read.
    is_blind: bool,
    /// What the command has; `None` where it has its references as they are.
    seen: Option<Vec<Fingerprint>>,
}

impl Sight<'_> {
    /// Reads everything for the first time; the command's environment.
    async fn first(&mut self, applet: Applet) -> Step<Environment> {
        let (arguments, delivery) = (self.arguments, self.delivery);
        if self.is_blind {
            return delivered(applet, arguments, delivery, delivery.deliver(None));
        }
        let answers = self.renewal.round(arguments.read.deadline()).await;
        let seen = self.keys.of(&answers);
        let environment = delivery.deliver_answers(answers);
        self.seen = seen.filter(|_| environment.is_ok());
        delivered(applet, arguments, delivery, environment)
    }

    /// Who wants what is another one now.
    fn changed(&self, now: &[Fingerprint]) -> Vec<String> {
        let Some(before) = &self.seen else { return self.delivery.fields() };
        let fields = self.delivery.fields().into_iter().zip(before.iter().zip(now));
        let mut changed: Vec<String> =
            fields.filter(|(_, (before, now))| before != now).map(|(field, _)| field).collect();
        changed.dedup();
        changed
    }
}

/// What a reference comes to, as somebody without the key cannot guess it; `None` where it does not exist.
type Fingerprint = Option<[u8; 32]>;

/// Makes fingerprints, under a key that lives and ends with this process.
struct Keys(HmacKey);

impl Keys {
    fn new() -> Step<Self> {
        let no_randomness = || failed(NO_PROVIDER, unavailable(&"the kernel gives no randomness"));
        let bytes = strongroom_crypto::random_bytes(32).ok_or_else(no_randomness)?;
        Ok(Self(HmacKey::new(bytes.expose())))
    }

    /// One for each answer; `None` where one of them is a failure.
    fn of(&self, answers: &[Rendered]) -> Option<Vec<Fingerprint>> {
        let of_value = |answer: &Rendered| {
            let value = answer.as_ref().ok()?.as_ref();
            Some(value.map(|value| self.0.sign(value.expose())))
        };
        answers.iter().map(of_value).collect()
    }
}

/// A running command and the sight of its references.
struct Watch<'a> {
    sight: Sight<'a>,
    on_change: OnChange,
    keeper: Keeper,
    arrivals: Arrivals,
    /// When a change that was seen is looked at again, and delivered.
    settled: Option<Instant>,
    /// Whether the command lacks what could not be read or delivered, which was told.
    is_failing: bool,
}

/// The command has ended: the program ends with this code.
struct End(u8);

impl<'a> Watch<'a> {
    /// Starts the command.
    fn begin(sight: Sight<'a>, on_change: OnChange, environment: Environment, resolving: Resolving) -> Step<Self> {
        let options = sight.arguments.supervision();
        let keeper = resolving.keep(command(sight.arguments, environment), &options);
        let keeper = keeper.map_err(|error| did_not_run(&error))?;
        let arrivals = keeper.arrivals().and_then(Arrivals::new).map_err(cannot_start)?;
        forget();
        Ok(Self { sight, on_change, keeper, arrivals, settled: None, is_failing: false })
    }

    /// Watches until the command has ended; its exit code.
    async fn until_end(mut self) -> ExitCode {
        loop {
            if let Err(End(code)) = self.turn().await {
                return ExitCode::from(code);
            }
        }
    }

    /// Waits until it is time, reads, and delivers what has changed. Whatever happens to the command meanwhile is dealt
    /// with.
    async fn turn(&mut self) -> Result<(), End> {
        let due = self.settled.unwrap_or_else(|| self.sight.renewal.due());
        if self.sight.is_blind || self.keeper.is_asked_to_end() {
            attend(&mut self.keeper, &self.arrivals, pending::<()>()).await?;
        }
        attend(&mut self.keeper, &self.arrivals, sleep_until(due)).await?;
        if self.keeper.is_asked_to_end() {
            return Ok(());
        }
        let round = Box::pin(self.sight.renewal.round(self.sight.arguments.read.deadline()));
        let answers = attend(&mut self.keeper, &self.arrivals, round).await?;
        let done = self.heed(answers);
        forget();
        done
    }

    /// Compares what was read with what the command has. A change is delivered when it is seen for the second time.
    fn heed(&mut self, answers: Vec<Rendered>) -> Result<(), End> {
        let Some(now) = self.sight.keys.of(&answers) else {
            let failed = answers.into_iter().zip(self.sight.delivery.fields());
            self.fail(failed.filter_map(|(answer, field)| Some(answer.err()?.in_field(field))).collect());
            return Ok(());
        };
        if self.sight.seen.as_ref() == Some(&now) {
            self.succeed();
            return Ok(());
        }
        if self.settled.is_none() {
            self.settled = Some(Instant::now() + DEBOUNCE);
            return Ok(());
        }
        match self.sight.delivery.deliver_answers(answers) {
            Err(failures) => {
                self.fail(failures);
                Ok(())
            }
            Ok(environment) => {
                self.succeed();
                let changed = self.sight.changed(&now).join(", ");
                self.sight.seen = Some(now);
                self.tell(&changed, environment)
            }
        }
    }

    /// Tells the command of a change in what `changed` names.
    fn tell(&mut self, changed: &str, environment: Environment) -> Result<(), End> {
        match self.on_change {
            OnChange::Signal(signal) => {
                tracing::info!(changed, signal = signal.as_str(), "secrets have changed; signalling the command");
                self.keeper.signal(signal);
                Ok(())
            }
            OnChange::Restart => {
                // Who looks for why the command was away finds it without asking for more logs.
                tracing::warn!(changed, "secrets have changed; restarting the command");
                match self.keeper.restart(command(self.sight.arguments, environment)) {
                    Ok(Restart::Done | Restart::Ending) => Ok(()),
                    Ok(Restart::Ended(code)) => Err(End(code)),
                    Err(error) => {
                        did_not_run(&error);
                        Err(End(error.exit_code()))
                    }
                }
            }
        }
    }

    /// The command keeps what it has. Told when it begins; each further attempt would say the same.
    fn fail(&mut self, failures: Vec<Failure>) {
        self.settled = None;
        if !self.is_failing {
            failures
                .iter()
                .for_each(|failure| log("cannot deliver secrets again; the command keeps what it has", failure));
            self.is_failing = true;
        }
    }

    fn succeed(&mut self) {
        self.settled = None;
        if self.is_failing {
            // As loud as the failure, which is still the last word in the log.
            tracing::warn!("secrets are delivered again");
            self.is_failing = false;
        }
    }
}

/// Waits for `work` while it deals with signals; the end of the command ends it.
async fn attend<T>(keeper: &mut Keeper, arrivals: &Arrivals, work: impl Future<Output = T>) -> Result<T, End> {
    let mut work = pin!(work);
    loop {
        if let Some(code) = keeper.handle() {
            return Err(End(code));
        }
        tokio::select! {
            () = arrivals.some() => {}
            done = &mut work => return Ok(done),
        }
    }
}

/// The keeper's descriptor in the runtime. It is no socket, and is never read from: of all that the runtime can wait for
/// this is the one that takes a descriptor as it is without `unsafe`.
struct Arrivals(UnixDatagram);

impl Arrivals {
    fn new(descriptor: OwnedFd) -> io::Result<Self> {
        UnixDatagram::from_std(descriptor.into()).map(Self)
    }

    /// Waits until there is something to deal with. What comes from here on shows again.
    async fn some(&self) {
        if self.0.readable().await.is_ok() {
            let _ = self.0.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
    }
}

/// Wipes what libraries left on the stack, and gives back the memory that a round took. What was freed is wiped already
/// (the program's allocator).
fn forget() {
    wipe_stack();
    release_unused_memory();
}

fn unavailable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Class::Unavailable, format!("cannot start: {error}"))
}

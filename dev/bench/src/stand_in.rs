//! A stand-in for AWS that costs as little as possible: TLS, the five reads of Secrets Manager and Parameter Store and
//! who-am-I of STS, each answered at once or after a given latency, any number side by side.
//!
//! It runs in a process of its own, so that what is measured shares no thread with it, and does what one line on its
//! standard input says; when that ends, so does it. It is no test of anybody's conduct towards AWS: tests use an
//! emulator.

mod answers;
mod record;
mod server;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

pub(crate) use record::Counts;
pub(crate) use server::run;

/// The word that makes this program the stand-in.
pub(crate) const WORD: &str = "stand-in";

/// The region that every reference names.
pub(crate) const REGION: &str = "eu-west-1";

/// How requests are answered until the next order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Conduct {
    /// How long each answer waits, in milliseconds; a real one takes 5 to 50.
    pub(crate) latency: u64,
    /// Whether `BatchGetSecretValue` is denied, as by a role that allows single reads only.
    pub(crate) deny_batch: bool,
    /// How often all values have changed: 0 for their first ones.
    pub(crate) rotation: u32,
}

/// What the stand-in is told, one a line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Answer like this from now on, and count from nothing.
    Serve(Conduct),
    /// Say what was counted.
    Count,
}

/// Where the stand-in is: its first line.
#[derive(Debug, Serialize, Deserialize)]
struct Greeting {
    port: u16,
    authority: PathBuf,
}

/// The stand-in's process. Dropping it ends it.
pub(crate) struct StandIn {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    greeting: Greeting,
}

impl StandIn {
    /// Starts the stand-in from this program's own file.
    pub(crate) fn start() -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's file")?;
        let mut command = Command::new(program);
        command.arg(WORD).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the stand-in for AWS")?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the stand-in has no standard input or output");
        };
        let mut answers = BufReader::new(answers);
        let greeting = read(&mut answers)?;
        Ok(Self { child, orders: Some(orders), answers, greeting })
    }

    /// `https://127.0.0.1:PORT`, for `AWS_ENDPOINT_URL`.
    pub(crate) fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", self.greeting.port)
    }

    /// The same port as a proxy, for programs that know no other endpoint than AWS's own.
    pub(crate) fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.greeting.port)
    }

    /// Whom to trust, as a PEM file.
    pub(crate) fn authority(&self) -> &Path {
        &self.greeting.authority
    }

    /// From now on answers like this; what was counted before is forgotten.
    pub(crate) fn serve(&mut self, conduct: Conduct) -> Result<()> {
        self.give(&Order::Serve(conduct))?;
        read(&mut self.answers)
    }

    /// What was counted since [`StandIn::serve`].
    pub(crate) fn counts(&mut self) -> Result<Counts> {
        self.give(&Order::Count)?;
        read(&mut self.answers)
    }

    fn give(&mut self, order: &Order) -> Result<()> {
        let orders = self.orders.as_mut().context("the stand-in has ended")?;
        writeln!(orders, "{}", serde_json::to_string(order)?).context("the stand-in has ended")
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It ends by itself with its orders; one that was killed has ended as well.
        let _ = self.child.wait();
    }
}

fn read<T: serde::de::DeserializeOwned>(answers: &mut impl BufRead) -> Result<T> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    serde_json::from_str(&line).context("the stand-in for AWS has ended")
}

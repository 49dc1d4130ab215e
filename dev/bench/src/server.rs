//! The built-in store under load, beside a real OpenBao: the same requests from the same client, in turn.

mod filling;
mod large;
mod load;
mod policies;
mod store;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::load::{Measured, Work, race, send_all};
use self::store::{Kind, Store};
use crate::client::request;
use crate::report::{Figure, Peer, Row, Target, Unit};
use crate::scenarios::{Bench, Scenario};

/// What the scenarios' names begin with.
pub(crate) const PREFIX: &str = "server";

/// All of them, in the order of the table.
pub(crate) const PEER: Scenario = Scenario { name: "server-peer", measure: peer };
pub(crate) const AUDIT: Scenario = Scenario { name: "server-audit", measure: audit };
pub(crate) const LARGE: Scenario = Scenario { name: "server-large", measure: large::measure };
pub(crate) const POLICIES: Scenario = Scenario { name: "server-policies", measure: policies::measure };

/// How the peer is called.
const OPEN_BAO: &str = "OpenBao 2.7";

/// Bytes of each value.
const VALUE: usize = 1024;

/// Connections that fill a store.
const FILLING: usize = 64;

/// How often a start is timed.
const STARTS: usize = 3;

const AUDITED: Kind = Kind::Ours { has_audit: true };

/// How much load is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// For how long each figure is measured; a fifth of it is sent before and does not count.
    pub(crate) time: Duration,
    /// Secrets that are read and written.
    pub(crate) secrets: usize,
    /// Secrets of the large store.
    pub(crate) secrets_of_large_store: usize,
}

/// Ours and OpenBao, both with an audit file, filled alike.
fn peer(bench: &mut Bench) -> Result<()> {
    // It waits, which a runtime must not.
    let bao = world::python::prepare()?.program("bao");
    runtime()?.block_on(async {
        let directory = folder(bench)?;
        let ours = Store::new(AUDITED, &bench.programs.strongroom, &directory.path().join("ours")).await?;
        let theirs = Store::new(Kind::OpenBao, &bao, &directory.path().join("peer")).await?;
        let mut contest = Contest { ours, theirs };
        contest.fill(bench.effort.load.secrets).await?;
        contest.reads(bench).await?;
        contest.writes(bench).await?;
        contest.starts(bench).await
    })
}

/// Ours with an audit file and without one.
fn audit(bench: &mut Bench) -> Result<()> {
    runtime()?.block_on(async {
        const OFF: Kind = Kind::Ours { has_audit: false };
        let (directory, Load { time, secrets, .. }) = (folder(bench)?, bench.effort.load);
        let audited = Store::new(AUDITED, &bench.programs.strongroom, &directory.path().join("audited")).await?;
        let silent = Store::new(OFF, &bench.programs.strongroom, &directory.path().join("silent")).await?;
        fill(&audited, secrets).await?;
        fill(&silent, secrets).await?;
        let works = [reads(&audited, secrets), reads(&silent, secrets)];
        let measured = race(&[(&audited, &works[0]), (&silent, &works[1])], 64, time).await?;
        let off = Peer::measured("--audit off", &Figure::exact(measured[1].rate()));
        let target = Target::at_least_times(0.85, &off);
        let rate = Figure::exact(measured[0].rate());
        let row = Row::new("server-audit", "reads a second on 64 connections, audited", Unit::Count, rate);
        bench.rows.push(row.beside([off]).with_target(target));
        let off = Peer::measured("--audit off", &Figure::exact(measured[1].processor()));
        let row = Row::new(
            "server-audit-processor",
            "processor time of 10000 reads, audited",
            Unit::Milliseconds,
            Figure::exact(measured[0].processor()),
        );
        bench.rows.push(row.beside([off]));
        Ok(())
    })
}

/// Two stores with the same secrets.
struct Contest {
    ours: Store,
    theirs: Store,
}

impl Contest {
    async fn fill(&self, secrets: usize) -> Result<()> {
        fill(&self.ours, secrets).await?;
        fill(&self.theirs, secrets).await
    }

    /// Has both do their work in turn.
    async fn race(&self, works: [Arc<Work>; 2], connections: usize, time: Duration) -> Result<[Measured; 2]> {
        let lanes = [(&self.ours, &works[0]), (&self.theirs, &works[1])];
        let measured = race(&lanes, connections, time).await?;
        measured.try_into().ok().context("two stores were measured")
    }

    async fn reads(&self, bench: &mut Bench) -> Result<()> {
        let Load { time, secrets, .. } = bench.effort.load;
        for connections in [1, 16, 64] {
            let works = [reads(&self.ours, secrets), reads(&self.theirs, secrets)];
            let measured = self.race(works, connections, time).await?;
            let (rate, tail) = rows("reads", connections, &measured);
            if connections == 64 {
                let (rate, tail) = (rate.at_least_times(3.0), tail.at_most_times(0.5));
                bench.rows.extend([rate, tail]);
                let metric = "processor time of 10000 reads on 64 connections";
                let figures = measured.each_ref().map(|measured| Figure::exact(measured.processor()));
                bench.rows.push(row("reads-processor", metric, Unit::Milliseconds, figures));
                let figures = [Figure::exact(self.ours.resident()?), Figure::exact(self.theirs.resident()?)];
                let metric = format!("resident set after reads of {secrets} secrets of 1 KiB");
                bench.rows.push(row("resident", &metric, Unit::Bytes, figures));
            } else {
                bench.rows.extend([rate, tail]);
            }
        }
        Ok(())
    }

    async fn writes(&self, bench: &mut Bench) -> Result<()> {
        let Load { time, secrets, .. } = bench.effort.load;
        for connections in [1, 16] {
            let works = [writes(&self.ours, secrets), writes(&self.theirs, secrets)];
            let (rate, tail) = rows("writes", connections, &self.race(works, connections, time).await?);
            bench.rows.extend([rate.at_least_times(2.0), tail]);
        }
        Ok(())
    }

    async fn starts(&mut self, bench: &mut Bench) -> Result<()> {
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..STARTS {
            for (store, samples) in [&mut self.ours, &mut self.theirs].into_iter().zip(&mut samples) {
                let first = request("GET", &path(0), store.token(), "");
                samples.push(store.restart(store.kind(), &first).await?.as_secs_f64() * 1e3);
            }
        }
        let [ours, theirs] = samples.map(|samples| Figure::of(samples).unwrap_or_default());
        let metric = "from the start to the first read, after all this load";
        bench.rows.push(row("start", metric, Unit::Milliseconds, [ours, theirs]));
        Ok(())
    }
}

/// Requests a second, and what 99 of 100 stayed below.
fn rows(what: &str, connections: usize, measured: &[Measured; 2]) -> (Row, Row) {
    let on = if connections == 1 { "1 connection".to_owned() } else { format!("{connections} connections") };
    let id = format!("{what}-{connections}");
    let rates = measured.each_ref().map(|measured| Figure::exact(measured.rate()));
    let tails = measured.each_ref().map(|measured| Figure::exact(measured.p99()));
    let rate = row(&id, &format!("{what} a second on {on}"), Unit::Count, rates);
    (rate, row(&format!("{id}-p99"), &format!("{what} on {on}: 99 of 100 within"), Unit::Milliseconds, tails))
}

/// A row of ours beside the peer's.
fn row(id: &str, metric: &str, unit: Unit, [ours, theirs]: [Figure; 2]) -> Row {
    Row::new(&format!("server-{id}"), metric, unit, ours).beside([Peer::measured(OPEN_BAO, &theirs)])
}

/// Writes all secrets once.
async fn fill(store: &Store, secrets: usize) -> Result<()> {
    let works = writes(store, secrets);
    send_all(store.address(), FILLING, secrets, move |number| vec![works.requests[number].clone()]).await
}

fn reads(store: &Store, secrets: usize) -> Arc<Work> {
    let read = |number| request("GET", &path(number), store.token(), "");
    Arc::new(Work { requests: (0..secrets).map(read).collect(), least_bytes: VALUE })
}

fn writes(store: &Store, secrets: usize) -> Arc<Work> {
    let body = format!(r#"{{"data":{{"value":"{}"}}}}"#, value(VALUE));
    let write = |number| request("POST", &path(number), store.token(), &body);
    Arc::new(Work { requests: (0..secrets).map(write).collect(), least_bytes: 1 })
}

/// Where a secret lies: in folders of a hundred.
fn path(number: usize) -> String {
    format!("secret/data/team-{}/app-{}", number / 100, number % 100)
}

/// A value of so many bytes.
fn value(length: usize) -> String {
    "0123456789abcdefghijklmnopqrstuv".chars().cycle().take(length).collect()
}

/// One thread: what the client takes is at most one core.
fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A folder for data, on the disk where the results are: one in memory would make nothing durable.
fn folder(bench: &Bench) -> Result<TempDir> {
    let all = bench.programs.root.join("out/bench");
    std::fs::create_dir_all(&all)?;
    Ok(tempfile::Builder::new().prefix("server-").tempdir_in(all)?)
}

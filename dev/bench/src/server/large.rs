//! A store with many secrets beside one with few: what grows, and what must not.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};

use super::filling::{Secrets, fill};
use super::load::{Work, race};
use super::store::{Kind, Store};
use super::{folder, runtime, value};
use crate::client::request;
use crate::report::{Figure, Peer, Row, Target, Unit};
use crate::scenarios::Bench;

/// Secrets of the small store.
const FEW: usize = 1_000;

/// Names in each folder.
const TOGETHER: usize = 100;

/// Versions of each secret.
const VERSIONS: usize = 10;

/// Bytes of each value: the store is to be large by its numbers.
const VALUE: usize = 100;

/// How often a start is timed.
const STARTS: usize = 5;

const AUDITED: Kind = Kind::Ours { has_audit: true };

/// A store with many secrets, in folders.
struct Filled {
    store: Store,
    secrets: usize,
}

/// Fills both stores, and measures the start, memory, lists and reads.
pub(super) fn measure(bench: &mut Bench) -> Result<()> {
    runtime()?.block_on(compare(bench))
}

async fn compare(bench: &mut Bench) -> Result<()> {
    let directory = folder(bench)?;
    let (program, many) = (bench.programs.strongroom.clone(), bench.effort.load.secrets_of_large_store);
    let filled = async |secrets: usize| {
        let store = Store::new(AUDITED, &program, &directory.path().join(secrets.to_string())).await?;
        let mut filled = Filled { store, secrets };
        filled.fill().await?;
        anyhow::Ok(filled)
    };
    let (mut small, mut large) = (filled(FEW).await?, filled(many).await?);
    let (few_start, many_start) = (small.starts().await?, large.starts().await?);
    let few = |figure: &Figure| Peer::measured(&format!("a store of {FEW}"), figure);
    let row = |id: &str, metric: &str, unit, ours: Figure, small: &Figure| {
        let metric = format!("{many} secrets of {VERSIONS} versions: {metric}");
        Row::new(&format!("server-large-{id}"), metric, unit, ours).beside([few(small)])
    };
    let start = row("start", "from the start to the first read", Unit::Milliseconds, many_start, &few_start);
    bench.rows.push(start.with_target(Target::below(1_000.0)));
    for (id, metric, works) in [
        ("read", "a read, 99 of 100 within", [small.reads(), large.reads()]),
        ("list", "a list of 100 names, 99 of 100 within", [small.lists(), large.lists()]),
    ] {
        let lanes = [(&small.store, &works[0]), (&large.store, &works[1])];
        let measured = race(&lanes, 1, bench.effort.load.time).await?;
        let (few_p99, many_p99) = (Figure::exact(measured[0].p99()), Figure::exact(measured[1].p99()));
        let target = Target::at_most_times(1.5, &few(&few_p99));
        bench.rows.push(row(id, metric, Unit::Milliseconds, many_p99, &few_p99).with_target(target));
    }
    let (few_bytes, many_bytes) = (Figure::exact(small.store.resident()?), Figure::exact(large.store.resident()?));
    let resident = row("resident", "resident set after these", Unit::Bytes, many_bytes, &few_bytes);
    bench.rows.push(resident.with_target(Target::below(150e6)));
    Ok(())
}

impl Filled {
    /// Writes all versions of all secrets while the store does not run.
    async fn fill(&mut self) -> Result<()> {
        let begun = Instant::now();
        self.store.end().await?;
        let data = format!(r#"{{"value":"{}"}}"#, value(VALUE));
        let secrets = Secrets { paths: (0..self.secrets).map(name).collect(), versions: VERSIONS, data };
        fill(&self.store.data(), &self.store.seal_key(), self.store.mount(), secrets).await?;
        eprintln!("bench: {} versions written in {:.0} s", self.secrets * VERSIONS, begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Times from the start to the first read.
    async fn starts(&mut self) -> Result<Figure> {
        let mut samples = Vec::with_capacity(STARTS);
        let first = request("GET", &format!("secret/data/{}", name(self.secrets / 2)), self.store.token(), "");
        for _ in 0..STARTS {
            samples.push(self.store.restart(AUDITED, &first).await?.as_secs_f64() * 1e3);
        }
        Figure::of(samples).context("no starts")
    }

    fn reads(&self) -> Arc<Work> {
        let read = |number| request("GET", &format!("secret/data/{}", name(number)), self.store.token(), "");
        Arc::new(Work { requests: (0..self.secrets).map(read).collect(), least_bytes: VALUE })
    }

    fn lists(&self) -> Arc<Work> {
        let list = |folder| request("LIST", &format!("secret/metadata/folder-{folder}/"), self.store.token(), "");
        let least_bytes = TOGETHER * "\"secret-00\",".len();
        Arc::new(Work { requests: (0..self.secrets / TOGETHER).map(list).collect(), least_bytes })
    }
}

/// Where a secret lies.
fn name(number: usize) -> String {
    format!("folder-{}/secret-{:02}", number / TOGETHER, number % TOGETHER)
}

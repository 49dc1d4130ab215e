//! What is measured: each scenario is one function that adds its rows to the report.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::launch::Launch;
use crate::programs::{Ours, Programs, Rival};
use crate::recorded;
use crate::report::{Figure, Peer, Row, Target, Unit};
use crate::server::Load;
use crate::stand_in::{Conduct, Counts, StandIn};

/// A latency that hides what the machine itself needs, so that counts of round trips are exact on a slow one.
const SLOW: Conduct = Conduct { latency: 500, deny_batch: false, rotation: 0 };

/// As far as AWS's nearest region usually is.
const NEAR: Conduct = Conduct { latency: 20, deny_batch: false, rotation: 0 };

const AT_ONCE: Conduct = Conduct { latency: 0, deny_batch: false, rotation: 0 };

/// Where Debian keeps its bundle of authorities.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// One group of rows, by the name that `--only` looks for.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) measure: fn(&mut Bench) -> Result<()>,
}

/// All of them, in the order of the table.
pub(crate) const SCENARIOS: &[Scenario] = &[
    crate::machine::MACHINE,
    Scenario { name: "no-reference", measure: no_reference },
    Scenario { name: "one-reference", measure: one_reference },
    Scenario { name: "bundle", measure: one_reference_among_authorities },
    Scenario { name: "references-10", measure: |bench| references(bench, 10, Some(50.0)) },
    Scenario { name: "references-50", measure: |bench| references(bench, 50, Some(55.0)) },
    Scenario { name: "references-200", measure: |bench| references(bench, 200, Some(70.0)) },
    Scenario { name: "references-500", measure: |bench| references(bench, 500, None) },
    Scenario { name: "reads-10", measure: |bench| reads(bench, 10, 2.0) },
    Scenario { name: "reads-50", measure: |bench| reads(bench, 50, 5.0) },
    Scenario { name: "reads-200", measure: |bench| reads(bench, 200, 15.0) },
    Scenario { name: "denied", measure: batch_denied },
    Scenario { name: "asleep", measure: asleep },
    Scenario { name: "peak", measure: peak },
    Scenario { name: "size", measure: size },
    Scenario { name: "operator-small", measure: |bench| crate::operator::measure(bench, 1_000) },
    Scenario { name: "kes", measure: |bench| crate::operator::measure_kes(bench, 1_000) },
    Scenario { name: "operator-events", measure: crate::operator::events::measure },
    Scenario { name: "operator-restarts", measure: crate::operator::restarts::measure },
    Scenario { name: crate::operator::SOAK, measure: crate::operator::soak },
    crate::admission::PLAIN,
    crate::admission::TYPICAL,
    crate::admission::LARGE,
    crate::admission::SECRETS,
    crate::admission::MEMORY,
    crate::admission::CREATIONS,
    crate::admission::STARTS,
    crate::server::PEER,
    crate::server::AUDIT,
    crate::server::LARGE,
    crate::server::POLICIES,
    crate::kamus::DECRYPT,
    crate::kamus::MEMORY,
    crate::kamus::SECRETS,
    Scenario { name: "operator-large", measure: |bench| crate::operator::measure(bench, 10_000) },
];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Runs where a start takes a few milliseconds.
    pub(crate) quick_starts: usize,
    /// Runs where it waits for a network.
    pub(crate) slow_starts: usize,
    /// No contender of a scenario runs longer than this, once it has run three times.
    pub(crate) budget: Duration,
    /// Pods that are created through an API server.
    pub(crate) pods: usize,
    /// Pods of each kind that are started on a node.
    pub(crate) started_pods: usize,
    /// How much is sent to the built-in store.
    pub(crate) load: Load,
}

/// The least runs of a contender: a median of fewer says nothing.
const LEAST_RUNS: usize = 3;

/// Everything that a scenario needs.
pub(crate) struct Bench {
    pub(crate) programs: Programs,
    pub(crate) stand_in: StandIn,
    pub(crate) effort: Effort,
    pub(crate) rows: Vec<Row>,
    /// What could not be measured.
    pub(crate) failures: Vec<String>,
}

/// A program in a race.
struct Contender {
    launch: Launch,
    /// How many values must reach the probe.
    delivers: usize,
}

impl Bench {
    fn ours(&self, way: Ours, count: usize) -> Contender {
        Contender { launch: self.programs.ours(way, count, &self.stand_in), delivers: count }
    }

    /// Those of `rivals` that are at hand.
    fn rivals(&self, rivals: &[Rival], count: usize) -> Vec<(Rival, Contender)> {
        let found = rivals.iter().filter_map(|rival| {
            let launch = self.programs.rival(*rival, count, &self.stand_in)?;
            Some((*rival, Contender { launch, delivers: count }))
        });
        found.collect()
    }

    /// Lets all contenders start in turn, so that whatever else the machine does falls on all of them, and gives the
    /// times of each. The first start of each is not counted: it reads the program's file.
    fn race(&mut self, contenders: &[&Contender], conduct: Conduct, runs: usize) -> Result<Vec<Result<Figure>>> {
        self.stand_in.serve(conduct)?;
        let mut lanes: Vec<Lane> = contenders.iter().map(|contender| Lane::new(contender)).collect();
        for _ in 0..=runs {
            for lane in &mut lanes {
                lane.run_once(self.effort.budget);
            }
        }
        Ok(lanes.into_iter().map(Lane::finish).collect())
    }

    /// Races ours against `rivals` and gives ours, with the peers as they are shown in the row `id`: measured, or as
    /// they were recorded.
    fn against(
        &mut self,
        id: &str,
        ours: &Contender,
        rivals: &[Rival],
        conduct: Conduct,
        runs: usize,
    ) -> Result<(Figure, Vec<Peer>)> {
        let present = self.rivals(rivals, ours.delivers);
        let contenders: Vec<&Contender> =
            std::iter::once(ours).chain(present.iter().map(|(_, contender)| contender)).collect();
        let mut times = self.race(&contenders, conduct, runs)?.into_iter();
        let ours = times.next().context("ours did not run")??;
        let measured: Vec<(Rival, Result<Figure>)> = present.iter().map(|(rival, _)| *rival).zip(times).collect();
        Ok((ours, self.peers(id, rivals, measured)))
    }

    /// The peers of a row in the order of `rivals`; what a peer that is at hand failed at is told.
    fn peers(&mut self, id: &str, rivals: &[Rival], mut measured: Vec<(Rival, Result<Figure>)>) -> Vec<Peer> {
        let mut peers = Vec::new();
        for rival in rivals {
            let place = measured.iter().position(|(found, _)| found == rival);
            match place.map(|place| measured.swap_remove(place).1) {
                Some(Ok(figure)) => peers.push(Peer::measured(rival.name(), &figure)),
                Some(Err(error)) => self.failures.push(format!("{id}: {}: {error:#}", rival.name())),
                None => peers.extend(recorded::find(id, rival.name()).map(Peer::from)),
            }
        }
        peers
    }

    /// One start of ours, and what the stand-in saw of it.
    fn counted(&mut self, contender: &Contender, conduct: Conduct) -> Result<Counts> {
        self.stand_in.serve(conduct)?;
        let start = contender.launch.start()?;
        ensure!(start.delivered == contender.delivers, "{} values arrived", start.delivered);
        self.stand_in.counts()
    }
}

/// One contender's runs.
struct Lane<'a> {
    contender: &'a Contender,
    samples: Vec<f64>,
    is_warm: bool,
    spent: Duration,
    failure: Option<anyhow::Error>,
}

impl<'a> Lane<'a> {
    fn new(contender: &'a Contender) -> Self {
        Self { contender, samples: Vec::new(), is_warm: false, spent: Duration::ZERO, failure: None }
    }

    fn run_once(&mut self, budget: Duration) {
        let has_enough = self.samples.len() >= LEAST_RUNS && self.spent > budget;
        if has_enough || self.failure.is_some() {
            return;
        }
        let before = Instant::now();
        match self.sample() {
            Ok(milliseconds) if self.is_warm => self.samples.push(milliseconds),
            Ok(_) => self.is_warm = true,
            Err(error) => self.failure = Some(error),
        }
        self.spent += before.elapsed();
    }

    fn sample(&self) -> Result<f64> {
        let start = self.contender.launch.start()?;
        let expected = self.contender.delivers;
        ensure!(start.delivered == expected, "{} of {expected} values reached the child", start.delivered);
        Ok(start.elapsed.as_secs_f64() * 1e3)
    }

    fn finish(self) -> Result<Figure> {
        match self.failure {
            Some(error) => Err(error),
            None => Figure::of(self.samples).context("no runs"),
        }
    }
}

fn no_reference(bench: &mut Bench) -> Result<()> {
    let rivals = [Rival::BareExec, Rival::Tini, Rival::Catatonit, Rival::SecretsInit];
    let (supervised, executed) = (bench.ours(Ours::Init, 0), bench.ours(Ours::InitExec, 0));
    let present = bench.rivals(&rivals, 0);
    let contenders: Vec<&Contender> =
        [&supervised, &executed].into_iter().chain(present.iter().map(|(_, contender)| contender)).collect();
    let mut times = bench.race(&contenders, AT_ONCE, bench.effort.quick_starts)?.into_iter();
    let supervised = times.next().context("ours did not run")??;
    let executed = times.next().context("ours did not run")??;
    let measured = present.iter().map(|(rival, _)| *rival).zip(times).collect();
    let peers = bench.peers("none", &rivals, measured);
    let row = |id: &str, metric: &str, ours| {
        Row::new(id, metric, Unit::Milliseconds, ours).beside(peers.iter().cloned()).not_above("tini")
    };
    bench.rows.push(row("none", "no reference", supervised));
    bench.rows.push(row("none-exec", "no reference, --exec", executed));
    Ok(())
}

fn one_reference(bench: &mut Bench) -> Result<()> {
    let runs = bench.effort.quick_starts;
    let (ours, peers) =
        bench.against("one", &bench.ours(Ours::Init, 1), &[Rival::SecretsInit, Rival::Chamber], AT_ONCE, runs)?;
    let row = Row::new("one", "1 reference, 0 ms", Unit::Milliseconds, ours);
    bench.rows.push(row.beside(peers).with_target(Target::below(8.0)));
    let (ours, _) = bench.against("one-run", &bench.ours(Ours::Run, 1), &[], AT_ONCE, runs)?;
    bench.rows.push(Row::new("one-run", "1 reference, 0 ms, strongroom run", Unit::Milliseconds, ours));
    Ok(())
}

/// The private authority of the other scenarios is alone in its file; most containers trust a whole bundle.
fn one_reference_among_authorities(bench: &mut Bench) -> Result<()> {
    let Ok(mut bundle) = std::fs::read(BUNDLE) else {
        eprintln!("bench: there is no {BUNDLE}, so that the scenario \"bundle\" is left out");
        return Ok(());
    };
    bundle.extend(std::fs::read(bench.stand_in.authority())?);
    let file = bench.stand_in.authority().with_file_name("bundle.pem");
    std::io::Write::write_all(&mut std::fs::File::create(&file)?, &bundle)?;
    let trusting = |mut contender: Contender| {
        let variables = &mut contender.launch.environment;
        variables
            .iter_mut()
            .filter(|(name, _)| name == "SSL_CERT_FILE")
            .for_each(|(_, value)| *value = file.clone().into());
        contender
    };
    let ours = trusting(bench.ours(Ours::Init, 1));
    let rivals: Vec<_> =
        bench.rivals(&[Rival::SecretsInit], 1).into_iter().map(|(rival, it)| (rival, trusting(it))).collect();
    let contenders: Vec<&Contender> = std::iter::once(&ours).chain(rivals.iter().map(|(_, it)| it)).collect();
    let mut times = bench.race(&contenders, AT_ONCE, bench.effort.quick_starts)?.into_iter();
    let ours = times.next().context("ours did not run")??;
    let peers =
        bench.peers("bundle", &[Rival::SecretsInit], rivals.iter().map(|(rival, _)| *rival).zip(times).collect());
    bench
        .rows
        .push(Row::new("bundle", "1 reference, 0 ms, Debian's authorities", Unit::Milliseconds, ours).beside(peers));
    Ok(())
}

fn references(bench: &mut Bench, count: usize, target: Option<f64>) -> Result<()> {
    let id = format!("references-{count}");
    // One by one, 500 would take peers ten seconds a run and tell nothing that 200 do not.
    let rivals: &[Rival] = if target.is_some() { &[Rival::SecretsInit, Rival::Chamber] } else { &[] };
    let (ours, peers) = bench.against(&id, &bench.ours(Ours::Init, count), rivals, NEAR, bench.effort.slow_starts)?;
    let row = Row::new(&id, format!("{count} references, 20 ms"), Unit::Milliseconds, ours).beside(peers);
    bench.rows.push(match target {
        Some(limit) => row.with_target(Target::below(limit)),
        None => row,
    });
    Ok(())
}

fn reads(bench: &mut Bench, count: usize, most: f64) -> Result<()> {
    let ours = bench.ours(Ours::Init, count);
    let ours = bench.counted(&ours, SLOW)?;
    let rivals = [Rival::SecretsInit, Rival::Chamber];
    let (mut made, mut together) = (Vec::new(), Vec::new());
    for (rival, contender) in bench.rivals(&rivals, count) {
        // They ask one after another however slow the answers are.
        let counts = bench.counted(&contender, NEAR);
        let figures = counts.map(|counts| (counts.requests as f64, counts.in_flight_peak as f64));
        let (requests, peak) =
            figures.map_or_else(|error| (Err(error), None), |(requests, peak)| (Ok(requests), Some(peak)));
        made.push((rival, requests.map(Figure::exact)));
        together.extend(peak.map(|peak| (rival, Ok(Figure::exact(peak)))));
    }
    let (made_id, together_id) = (format!("reads-{count}"), format!("together-{count}"));
    let made = bench.peers(&made_id, &rivals, made);
    let together = bench.peers(&together_id, &rivals, together);
    let row = |id: &str, metric: String, figure: usize| Row::new(id, metric, Unit::Count, Figure::exact(figure as f64));
    let requests = row(&made_id, format!("{count} references: reads made"), ours.requests);
    let peak = row(&together_id, format!("{count} references: reads at the same time"), ours.in_flight_peak);
    bench.rows.push(requests.beside(made).with_target(Target::at_most(most)));
    bench.rows.push(peak.beside(together).with_target(Target::at_least(ours.requests as f64)));
    Ok(())
}

fn batch_denied(bench: &mut Bench) -> Result<()> {
    const COUNT: usize = 50;
    let ours = bench.ours(Ours::Init, COUNT);
    let denied = Conduct { deny_batch: true, ..NEAR };
    let allowed = bench.counted(&ours, SLOW)?.round_trips as f64;
    let trips = bench.counted(&ours, Conduct { deny_batch: true, ..SLOW })?.round_trips as f64;
    let row = Row::new("denied-trips", "50 references, batch denied: round trips", Unit::Count, Figure::exact(trips));
    let peer = Peer::measured("ours, allowed", &Figure::exact(allowed));
    bench.rows.push(row.beside([peer]).with_target(Target::at_most(allowed + 1.0)));
    let runs = bench.effort.slow_starts;
    let (time, _) = bench.against("denied", &ours, &[], denied, runs)?;
    let (allowed, _) = bench.against("denied", &ours, &[], NEAR, runs)?;
    let row = Row::new("denied", "50 references, batch denied, 20 ms", Unit::Milliseconds, time);
    bench.rows.push(row.beside([Peer::measured("ours, allowed", &allowed)]));
    Ok(())
}

fn asleep(bench: &mut Bench) -> Result<()> {
    let rivals = [Rival::Tini, Rival::Catatonit, Rival::SecretsInit];
    bench.stand_in.serve(AT_ONCE)?;
    // With a reference: what was read must be gone.
    let ours = bench.ours(Ours::Init, 1).launch.asleep()?;
    let (mut resident, mut proportional) = (Vec::new(), Vec::new());
    for (rival, contender) in bench.rivals(&rivals, 1) {
        let (whole, share) = match contender.launch.asleep() {
            Ok(memory) => (Ok(Figure::exact(memory.resident as f64)), Some(memory.proportional)),
            Err(error) => (Err(error), None),
        };
        resident.push((rival, whole));
        proportional.extend(share.map(|bytes| (rival, Ok(Figure::exact(bytes as f64)))));
    }
    let resident = bench.peers("asleep", &rivals, resident);
    let proportional = bench.peers("asleep-share", &rivals, proportional);
    let row = |id: &str, metric: &str, bytes: u64| Row::new(id, metric, Unit::Bytes, Figure::exact(bytes as f64));
    let whole = row("asleep", "asleep as supervisor: resident set", ours.resident);
    bench.rows.push(whole.beside(resident).not_above("tini"));
    let share = row("asleep-share", "asleep as supervisor: its share of it", ours.proportional);
    bench.rows.push(share.beside(proportional));
    Ok(())
}

fn peak(bench: &mut Bench) -> Result<()> {
    const COUNT: usize = 200;
    bench.stand_in.serve(NEAR)?;
    let ours = bench.ours(Ours::Init, COUNT).launch.peak()?;
    let rivals = [Rival::SecretsInit, Rival::Chamber];
    let present = bench.rivals(&rivals, COUNT).into_iter();
    let measured =
        present.map(|(rival, it)| (rival, it.launch.peak().map(|bytes| Figure::exact(bytes as f64)))).collect();
    let peers = bench.peers("peak", &rivals, measured);
    let row = Row::new("peak", "200 references: peak resident set", Unit::Bytes, Figure::exact(ours as f64));
    bench.rows.push(row.beside(peers).with_target(Target::below(12e6)));
    Ok(())
}

fn size(bench: &mut Bench) -> Result<()> {
    let bytes = |file: &Path| -> Result<Figure> { Ok(Figure::exact(file.metadata()?.len() as f64)) };
    let rivals = [Rival::SecretsInit, Rival::Chamber];
    let files = rivals.iter().filter_map(|rival| Some((*rival, bytes(bench.programs.file_of(*rival)?)))).collect();
    let peers = bench.peers("size", &rivals, files);
    let whole = Row::new("size", "size of strongroom-init", Unit::Bytes, bytes(&bench.programs.init)?);
    bench.rows.push(whole.beside(peers.clone()).with_target(Target::below(14e6)));
    let strongroom = Row::new("size-strongroom", "size of strongroom", Unit::Bytes, bytes(&bench.programs.strongroom)?);
    bench.rows.push(strongroom);
    let aws_only = bytes(&bench.programs.build_aws_only()?)?;
    let row = Row::new("size-aws", "size of strongroom-init for AWS alone", Unit::Bytes, aws_only);
    bench.rows.push(row.beside(peers).with_target(Target::below(7.5e6)));
    Ok(())
}

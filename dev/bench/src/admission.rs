//! `strongroom admission` under a steady stream of reviews, as an API server sends them: by TLS on connections that are
//! kept, at a rate that does not wait for the answers. Besides, many pods created through a real API server, and the start
//! of pods on a real node.

mod creations;
mod reviews;
mod starts;
mod webhooks;

use anyhow::{Context, Result};

use self::webhooks::Webhooks;
use crate::client::Answer;
use crate::flow::{Answered, Flow, send, steady};
use crate::recorded;
use crate::report::{Figure, Peer, Row, Target, Unit};
use crate::scenarios::{Bench, Scenario};

/// What the scenarios' names begin with.
pub(crate) const PREFIX: &str = "admission";

/// All of them, in the order of the table.
pub(crate) const PLAIN: Scenario = Scenario { name: "admission-plain", measure: plain };
pub(crate) const TYPICAL: Scenario = Scenario { name: "admission-typical", measure: typical };
pub(crate) const LARGE: Scenario = Scenario { name: "admission-large", measure: large };
pub(crate) const SECRETS: Scenario = Scenario { name: "admission-secrets", measure: secrets };
pub(crate) const MEMORY: Scenario = Scenario { name: "admission-memory", measure: memory };
pub(crate) const CREATIONS: Scenario = Scenario { name: "admission-registry", measure: creations::measure };
pub(crate) const STARTS: Scenario = Scenario { name: "admission-start", measure: starts::measure };

/// Reviews a second that a large cluster sends when it moves its pods.
const MANY: u32 = 500;

/// Reviews a second that the peers' figures are of.
const FEW: u32 = 100;

/// Large reviews a second: each is half a megabyte.
const LARGE_RATE: u32 = 10;

/// Whose figures there are.
const PEERS: [&str; 3] = ["kube-secrets-init", "AWS injector", "vault-secrets-webhook"];

/// A pod that has no reference stays as it is.
fn plain(bench: &mut Bench) -> Result<()> {
    let webhooks = Webhooks::start(bench)?;
    let answered = steady(webhooks.served(), &plain_pods()?, bench.effort.load.time)?;
    let metric = format!("a pod without references, {MANY}/s");
    bench.rows.push(tail("plain", &metric, &answered)?);
    bench.rows.push(processor("plain", &metric, &answered).with_target(Target::below(100.0)));
    let answered = steady(webhooks.served(), &lost_pods()?, bench.effort.load.time)?;
    bench.rows.push(processor("lost", &format!("the same to a path that nobody serves, {MANY}/s"), &answered));
    Ok(())
}

/// A pod with references and a command: at the peers' rate, and at ours.
fn typical(bench: &mut Bench) -> Result<()> {
    let webhooks = Webhooks::start(bench)?;
    let time = bench.effort.load.time;
    let answered = steady(webhooks.served(), &typical_pods(FEW)?, time)?;
    let metric = format!("a pod with references, {FEW}/s");
    let median = Figure::exact(answered.percentile(50)?);
    bench.rows.push(row("typical-100-p50", format!("{metric}: median"), Unit::Milliseconds, median));
    bench.rows.push(tail("typical-100", &metric, &answered)?);
    bench.rows.push(processor("typical-100", &metric, &answered));
    let answered = steady(webhooks.served(), &typical_pods(MANY)?, time)?;
    let metric = format!("a pod with references, {MANY}/s");
    bench.rows.push(rate("typical-500", &metric, &answered));
    bench.rows.push(tail("typical-500", &metric, &answered)?.with_target(Target::below(2.0)));
    bench.rows.push(processor("typical-500", &metric, &answered).with_target(Target::below(200.0)));
    Ok(())
}

/// 40 containers of 200 variables each, ten of them references.
fn large(bench: &mut Bench) -> Result<()> {
    let webhooks = Webhooks::start(bench)?;
    let answered = steady(webhooks.served(), &large_pods()?, bench.effort.load.time)?;
    let figure = Figure::of(answered.latencies()).context("no review was answered")?;
    let row = row("large", format!("40 containers of 200 variables, {LARGE_RATE}/s"), Unit::Milliseconds, figure);
    bench.rows.push(row.with_target(Target::below(20.0)));
    Ok(())
}

/// One variable of each pod comes from a Secret that holds a reference.
fn secrets(bench: &mut Bench) -> Result<()> {
    let webhooks = Webhooks::start(bench)?;
    let flow = secret_pods()?;
    // Every Secret is read once here, and never again.
    send(webhooks.served(), &flow, bench.effort.load.time / 5)?;
    let before = webhooks.reads_of_secrets()?;
    let answered = send(webhooks.served(), &flow, bench.effort.load.time)?;
    let reads = webhooks.reads_of_secrets()? - before;
    let metric = format!("a pod with a reference in a Secret, {MANY}/s");
    // 1 of 100: the last answers are on their way when the time is over.
    bench.rows.push(rate("secrets", &metric, &answered).with_target(Target::at_least(0.99 * f64::from(MANY))));
    bench.rows.push(tail("secrets", &metric, &answered)?);
    bench.rows.push(processor("secrets", &metric, &answered));
    let reads = row("secrets-reads", format!("{metric}: reads of Secrets"), Unit::Count, Figure::exact(reads));
    bench.rows.push(reads.with_target(Target::at_most(0.0)));
    Ok(())
}

/// What one process holds that has done all this.
fn memory(bench: &mut Bench) -> Result<()> {
    let webhooks = Webhooks::start(bench)?;
    for flow in [plain_pods()?, typical_pods(FEW)?, typical_pods(MANY)?, large_pods()?, secret_pods()?] {
        steady(webhooks.served(), &flow, bench.effort.load.time / 2)?;
    }
    let (resident, most) = (Figure::exact(webhooks.memory("VmRSS:")?), Figure::exact(webhooks.memory("VmHWM:")?));
    let row_of = |id: &str, what: &str, figure| row(id, format!("admission: resident set {what}"), Unit::Bytes, figure);
    bench.rows.push(row_of("resident", "after all these reviews", resident).with_target(Target::below(25e6)));
    bench.rows.push(row_of("peak", "at most", most));
    Ok(())
}

fn plain_pods() -> Result<Flow> {
    let requests = reviews::many(|number| reviews::of_four_kilobytes(number, reviews::plain_pod()))?;
    Ok(Flow { requests, is_right: is_unchanged, rate: MANY })
}

/// As [`plain_pods`], where nobody looks at them: what carrying them costs.
fn lost_pods() -> Result<Flow> {
    let lost = |request: Vec<u8>| {
        [b"POST /nobody".as_slice(), request.strip_prefix(b"POST /pods").unwrap_or(&request)].concat()
    };
    let requests = plain_pods()?.requests.into_iter().map(lost).collect();
    Ok(Flow { requests, is_right: |answer| answer.status == 404, rate: MANY })
}

fn typical_pods(rate: u32) -> Result<Flow> {
    let requests = reviews::many(|number| reviews::of_four_kilobytes(number, reviews::typical_pod()))?;
    Ok(Flow { requests, is_right: is_changed, rate })
}

fn large_pods() -> Result<Flow> {
    let requests = vec![reviews::request(0, &reviews::large_pod())];
    Ok(Flow { requests, is_right: is_changed, rate: LARGE_RATE })
}

fn secret_pods() -> Result<Flow> {
    let requests = reviews::many(|number| reviews::of_four_kilobytes(number, reviews::secret_pod(number)))?;
    Ok(Flow { requests, is_right: is_changed, rate: MANY })
}

/// Allowed without a patch.
fn is_unchanged(answer: Answer<'_>) -> bool {
    is_allowed(answer) && !has(answer, "\"patch\":")
}

/// Allowed with a patch.
fn is_changed(answer: Answer<'_>) -> bool {
    is_allowed(answer) && has(answer, "\"patch\":")
}

fn is_allowed(answer: Answer<'_>) -> bool {
    answer.status == 200 && has(answer, "\"allowed\":true")
}

fn has(answer: Answer<'_>, part: &str) -> bool {
    answer.body.windows(part.len()).any(|window| window == part.as_bytes())
}

/// Reviews a second that were answered.
fn rate(id: &str, metric: &str, answered: &Answered) -> Row {
    let figure = Figure::exact(answered.rate());
    row(&format!("{id}-rate"), format!("{metric}: answered a second"), Unit::Count, figure)
}

fn tail(id: &str, metric: &str, answered: &Answered) -> Result<Row> {
    let figure = Figure::exact(answered.percentile(99)?);
    Ok(row(&format!("{id}-p99"), format!("{metric}: 99 of 100 within"), Unit::Milliseconds, figure))
}

fn processor(id: &str, metric: &str, answered: &Answered) -> Row {
    let figure = Figure::exact(answered.processor_of_one());
    row(&format!("{id}-cpu"), format!("{metric}: processor time each"), Unit::Microseconds, figure)
}

/// A row of ours beside what the peers needed.
fn row(id: &str, metric: String, unit: Unit, figure: Figure) -> Row {
    let id = format!("{PREFIX}-{id}");
    let peers: Vec<_> = PEERS.iter().filter_map(|peer| recorded::find(&id, peer)).map(Peer::from).collect();
    Row::new(&id, metric, unit, figure).beside(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_the_expected_one_is_no_figure() {
        let check = |is_right: fn(Answer<'_>) -> bool, status, body: &str, expected| {
            assert_eq!(is_right(Answer { status, body: body.as_bytes() }), expected, "{body}");
        };
        let (plain, patched) = (r#"{"response":{"allowed":true}}"#, r#"{"response":{"allowed":true,"patch":"W10="}}"#);
        check(is_unchanged, 200, plain, true);
        check(is_unchanged, 200, patched, false);
        check(is_changed, 200, patched, true);
        check(is_changed, 200, plain, false);
        check(is_unchanged, 500, plain, false);
        check(is_changed, 200, r#"{"response":{"allowed":false,"patch":""}}"#, false);
    }
}

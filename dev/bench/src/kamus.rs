//! Kamus' services under a steady stream of requests, by TLS, with a real API server behind them; and the operator with
//! many KamusSecrets.

mod services;

use anyhow::{Context, Result, ensure};
use strongroom_kamus::Identity;
use strongroom_secret::SecretBytes;

pub(crate) use self::services::keys;
use self::services::{Installation, Service, bearer};
use crate::client::Answer;
use crate::flow::{Answered, Flow, send, steady};
use crate::process::{Processor, on_processor};
use crate::report::{Figure, Row, Target, Unit};
use crate::scenarios::{Bench, Scenario};

/// What the scenarios' names begin with.
pub(crate) const PREFIX: &str = "kamus";

/// All of them, in the order of the table.
pub(crate) const DECRYPT: Scenario = Scenario { name: "kamus-decrypt", measure: decrypt };
pub(crate) const MEMORY: Scenario = Scenario { name: "kamus-memory", measure: memory };
pub(crate) const SECRETS: Scenario = Scenario { name: "kamus-secrets", measure: crate::operator::kamus::measure };

/// Requests a second where all is known.
const MANY: u32 = 1_000;

/// Requests a second of which each costs the API server a review, or us an operation with the private key.
const FEW: u32 = 100;

/// Requests a second by which texts become known: below what a core can.
const LEARNING: u32 = 250;

/// Texts that are asked for again and again: all of them fit among the fresh keys that are kept.
const TEXTS: usize = 1_000;

/// Who asks, in its namespace.
const NAMESPACE: &str = "team-a";
const ACCOUNT: &str = "web";

/// Where texts are decrypted.
const DECRYPTION: &str = "/api/v1/decrypt";

/// What every text holds.
const VALUE: &str = "0123456789abcdefghijklmnopqrstuv0123456789abcdefghijklmnopqrstuv";

/// The API server and who asks share the processor that the decryptor has not.
fn decrypt(bench: &mut Bench) -> Result<()> {
    on_processor(Processor::Second, || decrypt_alone(bench))
}

/// The same texts again and again; then with another token each time; then another text each time.
fn decrypt_alone(bench: &mut Bench) -> Result<()> {
    let (installation, time) = (Installation::new(bench)?, bench.effort.load.time);
    let decryptor = installation.start("decryptor")?;
    let token = installation.tokens(1)?.remove(0);
    let known = texts(&installation, TEXTS)?;
    learn(&decryptor, asking(&token, &known))?;
    let metric = format!("a text that is known, {MANY}/s");
    let flow = Flow { requests: asking(&token, &known), is_right: is_value, rate: MANY };
    let answered = steady(decryptor.served(), &flow, time)?;
    // The last answers are on their way when the time is over.
    bench.rows.push(rate("decrypt", &metric, &answered).with_target(Target::at_least(0.99 * f64::from(MANY))));
    let [median, tail, processor] = rows("decrypt", &metric, &answered)?;
    bench.rows.extend([median, tail.with_target(Target::below(2.0)), processor]);
    // What the machine, the client and TLS leave of that target.
    let flow = Flow { requests: asking_at("/nowhere", &token, &known), is_right: is_lost, rate: MANY };
    let metric = format!("the same to a path that nobody serves, {MANY}/s");
    bench.rows.extend(rows("decrypt-lost", &metric, &steady(decryptor.served(), &flow, time)?)?);
    let count = (f64::from(FEW) * time.as_secs_f64() * 1.2) as usize + 1;
    let metric = format!("another token each time, {FEW}/s");
    let tokens = installation.tokens(count)?;
    let requests = tokens.iter().zip(known.iter().cycle()).map(|(token, text)| ask(token, text)).collect();
    let flow = Flow { requests, is_right: is_value, rate: FEW };
    bench.rows.extend(rows("decrypt-review", &metric, &once_each(&decryptor, flow, bench)?)?);
    let metric = format!("another text each time, {FEW}/s");
    let flow = Flow { requests: asking(&token, &texts(&installation, count)?), is_right: is_value, rate: FEW };
    bench.rows.extend(rows("decrypt-unwrap", &metric, &once_each(&decryptor, flow, bench)?)?);
    Ok(())
}

/// What each service holds after much of its own work.
fn memory(bench: &mut Bench) -> Result<()> {
    let (installation, time) = (Installation::new(bench)?, bench.effort.load.time);
    let (encryptor, decryptor) = (installation.start("encryptor")?, installation.start("decryptor")?);
    let token = installation.tokens(1)?.remove(0);
    let values = (0..TEXTS).map(|number| encryption(&format!("{number:04}{}", VALUE.repeat(16))));
    steady(encryptor.served(), &Flow { requests: values.collect(), is_right: is_text, rate: MANY / 2 }, time)?;
    // As many as are kept, and more.
    let known = texts(&installation, (f64::from(LEARNING) * time.as_secs_f64() * 2.0) as usize)?;
    learn(&decryptor, asking(&token, &known))?;
    let last = &known[known.len().saturating_sub(TEXTS)..];
    steady(decryptor.served(), &Flow { requests: asking(&token, last), is_right: is_value, rate: MANY }, time)?;
    for (name, service) in [("encryptor", &encryptor), ("decryptor", &decryptor)] {
        let row = |id: &str, what: &str, bytes| {
            Row::new(&format!("kamus-{name}-{id}"), format!("{name}: resident set {what}"), Unit::Bytes, bytes)
        };
        let (resident, most) = (service.memory("VmRSS:")?, service.memory("VmHWM:")?);
        bench.rows.push(row("resident", "after load", Figure::exact(resident)).with_target(Target::below(16e6)));
        bench.rows.push(row("peak", "at most", Figure::exact(most)));
    }
    Ok(())
}

/// Asks for each text once.
fn learn(decryptor: &Service, requests: Vec<Vec<u8>>) -> Result<()> {
    let time = std::time::Duration::from_secs_f64(requests.len() as f64 / f64::from(LEARNING));
    send(decryptor.served(), &Flow { requests, is_right: is_value, rate: LEARNING }, time).map(drop)
}

/// Sends requests of which none may come twice; the first of them do not count.
fn once_each(decryptor: &Service, mut flow: Flow, bench: &Bench) -> Result<Answered> {
    let time = bench.effort.load.time;
    let first = (f64::from(flow.rate) * (time / 5).as_secs_f64()) as usize;
    let left = flow.requests.split_off(first.min(flow.requests.len()));
    ensure!(left.len() as f64 >= f64::from(flow.rate) * time.as_secs_f64(), "there are too few requests");
    let before = Flow { requests: std::mem::replace(&mut flow.requests, left), ..flow };
    send(decryptor.served(), &before, time / 5)?;
    send(decryptor.served(), &flow, time)
}

/// So many texts for the account, made as anybody makes them who has the public key.
fn texts(installation: &Installation, count: usize) -> Result<Vec<String>> {
    let reader = Identity::new(NAMESPACE, ACCOUNT)?;
    let value = SecretBytes::from(VALUE.to_owned());
    (0..count).map(|_| Ok(installation.public().seal(&reader, &value)?.to_string())).collect()
}

fn asking(token: &str, texts: &[String]) -> Vec<Vec<u8>> {
    asking_at(DECRYPTION, token, texts)
}

fn asking_at(path: &str, token: &str, texts: &[String]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| ask_at(path, token, text)).collect()
}

fn ask(token: &str, text: &str) -> Vec<u8> {
    ask_at(DECRYPTION, token, text)
}

fn ask_at(path: &str, token: &str, text: &str) -> Vec<u8> {
    services::post(path, &bearer(token), &format!(r#"{{"data":"{text}"}}"#))
}

fn encryption(value: &str) -> Vec<u8> {
    let body = format!(r#"{{"data":"{value}","service-account":"{ACCOUNT}","namespace":"{NAMESPACE}"}}"#);
    services::post("/api/v1/encrypt", "", &body)
}

fn is_value(answer: Answer<'_>) -> bool {
    answer.status == 200 && answer.body == VALUE.as_bytes()
}

fn is_lost(answer: Answer<'_>) -> bool {
    answer.status == 404
}

fn is_text(answer: Answer<'_>) -> bool {
    answer.status == 200 && answer.body.starts_with(b"sr1.")
}

fn rate(id: &str, metric: &str, answered: &Answered) -> Row {
    let figure = Figure::exact(answered.rate());
    Row::new(&format!("kamus-{id}-rate"), format!("{metric}: answered a second"), Unit::Count, figure)
}

/// Median, 99 of 100, and processor time.
fn rows(id: &str, metric: &str, answered: &Answered) -> Result<[Row; 3]> {
    let row = |what: &str, words: &str, unit, value| {
        Row::new(&format!("kamus-{id}-{what}"), format!("{metric}: {words}"), unit, Figure::exact(value))
    };
    let percentile = |percent| answered.percentile(percent).context("nothing was answered");
    Ok([
        row("p50", "median", Unit::Milliseconds, percentile(50)?),
        row("p99", "99 of 100 within", Unit::Milliseconds, percentile(99)?),
        row("cpu", "processor time each", Unit::Microseconds, answered.processor_of_one()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_the_value_is_no_figure() {
        let check = |is_right: fn(Answer<'_>) -> bool, status, body: &str, expected| {
            assert_eq!(is_right(Answer { status, body: body.as_bytes() }), expected, "{status} {body}");
        };
        check(is_value, 200, VALUE, true);
        check(is_value, 200, "", false);
        check(is_value, 400, VALUE, false);
        check(is_text, 200, "sr1.0123456789abcdef.AQID", true);
        check(is_text, 200, VALUE, false);
        check(is_lost, 404, "", true);
        check(is_lost, 200, VALUE, false);
    }
}

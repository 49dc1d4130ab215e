//! The way in for whoever signs: `POST /events`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_event::webhook::{BODY_LIMIT, HEADER, KEY_MINIMUM, parse, verify};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Answer, Posted, Route, Server, StatusCode};
use strongroom_secret::SecretBytes;

use super::{Listener, Told};
use crate::run::parse_address;

/// The largest file that is read as a key.
const KEY_MAXIMUM: usize = 4096;

const SOURCE: Told<'static> = Told { kind: "webhook", name: "POST /events" };

/// Listens at `address`; `file` holds the shared key.
///
/// # Errors
/// Where the address cannot be had, or the file holds no key.
pub(super) async fn bind(listener: &Arc<Listener>, address: &str, file: &Path) -> Result<Server, Failure> {
    const ADDRESS: &str = "--events-webhook-addr";
    key(file)?;
    let (listener, file) = (Arc::clone(listener), PathBuf::from(file));
    let route = Route::post("/events", BODY_LIMIT, move |posted| answer(&listener, &file, posted));
    let server = Server::bind(parse_address(ADDRESS, address)?, vec![route]).await;
    let server = server.map_err(|failure| failure.in_field(ADDRESS))?;
    tracing::info!(flag = ADDRESS, address = %server.address(), "listening");
    Ok(server)
}

/// The shared key, without the line's end that editors leave behind.
fn key(file: &Path) -> Result<SecretBytes, Failure> {
    let invalid = |words: String| Failure::new(Class::Invalid, words).in_field("--events-webhook-secret-file");
    let read = std::fs::read(file).map(SecretBytes::new);
    let read = read.map_err(|error| invalid(format!("cannot read {}: {error}", file.display())))?;
    let key = SecretBytes::new(read.expose().trim_ascii_end().to_vec());
    if !(KEY_MINIMUM..=KEY_MAXIMUM).contains(&key.len()) {
        let words = format!("{} must have {KEY_MINIMUM} to {KEY_MAXIMUM} bytes", file.display());
        return Err(invalid(words).with_hint("openssl rand -hex 32 makes one"));
    }
    Ok(key)
}

fn answer(listener: &Listener, file: &Path, posted: &Posted) -> Answer {
    // Read each time: a mounted Secret changes without a restart, and a page of memory is all there is to read.
    let key = match key(file) {
        Ok(key) => key,
        Err(failure) => {
            tracing::error!(%failure, "no request of a webhook can be checked");
            return Answer::text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n");
        }
    };
    let header = posted.headers.get(HEADER).and_then(|value| value.to_str().ok());
    let proof = match verify(&key, header, &posted.body, Timestamp::now().as_second()) {
        Ok(proof) => proof,
        Err(failure) => {
            listener.take(&SOURCE, Err(failure));
            // Whoever forges is told nothing that helps.
            return Answer::text(StatusCode::UNAUTHORIZED, "the signature is missing, wrong or old\n");
        }
    };
    let id: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
    let read = parse(&posted.body).map(|mut change| {
        change.id = Some(id);
        Some(change)
    });
    let refusal = read.as_ref().err().map(|failure| format!("{}\n", failure.words));
    listener.take(&SOURCE, read);
    match refusal {
        Some(words) => Answer::text(StatusCode::BAD_REQUEST, words),
        None => Answer::text(StatusCode::ACCEPTED, "taken\n"),
    }
}

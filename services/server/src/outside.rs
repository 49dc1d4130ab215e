//! Asking others over HTTP on behalf of a login: key sets, discovery documents, token reviews.

use std::time::Duration;

use serde_json::Value;
use strongroom_http::{Client, Method, Pem, Request, Response, Roots, Settings, Timeouts, TlsSettings, secret_header};
use strongroom_secret::SecretBytes;

/// Whoever logs in waits for this.
const TIMES: Timeouts =
    Timeouts { connect: Duration::from_secs(5), wait: Duration::from_secs(10), total: Duration::from_secs(15) };

/// The largest answer.
const LARGEST: usize = 1 << 20;

/// A client that trusts these authorities (PEM) alone, or the system's.
///
/// # Errors
/// PEM that cannot be read.
pub(crate) fn client(authorities: Option<&str>) -> Result<Client, String> {
    let roots = match authorities.filter(|pem| !pem.trim().is_empty()) {
        Some(pem) => Roots::Only(vec![Pem::Text(SecretBytes::from(pem.to_owned()))]),
        None => Roots::default(),
    };
    let tls = TlsSettings { roots, ..TlsSettings::default() };
    let settings = Settings { tls, timeouts: TIMES, body_limit: LARGEST, ..Settings::default() };
    Client::new(settings).map_err(|error| error.to_string())
}

/// Asks; the answer, whatever its status.
///
/// # Errors
/// Where there is none.
pub(crate) async fn ask(
    client: &Client,
    address: &str,
    bearer: Option<&SecretBytes>,
    body: Option<&Value>,
) -> Result<Response, String> {
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder().method(method).uri(address).header("accept", "*/*");
    if let Some(bearer) = bearer {
        let header = secret_header("Bearer ", bearer).map_err(|error| error.to_string())?;
        request = request.header("authorization", header);
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map(|body| SecretBytes::from(body.to_string())).unwrap_or_default();
    let request = request.body(body).map_err(|_| "the address cannot be used".to_owned())?;
    client.send(request).await.map_err(|error| error.to_string())
}

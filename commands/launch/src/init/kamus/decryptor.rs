//! One decryptor, asked as this pod.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_http::{
    Client, HeaderValue, Method, Pem, Redirects, Request, Response, Roots, Settings, StatusCode, Timeouts, Uri, header,
    json_body, secret_header,
};
use strongroom_kamus::output::Value;
use strongroom_read::{Ambient, read_file};
use strongroom_secret::SecretBytes;
use tokio::runtime::Runtime;

use crate::init::kamus::encrypted::EncryptedFile;
use crate::init::kamus::{as_error, cannot_start, invalid};

/// Where kubelet puts a pod's token.
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Tokens have a few kilobytes.
const LARGEST_TOKEN: usize = 64 * 1024;

/// Kamus' own patience with one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many redirects are followed, to the same host alone.
const MOST_REDIRECTS: usize = 5;

/// A decryptor, and the token that says who asks.
pub(super) struct Decryptor {
    runtime: Runtime,
    client: Client,
    address: Uri,
    token: PathBuf,
    authorization: HeaderValue,
}

impl Decryptor {
    /// The decryptor at `url`, which may have a path and slashes at its end.
    ///
    /// # Errors
    /// An address that is none, a token that cannot be read.
    pub(super) fn new(url: &str, ambient: &Ambient) -> Result<Self, Failure> {
        let address = format!("{}/api/v1/decrypt", url.trim_end_matches('/')).parse();
        let address = address.map_err(|_| invalid("Error: KAMUS_URL is no address"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(cannot_start)?;
        let token = PathBuf::from(ambient.get("TOKEN_FILE_PATH").unwrap_or_else(|| TOKEN_FILE.to_owned()));
        let authorization = bearer(&token)?;
        Ok(Self { runtime, client: client(ambient)?, address, token, authorization })
    }

    /// Reads the token again, which is replaced while a pod runs.
    ///
    /// # Errors
    /// A token that cannot be read.
    pub(super) fn renew_token(&mut self) -> Result<(), Failure> {
        self.authorization = bearer(&self.token)?;
        Ok(())
    }

    /// What the encrypted `file` holds.
    ///
    /// # Errors
    /// Whatever is no whole answer of a decryptor.
    pub(super) fn decrypt(&self, file: &EncryptedFile) -> Result<Value, Failure> {
        let body = json_body(&BTreeMap::from([("data", file.text.as_str())]));
        let answer = body.map_err(Failure::from).and_then(|body| self.ask(body));
        let answer = answer.map_err(|failure| told(failure, &file.path))?;
        let no_value = || told(Failure::new(Class::Invalid, "the value is no UTF-8"), &file.path);
        Value::read(&answer).ok_or_else(no_value)
    }

    fn ask(&self, body: SecretBytes) -> Result<SecretBytes, Failure> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.address.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/plain, */*")
            .header(header::AUTHORIZATION, self.authorization.clone())
            .body(body)
            .map_err(|_| invalid("the request cannot be made"))?;
        let response = self.runtime.block_on(self.client.send(request))?;
        check(&response)?;
        Ok(response.body)
    }
}

/// A decryptor answers 200 with plain text. What a proxy says in its place must not become a secret.
fn check(response: &Response) -> Result<(), Failure> {
    if response.status != StatusCode::OK {
        let failure = invalid(response.status.as_u16().to_string());
        return Err(match response.status {
            StatusCode::UNAUTHORIZED => failure.with_hint("the decryptor does not accept the pod's token"),
            StatusCode::BAD_REQUEST => {
                failure.with_hint("the file was encrypted for another service account, or is no encrypted text")
            }
            status if status.is_redirection() => failure.with_hint("the token is not sent to another host"),
            _ => failure,
        });
    }
    let kind = response.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_page = ["text/html", "application/xhtml"].iter().any(|page| kind.to_ascii_lowercase().starts_with(page));
    if is_page { Err(invalid("the answer is a page (text/html)").with_hint("check KAMUS_URL")) } else { Ok(()) }
}

fn told(mut failure: Failure, file: &Path) -> Failure {
    failure.words = format!("Error: request to decrypt API failed: {}", failure.words);
    let file = format!("while decrypting {}", file.display());
    let hint = failure.hint.take().map_or_else(|| file.clone(), |hint| format!("{file}: {hint}"));
    failure.with_hint(hint)
}

/// The token in `file`, without white space around it: tokens that people write have a newline at their end.
fn bearer(file: &Path) -> Result<HeaderValue, Failure> {
    let content = read_file(file, LARGEST_TOKEN).map_err(as_error)?;
    let token = content.expose_text().map(str::trim).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| invalid(format!("Error: {} holds no token", file.display())))?;
    let token = SecretBytes::new(token.as_bytes().to_vec());
    secret_header("Bearer ", &token).map_err(|error| as_error(error.into()))
}

fn client(ambient: &Ambient) -> Result<Client, Failure> {
    let settings = Settings::from_environment(&|name| ambient.get(name)).map_err(|error| as_error(error.into()))?;
    let timeouts = Timeouts { connect: PATIENCE, wait: PATIENCE, total: PATIENCE };
    let mut settings = Settings { redirects: Redirects::SameHost(MOST_REDIRECTS), timeouts, ..settings };
    // By which further authorities were named to the original, a program of Node.
    if let Some(file) = ambient.get("NODE_EXTRA_CA_CERTS") {
        settings.tls.roots = Roots::System(vec![Pem::File(file.into())]);
    }
    Client::new(settings).map_err(|error| as_error(error.into()))
}

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::core::Status;
use kube::{Client, Error};
use strongroom_secret::SecretBytes;

/// Answers only with an object's metadata, also to writes: what was sent needs not come back.
pub(crate) const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// The whole object.
pub(crate) const WHOLE: &str = "application/json";

/// The largest answer that is read, in bytes. etcd takes 1.5 MiB an object; base64 and managed fields add to it.
const ANSWER_LIMIT: usize = 4 << 20;

/// One request and its whole answer, both in memory that is wiped. The client's own methods keep bodies in strings that
/// stay behind, which is why Secrets and tokens go this way.
pub(crate) async fn exchange(
    client: &Client,
    method: Method,
    address: &str,
    accept: &'static str,
    body: Option<SecretBytes>,
) -> Result<SecretBytes, Error> {
    let content = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(address).header(header::ACCEPT, accept);
    let request = match body {
        None => request.body(Body::empty()),
        Some(body) => {
            let body = Body::from(Bytes::from_owner(Wiped(body)));
            request.header(header::CONTENT_TYPE, content).body(body)
        }
    };
    let answer = client.send(request.map_err(Error::HttpError)?).await?;
    let status = answer.status();
    let body = collect(answer.into_body()).await?;
    if status.is_success() {
        return Ok(body);
    }
    // What is no Status came from something else, such as a proxy, and is not quoted.
    let parsed = serde_json::from_slice::<Status>(body.expose()).ok();
    let refused = parsed.unwrap_or_else(|| Status::failure("", "").with_code(status.as_u16()));
    Err(Error::Api(refused.boxed()))
}

/// Reads a body, piece by piece, and puts it together once, so that no growing buffer leaves copies behind.
async fn collect(mut body: Body) -> Result<SecretBytes, Error> {
    let (mut pieces, mut size) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        size += piece.len();
        if size > ANSWER_LIMIT {
            return Err(Error::LinesCodecMaxLineLengthExceeded);
        }
        pieces.push(piece);
    }
    let mut whole = Vec::with_capacity(size);
    for piece in &pieces {
        whole.extend_from_slice(piece);
    }
    Ok(SecretBytes::new(whole))
}

/// Hands a value to the client without a copy; wiped when the last holder is done.
struct Wiped(SecretBytes);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

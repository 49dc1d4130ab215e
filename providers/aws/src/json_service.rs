//! Services of AWS with which we speak without a client of the SDK's: one signed request, one answer, in JSON.

use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, Request, Uri};
use strongroom_secret::SecretBytes;

use crate::failure::Refusal;
use crate::session::Session;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// One operation of a service, in one region.
pub(crate) struct Operation {
    /// As IAM's policies write it: `ecr:GetAuthorizationToken`.
    pub(crate) name: &'static str,
    /// The service in the scope of a signature.
    pub(crate) service: &'static str,
    /// The value of `X-Amz-Target`.
    pub(crate) target: &'static str,
    pub(crate) region: String,
    /// Where the service listens.
    pub(crate) endpoint: String,
    /// What is asked, JSON; `{}` for a call without settings.
    pub(crate) body: SecretBytes,
}

type Failed = SdkError<ErrorMetadata, HttpResponse>;

impl Operation {
    /// Calls it as `session`, and gives what it answers.
    pub(crate) async fn call(&self, session: &Session) -> Result<SecretBytes, Refusal> {
        session.call(self.name, || self.send(session)).await
    }

    async fn send(&self, session: &Session) -> Result<SecretBytes, Failed> {
        let request = self.signed(session).await.map_err(SdkError::construction_failure)?;
        let answer = session.send(request).await.map_err(SdkError::dispatch_failure)?;
        if answer.status().is_success() {
            return match answer.body().bytes() {
                Some(body) => Ok(SecretBytes::new(body.to_vec())),
                None => Err(SdkError::response_error("the answer is a stream", answer)),
            };
        }
        let said = said(answer.headers().get("x-amzn-errortype"), answer.body().bytes().unwrap_or_default());
        Err(SdkError::service_error(said, answer))
    }

    async fn signed(&self, session: &Session) -> Result<Request<SecretBytes>, Failure> {
        let unfit = |what: &str| Failure::new(Class::Invalid, format!("{what} cannot be signed"));
        let url = format!("{}/", self.endpoint.trim_end_matches('/'));
        let uri: Uri = url.parse().map_err(|_| unfit("the address"))?;
        let identity = session.credentials().await?.into();
        let params = SigningParams::builder().identity(&identity).region(&self.region).name(self.service);
        let params = params.time(SystemTime::now()).settings(SigningSettings::default());
        let params = params.build().map_err(|_| unfit("the request"))?.into();
        let given = [("content-type", CONTENT_TYPE), ("x-amz-target", self.target)];
        let body = SignableBody::Bytes(self.body.expose());
        let request = SignableRequest::new("POST", url.as_str(), given.into_iter(), body);
        let signed = sign(request.map_err(|_| unfit("the request"))?, &params).map_err(|_| unfit("the request"))?;
        let (instructions, _) = signed.into_parts();
        let mut request = Request::builder().method(Method::POST).uri(uri);
        for (name, value) in given.into_iter().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        request.body(self.body.clone()).map_err(|_| unfit("a header"))
    }
}

/// What a refusal says: the code stands in a header or in the body.
fn said(code: Option<&str>, body: &[u8]) -> ErrorMetadata {
    #[derive(Default, Deserialize)]
    struct Said {
        #[serde(rename = "__type", alias = "code")]
        code: Option<String>,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    let said: Said = serde_json::from_slice(body).unwrap_or_default();
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = code.map(str::to_owned).or(said.code) {
        metadata = metadata.code(code);
    }
    if let Some(message) = said.message {
        metadata = metadata.message(message);
    }
    metadata.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_its_code_in_a_header_or_in_the_body() {
        let check = |header: Option<&str>, body: &str, code: Option<&str>, message: Option<&str>| {
            let said = said(header, body.as_bytes());
            assert_eq!((said.code(), said.message()), (code, message), "{body}");
        };
        check(
            None,
            r#"{"__type": "AccessDeniedException", "message": "no"}"#,
            Some("AccessDeniedException"),
            Some("no"),
        );
        check(None, r#"{"__type": "a.b#ServerException", "Message": "no"}"#, Some("a.b#ServerException"), Some("no"));
        check(Some("Throttling:http://a/"), r#"{"message": "slow"}"#, Some("Throttling:http://a/"), Some("slow"));
        check(None, "<html>", None, None);
        check(None, "[]", None, None);
    }
}

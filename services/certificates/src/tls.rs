//! The kept certificate in a server.

use strongroom_http::ServerTls;
use tokio::sync::watch;

use crate::contents::ServingCertificate;

/// Waits for the first certificate and makes a server's TLS of it, and a task that gives it each newer one. `None`
/// where [`keep`](crate::keep) ended before there was one.
pub async fn serve(
    mut certificates: watch::Receiver<Option<ServingCertificate>>,
) -> Option<(ServerTls, impl Future<Output = ()> + Send)> {
    let tls = loop {
        let first = certificates.wait_for(Option::is_some).await.ok()?.clone()?;
        match ServerTls::from_pem(&first.certificate, &first.key) {
            Ok(tls) => break tls,
            Err(failure) => tracing::error!(%failure, "the certificate cannot be served; waiting for another"),
        }
        certificates.mark_unchanged();
        certificates.changed().await.ok()?;
    };
    certificates.mark_unchanged();
    let server = tls.clone();
    let following = async move {
        while certificates.changed().await.is_ok() {
            let Some(newer) = certificates.borrow_and_update().clone() else { continue };
            match tls.replace(&newer.certificate, &newer.key) {
                Ok(()) => tracing::info!("a newer certificate is served"),
                Err(failure) => tracing::error!(%failure, "the certificate stays what it was"),
            }
        }
    };
    Some((server, following))
}

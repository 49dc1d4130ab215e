//! Serving: what listens and bounds what clients may take, and on it the small server of [`routes`] and the server of
//! [`requests`], which hands whole requests to one handler.

mod listen;
mod requests;
mod routes;
mod sent;
mod stop;
mod tls;

use std::net::SocketAddr;

use strongroom_failure::{Class, Failure};
use tokio::net::TcpListener;

pub use listen::{Limits, Peer};
pub use requests::{Received, Reply, ReplyBody, ReplyPart, RequestServer};
pub use routes::{Answer, Posted, Route, Server};
pub use stop::stop_signal;
pub use tls::{ServerCertificate, ServerTls};

/// Listens; connections wait in the kernel until they are served.
async fn bound(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Class::Invalid, format!("cannot listen on {address}: {error}"))
            .with_hint("choose another address, or end the program that has it")
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

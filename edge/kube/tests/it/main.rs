//! Against the real API server: watches, writes, leases, events.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "nobody reads the files that it writes meanwhile")]

mod election;
mod events;
mod looking;
mod secrets;
mod traffic;
mod watching;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use strongroom_kube::{Access, Connection, Settings};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use world::control_plane::{ControlPlane, Options};

/// The cluster of all tests that leave it running; each has a namespace of its own.
fn cluster() -> &'static ControlPlane {
    static CLUSTER: OnceLock<ControlPlane> = OnceLock::new();
    CLUSTER.get_or_init(|| ControlPlane::start(&Options::default()).unwrap())
}

/// A new namespace.
fn namespace(cluster: &ControlPlane) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("team-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    cluster.kubectl(&["create", "namespace", &name]).unwrap();
    name
}

async fn connect(kubeconfig: &Path) -> Connection {
    limited(kubeconfig, 0.0, 0).await
}

async fn limited(kubeconfig: &Path, queries_per_second: f64, burst: u32) -> Connection {
    let access = Access::Kubeconfig { files: vec![kubeconfig.to_owned()], context: None };
    Connection::open(&Settings { access, role: "test", queries_per_second, burst }).await.unwrap()
}

/// Waits until `holds`, asking every 50 ms for at most 30 s.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A wire to the API server that can be cut.
struct Wire {
    /// A kubeconfig that leads over it.
    kubeconfig: PathBuf,
    is_whole: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

impl Wire {
    async fn to(cluster: &ControlPlane) -> Self {
        let target = cluster.server().trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let (is_whole, state) = watch::channel(true);
        tokio::spawn(carry(listener, target.clone(), state));
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let direct = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
        std::fs::write(&kubeconfig, direct.replace(&target, &here)).unwrap();
        Self { kubeconfig, is_whole, _folder: folder }
    }

    /// Ends all connections and, until it is mended, each new one.
    fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    fn mend(&self) {
        self.is_whole.send_replace(true);
    }
}

async fn carry(listener: TcpListener, target: String, mut state: watch::Receiver<bool>) {
    while let Ok((mut near, _)) = listener.accept().await {
        if !*state.borrow_and_update() {
            continue;
        }
        let (target, mut state) = (target.clone(), state.clone());
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(&target).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = state.wait_for(|is_whole| !is_whole) => {}
            }
        });
    }
}

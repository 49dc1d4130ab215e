//! Connections across the border of a node world's network.
//!
//! A path of the file system is seen on both sides, and so is a socket that is bound to it. Inside, [`serve_inside`]
//! listens on one and does what the outside asks for in one line: dial an address, or listen on a port and bring what
//! comes in back out. Outside, [`Gate`] asks. Nobody inside can reach a port outside that was not opened by name.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cache;

const INSIDE: &str = "inside.sock";
const OUTSIDE: &str = "outside.sock";

/// No request line is longer.
const LONGEST_LINE: u64 = 256;

/// A peer that says nothing is given up after this long; it does not limit connections that are through.
const PATIENCE: Duration = Duration::from_secs(10);

/// More connections at a time through one gate are refused: each costs four threads and six descriptors.
const MOST_CONNECTIONS: usize = 512;

/// The outside's end of a world's gate.
#[derive(Debug)]
pub(crate) struct Gate {
    folder: PathBuf,
    /// The ports of 127.0.0.1 outside that the inside may reach.
    open: Arc<Mutex<Vec<u16>>>,
    /// The ports of 127.0.0.1 outside that lead inside.
    forwarded: Mutex<Vec<SocketAddr>>,
    /// Set when the world has ended: no thread listens any longer.
    closed: Arc<AtomicBool>,
}

impl Gate {
    /// Makes the outside's end in `folder`, which both sides see. It serves until it is dropped.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let open = Arc::new(Mutex::new(Vec::new()));
        let listener = UnixListener::bind(folder.join(OUTSIDE)).context("cannot listen on the gate's outside")?;
        let closed = Arc::new(AtomicBool::new(false));
        let (allowed, end) = (Arc::clone(&open), Arc::clone(&closed));
        std::thread::spawn(move || accept(listener.incoming(), &end, move |inside| let_out(inside, &allowed)));
        Ok(Self { folder: folder.to_owned(), open, forwarded: Mutex::default(), closed })
    }

    /// From now on connections to `listener` come out at `address` inside.
    pub(crate) fn forward(&self, listener: TcpListener, address: SocketAddr) -> Result<()> {
        self.forwarded.lock().unwrap_or_else(PoisonError::into_inner).push(listener.local_addr()?);
        let (folder, end) = (self.folder.clone(), Arc::clone(&self.closed));
        std::thread::spawn(move || {
            accept(listener.incoming(), &end, move |outside| {
                outside.set_nodelay(true)?;
                let (inside, answer) = ask(&folder.join(INSIDE), &format!("dial {address}"))?;
                if answer != "ok" {
                    bail!("the inside cannot reach {address}: {answer}");
                }
                bridge(&outside, &inside);
                Ok(())
            });
        });
        Ok(())
    }

    /// Opens the port `port` of 127.0.0.1 outside to the inside, at `address` there, and returns the port that leads to
    /// it: a free one where `address` has port 0.
    pub(crate) fn expose(&self, port: u16, address: SocketAddr) -> Result<u16> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(port);
        let (_, answer) = ask(&self.folder.join(INSIDE), &format!("listen {address} {port}"))?;
        answer.parse().with_context(|| format!("the inside cannot listen: {answer}"))
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // Nothing but a connection wakes a thread that waits for one.
        let _ = UnixStream::connect(self.folder.join(OUTSIDE));
        for address in self.forwarded.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = TcpStream::connect(address);
        }
    }
}

/// The inside's end of the gate in `folder`. It serves as long as the process lives.
pub(crate) fn serve_inside(folder: &Path) -> Result<()> {
    let listener = UnixListener::bind(folder.join(INSIDE)).context("cannot listen on the gate's inside")?;
    let folder = folder.to_owned();
    let never = AtomicBool::new(false);
    std::thread::spawn(move || accept(listener.incoming(), &never, move |outside| answer_outside(outside, &folder)));
    Ok(())
}

/// Serves each connection in a thread of its own, until the first that comes after `closed` was set.
fn accept<S: Send + 'static>(
    incoming: impl Iterator<Item = std::io::Result<S>>,
    closed: &AtomicBool,
    serve: impl Fn(S) -> Result<()> + Send + Sync + 'static,
) {
    let serve = Arc::new(serve);
    let running = Arc::new(AtomicUsize::new(0));
    for connection in incoming.flatten() {
        if closed.load(Ordering::Relaxed) {
            return;
        }
        let (serve, running) = (Arc::clone(&serve), Arc::clone(&running));
        if running.load(Ordering::Relaxed) >= MOST_CONNECTIONS {
            cache::progress("a gate refuses a connection: too many are open");
            continue;
        }
        running.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            if let Err(error) = serve(connection) {
                cache::progress(&format!("a connection through the gate failed: {error:#}"));
            }
            running.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Asks the other side one thing, and returns the connection and its one line of answer.
fn ask(socket: &Path, question: &str) -> Result<(UnixStream, String)> {
    let mut stream = UnixStream::connect(socket).context("the world's inside is gone")?;
    writeln!(stream, "{question}")?;
    let answer = read_line(&stream)?;
    Ok((stream, answer))
}

/// One line, read byte by byte, because what follows it belongs to somebody else.
fn read_line(stream: &UnixStream) -> Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::with_capacity(1, stream.take(LONGEST_LINE)).read_line(&mut line)?;
    stream.set_read_timeout(None)?;
    Ok(line.trim_end().to_owned())
}

/// Inside: does what the outside asks for.
fn answer_outside(mut outside: UnixStream, folder: &Path) -> Result<()> {
    let question = read_line(&outside)?;
    match question.split(' ').collect::<Vec<_>>()[..] {
        ["dial", address] => match TcpStream::connect_timeout(&address.parse()?, PATIENCE) {
            Ok(inside) => {
                inside.set_nodelay(true)?;
                writeln!(outside, "ok")?;
                bridge(&inside, &outside);
                Ok(())
            }
            Err(error) => Ok(writeln!(outside, "{error}")?),
        },
        ["listen", address, port] => {
            let port = port.parse()?;
            match TcpListener::bind(address.parse::<SocketAddr>()?) {
                Ok(listener) => {
                    let bound = listener.local_addr()?.port();
                    bring_out(listener, port, folder.join(OUTSIDE));
                    Ok(writeln!(outside, "{bound}")?)
                }
                Err(error) => Ok(writeln!(outside, "{error}")?),
            }
        }
        _ => bail!("the outside asked for {question:?}"),
    }
}

/// Inside: from now on connections to `listener` come out at `port` of 127.0.0.1 outside.
fn bring_out(listener: TcpListener, port: u16, socket: PathBuf) {
    std::thread::spawn(move || {
        accept(listener.incoming(), &AtomicBool::new(false), move |inside| {
            inside.set_nodelay(true)?;
            let (outside, answer) = ask(&socket, &port.to_string())?;
            if answer != "ok" {
                bail!("the outside cannot reach 127.0.0.1:{port}: {answer}");
            }
            bridge(&inside, &outside);
            Ok(())
        });
    });
}

/// Outside: connects what comes from inside with the port that it names, if that one is open.
fn let_out(mut inside: UnixStream, open: &Mutex<Vec<u16>>) -> Result<()> {
    let port: u16 = read_line(&inside)?.parse()?;
    if !open.lock().unwrap_or_else(PoisonError::into_inner).contains(&port) {
        return Ok(writeln!(inside, "the port is not open")?);
    }
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        Ok(outside) => {
            outside.set_nodelay(true)?;
            writeln!(inside, "ok")?;
            bridge(&outside, &inside);
            Ok(())
        }
        Err(error) => Ok(writeln!(inside, "{error}")?),
    }
}

/// Copies both ways until both sides have ended.
fn bridge(tcp: &TcpStream, unix: &UnixStream) {
    std::thread::scope(|scope| {
        scope.spawn(|| finish(std::io::copy(&mut &*tcp, &mut &*unix), unix.shutdown(Shutdown::Write), tcp, unix));
        finish(std::io::copy(&mut &*unix, &mut &*tcp), tcp.shutdown(Shutdown::Write), tcp, unix);
    });
}

/// After one direction: the other goes on, unless this one failed, for then nobody must wait for a peer that is gone.
fn finish(copied: std::io::Result<u64>, passed_on: std::io::Result<()>, tcp: &TcpStream, unix: &UnixStream) {
    if copied.is_err() || passed_on.is_err() {
        // One that is closed already is what is wanted.
        let _ = tcp.shutdown(Shutdown::Both);
        let _ = unix.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// Both ends in one network: what is tested is the way through, which is the same.
    fn gate() -> (tempfile::TempDir, Gate) {
        let folder = tempfile::tempdir().unwrap();
        serve_inside(folder.path()).unwrap();
        let gate = Gate::new(folder.path()).unwrap();
        (folder, gate)
    }

    /// A server that answers, once its peer has said everything, with all of it, and its port.
    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut said = Vec::new();
                stream.read_to_end(&mut said).unwrap();
                stream.write_all(&said).unwrap();
            }
        });
        port
    }

    fn say(address: SocketAddr, words: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(words)?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn words_pass_both_borders_whole_and_in_order() {
        let (_folder, gate) = gate();
        let words: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let forwarded = listener.local_addr().unwrap();
        gate.forward(listener, (Ipv4Addr::LOCALHOST, echo()).into()).unwrap();
        assert!(say(forwarded, &words).unwrap() == words);
        let exposed = gate.expose(echo(), (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        assert!(say((Ipv4Addr::LOCALHOST, exposed).into(), &words).unwrap() == words);
    }

    #[test]
    fn the_inside_reaches_no_port_that_was_not_opened() {
        let (folder, gate) = gate();
        let (open, closed) = (echo(), echo());
        gate.expose(open, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let from_inside = |port: u16| ask(&folder.path().join(OUTSIDE), &port.to_string()).unwrap().1;
        assert_eq!(from_inside(open), "ok");
        assert_eq!(from_inside(closed), "the port is not open");
    }

    #[test]
    fn a_dropped_gate_listens_no_longer() {
        let (_folder, gate) = gate();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let forwarded = listener.local_addr().unwrap();
        gate.forward(listener, (Ipv4Addr::LOCALHOST, echo()).into()).unwrap();
        assert_eq!(say(forwarded, b"here").unwrap(), b"here");
        drop(gate);
        let start = std::time::Instant::now();
        while TcpStream::connect(forwarded).is_ok() {
            assert!(start.elapsed() < PATIENCE, "it still listens");
        }
    }
}

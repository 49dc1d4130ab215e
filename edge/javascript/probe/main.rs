//! What the tests run: the child alone, and one that shuts itself in and then tries to get out.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};

use nix::sys::signal::{Signal, kill};
use nix::unistd::getppid;

// The child's own: what it is after `enter` is what the tests ask about.
#[allow(dead_code, unreachable_pub, reason = "the probe needs the limits alone")]
#[path = "../src/limits.rs"]
mod limits;
#[path = "../src/sandbox.rs"]
mod sandbox;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("escape") => escape(),
        _ => strongroom_javascript::serve(),
    }
}

/// One way out, by name.
type Way = (&'static str, fn() -> io::Result<()>);

/// Tries the ways out, one a line: what was tried, and how it ended.
fn escape() -> ExitCode {
    if sandbox::enter(&limits::Limits::default()).is_err() {
        return ExitCode::FAILURE;
    }
    let ways: [Way; 12] = [
        ("compute", || Ok(())),
        ("tcp", || TcpStream::connect("127.0.0.1:1").map(drop)),
        ("udp", || UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("pair", || UnixStream::pair().map(drop)),
        ("read a file", || File::open("/etc/passwd").map(drop)),
        ("write a file", || File::create("/tmp/javascript-probe").map(drop)),
        ("look around", || std::fs::metadata("/").map(drop)),
        ("start a program", || Command::new("/bin/true").spawn().map(drop)),
        ("start a thread", || std::thread::Builder::new().spawn(|| ()).map(drop)),
        ("read more input", || io::stdin().read(&mut [0]).map(drop)),
        ("write elsewhere", || io::stderr().write_all(b"x")),
        ("send a signal", || Ok(kill(getppid(), Signal::SIGCONT)?)),
    ];
    let mut output = io::stdout().lock();
    for (name, way) in ways {
        let ended = way().map_or_else(|error| format!("{:?}", error.kind()), |()| "done".to_owned());
        if writeln!(output, "{name}: {ended}").is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

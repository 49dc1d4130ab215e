//! What the tests run: `launch` is a program that launches as the shipped ones do; the others are children with a
//! behaviour that no ordinary tool has.

#![allow(unsafe_code, reason = "a child that waits for real-time signals with their values needs the C library")]
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a test's child talks on standard output")]

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use strongroom_process::{Command, Forward, Group, LaunchError, Options, Resolving, Restart, Stdin, Supervision};
use strongroom_secret::SecretBytes;

fn main() {
    if let Some(supervision) = Supervision::from_arguments() {
        supervision.run();
    }
    let mut words: VecDeque<OsString> = std::env::args_os().skip(1).collect();
    match words.pop_front().unwrap_or_default().to_str() {
        Some("launch") => launch(words),
        Some("count") => count_signals(),
        Some("orphans") => leave_orphans(words),
        Some("tick") => tick(),
        other => panic!("unknown behaviour {other:?}"),
    }
}

/// The settings of one launch, as the tests write them.
struct Settings {
    options: Options,
    stdin: Stdin,
    environment: Vec<SecretBytes>,
    resolve: Duration,
    executes: bool,
    unlinks_itself: bool,
    waits_protected: bool,
    /// Stays, and starts the command again whenever this file appears.
    keep: Option<PathBuf>,
}

fn launch(words: VecDeque<OsString>) {
    let mut resolving = Resolving::begin().expect("begins");
    let (settings, mut command) = read_settings(words);
    if settings.keep.is_some() {
        resolving = resolving.divide(settings.stdin, &settings.options).expect("divides");
    }
    if settings.resolve > Duration::ZERO {
        resolving.end_on_signals().expect("watches");
        eprintln!("resolving");
        // Busy on purpose: a signal must end the program also while it computes.
        let end = Instant::now() + settings.resolve;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }
    if settings.waits_protected {
        println!("protected");
        std::thread::sleep(Duration::from_secs(60));
    }
    if settings.unlinks_itself {
        std::fs::remove_file(std::env::args_os().next().expect("a name")).expect("unlinks");
    }
    let program = command.pop_front().expect("a command");
    if let Some(file) = &settings.keep {
        keep(resolving, &settings, &program, command, file);
    }
    let command =
        Command { program, arguments: command.into(), environment: settings.environment, stdin: settings.stdin };
    let error = if settings.executes { resolving.exec(&command) } else { resolving.launch(command, &settings.options) };
    eprintln!("{error}");
    std::process::exit(error.exit_code().into());
}

/// Starts the command, and again whenever `file` appears, with the number of the restart as ROUND.
fn keep(resolving: Resolving, settings: &Settings, program: &OsString, words: VecDeque<OsString>, file: &Path) -> ! {
    let words = Vec::from(words);
    let mut round = 0;
    let mut command = || {
        let mut environment = settings.environment.clone();
        environment.push(SecretBytes::from(format!("ROUND={round}")));
        round += 1;
        Command { program: program.clone(), arguments: words.clone(), environment, stdin: settings.stdin }
    };
    let failed = |error: LaunchError| -> ! {
        eprintln!("{error}");
        std::process::exit(error.exit_code().into())
    };
    let mut keeper = resolving.keep(command(), &settings.options).unwrap_or_else(|error| failed(error));
    let arrivals = keeper.arrivals().expect("a descriptor");
    loop {
        if let Some(code) = keeper.handle() {
            std::process::exit(code.into());
        }
        let mut waited_for = [PollFd::new(arrivals.as_fd(), PollFlags::POLLIN)];
        let _ = nix::poll::poll(&mut waited_for, 10_u8);
        if std::fs::remove_file(file).is_ok() {
            eprintln!("restarting");
            match keeper.restart(command()).unwrap_or_else(|error| failed(error)) {
                Restart::Ended(code) => std::process::exit(code.into()),
                restart => eprintln!("{restart:?}"),
            }
        }
    }
}

fn read_settings(mut words: VecDeque<OsString>) -> (Settings, VecDeque<OsString>) {
    let inherited = std::env::vars_os()
        .map(|(name, value)| SecretBytes::new([name.into_vec(), b"=".to_vec(), value.into_vec()].concat()));
    let mut settings = Settings {
        options: Options::default(),
        stdin: Stdin::Null,
        environment: inherited.collect(),
        resolve: Duration::ZERO,
        executes: false,
        unlinks_itself: false,
        waits_protected: false,
        keep: None,
    };
    while let Some(word) = words.pop_front() {
        let text = word.to_string_lossy().into_owned();
        let mut value = || words.pop_front().expect("a value");
        let number = |value: OsString| value.to_string_lossy().parse::<u64>().expect("a number");
        match text.as_str() {
            "--inherit-stdin" => settings.stdin = Stdin::Inherit,
            "--foreground" => settings.options.foreground = true,
            "--inherited-group" => settings.options.group = Group::Inherited,
            "--session" => settings.options.group = Group::Session,
            "--child-only" => settings.options.forward = Forward::Child,
            "--grace" => settings.options.grace = Duration::from_millis(number(value())),
            "--remap" => {
                let remap = value().to_string_lossy().parse().expect("a remap");
                settings.options.exit_remap.push(remap);
            }
            "--parent-death" => {
                settings.options.parent_death_signal = Some(value().to_string_lossy().parse().expect("a signal"));
            }
            "--resolve" => settings.resolve = Duration::from_millis(number(value())),
            "--env" => settings.environment.push(SecretBytes::new(value().into_vec())),
            "--clear-env" => settings.environment.clear(),
            "--filler" => settings.environment.extend(filler(number(value()))),
            "--exec" => settings.executes = true,
            "--unlink-itself" => settings.unlinks_itself = true,
            "--keep" => settings.keep = Some(value().into()),
            "--wait-protected" => settings.waits_protected = true,
            "--" => return (settings, words),
            _ => panic!("unknown setting {text}"),
        }
    }
    panic!("no command")
}

/// Five hundred entries of a size that a command line cannot carry.
fn filler(bytes: u64) -> impl Iterator<Item = SecretBytes> {
    let value = vec![b'x'; usize::try_from(bytes).expect("a size")];
    (0..500).map(move |number| SecretBytes::new([format!("FILLER_{number}=").into_bytes(), value.clone()].concat()))
}

/// How long it must be quiet after SIGTERM, which overtakes signals of higher numbers.
static QUIET: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 500_000_000 };

/// Says `ready`, then one line `SIGNAL VALUE SENDER` for each signal, until it was quiet after SIGTERM.
fn count_signals() {
    let out = std::io::stdout();
    // SAFETY: the set and the structure are plain data that the C library fills.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        writeln!(&out, "ready").expect("writes");
        let mut ending = false;
        loop {
            let mut received: libc::siginfo_t = std::mem::zeroed();
            let signal = libc::sigtimedwait(&raw const all, &raw mut received, &raw const QUIET);
            if signal <= 0 && ending {
                return;
            }
            if signal <= 0 {
                continue;
            }
            let value = received.si_value().sival_ptr as usize as u32;
            let value = if received.si_code == libc::SI_QUEUE { value } else { 0 };
            writeln!(&out, "{signal} {value} {}", received.si_pid()).expect("writes");
            ending |= signal == libc::SIGTERM;
        }
    }
}

/// Leaves `COUNT` orphans that live for `MILLISECONDS`, says `done` when all are started, and waits to be ended.
fn leave_orphans(mut words: VecDeque<OsString>) {
    let mut number = || -> u64 {
        let word = words.pop_front().expect("a number");
        std::str::from_utf8(word.as_bytes()).expect("text").parse().expect("a number")
    };
    let (count, life) = (number(), Duration::from_millis(number()));
    for _ in 0..count {
        // SAFETY: this process has one thread; the children only sleep and end.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                if libc::fork() == 0 {
                    std::thread::sleep(life);
                }
                libc::_exit(0);
            }
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
    }
    println!("done");
    std::thread::sleep(Duration::from_secs(600));
}

/// Says `up`, works for two seconds without reading anything, and says `done`.
fn tick() {
    println!("up");
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("done");
}

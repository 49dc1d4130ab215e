//! Under a real terminal: keys, job control, resizing, hanging up.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};

use crate::support::{PATIENCE, as_first_process, probe};

/// A terminal with a program in a session of its own on it.
struct Terminal {
    keys: Option<File>,
    shown: Receiver<Vec<u8>>,
    seen: String,
    /// The last line that was typed, for messages.
    last_line: String,
    process: Child,
    hung_up: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts `command` as the leader of a session on a new terminal.
    fn start(command: &[&str]) -> Self {
        let (master, slave) = open_terminal();
        let copy = |descriptor: &OwnedFd| Stdio::from(descriptor.try_clone().expect("a descriptor"));
        // A person's shell ignores nothing, whatever these tests were started under (nohup).
        let mut start = Command::new("env");
        start
            .args(["--default-signal", "setsid", "--ctty", "--wait"])
            .args(command)
            .env("PROBE", probe())
            .env("PS1", "$ ")
            .env_remove("ENV");
        let process = start.stdin(copy(&slave)).stdout(copy(&slave)).stderr(slave).spawn().expect("starts");
        let reading = File::from(master.try_clone().expect("a descriptor"));
        let (sender, shown) = channel();
        let hung_up = Arc::new(AtomicBool::new(false));
        let reader = std::thread::spawn({
            let hung_up = Arc::clone(&hung_up);
            move || read_until_hung_up(reading, &sender, &hung_up)
        });
        Self {
            keys: Some(File::from(master)),
            shown,
            seen: String::new(),
            last_line: String::new(),
            process,
            hung_up,
            reader: Some(reader),
        }
    }

    /// A shell with job control, its prompt seen.
    fn shell() -> Self {
        let mut terminal = Self::start(&["sh", "-i"]);
        terminal.expect("$ ");
        terminal
    }

    /// Presses keys.
    fn press(&mut self, keys: &str) {
        if keys.ends_with('\n') {
            keys.clone_into(&mut self.last_line);
        }
        self.keys.as_mut().expect("not hung up").write_all(keys.as_bytes()).expect("writes");
    }

    /// Waits until `text` is shown and forgets all up to it.
    fn expect(&mut self, text: &str) {
        let limit = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.seen.find(text) {
                self.seen.drain(..place + text.len());
                return;
            }
            let left = limit.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.shown.recv_timeout(left) else {
                panic!("{}: {text:?} is not in {:?}", self.last_line, self.seen)
            };
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// Closes the terminal's other side, ours, everywhere.
    fn hang_up(&mut self) {
        self.keys = None;
        self.hung_up.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader ends");
        }
    }

    /// Waits for the end of the program.
    fn end(mut self) -> i32 {
        let status = crate::support::until("the session ends", || self.process.try_wait().expect("waits"));
        status.code().unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.hang_up();
        crate::support::kill_tree(&mut self.process);
    }
}

/// The ways in which a program is launched on a terminal.
const WAYS: [&str; 4] = [
    "--inherit-stdin --foreground",
    "--inherit-stdin --foreground --keep /never",
    "--inherit-stdin --inherited-group",
    "",
];

/// Those of them whose command reads the terminal.
const READING_WAYS: &[&str] = WAYS.split_at(3).0;

#[test]
fn a_key_interrupts_the_child_once() {
    for way in WAYS {
        let mut terminal = Terminal::shell();
        let child = "trap 'echo caught' INT; echo u\"\"p; while :; do sleep 0.1; done";
        terminal.press(&format!("\"$PROBE\" launch {way} -- sh -c '{}'\n", child.replace('\'', "'\\''")));
        terminal.expect("up\r\n");
        terminal.press("\x03");
        terminal.expect("caught\r\n");
        std::thread::sleep(Duration::from_millis(300));
        terminal.press("\x1c");
        terminal.expect("$ ");
        assert!(!terminal.seen.contains("caught"), "{way}: {}", terminal.seen);
        terminal.press("echo code=$?\n");
        terminal.expect("code=131");
    }
}

#[test]
fn a_program_is_stopped_and_brought_back_to_the_foreground() {
    for way in READING_WAYS {
        let mut terminal = Terminal::shell();
        terminal.press(&format!("\"$PROBE\" launch {way} -- sh -c 'echo u\"\"p; read line; echo got=$line; read x'\n"));
        terminal.expect("up\r\n");
        for round in 0..2 {
            terminal.press("\x1a");
            terminal.expect("$ ");
            terminal.press("jobs; echo round=$((1+1))\n");
            terminal.expect("Stopped");
            terminal.expect("round=2");
            terminal.press("fg\n");
            std::thread::sleep(Duration::from_millis(300));
            terminal.press(&format!("word{round}\n"));
            if round == 0 {
                terminal.expect("got=word0");
            }
        }
        terminal.expect("$ ");
        terminal.press("echo code=$?\n");
        terminal.expect("code=0");
    }
}

#[test]
fn a_child_that_does_not_read_the_terminal_is_stopped_and_continued_in_the_background() {
    for way in WAYS {
        let mut terminal = Terminal::shell();
        // Not a shell that starts others: one that a key stops between forking and executing never tells its parent.
        terminal.press(&format!("\"$PROBE\" launch {way} -- \"$PROBE\" tick\n"));
        terminal.expect("up\r\n");
        terminal.press("\x1a");
        terminal.expect("$ ");
        terminal.press("bg\n");
        terminal.expect("done\r\n");
    }
}

#[test]
fn a_program_started_in_the_background_takes_the_terminal_when_brought_forward() {
    let mut terminal = Terminal::shell();
    terminal.press("\"$PROBE\" launch --inherit-stdin --foreground -- sh -c 'read line; echo got=$line' &\n");
    terminal.expect("$ ");
    std::thread::sleep(Duration::from_millis(300));
    terminal.press("\n");
    terminal.expect("$ ");
    terminal.press("fg\n");
    std::thread::sleep(Duration::from_millis(300));
    terminal.press("word\n");
    terminal.expect("got=word");
}

#[test]
fn a_pipeline_that_reads_the_terminal_works_in_a_shared_group() {
    let mut terminal = Terminal::shell();
    let pager = "sh -c 'cat; read line </dev/tty; echo paged=$line'";
    terminal.press(&format!("\"$PROBE\" launch --inherit-stdin --inherited-group -- echo u\"\"p | {pager}\n"));
    terminal.expect("up\r\n");
    terminal.press("word\n");
    terminal.expect("paged=word");
}

#[test]
fn a_script_has_the_terminal_again_after_the_program() {
    let mut terminal = Terminal::shell();
    terminal.press("sh -c '\"$PROBE\" launch --inherit-stdin --foreground -- true; read line; echo got=$line'\n");
    std::thread::sleep(Duration::from_millis(500));
    terminal.press("word\n");
    terminal.expect("got=word");
    terminal.press("sh -c '\"$PROBE\" launch --inherit-stdin --foreground -- /no/such; read line; echo had=$line'\n");
    terminal.expect("failed to run");
    terminal.press("word\n");
    terminal.expect("had=word");
}

#[test]
fn resizing_reaches_the_child() {
    for way in WAYS {
        let mut terminal = Terminal::shell();
        let child = "trap 'echo resized' WINCH; echo u\"\"p; while :; do sleep 0.1; done";
        terminal.press(&format!("\"$PROBE\" launch {way} -- sh -c '{}'\n", child.replace('\'', "'\\''")));
        terminal.expect("up\r\n");
        let keys = terminal.keys.as_ref().expect("not hung up").try_clone().expect("a descriptor");
        let mut resize = Command::new("stty");
        assert!(resize.args(["cols", "100"]).stdin(keys).status().expect("runs").success());
        terminal.expect("resized\r\n");
    }
}

#[test]
fn hanging_up_reaches_the_child() {
    for way in WAYS {
        let directory = tempfile::tempdir().expect("a directory");
        let mark = directory.path().join("mark");
        let mut terminal = Terminal::shell();
        let child = format!("trap \"touch {}; exit\" HUP; echo u\"\"p; while :; do sleep 0.1; done", mark.display());
        terminal.press(&format!("\"$PROBE\" launch {way} -- sh -c '{child}'\n"));
        terminal.expect("up\r\n");
        terminal.hang_up();
        crate::support::until("the child has noticed", || mark.exists().then_some(()));
    }
}

#[test]
fn the_first_process_of_a_container_on_a_terminal_works_as_without_it() {
    let ways = ["", "--keep /never", "--keep /never --child-only"];
    as_first_process(|| {
        for way in ways {
            let directory = tempfile::tempdir().expect("a directory");
            let mark = directory.path().join("mark");
            let child = format!(
                "trap 'echo caught' INT; trap 'touch {}; exit' HUP; trap 'echo resized' WINCH; read line; echo got=$line; \
             while :; do sleep 0.1; done",
                mark.display()
            );
            let script = format!(
                "exec setsid --ctty --wait unshare --pid --fork --mount-proc --kill-child setsid --ctty \"$PROBE\" \
                      launch {way} --inherit-stdin --foreground -- sh -c \"$0\""
            );
            let mut terminal = Terminal::start(&["sh", "-c", &script, &child]);
            std::thread::sleep(Duration::from_millis(500));
            // Nobody could continue a stopped container: the key must not hang it.
            terminal.press("\x1a");
            std::thread::sleep(Duration::from_millis(300));
            terminal.press("word\n");
            terminal.expect("got=word");
            terminal.press("\x03");
            terminal.expect("caught");
            terminal.hang_up();
            crate::support::until("the child has noticed", || mark.exists().then_some(()));
            terminal.end();
        }
    });
}

/// A new terminal, both sides closed in every program that any test starts: one that kept ours would keep it alive.
fn open_terminal() -> (OwnedFd, OwnedFd) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags).expect("a terminal");
    grantpt(&master).expect("a terminal of ours");
    unlockpt(&master).expect("a terminal to open");
    let name = ptsname_r(&master).expect("a name");
    let slave = nix::fcntl::open(name.as_str(), flags, nix::sys::stat::Mode::empty()).expect("its other side");
    (OwnedFd::from(master), slave)
}

/// Collects what the terminal shows, looking up now and then whether it is to be closed.
fn read_until_hung_up(mut reading: File, shown: &Sender<Vec<u8>>, hung_up: &AtomicBool) {
    let mut bytes = [0; 4096];
    while !hung_up.load(Ordering::Relaxed) {
        let mut waited_for = [PollFd::new(reading.as_fd(), PollFlags::POLLIN)];
        if nix::poll::poll(&mut waited_for, 20_u8) == Ok(0) {
            continue;
        }
        match reading.read(&mut bytes) {
            Ok(count @ 1..) if shown.send(bytes[..count].to_vec()).is_ok() => {}
            _ => return,
        }
    }
}

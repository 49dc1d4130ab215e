//! A command that runs below a program that stays: the program may start it again with another environment, or send it
//! a signal, and ends as it ends.
//!
//! The program is the supervisor's child ([`Resolving::divide`]) and leads the process group that its command is in, so
//! that keys of a terminal reach the command as they do without it. All signals are blocked in it, and the supervisor
//! sends to it alone: each is here until it is handed on, once, to the group or the command. While a command is being
//! replaced, whatever comes waits for the next one.
//!
//! No runtime and no thread of its own: [`Keeper::arrivals`] is a descriptor to wait for, which tells of the command's end
//! too. (One by `pidfd_open` would tell of the end alone, and needs Linux 5.3.)

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid, getpgrp, getpid};

use crate::command::{Command, Image, Stdin};
use crate::descendants;
use crate::launch::{LaunchError, close_others_on_exec, explain, no_child, stdin_of};
use crate::options::{ExitRemap, Forward, Group, Options};
use crate::resolving::Resolving;
use crate::signals::{self, SignalSet};
use crate::supervise::{KILL_INTERVAL, KILL_LIMIT};
use crate::system::{self, Change, ChildSetup, Received};
use crate::terminal;

/// A running command of ours.
#[derive(Debug)]
pub struct Keeper {
    /// The command's number; it is somebody else's once `ended` is known.
    command: i32,
    ended: Option<u8>,
    /// Somebody outside wants the end: no command is started any more.
    asked_to_end: bool,
    /// Whether a signal is for all in the command's group.
    signals_group: bool,
    grace: Duration,
    exit_remap: Vec<ExitRemap>,
    core_limit: (u64, u64),
}

/// Whose end is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The command's.
    Command,
    /// That of everything that it started, too.
    All,
}

/// What became of a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// The new command runs.
    Done,
    /// The old one is ending because somebody outside asked for that, or cannot be killed. It is not replaced:
    /// [`Keeper::handle`] will tell its end.
    Ending,
    /// The command has ended, by itself or because somebody outside asked for that, and was not replaced: end with this
    /// code.
    Ended(u8),
}

impl Resolving {
    /// Starts `command` as a child in this program's own process group and stays. For a program that was
    /// [divided](Resolving::divide).
    ///
    /// The child is given what [`Resolving::launch`] gives it, except that it leads no group or session: this program
    /// does. Of `options`, `forward`, `group`, `grace` and `exit_remap` count, and must be those of the division.
    ///
    /// # Errors
    /// Where the command did not start.
    pub fn keep(mut self, command: Command, options: &Options) -> Result<Keeper, LaunchError> {
        self.hand_over();
        system::set_mask(SignalSet::supervised());
        // What the command leaves behind comes to us, so that a restart finds it.
        prctl::set_child_subreaper(true).map_err(no_child)?;
        let mut keeper = Keeper {
            command: 0,
            ended: None,
            asked_to_end: false,
            signals_group: options.forward == Forward::Group && options.group != Group::Inherited,
            grace: options.grace,
            exit_remap: options.exit_remap.clone(),
            core_limit: self.core_limit,
        };
        let mut held = Vec::new();
        keeper.take_arrived(&mut held);
        keeper.start(command, &held)?;
        Ok(keeper)
    }
}

impl Keeper {
    /// A descriptor that is readable while there is something for [`Keeper::handle`], and never to be read from.
    ///
    /// # Errors
    /// The kernel's.
    pub fn arrivals(&self) -> std::io::Result<OwnedFd> {
        Ok(system::signal_descriptor(SignalSet::supervised())?)
    }

    /// Deals with everything that has arrived; the exit code to end with, once the command has ended: its own or 128+n,
    /// replaced as asked. Call it first after the start, then whenever [`Keeper::arrivals`] is readable. Never waits, but
    /// for a person who stopped the command at a terminal and this program with it.
    pub fn handle(&mut self) -> Option<u8> {
        self.take_changes();
        while self.ended.is_none()
            && let Some(received) = system::wait(SignalSet::supervised(), Some(Duration::ZERO))
        {
            if received.signal() == libc::SIGCHLD {
                self.take_changes();
            } else if is_for_command(&received) {
                self.asked_to_end |= received.signal() == libc::SIGTERM;
                if !received.is_from_kernel() || !self.shares_group() {
                    self.hand_on(&received);
                }
            }
        }
        self.ended
    }

    /// Whether somebody outside has asked for the end, by SIGTERM: a restart would be in vain.
    pub fn is_asked_to_end(&self) -> bool {
        self.asked_to_end
    }

    /// Sends `signal` to the command alone: what it started need not know it, and may die of it.
    pub fn signal(&self, signal: Signal) {
        self.send(signal as i32);
    }

    /// Ends the command with all that it started and starts `command` in its place. Waits until that is done: SIGTERM,
    /// then SIGKILL to what is still there when the grace of the options is over. Without a grace the command may take as
    /// long as it wants, and what it left behind is left alone.
    ///
    /// Signals that come meanwhile are handed to the new command, with their values. After a SIGTERM none is started.
    ///
    /// # Errors
    /// Where the new command did not start. No command is left then.
    pub fn restart(&mut self, command: Command) -> Result<Restart, LaunchError> {
        if let Some(code) = self.handle() {
            return Ok(Restart::Ended(code));
        }
        if self.asked_to_end {
            return Ok(Restart::Ending);
        }
        let mut held = Vec::new();
        self.stop(&mut held);
        self.take_arrived(&mut held);
        match self.ended {
            Some(code) if self.asked_to_end => Ok(Restart::Ended(code)),
            Some(_) => {
                self.start(command, &held)?;
                Ok(self.ended.map_or(Restart::Done, Restart::Ended))
            }
            None => {
                // It was sent SIGTERM already.
                let others = held.iter().filter(|received| received.signal() != libc::SIGTERM);
                others.for_each(|received| self.hand_on(received));
                self.asked_to_end = true;
                Ok(Restart::Ending)
            }
        }
    }

    /// Starts `command` and hands it the signals of `held`, and those that come while it is born.
    fn start(&mut self, command: Command, held: &[Received]) -> Result<(), LaunchError> {
        let mut image = Image::new(&command)?;
        let (program, stdin) = (command.program.clone(), command.stdin);
        drop(command);
        system::set_mask(SignalSet::ALL);
        let born = self.spawn(&mut image, &program, stdin);
        system::set_mask(SignalSet::supervised());
        self.command = born?;
        self.ended = None;
        let mut late = Vec::new();
        self.take_arrived(&mut late);
        held.iter().chain(&late).for_each(|received| self.hand_on(received));
        self.take_changes();
        Ok(())
    }

    fn spawn(&self, image: &mut Image, program: &OsStr, stdin: Stdin) -> Result<i32, LaunchError> {
        let stdin = stdin_of(stdin).map_err(no_child)?;
        close_others_on_exec().map_err(no_child)?;
        let setup = ChildSetup {
            group: Group::Inherited,
            foreground: false,
            stdin: stdin.as_ref().map(AsRawFd::as_raw_fd),
            core_limit: self.core_limit,
        };
        system::spawn(image, &setup).map_err(|failure| explain(failure, program, image))
    }

    /// Takes the end of every process that has ended, and stops with a command that a terminal stopped; whether any child
    /// is left.
    fn take_changes(&mut self) -> bool {
        loop {
            match system::take_change() {
                Ok(Some((process, change))) if process == self.command && self.ended.is_none() => match change {
                    Change::Ended(code) => self.note_end(code),
                    Change::Stopped(signal) => stop_as(signal),
                },
                Ok(Some(_)) | Err(Errno::EINTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    fn note_end(&mut self, code: u8) {
        self.ended = Some(ExitRemap::apply(&self.exit_remap, code));
        // A shell may have made a group of its own and put it in front of ours.
        terminal::take_back_from(self.command);
    }

    /// Ends the command and what it started. Gives up where somebody asks for the end meanwhile: from then on the command
    /// may take its time, as ever.
    fn stop(&mut self, held: &mut Vec<Received>) {
        let grace = self.grace;
        let limit = move || (!grace.is_zero()).then(|| Instant::now() + grace);
        if self.grace.is_zero() || !self.signals_group {
            // A stopped process takes its SIGTERM only when it is continued.
            [libc::SIGTERM, libc::SIGCONT].into_iter().for_each(|signal| self.send(signal));
            let is_gone = self.wait_for_end(Whose::Command, limit(), held);
            if self.grace.is_zero() || self.asked_to_end {
                return;
            }
            if !is_gone {
                self.send(libc::SIGKILL);
            }
        }
        [libc::SIGTERM, libc::SIGCONT].into_iter().for_each(|signal| self.signal_all(signal));
        if self.wait_for_end(Whose::All, limit(), held) || self.asked_to_end {
            return;
        }
        let limit = Instant::now() + KILL_LIMIT;
        while Instant::now() < limit {
            self.signal_all(libc::SIGKILL);
            if self.wait_for_end(Whose::All, Some(Instant::now() + KILL_INTERVAL), held) {
                return;
            }
        }
    }

    /// Signals all that descends from this program: the command, what it started, and what that left behind. Without a
    /// `/proc` that is known of the command alone.
    fn signal_all(&self, signal: i32) {
        let Some(processes) = descendants::of(getpid().as_raw()) else { return self.send(signal) };
        for process in processes {
            let _ = system::send(process, signal);
        }
    }

    /// Waits for the end of the command, or of all that it started too; false when `limit` has passed first, or somebody
    /// asked for the end.
    fn wait_for_end(&mut self, whose: Whose, limit: Option<Instant>, held: &mut Vec<Received>) -> bool {
        loop {
            let has_children = self.take_changes();
            if !has_children || whose == Whose::Command && self.ended.is_some() {
                return true;
            }
            let left = limit.map(|limit| limit.saturating_duration_since(Instant::now()));
            if self.asked_to_end || left == Some(Duration::ZERO) {
                return false;
            }
            if let Some(received) = system::wait(SignalSet::supervised(), left) {
                self.hold(received, held);
            }
        }
    }

    /// Takes what has arrived and waits.
    fn take_arrived(&mut self, held: &mut Vec<Received>) {
        while let Some(received) = system::wait(SignalSet::supervised(), Some(Duration::ZERO)) {
            self.hold(received, held);
        }
    }

    fn hold(&mut self, received: Received, held: &mut Vec<Received>) {
        if is_for_command(&received) {
            self.asked_to_end |= received.signal() == libc::SIGTERM;
            held.push(received);
        }
    }

    /// Whether the command is in our group, where keys of the terminal reach it without us.
    fn shares_group(&self) -> bool {
        getpgid(Some(Pid::from_raw(self.command))) == Ok(getpgrp())
    }

    /// Hands a signal to the command, or to the group that it is in: ours, or one that it leads by now. What we send to
    /// our own group comes back to us, and is known as ours.
    fn hand_on(&self, received: &Received) {
        if self.ended.is_some() {
            return;
        }
        let group = getpgid(Some(Pid::from_raw(self.command))).map_or(self.command, Pid::as_raw);
        let has_group = self.signals_group && (group == self.command || group == getpgrp().as_raw());
        if received.has_value() {
            let of_group = || descendants::members(group).unwrap_or_else(|| vec![self.command]);
            let receivers = if has_group { of_group() } else { vec![self.command] };
            let others = receivers.into_iter().filter(|&process| process != getpid().as_raw());
            others.for_each(|process| system::queue_patiently(process, received));
        } else {
            let _ = system::send(if has_group { -group } else { self.command }, received.signal());
        }
    }

    fn send(&self, signal: i32) {
        if self.ended.is_none() {
            // One that has just ended is no failure: it is ours, so that its number is nobody else's.
            let _ = system::send(self.command, signal);
        }
    }
}

/// Whether a command is told of this signal: not of a log pipe that broke under us, nor of what concerns us alone.
fn is_for_command(received: &Received) -> bool {
    signals::is_forwarded(received.signal()) && !received.is_from_ourselves()
}

/// Stops this program as a terminal stopped the command, so that the supervisor sees it, lends the terminal or stops as
/// well. Other stops are between the command and who sent them.
fn stop_as(signal: i32) {
    if signals::is_terminal_stop(signal) {
        // A key has sent it to us as well: pending, the two are one.
        let _ = system::send(getpid().as_raw(), signal);
        system::set_mask(SignalSet::supervised().without(&[signal]));
        system::set_mask(SignalSet::supervised());
    }
}

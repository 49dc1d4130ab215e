//! Starting the child and turning into its supervisor, or into the program itself.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{Pid, getpgrp, getpid, pipe2, setpgid, setsid};

use crate::arguments::Supervision;
use crate::command::{Command, Image, Stdin};
use crate::options::{Forward, Group, Options};
use crate::resolving::Resolving;
use crate::signals::SignalSet;
use crate::system::{self, ChildFailure, ChildSetup};
use crate::terminal;

const NOWHERE_IN_PATH: &str = "not found in any absolute directory of PATH";

const TOO_LARGE: &str = "the arguments and the environment together, or one of them, are larger than Linux takes \
                         (128 KiB each)";

/// How long the child goes first: the time from executing a program to its first instruction, with room. Turning into
/// the supervisor at the same time would compete with it for processor and memory locks.
const HEAD_START: Duration = Duration::from_millis(2);

/// Linux' number of `/dev/null`: major 1, minor 3.
const NULL_DEVICE: u64 = nix::sys::stat::makedev(1, 3);

/// How far descriptors are looked for where the kernel cannot do it in one call: a limit of a million would take long.
const HIGHEST_DESCRIPTOR: u64 = 65_536;

/// Why a program did not start. The message opens with `failed to run`, which people search their logs for, and
/// never holds an argument or a value.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No such file, under a path or anywhere in `PATH`.
    #[error("failed to run: failed to start command: {}: {reason}", .program.to_string_lossy())]
    NotFound {
        /// As it was asked for.
        program: OsString,
        /// Where it was looked for, or what of it is missing.
        reason: String,
    },
    /// The file is there and the kernel refuses it.
    #[error("failed to run: failed to start command: {}: {reason}", .program.to_string_lossy())]
    NotExecutable {
        /// As it was asked for.
        program: OsString,
        /// Which file, and the kernel's words.
        reason: String,
    },
    /// Something before the program: no process, no terminal, no standard input.
    #[error("failed to run: cannot start a child process: {0}")]
    NoChild(std::io::Error),
    /// An entry of the environment that would reach the child cut short.
    #[error("failed to run: variable {name} holds a zero byte, which no environment can carry")]
    ZeroByteInVariable {
        /// The variable; its value is not told.
        name: String,
    },
    /// The same in the program's name or an argument.
    #[error("failed to run: an argument holds a zero byte")]
    ZeroByteInArgument,
}

impl LaunchError {
    /// What the program exits with: 127 not found, 126 not executable, 1 anything before.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            Self::NoChild(_) | Self::ZeroByteInVariable { .. } | Self::ZeroByteInArgument => 1,
        }
    }
}

impl Resolving {
    /// Starts `command` as a child and becomes its supervisor: returns only where the child did not start.
    ///
    /// The child has its own or the asked process group, the terminal where `options` say so, no blocked signal,
    /// default dispositions (also where ours were ignored, as under `nohup`), standard input, output and error alone,
    /// and the limit of core dumps that this program was started with. Drop whatever holds secrets before the call:
    /// usually this program is replaced, and its memory with it; where it cannot execute itself again (no `/proc` and
    /// its file gone) it says so on standard error, wipes the environment that it prepared, and supervises as it is.
    pub fn launch(mut self, command: Command, options: &Options) -> LaunchError {
        self.hand_over();
        match self.start_child(&command, options) {
            Err(error) => error,
            Ok(supervision) => {
                drop(command);
                become_supervisor(supervision)
            }
        }
    }

    /// Becomes `command` itself, with the same number, group and terminal: returns only where that failed. A signal
    /// that arrived before ends the program with `128+n` instead.
    pub fn exec(mut self, command: &Command) -> LaunchError {
        self.hand_over();
        self.replace_with(command).map_or_else(|error| error, |never| match never {})
    }

    /// Divides the program in two: a copy goes on from here, in the process group or session and with the terminal that
    /// `options` ask for, and the process itself becomes the bare supervisor of that copy and never returns. For programs
    /// that go on reading secrets while their command runs ([`Resolving::keep`]): the first process of a container holds
    /// none all the same. Exit codes are left to the copy to replace.
    ///
    /// Call it before [`Resolving::end_on_signals`] and before any thread is started. Signals that arrive in between wait
    /// for the supervisor, which hands them on.
    ///
    /// # Errors
    /// Where there is no second process; nothing has changed then but that signals wait.
    pub fn divide(self, stdin: Stdin, options: &Options) -> Result<Self, LaunchError> {
        if self.is_watching() {
            return Err(LaunchError::NoChild(std::io::Error::other("this process has a second thread")));
        }
        system::set_mask(SignalSet::ALL);
        prepare_parent(options).map_err(no_child)?;
        let terminal = has_terminal(stdin, options);
        let foreground = terminal && terminal::is_ours();
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC).map_err(no_child)?;
        match system::fork().map_err(no_child)? {
            None => {
                drop(reading);
                set_apart(options.group, foreground).map_err(no_child)?;
                // All but the faults wait, also the stops of a terminal: so does every thread that is started from here on.
                system::set_mask(SignalSet::supervised());
                drop(writing);
                Ok(self)
            }
            Some(copy) => {
                drop(writing);
                // Its group must be there before a signal is sent to it.
                while nix::unistd::read(&reading, &mut [0]) == Err(Errno::EINTR) {}
                // Codes and groups are the copy's affair.
                let options = Options { exit_remap: Vec::new(), forward: Forward::Child, ..options.clone() };
                become_supervisor(Supervision::new(copy, terminal, &options))
            }
        }
    }

    fn start_child(&self, command: &Command, options: &Options) -> Result<Supervision, LaunchError> {
        let mut image = Image::new(command)?;
        let stdin = stdin_of(command.stdin).map_err(no_child)?;
        prepare_parent(options).map_err(no_child)?;
        let terminal = has_terminal(command.stdin, options);
        let setup = ChildSetup {
            group: options.group,
            foreground: terminal && terminal::is_ours(),
            stdin: stdin.as_ref().map(AsRawFd::as_raw_fd),
            core_limit: self.core_limit,
        };
        match system::spawn(&mut image, &setup) {
            Ok(child) => Ok(Supervision::new(child, terminal, options)),
            Err(failure) => {
                if setup.foreground {
                    // The group in the foreground ended with the child.
                    terminal::give_to(getpgrp().as_raw());
                }
                Err(explain(failure, &command.program, &image))
            }
        }
    }

    fn replace_with(&self, command: &Command) -> Result<std::convert::Infallible, LaunchError> {
        let mut image = Image::new(command)?;
        let stdin = stdin_of(command.stdin).map_err(no_child)?;
        close_others_on_exec().map_err(no_child)?;
        let setup = ChildSetup {
            group: Group::Inherited,
            foreground: false,
            stdin: stdin.as_ref().map(AsRawFd::as_raw_fd),
            core_limit: self.core_limit,
        };
        if let Some(signal) = system::pending().first_common(SignalSet::ending()) {
            system::exit_at_once(system::killed_code(signal));
        }
        let failure = match system::set_up_child(&setup) {
            Err(errno) => ChildFailure::Setup(errno),
            Ok(()) => system::execute(&mut image),
        };
        Err(explain(failure, &command.program, &image))
    }
}

/// Gives this process the place that a command would have.
fn set_apart(group: Group, foreground: bool) -> Result<(), Errno> {
    match group {
        Group::Own => setpgid(Pid::from_raw(0), Pid::from_raw(0))?,
        Group::Session => drop(setsid()?),
        Group::Inherited => {}
    }
    if foreground {
        terminal::give_to(getpid().as_raw());
    }
    Ok(())
}

/// What must be in place before the child is: orphans come to us, ended children wait for us.
fn prepare_parent(options: &Options) -> Result<(), Errno> {
    // An ignored SIGCHLD, which a program can inherit, would make the kernel throw the child's exit code away. The
    // other signals are blocked and need no handlers any more.
    system::reset_dispositions();
    if std::process::id() != 1 {
        prctl::set_child_subreaper(true)?;
    }
    if let Some(signal) = options.parent_death_signal {
        prctl::set_pdeathsig(signal)?;
    }
    close_others_on_exec()
}

/// Whether the child shall have the terminal: it inherits standard input, and that is our controlling terminal.
fn has_terminal(stdin: Stdin, options: &Options) -> bool {
    options.foreground && options.group == Group::Own && stdin == Stdin::Inherit && terminal::is_controlling()
}

/// A standard input that is at its end: `/dev/null`, or where that is missing or is a file that somebody put in its
/// place, a pipe that nobody writes to.
pub(crate) fn stdin_of(stdin: Stdin) -> Result<Option<OwnedFd>, Errno> {
    match stdin {
        Stdin::Inherit => Ok(None),
        Stdin::Null => null_device().or_else(|_| pipe2(OFlag::O_CLOEXEC).map(|(reading, _writing)| reading)).map(Some),
    }
}

fn null_device() -> Result<OwnedFd, Errno> {
    // Not blocking: a FIFO in its place would hold the program until somebody writes.
    let file = open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty())?;
    let found = fstat(&file)?;
    let is_device = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    if is_device && found.st_rdev == NULL_DEVICE { Ok(file) } else { Err(Errno::ENODEV) }
}

/// Leaves standard input, output and error to the next program and nothing else.
pub(crate) fn close_others_on_exec() -> Result<(), Errno> {
    match system::close_others_on_exec() {
        // Kernels before 5.11 and some sandboxes: one by one.
        Err(Errno::ENOSYS | Errno::EINVAL | Errno::EPERM) => close_each_on_exec(),
        done => done,
    }
}

fn close_each_on_exec() -> Result<(), Errno> {
    let open_limit = getrlimit(Resource::RLIMIT_NOFILE)?.0.min(HIGHEST_DESCRIPTOR);
    let last = i32::try_from(open_limit).map_err(|_| Errno::ERANGE)?;
    (3..last).map(system::set_close_on_exec).try_for_each(|answer| match answer {
        Err(Errno::EBADF) | Ok(()) => Ok(()),
        failed => failed,
    })
}

fn become_supervisor(supervision: Supervision) -> ! {
    // Ended by the end of a short child; the supervisor asks for that itself, so that taking the signal loses nothing.
    system::wait(SignalSet::of_child(), Some(HEAD_START));
    let paths = std::iter::once(OsString::from("/proc/self/exe")).chain(system::executed_path()).collect();
    let reason = match Image::without_environment(paths, &supervision.to_arguments()) {
        Err(error) => error.to_string(),
        Ok(mut image) => match system::execute(&mut image) {
            ChildFailure::Setup(errno) | ChildFailure::Execute(errno, _) => errno.desc().to_owned(),
        },
    };
    // The last resort of a process without a caller: nobody is left to hand an error to.
    let _ = writeln!(
        std::io::stderr(),
        "warning: cannot execute this program again ({reason}); it supervises its child as it is, with more memory"
    );
    supervision.run()
}

pub(crate) fn no_child(errno: Errno) -> LaunchError {
    LaunchError::NoChild(errno.into())
}

pub(crate) fn explain(failure: ChildFailure, program: &OsStr, image: &Image) -> LaunchError {
    let (errno, place) = match failure {
        ChildFailure::Setup(errno) => return no_child(errno),
        ChildFailure::Execute(errno, place) => (errno, place),
    };
    let program = program.to_owned();
    let path = image.candidate(place).unwrap_or_default();
    let was_looked_for = !program.as_bytes().contains(&b'/');
    match errno {
        Errno::ENOENT if Path::new(&path).is_file() => {
            let reason = format!("{} exists, but the interpreter or loader that it names does not", path.display());
            LaunchError::NotFound { program, reason }
        }
        // A directory of PATH that we may not search says the same as a file that we may not execute.
        Errno::EACCES if was_looked_for => match image.existing_candidate() {
            Some(path) => refused(program, &path, errno),
            None => LaunchError::NotFound { program, reason: NOWHERE_IN_PATH.to_owned() },
        },
        _ if program.is_empty() => LaunchError::NotFound { program, reason: "the name is empty".to_owned() },
        errno if is_not_found(errno) && was_looked_for => {
            LaunchError::NotFound { program, reason: NOWHERE_IN_PATH.to_owned() }
        }
        errno if is_not_found(errno) => LaunchError::NotFound { program, reason: errno.desc().to_owned() },
        Errno::E2BIG => LaunchError::NotExecutable { program, reason: TOO_LARGE.to_owned() },
        errno => refused(program, &path, errno),
    }
}

fn is_not_found(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR)
}

fn refused(program: OsString, path: &OsStr, errno: Errno) -> LaunchError {
    LaunchError::NotExecutable { program, reason: format!("{}: {}", path.display(), errno.desc()) }
}

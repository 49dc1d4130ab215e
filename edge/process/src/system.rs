//! The system calls that the standard library and nix do not offer, or offer without real-time signals: the only
//! place with `unsafe`.
//!
//! Signals go to the kernel directly: the C library's own calls hide two real-time signals, and nix knows none.

#![allow(unsafe_code)]

use std::ffi::{CStr, OsString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::ptr;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::command::Image;
use crate::signals::{LAST_SIGNAL, SignalSet};

/// The bytes of a signal set in the kernel's interface.
const SET_BYTES: usize = size_of::<SignalSet>();

/// The smallest page; where pages are larger, giving back an odd range fails without harm.
const PAGE_BYTES: u64 = 4096;

/// How long a receiver's full queue of real-time signals may delay a signal's value.
const QUEUE_LIMIT: Duration = Duration::from_secs(1);

/// A pause between tries for room in that queue.
const QUEUE_INTERVAL: Duration = Duration::from_millis(1);

/// Room for the child's few calls before it becomes another program.
const CHILD_STACK_BYTES: usize = 64 * 1024;

/// The C library's shell, for scripts without a `#!` line, as `execvp` has it.
const SHELL: &CStr = c"/bin/sh";

/// A signal that was waited for, with everything that its sender gave along.
pub(crate) struct Received(libc::siginfo_t);

impl Received {
    pub(crate) fn signal(&self) -> c_int {
        self.0.si_signo
    }

    /// Sent by `sigqueue`, with a value that must not be lost.
    pub(crate) fn has_value(&self) -> bool {
        self.0.si_code == libc::SI_QUEUE
    }

    /// Sent by the kernel: a key of the terminal, for instance.
    pub(crate) fn is_from_kernel(&self) -> bool {
        self.0.si_code == libc::SI_KERNEL
    }

    /// Sent by this very process.
    pub(crate) fn is_from_ourselves(&self) -> bool {
        // SAFETY: reads a plain number out of a structure that the kernel has filled; any bytes are a valid number.
        let sender = unsafe { self.0.si_pid() };
        self.0.si_code == libc::SI_USER && sender == nix::unistd::getpid().as_raw()
    }
}

unsafe extern "C" {
    /// The C library's list of this process's variables (environ(7)).
    static environ: *const *const c_char;
}

/// This process's environment, entry by entry and as it is.
pub(crate) fn environment() -> Vec<OsString> {
    let mut entries = Vec::new();
    // SAFETY: `environ` is null or a list of strings that ends with a null pointer, and nothing in this project
    // changes the environment of a running process (clippy.toml bans it), so list and strings stay as they are.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            entries.push(OsString::from_vec(CStr::from_ptr(*entry).to_bytes().to_vec()));
            entry = entry.add(1);
        }
    }
    entries
}

/// What happened to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It ended, with this exit code or `128+n`.
    Ended(u8),
    /// This signal stopped it.
    Stopped(c_int),
}

/// Sets the calling thread's mask and returns the one before.
pub(crate) fn set_mask(set: SignalSet) -> SignalSet {
    let mut before = SignalSet::EMPTY;
    // SAFETY: both pointers are to sets of SET_BYTES bytes that live through the call. It cannot fail: `how` is valid.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const set, &raw mut before, SET_BYTES) };
    before
}

/// The signals that have arrived and are held back.
pub(crate) fn pending() -> SignalSet {
    let mut set = SignalSet::EMPTY;
    // SAFETY: the pointer is to a set of SET_BYTES bytes that lives through the call.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut set, SET_BYTES) };
    set
}

/// A descriptor that is readable while a signal of `set` is pending.
pub(crate) fn signal_descriptor(set: SignalSet) -> Result<OwnedFd, Errno> {
    let new: c_int = -1;
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the pointer is to a set of SET_BYTES bytes that lives through the call.
    let answer = unsafe { libc::syscall(libc::SYS_signalfd4, new, &raw const set, SET_BYTES, flags) };
    let descriptor = c_int::try_from(Errno::result(answer)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just opened this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Waits until a signal of `set` (all of them blocked) arrives and takes it; `None` when `timeout` passed first or
/// the wait was interrupted.
pub(crate) fn wait(set: SignalSet, timeout: Option<Duration>) -> Option<Received> {
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let limit: *const libc::timespec = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut received = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the set, the structure to fill and the limit (null means none) live through the call.
    let signal =
        unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set, received.as_mut_ptr(), limit, SET_BYTES) };
    // SAFETY: the structure was zeroed, which is a valid value, and the kernel has filled it where a signal came.
    (signal > 0).then(|| Received(unsafe { received.assume_init() }))
}

/// Sends `signal` to the process `target`, or to the group `-target`.
pub(crate) fn send(target: c_int, signal: c_int) -> Result<(), Errno> {
    // SAFETY: `kill` takes two numbers and touches no memory of ours.
    Errno::result(unsafe { libc::kill(target, signal) }).map(drop)
}

/// Sends `received` on to one process with its value and its first sender.
fn queue(process: c_int, received: &Received) -> Result<(), Errno> {
    // SAFETY: the structure came from the kernel and lives through the call, which only reads it.
    let answer = unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, process, received.signal(), &raw const received.0) };
    Errno::result(answer).map(drop)
}

/// Makes a second process of this one: `None` in the new one, its number in the old one. Only while there is one thread.
pub(crate) fn fork() -> Result<Option<c_int>, Errno> {
    // SAFETY: without other threads no lock is held by somebody who is not in the new process, so that it may do
    // whatever the old one may. `Resolving::divide`, the only caller, is for programs that have started none.
    let child = Errno::result(unsafe { libc::fork() })?;
    Ok((child != 0).then_some(child))
}

/// Queues `received` for one process, waiting a little where its user's queue is full, and at last without its value.
pub(crate) fn queue_patiently(process: c_int, received: &Received) {
    let limit = Instant::now() + QUEUE_LIMIT;
    while queue(process, received) == Err(Errno::EAGAIN) {
        if Instant::now() >= limit {
            let _ = send(process, received.signal());
            return;
        }
        std::thread::sleep(QUEUE_INTERVAL);
    }
}

/// Takes one child's change, if any is waiting to be taken. `Err(ECHILD)` when there are no children.
pub(crate) fn take_change() -> Result<Option<(c_int, Change)>, Errno> {
    let mut status = 0;
    // SAFETY: the pointer is to a number that lives through the call.
    let child = Errno::result(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED) })?;
    Ok((child != 0).then(|| (child, change_of(status))))
}

/// Waits for one child that is known to end at once: one that could not become the program it should.
fn bury(child: c_int) {
    // SAFETY: a null status pointer is allowed; an interrupted wait is repeated.
    while unsafe { libc::waitpid(child, ptr::null_mut(), 0) } == -1 && Errno::last() == Errno::EINTR {}
}

fn change_of(status: c_int) -> Change {
    if libc::WIFSTOPPED(status) {
        Change::Stopped(libc::WSTOPSIG(status))
    } else if libc::WIFSIGNALED(status) {
        Change::Ended(killed_code(libc::WTERMSIG(status)))
    } else {
        Change::Ended(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
    }
}

/// The exit code that stands for "killed by this signal".
pub(crate) fn killed_code(signal: c_int) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// Ends the process without running anything that was registered for its end, while other threads are at work.
pub(crate) fn exit_at_once(code: u8) -> ! {
    // SAFETY: `_exit` has no conditions.
    unsafe { libc::_exit(code.into()) }
}

/// Gives pages that the allocator holds and nobody uses back to the kernel.
pub(crate) fn release_unused_memory() {
    // SAFETY: it touches free memory alone, under the allocator's own locks.
    unsafe { libc::malloc_trim(0) };
}

/// Keeps all memory of this process out of swap, that with it which it will have; whether that is so.
pub(crate) fn lock_memory() -> bool {
    // SAFETY: it changes nothing that the program sees.
    unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) == 0 }
}

/// Gives every signal its default effect.
pub(crate) fn reset_dispositions() {
    // The kernel's own structure, not the C library's: handler, flags, restorer, mask; all zero is the default.
    let default = [0_u64; 4];
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: the structure is as large as the kernel reads and lives through the call. The two signals whose
        // effect cannot be changed give EINVAL, which is right to ignore.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, ptr::null_mut::<u64>(), SET_BYTES);
        }
    }
}

/// Marks every descriptor above standard error to be closed by the next program.
pub(crate) fn close_others_on_exec() -> Result<(), Errno> {
    // SAFETY: three numbers; descriptors stay open and usable in this program.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(answer).map(drop)
}

/// The same for one descriptor.
pub(crate) fn set_close_on_exec(descriptor: c_int) -> Result<(), Errno> {
    // SAFETY: three numbers; a number that is no descriptor gives EBADF.
    Errno::result(unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) }).map(drop)
}

/// The path that this program was executed by, from the kernel's notes for it.
pub(crate) fn executed_path() -> Option<OsString> {
    // SAFETY: AT_EXECFN, where present, is the address of a string that lives as long as the process.
    unsafe {
        let address = libc::getauxval(libc::AT_EXECFN) as *const c_char;
        (!address.is_null()).then(|| OsString::from_vec(CStr::from_ptr(address).to_bytes().to_vec()))
    }
}

/// The most read-only segments that a linker makes of one program is far below this.
const SEGMENT_LIMIT: usize = 8;

/// Start and length of the program's read-only segments; unused places have no length.
type Segments = [(u64, u64); SEGMENT_LIMIT];

/// Gives back the memory of the program's own read-only pages; they come back from the file's cache when touched.
///
/// What runs from here to the next sleep comes back at once, with its neighbours: so the segments are looked up
/// before the first one is given back, and the call itself is the one that all others here use.
pub(crate) fn forget_program_pages() {
    let mut segments: Segments = [(0, 0); SEGMENT_LIMIT];
    // SAFETY: the callback has the type that the C library calls, and is given the address of the list that it fills.
    unsafe { libc::dl_iterate_phdr(Some(note_read_only_segments), (&raw mut segments).cast()) };
    for (start, length) in segments {
        // SAFETY: the range is a file mapping that was never writable (text relocations are not linked), so that its
        // pages equal the file's and the next touch reads the same bytes again; or it is empty.
        unsafe { libc::syscall(libc::SYS_madvise, start, length, libc::MADV_DONTNEED) };
    }
}

/// Notes the first object's read-only segments and stops the iteration there: that object is the program itself.
extern "C" fn note_read_only_segments(object: *mut libc::dl_phdr_info, _size: usize, noted: *mut c_void) -> c_int {
    // SAFETY: the C library gives a valid object whose program headers stay mapped, and the address that
    // `forget_program_pages` gave it, whose list nobody else uses meanwhile.
    let (base, headers, noted) = unsafe {
        let headers = std::slice::from_raw_parts((*object).dlpi_phdr, (*object).dlpi_phnum.into());
        ((*object).dlpi_addr, headers, &mut *noted.cast::<Segments>())
    };
    let read_only = |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0;
    for (place, header) in noted.iter_mut().zip(headers.iter().filter(read_only)) {
        let start = (base + header.p_vaddr) / PAGE_BYTES * PAGE_BYTES;
        *place = (start, base + header.p_vaddr + header.p_memsz - start);
    }
    1
}

/// What a child does between being forked and being its program.
pub(crate) struct ChildSetup {
    pub(crate) group: crate::options::Group,
    /// Puts the child's group in the foreground of the terminal on standard input.
    pub(crate) foreground: bool,
    /// What becomes standard input, where it is not inherited.
    pub(crate) stdin: Option<c_int>,
    /// The soft and hard limit of core dumps as they were before the program limited itself.
    pub(crate) core_limit: (u64, u64),
}

/// What a child could not do, seen by the parent because they share memory until the child is its program.
#[derive(Clone, Copy)]
pub(crate) enum ChildFailure {
    /// One of the steps before the program.
    Setup(Errno),
    /// Executing the program: why, and which candidate.
    Execute(Errno, usize),
}

/// Everything that the child reads and writes of its parent's memory.
struct Birth<'a> {
    image: &'a mut Image,
    setup: &'a ChildSetup,
    failure: Option<ChildFailure>,
}

/// Starts `image` as a child and returns its number once it is its program; every signal must be blocked.
///
/// As with every `posix_spawn`, a stop that hits the child in the microseconds between its unblocking of signals and
/// its program is followed only when the child is continued: until then this call waits.
pub(crate) fn spawn(image: &mut Image, setup: &ChildSetup) -> Result<c_int, ChildFailure> {
    let mut stack = Vec::<u128>::with_capacity(CHILD_STACK_BYTES / size_of::<u128>());
    let mut birth = Birth { image, setup, failure: None };
    // SAFETY: CLONE_VFORK suspends this thread until the child has executed its program or ended, so that `birth`
    // and `stack` outlive the child's use of them and nobody else touches them. The stack's top is aligned and grows
    // downwards. The child (see `be_born`) takes no locks and allocates nothing, as after any fork among threads;
    // all signals are blocked, so that no handler runs in it.
    let child = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity()).cast::<c_void>();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        libc::clone(be_born, top, flags, (&raw mut birth).cast())
    };
    let child = Errno::result(child).map_err(ChildFailure::Setup)?;
    // SAFETY: `birth` is alive; read anew because the child wrote to it behind the compiler's back.
    match unsafe { ptr::read_volatile(&raw const birth.failure) } {
        None => Ok(child),
        Some(failure) => {
            bury(child);
            Err(failure)
        }
    }
}

extern "C" fn be_born(birth: *mut c_void) -> c_int {
    // SAFETY: `spawn` gives the address of its `Birth` and is suspended, so that this is the only reference.
    let birth = unsafe { &mut *birth.cast::<Birth<'_>>() };
    let failure = match set_up_child(birth.setup) {
        Err(errno) => ChildFailure::Setup(errno),
        Ok(()) => execute(birth.image),
    };
    birth.failure = Some(failure);
    exit_at_once(127)
}

/// The steps of a child before its program, in this order: the mask comes last, when no handler is left to run.
pub(crate) fn set_up_child(setup: &ChildSetup) -> Result<(), Errno> {
    // SAFETY: each call takes numbers, or a structure that lives through it; all are allowed after a fork.
    unsafe {
        match setup.group {
            crate::options::Group::Own => drop(Errno::result(libc::setpgid(0, 0))?),
            crate::options::Group::Session => drop(Errno::result(libc::setsid())?),
            crate::options::Group::Inherited => {}
        }
        if setup.foreground {
            // A terminal that has gone away in the meantime is no reason not to start.
            let _ = libc::tcsetpgrp(0, libc::getpid());
        }
        if let Some(stdin) = setup.stdin {
            Errno::result(libc::dup2(stdin, 0))?;
        }
        let limit = libc::rlimit { rlim_cur: setup.core_limit.0, rlim_max: setup.core_limit.1 };
        Errno::result(libc::setrlimit(libc::RLIMIT_CORE, &raw const limit))?;
    }
    reset_dispositions();
    set_mask(SignalSet::EMPTY);
    Ok(())
}

/// Becomes `image`: tries its candidates in order, as `execvp` does. Returns only if none could be executed.
pub(crate) fn execute(image: &mut Image) -> ChildFailure {
    let mut refused = None;
    let mut last = ChildFailure::Execute(Errno::ENOENT, 0);
    for place in 0..image.candidate_count() {
        let errno = execute_candidate(image, place);
        last = ChildFailure::Execute(errno, place);
        match errno {
            Errno::EACCES => refused = refused.or(Some(last)),
            Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG | Errno::ELOOP => {}
            _ => return last,
        }
    }
    refused.unwrap_or(last)
}

fn execute_candidate(image: &mut Image, place: usize) -> Errno {
    let pointers = image.pointers(place);
    // SAFETY: the path, both lists and all strings in them are owned by `image` and end in zero. The second call is
    // for a script without an interpreter line.
    unsafe {
        libc::execve(pointers.path, pointers.arguments, pointers.environment);
        if Errno::last() == Errno::ENOEXEC {
            libc::execve(SHELL.as_ptr(), pointers.shell_arguments, pointers.environment);
            if Errno::last() == Errno::ENOENT {
                return Errno::ENOEXEC;
            }
        }
    }
    Errno::last()
}

//! Shuts the child in, before it evaluates anything: limits of the kernel, and a list of the few calls that computing
//! needs.
//!
//! The engine is C, and tenants choose what it runs. Should they ever get past it, they find a process that can
//! allocate, write its answer and end.

use std::collections::BTreeMap;
use std::error::Error;

use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use crate::limits::Limits;

/// What the child needs besides the engine's memory, in bytes: the prelude, a compiled template, the values twice, and
/// answers while they are written.
const OWN_MEMORY: u64 = 64 << 20;

/// What the program's own pages may take of the address space, in bytes: it is one program with many roles.
const PROGRAM_SIZE: u64 = 512 << 20;

/// The calls that computing, allocating, telling the time and ending need, whatever their arguments.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Gives up, for good, whatever this process could do besides computing.
///
/// # Errors
/// Where the kernel does not grant one of them; nothing may be evaluated then.
pub(crate) fn enter(limits: &Limits) -> Result<(), Box<dyn Error>> {
    // Other processes of this user may not look into it, and no core shows its values.
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    set_limits(limits)?;
    apply_filter(&filter()?)?;
    Ok(())
}

fn set_limits(limits: &Limits) -> nix::Result<()> {
    let memory = limits.memory as u64 + OWN_MEMORY;
    // One more second than the engine counts for itself: its own words are better than a signal.
    let processor = limits.processor_time.as_secs() + 2;
    let wanted = [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_NOFILE, 0),
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_CPU, processor),
        (Resource::RLIMIT_DATA, memory),
        (Resource::RLIMIT_AS, memory + PROGRAM_SIZE),
    ];
    for (resource, wanted) in wanted {
        let (_, most) = getrlimit(resource)?;
        let granted = wanted.min(most);
        setrlimit(resource, granted, granted)?;
    }
    Ok(())
}

/// Every other call fails as one that is not permitted, reading included: the request was read before, and what the
/// parent may have left open is then of no use. It does not end the process: the C library asks for the time
/// zone and the like, and is content without.
fn filter() -> Result<BpfProgram, Box<dyn Error>> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let not_executable = || {
        let executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
        SeccompRule::new(vec![SeccompCondition::new(2, SeccompCmpArgLen::Dword, executable, 0)?])
    };
    rules.insert(libc::SYS_mmap, vec![not_executable()?]);
    rules.insert(libc::SYS_mprotect, vec![not_executable()?]);
    let to_answers = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::STDOUT_FILENO as u64)?;
    rules.insert(libc::SYS_write, vec![SeccompRule::new(vec![to_answers])?]);
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture)?.try_into()?)
}

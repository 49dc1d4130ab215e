//! A program to run: what it is called with, and the form in which the kernel takes it.

use std::ffi::{CString, OsStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::launch::LaunchError;

/// Where a program without a slash is looked for when the new environment has no `PATH`.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// A program, its arguments and its whole environment.
#[derive(Debug)]
pub struct Command {
    /// A path, or a name without a slash that is looked for in the `PATH` of the *new* environment, as `env(1)` does;
    /// absolute directories of it only, so that nothing is ever run from the working directory by accident.
    pub program: OsString,
    /// What follows the program's name.
    pub arguments: Vec<OsString>,
    /// Entries as the child sees them, usually `NAME=value`; handed over in this order and as they are. At most
    /// 128 KiB each (Linux).
    pub environment: Vec<SecretBytes>,
    /// The child's standard input.
    pub stdin: Stdin,
}

/// The child's standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// The launching program's own.
    Inherit,
    /// At its end from the beginning.
    Null,
}

/// A command in the form of `execve`: made before forking, since a forked child must not allocate.
///
/// Its copy of the environment is wiped when dropped; executing a program gives the memory back to the kernel.
pub(crate) struct Image {
    candidates: Vec<CString>,
    /// Owns what the lists point to.
    _strings: Vec<CString>,
    _environment_bytes: Vec<Zeroizing<Vec<u8>>>,
    arguments: Vec<*const c_char>,
    /// The shell, the candidate at hand, and the arguments: for scripts without an interpreter line.
    shell_arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
}

/// The addresses that one `execve` takes; valid as long as the image that they come from.
pub(crate) struct Pointers {
    pub(crate) path: *const c_char,
    pub(crate) arguments: *const *const c_char,
    pub(crate) shell_arguments: *const *const c_char,
    pub(crate) environment: *const *const c_char,
}

impl Image {
    /// Prepares `command`. Fails where a part of it has a zero byte, which would cut it short unseen.
    pub(crate) fn new(command: &Command) -> Result<Self, LaunchError> {
        let environment = &command.environment;
        let candidates = candidates(&command.program, search_path(environment));
        let words: Vec<&OsStr> =
            std::iter::once(&command.program).chain(&command.arguments).map(OsString::as_os_str).collect();
        let bytes = environment.iter().map(terminated).collect::<Result<Vec<_>, _>>()?;
        Self::assemble(candidates, &words, bytes)
    }

    /// Prepares `paths`, to be tried in order, with `arguments` and without any environment.
    pub(crate) fn without_environment(paths: Vec<OsString>, arguments: &[OsString]) -> Result<Self, LaunchError> {
        Self::assemble(paths, &arguments.iter().map(OsString::as_os_str).collect::<Vec<_>>(), Vec::new())
    }

    fn assemble(
        candidates: Vec<OsString>,
        words: &[&OsStr],
        environment_bytes: Vec<Zeroizing<Vec<u8>>>,
    ) -> Result<Self, LaunchError> {
        let candidates = candidates.iter().map(|path| c_string(path)).collect::<Result<Vec<_>, _>>()?;
        let strings = words.iter().map(|word| c_string(word)).collect::<Result<Vec<_>, _>>()?;
        let arguments = list(strings.iter().map(|string| string.as_ptr()));
        let after_first = strings.iter().skip(1).map(|string| string.as_ptr());
        let shell_arguments = list([c"sh".as_ptr(), c"".as_ptr()].into_iter().chain(after_first));
        let environment = list(environment_bytes.iter().map(|entry| entry.as_ptr().cast()));
        Ok(Self {
            candidates,
            _strings: strings,
            _environment_bytes: environment_bytes,
            arguments,
            shell_arguments,
            environment,
        })
    }

    pub(crate) fn candidate_count(&self) -> usize {
        self.candidates.len()
    }

    /// The path of one candidate, for messages.
    pub(crate) fn candidate(&self, place: usize) -> Option<OsString> {
        self.candidates.get(place).map(|path| OsString::from_vec(path.as_bytes().to_vec()))
    }

    /// The first candidate that is a file which can be seen.
    pub(crate) fn existing_candidate(&self) -> Option<OsString> {
        (0..self.candidates.len()).filter_map(|place| self.candidate(place)).find(|path| Path::new(path).is_file())
    }

    /// The addresses to execute the candidate at `place`, which must exist, with. Allocates nothing.
    pub(crate) fn pointers(&mut self, place: usize) -> Pointers {
        let path = self.candidates[place].as_ptr();
        self.shell_arguments[1] = path;
        Pointers {
            path,
            arguments: self.arguments.as_ptr(),
            shell_arguments: self.shell_arguments.as_ptr(),
            environment: self.environment.as_ptr(),
        }
    }
}

/// The paths to try for `program`, in order.
fn candidates(program: &OsStr, search_path: &[u8]) -> Vec<OsString> {
    let name = program.as_bytes();
    if name.is_empty() {
        return Vec::new();
    }
    if name.contains(&b'/') {
        return vec![program.to_owned()];
    }
    search_path
        .split(|&byte| byte == b':')
        .filter(|directory| directory.starts_with(b"/"))
        .map(|directory| OsString::from_vec([directory, b"/", name].concat()))
        .collect()
}

/// The value of the first `PATH` of the new environment: the one that the child's own C library would see.
fn search_path(environment: &[SecretBytes]) -> &[u8] {
    environment.iter().find_map(|entry| entry.expose().strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH)
}

/// A copy of one entry with the zero byte that ends it.
fn terminated(entry: &SecretBytes) -> Result<Zeroizing<Vec<u8>>, LaunchError> {
    let bytes = entry.expose();
    if bytes.contains(&0) {
        let name = bytes.split(|&byte| byte == b'=' || byte == 0).next().unwrap_or_default();
        return Err(LaunchError::ZeroByteInVariable { name: String::from_utf8_lossy(name).into_owned() });
    }
    // Of the final size at once: growing would leave a copy behind.
    let mut copy = Zeroizing::new(Vec::with_capacity(bytes.len() + 1));
    copy.extend_from_slice(bytes);
    copy.push(0);
    Ok(copy)
}

fn c_string(word: &OsStr) -> Result<CString, LaunchError> {
    CString::new(word.as_bytes()).map_err(|_| LaunchError::ZeroByteInArgument)
}

fn list(addresses: impl Iterator<Item = *const c_char>) -> Vec<*const c_char> {
    addresses.chain(std::iter::once(ptr::null())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_in_absolute_directories_and_a_path_is_taken_as_it_is() {
        let check = |program: &str, path: &str, want: &[&str]| {
            let got = candidates(OsStr::new(program), path.as_bytes());
            assert_eq!(got, want.iter().map(OsString::from).collect::<Vec<_>>(), "{program} in {path}");
        };
        check("ls", "/bin:/usr/bin", &["/bin/ls", "/usr/bin/ls"]);
        check("ls", "", &[]);
        check("ls", ".::bin:/bin:", &["/bin/ls"]);
        check("./ls", "/bin", &["./ls"]);
        check("/no/such", "/bin", &["/no/such"]);
        check("", "/bin", &[]);
    }

    #[test]
    fn the_first_path_of_the_new_environment_is_searched() {
        let check = |entries: &[&str], want: &str| {
            let entries: Vec<_> = entries.iter().map(|&entry| SecretBytes::from(entry.to_owned())).collect();
            assert_eq!(search_path(&entries), want.as_bytes());
        };
        check(&["A=1", "PATH=/a", "PATH=/b"], "/a");
        check(&["PATH="], "");
        check(&["XPATH=/a", "PATH"], "/usr/local/bin:/usr/bin:/bin");
    }

    #[test]
    fn a_zero_byte_names_its_variable_and_nothing_else() {
        let check = |entry: &[u8], want: Option<&str>| {
            let got = terminated(&SecretBytes::new(entry.to_vec())).err().map(|error| error.to_string());
            assert_eq!(got.as_deref(), want);
        };
        check(b"A=1", None);
        check(b"no equals sign", None);
        let words = "failed to run: variable DB holds a zero byte, which no environment can carry";
        check(b"DB=hunter2\0x", Some(words));
        check(b"DB\0=hunter2", Some(words));
    }
}

//! What the child is given, and what is said where it cannot start.

use crate::support::{Place, everywhere, told};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

#[test]
fn si_05_a_program_that_is_not_there_gives_127_and_one_clear_line() {
    everywhere(|place| {
        let check = |program: &str, words: &str| {
            let (code, output, errors) = place.run(&[], &[program, "argument-with-a-secret"]);
            assert_eq!((code, output.as_str()), (127, ""), "{place:?}");
            assert_eq!(errors, format!("failed to run: failed to start command: {program}: {words}\n"));
        };
        check("/no/such", "No such file or directory");
        check("/etc/hostname/no", "Not a directory");
        check("no-such-program", "not found in any absolute directory of PATH");
        check("", "the name is empty");
    });
}

#[test]
fn si_05_a_file_that_cannot_be_executed_gives_126_and_its_path() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("tool");
    std::fs::copy("/etc/hostname", &file).expect("copies");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("a mode");
    let path = file.to_str().expect("text");
    everywhere(|place| {
        let (code, _, errors) = place.run(&[], &[path]);
        assert_eq!(code, 126, "{place:?}");
        assert_eq!(errors, format!("failed to run: failed to start command: {path}: {path}: Permission denied\n"));
        let (code, _, errors) = place.run(&[], &["/tmp"]);
        assert_eq!(code, 126);
        assert_eq!(errors, "failed to run: failed to start command: /tmp: /tmp: Permission denied\n");
    });
}

#[test]
fn a_refused_file_early_in_path_does_not_hide_a_good_one_later() {
    let refused = directory_with("tool", "#!/bin/sh\necho wrong\n", 0o644);
    let good = directory_with("tool", "#!/bin/sh\necho right\n", 0o755);
    let path = format!("PATH={}:/usr/bin:{}", refused.path().display(), good.path().display());
    let run = |path: &str| Place::Outside.run(&["--clear-env", "--env", path], &["tool"]);
    assert_eq!(run(&path), (0, "right\n".to_owned(), String::new()));
    let (code, _, errors) = run(&format!("PATH={}:/usr/bin", refused.path().display()));
    assert_eq!(code, 126);
    assert!(errors.contains(&format!("{}/tool: Permission denied", refused.path().display())), "{errors}");
}

#[test]
fn a_directory_of_path_that_cannot_be_searched_makes_a_missing_program_no_refused_one() {
    let closed = directory_with("other", "", 0o644);
    std::fs::set_permissions(closed.path(), PermissionsExt::from_mode(0o000)).expect("a mode");
    let path = format!("PATH={}:/usr/bin", closed.path().display());
    let mut command = std::process::Command::new("setpriv");
    command.args(["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]);
    if nix::unistd::geteuid().is_root() {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    } else {
        command = std::process::Command::new("env");
    }
    command.arg(crate::support::probe()).args(["launch", "--clear-env", "--env", &path, "--", "no-such-program"]);
    let (code, _, errors) = told(command.output().expect("runs"));
    assert_eq!(code, 127, "{errors}");
    assert!(errors.ends_with("no-such-program: not found in any absolute directory of PATH\n"), "{errors}");
}

#[test]
fn a_program_is_looked_for_in_the_new_environment_and_never_in_the_working_directory() {
    let directory = directory_with("tool", "#!/bin/sh\necho found\n", 0o755);
    let run = |path: &str| {
        let mut command = Place::Outside.command(&["--clear-env", "--env", path], &["tool"]);
        command.current_dir(directory.path()).env("PATH", directory.path());
        told(command.stdin(Stdio::null()).output().expect("runs")).0
    };
    assert_eq!(run(&format!("PATH={}", directory.path().display())), 0);
    assert_eq!(run("PATH=/usr/bin:/bin"), 127);
    assert_eq!(run("PATH=.::/bin"), 127);
}

#[test]
fn a_script_without_an_interpreter_line_runs_in_the_shell() {
    let directory = directory_with("script", "echo \"$# $1\"\n", 0o755);
    let script = directory.path().join("script");
    let (code, output, _) = Place::Outside.run(&[], &[script.to_str().expect("text"), "a b"]);
    assert_eq!((code, output.as_str()), (0, "1 a b\n"));
}

#[test]
fn a_missing_interpreter_is_said() {
    let directory = directory_with("script", "#!/no/such/interpreter\n", 0o755);
    let script = directory.path().join("script");
    let (code, _, errors) = Place::Outside.run(&[], &[script.to_str().expect("text")]);
    assert_eq!(code, 127);
    assert!(errors.ends_with("script exists, but the interpreter or loader that it names does not\n"), "{errors}");
}

#[test]
fn the_environment_arrives_as_it_is() {
    let settings =
        ["--clear-env", "--env", "B=1=2", "--env", "no equals sign", "--env", "A=", "--env", "B=3", "--env", ""];
    everywhere(|place| {
        let (code, output, _) = place.run(&settings, &["cat", "/proc/self/environ"]);
        assert_eq!((code, output.as_str()), (0, "B=1=2\0no equals sign\0A=\0B=3\0\0"), "{place:?}");
    });
}

#[test]
fn five_hundred_large_values_arrive() {
    everywhere(|place| {
        let settings = ["--clear-env", "--filler", "3000"];
        let (code, output, errors) = place.run(&settings, &["sh", "-c", "wc -c < /proc/self/environ"]);
        assert_eq!(code, 0, "{errors}");
        let names = (0..500).map(|number| format!("FILLER_{number}=").len()).sum::<usize>();
        // The shell adds its own PWD at most.
        let bytes: usize = output.trim().parse().expect("a number");
        assert_eq!(bytes, names + 500 * 3001, "{place:?}");
    });
}

#[test]
fn a_value_that_linux_does_not_take_is_explained() {
    let (code, _, errors) = Place::Outside.run(&["--filler", "131072"], &["true"]);
    assert_eq!(code, 126);
    assert!(
        errors.starts_with("failed to run: failed to start command: true: ") && errors.contains("128 KiB"),
        "{errors}"
    );
}

#[test]
fn si_08_standard_input_is_at_its_end_unless_it_is_inherited() {
    everywhere(|place| {
        let check = |settings: &[&str], want: &str| {
            let mut running = crate::support::Running::start(place, settings, &["cat"]);
            let mut input = running.input.take().expect("piped");
            let _ = std::io::Write::write_all(&mut input, b"data\n");
            drop(input);
            assert_eq!(running.end(), (0, want.to_owned(), String::new()), "{place:?} {settings:?}");
        };
        check(&[], "");
        check(&["--inherit-stdin"], "data\n");
    });
}

#[test]
fn executing_leaves_no_parent_and_the_same_rules() {
    everywhere(|place| {
        let (code, output, _) = place.run(&["--exec"], &["sh", "-c", "echo $$; exit 7"]);
        assert_eq!(code, 7);
        if place == Place::First {
            assert_eq!(output, "1\n");
        }
        let (code, _, errors) = place.run(&["--exec"], &["/no/such"]);
        assert_eq!(code, 127);
        assert_eq!(errors, "failed to run: failed to start command: /no/such: No such file or directory\n");
        assert_eq!(place.run(&["--exec"], &["/tmp"]).0, 126);
    });
}

#[test]
fn without_proc_and_without_its_file_the_program_supervises_as_it_is_and_says_so() {
    crate::support::as_first_process(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let copy = directory.path().join("probe");
        std::fs::copy(crate::support::probe(), &copy).expect("copies");
        let script = "mount -t tmpfs none /proc && exec \"$0\" launch --unlink-itself -- sh -c 'kill -9 $$'";
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]).arg(copy);
        let (code, _, errors) = told(command.stdin(Stdio::null()).output().expect("runs"));
        assert_eq!(code, 137, "{errors}");
        assert!(
            errors.starts_with("warning: cannot execute this program again (No such file or directory)"),
            "{errors}"
        );
    });
}

#[test]
fn standard_input_is_empty_also_where_the_null_device_is_missing_or_replaced() {
    crate::support::as_first_process(|| {
        let directory = directory_with("null", "left by somebody", 0o666);
        let file = directory.path().join("null");
        for mount in ["mount -t tmpfs none /dev", "mount --bind \"$1\" /dev/null"] {
            let script = format!("{mount} && exec \"$0\" launch -- cat");
            let mut command = std::process::Command::new("unshare");
            command.args(["--mount", "sh", "-c", &script]).arg(crate::support::probe()).arg(&file);
            let ended = told(command.stdin(Stdio::piped()).output().expect("runs"));
            assert_eq!(ended, (0, String::new(), String::new()), "{mount}");
        }
    });
}

#[test]
fn without_proc_the_program_finds_itself_by_its_path() {
    crate::support::as_first_process(|| {
        let script = "mount -t tmpfs none /proc && exec \"$0\" launch -- sh -c 'sleep 60 & exit 9'";
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]).arg(crate::support::probe());
        let (code, _, errors) = told(command.stdin(Stdio::null()).output().expect("runs"));
        assert_eq!((code, errors.as_str()), (9, ""));
    });
}

fn directory_with(name: &str, content: &str, mode: u32) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join(name);
    std::io::Write::write_all(&mut std::fs::File::create(&file).expect("a file"), content.as_bytes()).expect("writes");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("a mode");
    directory
}

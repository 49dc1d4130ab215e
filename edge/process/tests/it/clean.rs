//! What the child inherits, and what stays behind.

use std::process::Stdio;

use crate::support::{Place, Running, everywhere, probe, status_of, told, until};

/// Starts the probe from a shell that gives it as much as it can: ignored signals, open files, a limit.
fn burdened(place: Place, settings: &str, script: &str) -> (i32, String, String) {
    let mut command = std::process::Command::new("sh");
    let start = match place {
        Place::Outside => "exec \"$0\"",
        Place::First => "exec unshare --pid --fork --mount-proc --kill-child \"$0\"",
    };
    let burden = format!(
        "trap '' HUP INT QUIT TERM USR1 PIPE CHLD TSTP; ulimit -c 2048; exec 3</dev/null 7>/dev/null; \
         {start} launch {settings} -- sh -c '{script}'"
    );
    command.args(["-c", &burden]).arg(probe());
    told(command.stdin(Stdio::null()).output().expect("runs"))
}

#[test]
fn the_child_has_no_blocked_and_no_ignored_signals() {
    everywhere(|place| {
        for settings in ["", "--exec", "--inherited-group", "--session", "--resolve 5"] {
            let (code, output, errors) = burdened(place, settings, "exec cat /proc/self/status");
            assert_eq!(code, 0, "{place:?} {settings}: {errors}");
            for field in ["SigPnd", "SigBlk", "SigIgn", "SigCgt"] {
                assert!(output.contains(&format!("{field}:\t0000000000000000\n")), "{place:?} {settings}: {output}");
            }
        }
    });
}

#[test]
fn the_child_has_standard_input_output_and_error_alone() {
    everywhere(|place| {
        for settings in ["", "--exec", "--resolve 5"] {
            // The fourth is the listing's own.
            let (_, output, _) = burdened(place, settings, "exec ls /proc/self/fd");
            assert_eq!(output, "0\n1\n2\n3\n", "{place:?} {settings}");
        }
    });
}

#[test]
fn the_child_has_the_limit_of_core_dumps_back() {
    everywhere(|place| {
        for settings in ["", "--exec"] {
            let (_, output, _) = burdened(place, settings, "ulimit -S -c");
            assert_eq!(output, "2048\n", "{place:?} {settings}");
        }
    });
}

#[test]
fn the_child_leads_a_group_or_a_session_or_shares_ours() {
    let ids = |settings: &[&str]| {
        let (_, output, _) = Place::Outside.run(settings, &["sh", "-c", "cut -d ' ' -f 1,5,6 /proc/$$/stat"]);
        let ids: Vec<i32> = output.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        (ids[0] == ids[1], ids[0] == ids[2])
    };
    assert_eq!(ids(&[]), (true, false));
    assert_eq!(ids(&["--session"]), (true, true));
    assert_eq!(ids(&["--inherited-group"]), (false, false));
}

#[test]
fn what_stays_behind_holds_no_secret() {
    everywhere(|place| {
        let mut command = place.command(
            &["--env", "PASSWORD=canary-of-the-reference"],
            &["sh", "-c", "echo up; exec sleep 60", "canary-in-an-argument"],
        );
        command.env("INHERITED", "canary-of-the-environment");
        let mut running = Running::of(place, command);
        assert_eq!(running.line(), "up");
        let supervisor = running.supervisor();
        // Protected, and not readable for an ordinary user, until it is the supervisor.
        let read = |file: &str| std::fs::read(format!("/proc/{supervisor}/{file}")).ok();
        // In the midst of the change both are empty.
        let arguments = until("the supervisor has taken over", || {
            let (environment, arguments) = (read("environ")?, read("cmdline")?);
            (environment.is_empty() && !arguments.is_empty()).then_some(arguments)
        });
        let arguments = String::from_utf8(arguments).expect("text");
        assert!(arguments.contains("\0--strongroom-supervisor=1\0child="), "{arguments:?}");
        assert!(!arguments.contains("canary"), "{arguments:?}");
        until("it has its name back", || (status_of(supervisor, "Name")? == "process-probe").then_some(()));
        assert_eq!(descriptors(supervisor), ["0", "1", "2"]);
        assert!(!memory(supervisor).windows(6).any(|window| window == b"canary"), "{place:?}");
    });
}

#[test]
fn the_supervisor_sleeps_in_little_memory() {
    let mut running = Running::start(Place::Outside, &[], &["sh", "-c", "echo up; exec sleep 60"]);
    assert_eq!(running.line(), "up");
    let supervisor = running.supervisor();
    let mut kibibytes = 0;
    until("the supervisor is asleep", || {
        let sleeps = status_of(supervisor, "State")?.starts_with('S');
        let resident = status_of(supervisor, "VmRSS")?;
        kibibytes = resident.strip_suffix(" kB")?.parse::<u32>().ok()?;
        // A bound against a runtime that sneaks in, far above what is measured.
        (sleeps && kibibytes < 3000).then_some(())
    });
    eprintln!("resident asleep: {kibibytes} KiB");
}

/// All that a process has in its writable memory.
fn memory(process: i32) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).expect("maps");
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).expect("memory");
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (start, end) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let number = |text| u64::from_str_radix(text, 16).expect("an address");
        let mut bytes = vec![0; usize::try_from(number(end) - number(start)).expect("a size")];
        memory.read_exact_at(&mut bytes, number(start)).expect("readable");
        all.append(&mut bytes);
    }
    all
}

fn descriptors(process: i32) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{process}/fd")).expect("descriptors");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

//! Which processes descend from one, belong to a group or bear a name, as `/proc` tells.

use std::path::Path;

/// One process as its `/proc/PID/stat` describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    number: i32,
    parent: i32,
    group: i32,
}

/// The processes that descend from `ancestor`, itself not among them; `None` where `/proc` is missing or not ours.
pub(crate) fn of(ancestor: i32) -> Option<Vec<i32>> {
    Some(descending_from(ancestor, &all()?))
}

/// The processes of the group `group`; `None` where `/proc` is missing or not ours.
pub(crate) fn members(group: i32) -> Option<Vec<i32>> {
    let members = all()?.into_iter().filter(|process| process.group == group);
    Some(members.map(|process| process.number).collect())
}

/// The living processes that bear `name`, without those whose parent bears it too: a master, and not its workers.
/// `None` where `/proc` is missing or not ours. The kernel knows 15 bytes of a name, and so many are compared.
pub(crate) fn masters(name: &[u8]) -> Option<Vec<i32>> {
    let bearers: Vec<Process> =
        stats()?.filter(|stat| is_alive_as(stat, name)).filter_map(|stat| parse(&stat)).collect();
    Some(without_workers(&bearers))
}

fn all() -> Option<Vec<Process>> {
    Some(stats()?.filter_map(|stat| parse(&stat)).collect())
}

/// What `/proc` tells of each process, as text.
fn stats() -> Option<impl Iterator<Item = Vec<u8>>> {
    // A /proc of another PID namespace numbers processes in its own way: signalling by it would hit strangers.
    let ourselves = std::fs::read_link("/proc/self").ok()?;
    (ourselves.to_str()?.parse() == Ok(std::process::id())).then_some(())?;
    let entries = std::fs::read_dir("/proc").ok()?;
    Some(entries.filter_map(|entry| read(&entry.ok()?.path())))
}

/// One process; `None` for other entries and for one that has ended in the meantime.
fn read(directory: &Path) -> Option<Vec<u8>> {
    let name = directory.file_name()?.to_str()?;
    name.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    std::fs::read(directory.join("stat")).ok()
}

/// The most bytes of a name that the kernel keeps (`TASK_COMM_LEN` without its zero).
const LONGEST_NAME: usize = 15;

fn is_alive_as(stat: &[u8], name: &[u8]) -> bool {
    let starts = stat.iter().position(|&byte| byte == b'(');
    let ends = stat.iter().rposition(|&byte| byte == b')');
    let borne = starts.zip(ends).and_then(|(starts, ends)| stat.get(starts + 1..ends));
    let state = ends.and_then(|ends| stat.get(ends + 2));
    borne == Some(&name[..name.len().min(LONGEST_NAME)]) && !matches!(state, None | Some(b'Z' | b'X'))
}

fn without_workers(bearers: &[Process]) -> Vec<i32> {
    let is_bearer = |number: i32| bearers.iter().any(|bearer| bearer.number == number);
    let masters = bearers.iter().filter(|bearer| !is_bearer(bearer.parent));
    masters.map(|master| master.number).collect()
}

/// Reads `NUMBER (NAME) STATE PARENT GROUP …`; the name is the program's choice and may hold anything.
fn parse(stat: &[u8]) -> Option<Process> {
    let name_starts = stat.iter().position(|&byte| byte == b'(')?;
    let name_ends = stat.iter().rposition(|&byte| byte == b')')?;
    let number = std::str::from_utf8(&stat[..name_starts]).ok()?.trim().parse().ok()?;
    let mut words = std::str::from_utf8(stat.get(name_ends + 1..)?).ok()?.split_ascii_whitespace().skip(1);
    let parent = words.next()?.parse().ok()?;
    let group = words.next()?.parse().ok()?;
    Some(Process { number, parent, group })
}

fn descending_from(ancestor: i32, processes: &[Process]) -> Vec<i32> {
    let mut found = vec![ancestor];
    let mut next = 0;
    // Each process has one parent, so that each is found at most once; `ancestor` itself could only come up again
    // where numbers were given anew while we read.
    while next < found.len() {
        let parent = found[next];
        let children = processes.iter().filter(|process| process.parent == parent && process.number != ancestor);
        found.extend(children.map(|process| process.number));
        next += 1;
        if found.len() > processes.len() + 1 {
            break;
        }
    }
    found.remove(0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let check = |stat: &str, want: Option<(i32, i32, i32)>| {
            let got = parse(stat.as_bytes()).map(|process| (process.number, process.parent, process.group));
            assert_eq!(got, want, "{stat}");
        };
        check("7 (sh) S 1 7 7 0 -1", Some((7, 1, 7)));
        check("8 (a) R 1 (b) S 7 9 7 0", Some((8, 7, 9)));
        check("9 () Z 0 0", Some((9, 0, 0)));
        check("9 (x) S 1", None);
        check("9 x S 1 2", None);
        check("9 )x( S 1 2", None);
        check("", None);
    }

    #[test]
    fn descendants_are_children_of_children_and_nobody_else() {
        let tree = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 1), (6, 5)];
        let processes = tree.map(|(number, parent)| Process { number, parent, group: 0 });
        let check = |ancestor: i32, want: &[i32]| assert_eq!(descending_from(ancestor, &processes), want);
        check(2, &[3, 4]);
        check(1, &[2, 5, 3, 6, 4]);
        check(4, &[]);
        check(99, &[]);
    }

    #[test]
    fn a_process_is_known_by_what_the_kernel_keeps_of_its_name_while_it_lives() {
        let check = |stat: &str, name: &str, want: bool| {
            assert_eq!(is_alive_as(stat.as_bytes(), name.as_bytes()), want, "{stat} {name}");
        };
        check("7 (nginx) S 1 7", "nginx", true);
        check("7 (nginx) Z 1 7", "nginx", false);
        check("7 (nginx) S 1 7", "ngin", false);
        check("7 (nginx) S 1 7", "", false);
        check("7 (a) b) R 1 7", "a) b", true);
        check("7 (a-very-long-nam) S 1 7", "a-very-long-name", true);
        check("7 (nginx)", "nginx", false);
        check("", "nginx", false);
    }

    #[test]
    fn a_master_is_no_worker() {
        let check = |bearers: &[(i32, i32)], want: &[i32]| {
            let process = |&(number, parent): &(i32, i32)| Process { number, parent, group: 0 };
            assert_eq!(without_workers(&bearers.iter().map(process).collect::<Vec<_>>()), want, "{bearers:?}");
        };
        check(&[], &[]);
        check(&[(7, 1), (8, 7), (9, 7), (10, 9)], &[7]);
        check(&[(7, 1), (8, 7), (20, 1), (21, 20)], &[7, 20]);
    }

    #[test]
    fn a_circle_ends() {
        let processes = [(2, 3), (3, 2)].map(|(number, parent)| Process { number, parent, group: 0 });
        assert_eq!(descending_from(2, &processes), [3]);
    }
}

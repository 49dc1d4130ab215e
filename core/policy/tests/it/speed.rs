//! A thousand policies must cost a request next to nothing.

use std::hint::black_box;
use std::time::{Duration, Instant};

use strongroom_policy::acl::{Acl, Identity, Operation, Policy, Request};

/// The target of optimised code is 20 µs. Tests are not optimised and share the machine, so that the same time is
/// asked of the best of several rounds here.
const TARGET: Duration = Duration::from_micros(20);

const ROUNDS: u32 = 20;
const CHECKS: u32 = 500;

#[test]
fn a_request_is_decided_among_a_thousand_policies_in_time() {
    let policies: Vec<Policy> = (0..1000)
        .map(|team| {
            let text = format!(
                "path \"secret/data/team-{team}/*\" {{ capabilities = [\"read\", \"create\", \"update\"] }}\n\
                 path \"secret/metadata/team-{team}/*\" {{ capabilities = [\"list\"] }}\n\
                 path \"secret/data/team-{team}/root\" {{ capabilities = [\"deny\"] }}\n\
                 path \"secret/data/+/shared-{team}\" {{ capabilities = [\"read\"] }}\n\
                 path \"secret/+/apps/part-{team}*\" {{ capabilities = [\"read\"] }}\n"
            );
            Policy::parse(&format!("team-{team}"), &text).unwrap()
        })
        .collect();
    let began = Instant::now();
    let acl = Acl::new(&policies, &Identity::default(), 0);
    let made = began.elapsed();
    assert_eq!(acl.rules().len(), 5000);
    let cases = [
        ("secret/data/team-517/db/password", Operation::Read, true),
        ("secret/data/team-517/root", Operation::Read, false),
        ("secret/data/other/shared-999", Operation::Read, true),
        ("secret/data/apps/part-77/x", Operation::Read, true),
        ("secret/metadata/team-3/", Operation::List, true),
        ("nothing/of/the/kind", Operation::Read, false),
    ];
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..CHECKS {
            for (path, operation, expected) in cases {
                let request = Request { path: black_box(path), operation, parameters: &[], wrapping: None };
                assert_eq!(acl.check(&request).is_allowed(), expected, "{path}");
            }
        }
        best = best.min(began.elapsed() / (CHECKS * 6));
    }
    println!("made in {made:?}, decided in {best:?}");
    assert!(best < TARGET, "{best:?}");
}

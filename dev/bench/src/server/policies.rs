//! What it costs to find out whether a request is allowed, among many policies.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use strongroom_policy::acl::{Acl, Identity, Operation, Policy, Request};

use crate::report::{Figure, Row, Target, Unit};
use crate::scenarios::Bench;

/// Policies of one token.
const POLICIES: usize = 1_000;

/// Decisions that are timed together: one is shorter than a look at the clock is exact.
const TOGETHER: u32 = 100;

/// Times that are taken.
const ROUNDS: usize = 200;

/// Requests of each kind: allowed by a prefix, denied by a longer path, allowed by segments, and unknown.
const CASES: &[(&str, Operation, bool)] = &[
    ("secret/data/team-517/db/password", Operation::Read, true),
    ("secret/data/team-517/root", Operation::Read, false),
    ("secret/data/other/shared-999", Operation::Read, true),
    ("secret/data/apps/part-77/x", Operation::Read, true),
    ("secret/metadata/team-3/", Operation::List, true),
    ("nothing/of/the/kind", Operation::Read, false),
];

/// Decides requests among a thousand policies of five rules each.
pub(super) fn measure(bench: &mut Bench) -> Result<()> {
    let policies = (0..POLICIES).map(policy).collect::<Result<Vec<_>>>()?;
    let acl = Acl::new(&policies, &Identity::default(), 0);
    let mut samples = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..TOGETHER {
            for (path, operation, expected) in CASES {
                let request = Request { path: black_box(path), operation: *operation, parameters: &[], wrapping: None };
                ensure!(acl.check(&request).is_allowed() == *expected, "{path} was decided wrongly");
            }
        }
        let decisions = TOGETHER * u32::try_from(CASES.len())?;
        samples.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(decisions));
    }
    let figure = Figure::of(samples).context("no rounds")?;
    let metric = format!("one decision among {POLICIES} policies");
    bench.rows.push(Row::new("server-policies", metric, Unit::Microseconds, figure).with_target(Target::below(20.0)));
    Ok(())
}

fn policy(team: usize) -> Result<Policy> {
    let text = format!(
        r#"path "secret/data/team-{team}/*" {{ capabilities = ["read", "create", "update"] }}
path "secret/metadata/team-{team}/*" {{ capabilities = ["list"] }}
path "secret/data/team-{team}/root" {{ capabilities = ["deny"] }}
path "secret/data/+/shared-{team}" {{ capabilities = ["read"] }}
path "secret/+/apps/part-{team}*" {{ capabilities = ["read"] }}
"#
    );
    Policy::parse(&format!("team-{team}"), &text).ok().context("a policy cannot be read")
}

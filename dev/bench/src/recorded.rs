//! What peers needed when they were last measured by hand: shown where their programs are not at hand, always with
//! where and when. The only figures that are typed.

/// When and on what the figures were taken.
pub(crate) const WHEN: &str = "recorded 2026-11-22, 2 cores, 24 GiB";

/// A peer's figure, or the range in which figures of several programs lay; in the unit of its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    pub(crate) row: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The figure of `peer` for a row, where there is one.
pub(crate) fn find(row: &str, peer: &str) -> Option<Recorded> {
    RECORDED.iter().copied().find(|recorded| recorded.row == row && recorded.peer == peer)
}

const fn one(row: &'static str, peer: &'static str, figure: f64) -> Recorded {
    Recorded { row, peer, low: figure, high: figure }
}

const fn range(row: &'static str, peer: &'static str, low: f64, high: f64) -> Recorded {
    Recorded { row, peer, low, high }
}

const RECORDED: &[Recorded] = &[
    one("operator-1000-first", "ESO 2.9", 101_000.0),
    range("operator-1000-first", "ESO 2.9 tuned", 10_000.0, 12_000.0),
    one("operator-1000-calls", "ESO 2.9", 3_000.0),
    one("operator-1000-resident", "ESO 2.9", 366e6),
    one("operator-1000-steady-writes", "ESO 2.9", 2_000.0),
    one("operator-1000-steady-cpu", "ESO 2.9", 27.0),
    // Reviews of 4 kB over TLS, 100 a second, sent from the same two cores.
    one("admission-plain-cpu", "kube-secrets-init", 6_700.0),
    one("admission-typical-100-p50", "kube-secrets-init", 5.9),
    one("admission-typical-100-p50", "AWS injector", 0.6),
    one("admission-typical-100-p50", "vault-secrets-webhook", 1.0),
    one("admission-typical-100-p99", "kube-secrets-init", 8.1),
    one("admission-typical-100-p99", "AWS injector", 1.9),
    one("admission-typical-100-p99", "vault-secrets-webhook", 3.1),
    one("admission-typical-100-cpu", "kube-secrets-init", 7_500.0),
    one("admission-typical-100-cpu", "AWS injector", 400.0),
    one("admission-typical-100-cpu", "vault-secrets-webhook", 920.0),
    // The most that it answers.
    one("admission-typical-500-rate", "kube-secrets-init", 200.0),
    one("admission-secrets-rate", "kube-secrets-init", 23.0),
    one("admission-resident", "kube-secrets-init", 39e6),
    one("admission-resident", "AWS injector", 19e6),
    one("admission-resident", "vault-secrets-webhook", 89e6),
    one("none", "bare exec", 0.5),
    range("none", "tini", 1.0, 1.3),
    range("none", "catatonit", 1.0, 1.3),
    one("none", "secrets-init", 12.0),
    one("one", "secrets-init", 18.0),
    one("references-10", "secrets-init", 226.0),
    one("references-50", "secrets-init", 1_067.0),
    one("references-200", "secrets-init", 4_191.0),
    one("references-10", "chamber", 31.0),
    one("references-50", "chamber", 120.0),
    one("references-200", "chamber", 433.0),
    one("reads-10", "secrets-init", 10.0),
    one("reads-50", "secrets-init", 50.0),
    one("reads-200", "secrets-init", 200.0),
    one("together-10", "secrets-init", 1.0),
    one("together-50", "secrets-init", 1.0),
    one("together-200", "secrets-init", 1.0),
    range("asleep", "tini", 0.7e6, 1.5e6),
    range("asleep", "catatonit", 0.7e6, 1.5e6),
    one("asleep", "secrets-init", 20e6),
    one("peak", "secrets-init", 26e6),
    one("size", "secrets-init", 22e6),
];

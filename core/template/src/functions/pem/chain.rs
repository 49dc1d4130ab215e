//! Certificates in the order in which they sign each other. Nothing is verified: this only sorts.

use strongroom_crypto::{CertificateFacts, pem_blocks, pem_encode};

use super::super::{Answer, fault};
use super::counted;
use crate::evaluate::Call;
use crate::limits::{Fault, Meter};

/// `leaf`, `intermediate` or `root` of a chain; nothing where it has none.
pub(super) fn filter(call: &mut Call<'_>) -> Answer {
    let (kind, text) = (call.string(0), counted(call, 1)?);
    let (blocks, _) = pem_blocks(&text);
    let facts: Option<Vec<_>> = blocks.iter().map(|block| CertificateFacts::read(&block.bytes)).collect();
    let Some(facts) = facts else { return fault("a block is no certificate") };
    let ordered = ordered(call.meter, facts)?;
    let Some((leaf, above)) = ordered.split_first() else { return fault("no leaf certificate found") };
    let root = above.last().unwrap_or(leaf);
    let made = match kind.as_str() {
        "leaf" if !leaf.is_root() => written([leaf.der.as_slice()].into_iter()),
        "intermediate" => written(above.iter().take_while(|facts| !facts.is_root()).map(|facts| facts.der.as_slice())),
        "root" if root.is_root() => written([root.der.as_slice()].into_iter()),
        _ => String::new(),
    };
    call.make(made)
}

/// Certificates as PEM.
pub(super) fn written<'a>(certificates: impl Iterator<Item = &'a [u8]>) -> String {
    certificates.map(|der| pem_encode("CERTIFICATE", der).to_string()).collect()
}

/// From the leaf to the root, by the identifiers of keys.
pub(super) fn ordered(meter: &mut Meter, facts: Vec<CertificateFacts>) -> Result<Vec<CertificateFacts>, Fault> {
    meter.step(facts.len().saturating_mul(facts.len()))?;
    let signs = |one: &CertificateFacts, other: &CertificateFacts| {
        one.authority_key.as_deref().unwrap_or_default() == other.subject_key.as_slice()
    };
    let parent = |index: usize| {
        let one = facts.get(index)?;
        (0..facts.len()).find(|other| *other != index && facts.get(*other).is_some_and(|other| signs(one, other)))
    };
    let parents: Vec<Option<usize>> = (0..facts.len()).map(parent).collect();
    let mut leaves = (0..facts.len()).filter(|index| !parents.contains(&Some(*index)));
    let Some(leaf) = leaves.next() else { return fault("no leaf certificate found") };
    if leaves.next().is_some() {
        return fault("found multiple leaf or disjunct certificates");
    }
    let mut chain = Vec::new();
    let mut next = Some(leaf);
    while let Some(index) = next {
        if chain.len() >= facts.len() {
            return fault("constructing chain resulted in cycle");
        }
        chain.extend(facts.get(index).cloned());
        next = parents.get(index).copied().flatten();
    }
    Ok(chain)
}

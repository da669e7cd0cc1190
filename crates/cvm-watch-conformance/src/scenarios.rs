//! Every scenario, by family.

mod answers;
mod closing;
mod connections;
mod headers;
mod misbehaving;
mod streams;

use crate::scenario::Scenario;

/// Every scenario of the suite, in the order in which they run.
///
/// ```
/// let names: Vec<_> = cvm_watch_conformance::scenarios().iter().map(|scenario| scenario.name).collect();
/// assert!(names.contains(&"truncated-chunked") && names.contains(&"tls-expired"));
/// ```
pub fn scenarios() -> Vec<Scenario> {
    let families = [
        streams::scenarios(),
        streams::broken(),
        answers::scenarios(),
        headers::scenarios(),
        connections::scenarios(),
        connections::tls(),
        closing::scenarios(),
        misbehaving::scenarios(),
    ];
    families.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_has_a_unique_name_and_a_claim() {
        let all = super::scenarios();
        let names: BTreeSet<_> = all.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().all(|scenario| !scenario.claim.is_empty() && !scenario.expected.is_empty()));
    }
}

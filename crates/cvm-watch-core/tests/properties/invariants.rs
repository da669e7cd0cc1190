//! The invariants of `ARCHITECTURE.md`, one property each, over random runs of a watch. A test shows that each
//! property detects a fault that breaks it.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use cvm_watch_core::{Action, Timestamp, Watch};

use crate::checks::machine::Machine;
use crate::checks::watch_ops;
use crate::faults::{
    CountsItsOwnSeed, DropsDisconnect, Faulty, HearsOldConnections, OverlooksLoneBytes, RepeatsEvents,
    SpeaksAfterItsEnd, WakesAtOnce, WakesLate,
};
use crate::random::Random;
use crate::random_run::{Recorded, Style, run};

const RUNS: u64 = 1_500;

/// 1. The same bytes give the same actions however they are cut.
fn cuts_change_nothing<M: Machine>(data: &[u8]) {
    let whole = run::<M>(data, Style::default());
    for cut in [1, 2, 7] {
        assert_same(&whole, &run::<M>(data, Style { cut, ..Style::default() }));
    }
}

/// 2. Exactly one end, and it is last.
fn one_end_which_is_last<M: Machine>(data: &[u8]) {
    let Recorded { actions, .. } = run::<M>(data, Style { abort_at_last: true, ..Style::default() });
    let is_end = |action: &&Action| matches!(action, Action::Resolve(_) | Action::Fail(_));
    assert_eq!(actions.iter().filter(is_end).count(), 1, "{actions:?}");
    assert!(actions.last().as_ref().is_some_and(is_end), "{actions:?}");
}

/// 3. A tick at the wake and a drain move the wake on.
fn no_wake_comes_twice<M: Machine>(data: &[u8]) {
    for (wake, next) in run::<M>(data, Style::default()).wakes {
        assert!(next.at > wake.at || next.at == Timestamp::MAX, "{wake:?}, then {next:?}");
    }
}

/// 4. A driver that sleeps exactly to the wake misses nothing: extra ticks change nothing.
fn the_wake_is_exact<M: Machine>(data: &[u8]) {
    let sleeper = run::<M>(data, Style::default());
    assert_same(&sleeper, &run::<M>(data, Style { restless: true, ..Style::default() }));
}

/// 5. Only a few actions wait, even if they are never polled.
fn few_actions_wait<M: Machine>(data: &[u8]) {
    let Recorded { actions, .. } = run::<M>(data, Style { never_polls: true, ..Style::default() });
    assert!(actions.len() <= 6, "{} actions waited", actions.len());
}

/// 6. The same seed and inputs give the same actions.
fn a_life_repeats<M: Machine>(data: &[u8]) {
    assert_same(&run::<M>(data, Style::default()), &run::<M>(data, Style::default()));
}

/// 7. Never two connections, and none at the end.
fn one_connection_at_most<M: Machine>(data: &[u8]) {
    let Recorded { actions, closed, .. } = run::<M>(data, Style { abort_at_last: true, ..Style::default() });
    let mut open = BTreeSet::new();
    for action in actions {
        match action {
            Action::Connect { attempt, .. } => {
                open.retain(|attempt| !closed.contains(attempt));
                assert!(open.is_empty(), "attempt {attempt} beside {open:?}");
                open.insert(attempt);
            }
            Action::Disconnect { attempt } => assert!(open.remove(&attempt), "attempt {attempt} is not open"),
            _ => {}
        }
    }
    open.retain(|attempt| !closed.contains(attempt));
    assert!(open.is_empty(), "{open:?} left open");
}

/// 8. Any order of inputs is safe: the watch does what the model does.
fn any_order_is_safe<M: Machine>(data: &[u8]) {
    watch_ops::check_machine::<M>(data);
}

/// 9. Returns a word that the source of the core must not contain, outside comments and tests.
fn impurity(source: &str) -> Option<&'static str> {
    let forbidden = [
        "std::",
        "unsafe ",
        "Instant",
        "SystemTime",
        "thread",
        "HashMap",
        "HashSet",
        "RandomState",
        "env::",
        "getrandom",
        "rand::",
    ];
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    forbidden.into_iter().find(|word| code.iter().any(|line| line.contains(word)))
}

fn assert_same(one: &Recorded, other: &Recorded) {
    for (line, (one, other)) in one.log.lines().zip(other.log.lines()).enumerate() {
        assert_eq!(one, other, "action {line}");
    }
    assert_eq!(one.actions.len(), other.actions.len(), "actions in all");
}

fn holds(property: fn(&[u8])) {
    crate::random::sweep(property, 0..RUNS, |random| random.bytes(200));
}

/// Returns the first run that breaks the property.
fn broken_after(property: fn(&[u8])) -> Option<u64> {
    (0..RUNS).find(|seed| {
        let data = Random::new(*seed).bytes(200);
        panic::catch_unwind(AssertUnwindSafe(|| property(&data))).is_err()
    })
}

#[test]
fn the_same_bytes_give_the_same_actions_however_they_are_cut() {
    holds(cuts_change_nothing::<Watch>);
}

#[test]
fn a_watch_ends_once_and_reports_nothing_after() {
    holds(one_end_which_is_last::<Watch>);
}

#[test]
fn a_tick_at_the_wake_moves_the_wake_on() {
    holds(no_wake_comes_twice::<Watch>);
}

#[test]
fn a_driver_that_sleeps_exactly_to_the_wake_misses_nothing() {
    holds(the_wake_is_exact::<Watch>);
}

#[test]
fn without_polls_only_a_few_actions_wait() {
    holds(few_actions_wait::<Watch>);
}

#[test]
fn the_same_seed_and_inputs_give_the_same_actions() {
    holds(a_life_repeats::<Watch>);
}

#[test]
fn there_are_never_two_live_connections() {
    holds(one_connection_at_most::<Watch>);
}

#[test]
fn any_order_of_inputs_is_safe() {
    holds(any_order_is_safe::<Watch>);
}

#[test]
fn the_core_has_no_clock_randomness_environment_or_hash_order() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().is_some_and(|name| name == "tests");
            if path.is_dir() && !is_test {
                folders.push(path);
            } else if path.is_file() && !is_test {
                files += 1;
                assert_eq!(impurity(&fs::read_to_string(&path).unwrap()), None, "in {}", path.display());
            }
        }
    }
    assert!(files > 20, "only {files} files read");
}

#[test]
fn each_property_detects_a_fault_that_breaks_it() {
    let broken = [
        ("cuts", broken_after(cuts_change_nothing::<Faulty<OverlooksLoneBytes>>)),
        ("one end", broken_after(one_end_which_is_last::<Faulty<SpeaksAfterItsEnd>>)),
        ("no spin", broken_after(no_wake_comes_twice::<Faulty<WakesAtOnce>>)),
        ("exact wake", broken_after(the_wake_is_exact::<Faulty<WakesLate>>)),
        ("few actions", broken_after(few_actions_wait::<Faulty<RepeatsEvents>>)),
        ("repeatable", broken_after(a_life_repeats::<Faulty<CountsItsOwnSeed>>)),
        ("one connection", broken_after(one_connection_at_most::<Faulty<DropsDisconnect>>)),
        ("any order", broken_after(any_order_is_safe::<Faulty<HearsOldConnections>>)),
    ];
    for (property, runs) in broken {
        assert!(runs.is_some(), "the property of {property} does not detect its fault in {RUNS} runs");
    }
    assert_eq!(impurity("// std::time is for others\nfn f() {}"), None);
    assert_eq!(impurity("fn f() { std::time::Instant::now(); }"), Some("std::"));
}

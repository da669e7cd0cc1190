//! Aborting a watch, and what follows its end: nothing.

use cvm_watch_core::{Action, CloseCause, Input, Policy, ResponseHead, Timestamp};
use cvm_watch_sim::Attempt;

use crate::virtual_time::watch::scripted;
use crate::watches::{SECOND, drain, streaming, watch};

/// Contract row 21.
#[test]
fn an_abort_ends_it_at_once_in_every_phase() {
    for (phase, script, closes) in [
        ("connecting", Attempt::new().stall(), true),
        ("streaming", Attempt::stream().state("starting").stall(), true),
        ("reading an error", Attempt::new().head(500, &[]).stall(), true),
        ("waiting to retry", Attempt::new().refuse(), false),
    ] {
        let trace = scripted(script).abort_at(1500).trace();
        let end = if closes { "1.500 disconnect\n" } else { "" };
        assert!(trace.ends_with(&format!("{end}1.500 fail aborted: the watch was aborted\n")), "{phase}: {trace}");
        assert_eq!(trace.contains("1.500 disconnect"), closes, "{phase}: {trace}");
    }
}

/// Contract row 21.
#[test]
fn an_abort_before_the_start_makes_no_request() {
    let mut watch = watch(Policy::builder("running"));
    watch.handle(Timestamp::ZERO, Input::Abort);
    let actions = drain(&mut watch);
    assert!(matches!(&actions[..], [Action::Fail(failure)] if failure.kind() == "aborted"), "{actions:?}");
}

/// Contract row 21.
#[test]
fn an_abort_drops_actions_that_were_not_polled() {
    let (mut watch, attempt) = streaming(Policy::builder("running"));
    let event = b"event: state\ndata: {\"status\":\"starting\"}\n\n";
    assert_eq!(watch.receive(Timestamp::ZERO, attempt, event), event.len());
    watch.handle(Timestamp::ZERO, Input::Abort);
    let actions = drain(&mut watch);
    assert!(matches!(&actions[..], [Action::Disconnect { .. }, Action::Fail(_)]), "{actions:?}");
}

/// Contract row 21.
#[test]
fn an_abort_in_a_flood_takes_effect_between_two_events() {
    let (mut watch, attempt) = streaming(Policy::builder("running"));
    let flood = b"data: x\n\n".repeat(10_000);
    let taken = watch.receive(Timestamp::ZERO, attempt, &flood);
    assert_eq!((taken, drain(&mut watch).len()), (9, 1));
    watch.handle(Timestamp::ZERO, Input::Abort);
    assert_eq!(watch.receive(Timestamp::ZERO, attempt, &flood[taken..]), flood.len() - taken);
    let actions = drain(&mut watch);
    assert!(matches!(&actions[..], [Action::Disconnect { .. }, Action::Fail(_)]), "{actions:?}");
}

/// Contract row 22.
#[test]
fn after_the_end_nothing_does_anything() {
    let (mut watch, attempt) = streaming(Policy::builder("running").deadline(SECOND));
    let event = b"event: complete\ndata: {\"status\":\"running\"}\n\n";
    let _ = watch.receive(Timestamp::ZERO, attempt, event);
    assert_eq!(drain(&mut watch).len(), 3);
    for _ in 0..2 {
        watch.handle(Timestamp::MAX, Input::Abort);
        watch.handle(Timestamp::MAX, Input::Tick);
        watch.handle(Timestamp::MAX, Input::Permit);
        watch.handle(Timestamp::MAX, Input::Yield { attempt });
        watch.handle(Timestamp::MAX, Input::Closed { attempt, cause: CloseCause::Reset });
        watch.handle(Timestamp::MAX, Input::Head { attempt, head: ResponseHead::new(200), wall: None });
        assert_eq!(watch.receive(Timestamp::MAX, attempt, event), event.len());
        assert_eq!((drain(&mut watch), watch.next_wake()), (Vec::new(), None));
    }
}

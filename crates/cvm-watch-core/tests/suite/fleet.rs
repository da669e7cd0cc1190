//! Many watches over few connections: time slices, outcomes, limits.

use std::time::Duration;

use cvm_watch_core::{
    Action, AttemptId, CloseCause, CvmId, Failure, Fleet, Input, MemberId, Policy, ResponseHead, RetryCause, Timestamp,
    Until, WakeReason,
};

use crate::virtual_time::fleet::BootingCvms;

const SECOND: Duration = Duration::from_secs(1);
const STARTING: &[u8] = b"event: state\ndata: {\"status\":\"starting\"}\n\n";
const RUNNING: &[u8] = b"event: state\ndata: {\"status\":\"running\"}\n\n";
const COMPLETE: &[u8] = b"event: complete\ndata: {\"status\":\"running\"}\n\n";

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn cvm(number: usize) -> CvmId {
    format!("cvm-{number}").parse().unwrap()
}

fn fleet(cvms: usize, slots: usize, until: Until) -> Fleet {
    let mut fleet = Fleet::new(slots, until).unwrap();
    for number in 0..cvms {
        let policy = Policy::builder("running").retry_delay(SECOND).max_retries(0);
        fleet.add(policy.build().unwrap().into(), cvm(number), 1, at(0));
    }
    fleet
}

fn member(fleet: &Fleet, number: usize) -> MemberId {
    fleet.members().nth(number).unwrap()
}

fn attempt(fleet: &Fleet, number: usize) -> AttemptId {
    let attempts = fleet.watch(member(fleet, number)).unwrap().attempts();
    assert_ne!(attempts, 0, "member {number} has no connection");
    AttemptId::from_number(attempts)
}

/// What a driver does when nothing else is ready: it drains, and ticks if that is due.
fn idle(fleet: &mut Fleet, now: Timestamp) -> Vec<String> {
    let mut actions = drain(fleet);
    if fleet.next_wake().is_some_and(|wake| wake.at <= now) {
        fleet.tick(now);
        actions.extend(drain(fleet));
    }
    assert!(fleet.next_wake().is_none_or(|wake| wake.at > now), "a spin at {now}");
    actions
}

fn drain(fleet: &mut Fleet) -> Vec<String> {
    let shown = |(member, action)| match action {
        Action::Connect { attempt, .. } => format!("{member} connect {attempt}"),
        Action::Disconnect { attempt } => format!("{member} disconnect {attempt}"),
        Action::Retrying { delay, .. } => format!("{member} retry in {delay:?}"),
        Action::Emit { .. } => format!("{member} emit"),
        Action::Resolve(state) => format!("{member} resolve {}", state.status),
        Action::Fail(failure) => format!("{member} {}", failure.kind()),
        other => format!("{member} {other:?}"),
    };
    std::iter::from_fn(|| fleet.poll_action()).map(shown).collect()
}

fn open(fleet: &mut Fleet, now: Timestamp, number: usize) {
    let attempt = attempt(fleet, number);
    let head = ResponseHead::new(200);
    fleet.handle(now, member(fleet, number), Input::Head { attempt, head, wall: None });
}

fn receive(fleet: &mut Fleet, now: Timestamp, number: usize, bytes: &[u8]) {
    let attempt = attempt(fleet, number);
    assert_eq!(fleet.receive(now, member(fleet, number), attempt, bytes), bytes.len());
}

fn close(fleet: &mut Fleet, now: Timestamp, number: usize, cause: CloseCause) {
    let attempt = attempt(fleet, number);
    fleet.handle(now, member(fleet, number), Input::Closed { attempt, cause });
}

#[test]
fn a_stream_yields_at_its_first_state_and_reconnects_after_its_interval() {
    let mut fleet = fleet(3, 1, Until::All);
    assert_eq!(drain(&mut fleet), ["0 connect 1"]);
    open(&mut fleet, at(0), 0);
    receive(&mut fleet, at(1), 0, STARTING);
    assert_eq!(idle(&mut fleet, at(1)), ["0 emit", "0 disconnect 1", "1 connect 1"]);
    open(&mut fleet, at(1), 1);
    receive(&mut fleet, at(2), 1, STARTING);
    assert_eq!(idle(&mut fleet, at(2)), ["1 emit", "1 disconnect 1", "2 connect 1"]);
    open(&mut fleet, at(2), 2);
    receive(&mut fleet, at(2), 2, STARTING);
    // No CVM may be checked again yet, so the stream stays.
    assert_eq!(idle(&mut fleet, at(2)), ["2 emit"]);
    let wake = fleet.next_wake().unwrap();
    assert_eq!((wake.at, wake.reason), (at(5), WakeReason::NextCheck));
    fleet.tick(at(5));
    assert_eq!(drain(&mut fleet), ["2 disconnect 1", "0 connect 2"]);
}

#[test]
fn with_enough_slots_every_stream_stays_open() {
    let mut fleet = fleet(3, 3, Until::All);
    assert_eq!(drain(&mut fleet), ["0 connect 1", "1 connect 1", "2 connect 1"]);
    for number in 0..3 {
        open(&mut fleet, at(0), number);
        receive(&mut fleet, at(1), number, STARTING);
    }
    assert_eq!(idle(&mut fleet, at(1)), ["0 emit", "1 emit", "2 emit"]);
    assert_eq!(fleet.next_wake().unwrap().reason, WakeReason::AttemptTimeout);
}

#[test]
fn with_enough_slots_no_retry_waits_for_an_interval() {
    let mut fleet = Fleet::new(2, Until::All).unwrap();
    for number in 0..2 {
        let policy = Policy::builder("running").retry_delay(SECOND);
        fleet.add(policy.build().unwrap().into(), cvm(number), 1, at(0));
    }
    assert_eq!(drain(&mut fleet), ["0 connect 1", "1 connect 1"]);
    close(&mut fleet, at(1), 0, CloseCause::Reset);
    assert_eq!(drain(&mut fleet), ["0 retry in 1s"]);
    fleet.tick(at(2));
    assert_eq!(drain(&mut fleet), ["0 connect 2"]);
    // With one member more it waits: the CVM was checked two seconds ago.
    let policy = Policy::builder("running").build().unwrap();
    fleet.add(policy.into(), cvm(2), 1, at(2));
    close(&mut fleet, at(2), 0, CloseCause::Reset);
    assert_eq!(drain(&mut fleet), ["2 connect 1", "0 retry in 1s"]);
    close(&mut fleet, at(3), 2, CloseCause::Reset);
    fleet.tick(at(6));
    assert!(!drain(&mut fleet).contains(&"0 connect 3".to_owned()));
    fleet.tick(at(7));
    assert!(drain(&mut fleet).contains(&"0 connect 3".to_owned()));
}

#[test]
fn a_silent_stream_yields_after_ten_seconds() {
    let mut fleet = fleet(2, 1, Until::All);
    drain(&mut fleet);
    open(&mut fleet, at(1), 0);
    let wake = fleet.next_wake().unwrap();
    assert_eq!((wake.at, wake.reason), (at(10), WakeReason::TimeSliceOver));
    fleet.tick(at(10));
    assert_eq!(drain(&mut fleet), ["0 disconnect 1", "1 connect 1"]);
}

#[test]
fn a_slot_is_free_only_when_its_connection_is_closed() {
    let mut fleet = fleet(2, 1, Until::All);
    drain(&mut fleet);
    open(&mut fleet, at(0), 0);
    receive(&mut fleet, at(0), 0, STARTING);
    assert_eq!(drain(&mut fleet), ["0 emit"]);
    fleet.tick(at(0));
    assert_eq!(fleet.open_connections(), 1);
    // The other one connects only after the first connection was closed.
    assert!(matches!(fleet.poll_action(), Some((_, Action::Disconnect { .. }))));
    assert!(matches!(fleet.poll_action(), Some((other, Action::Connect { .. })) if other.number() == 1));
}

#[test]
fn a_stream_at_its_target_resolves_when_its_slot_is_needed() {
    let mut fleet = fleet(2, 1, Until::All);
    drain(&mut fleet);
    open(&mut fleet, at(0), 0);
    receive(&mut fleet, at(0), 0, RUNNING);
    assert_eq!(drain(&mut fleet), ["0 emit"]);
    // At the next tick, after all other input was read.
    let wake = fleet.next_wake().unwrap();
    assert_eq!((wake.at, wake.reason), (at(0), WakeReason::TimeSliceOver));
    fleet.tick(at(0));
    assert_eq!(drain(&mut fleet), ["0 disconnect 1", "0 resolve running", "1 connect 1"]);
    assert_eq!(fleet.unfinished(), 1);
}

#[test]
fn a_target_followed_by_another_status_does_not_count_over_capacity_either() {
    let mut fleet = fleet(2, 1, Until::All);
    drain(&mut fleet);
    open(&mut fleet, at(0), 0);
    receive(&mut fleet, at(0), 0, RUNNING);
    assert_eq!(drain(&mut fleet), ["0 emit"]);
    receive(&mut fleet, at(0), 0, STARTING);
    assert_eq!(idle(&mut fleet, at(0)), ["0 emit", "0 disconnect 1", "1 connect 1"]);
    assert_eq!(fleet.unfinished(), 2);
}

#[test]
fn a_time_slice_is_judged_at_a_tick_after_ready_input_was_read() {
    let mut fleet = fleet(5, 4, Until::All);
    drain(&mut fleet);
    // The caller was busy for twelve seconds; the heads of the other members are ready too.
    for number in 0..4 {
        open(&mut fleet, at(12), number);
        assert_eq!(drain(&mut fleet), [""; 0]);
    }
    receive(&mut fleet, at(12), 3, STARTING);
    assert_eq!(drain(&mut fleet), ["3 emit"]);
    fleet.tick(at(12));
    assert_eq!(drain(&mut fleet)[..2], ["3 disconnect 1", "4 connect 1"]);
    // Its time slice begins when its `Connect` is polled.
    fleet.tick(at(21));
    assert!(!drain(&mut fleet).contains(&"4 disconnect 1".to_owned()));
}

#[test]
fn a_stream_at_its_target_keeps_its_slot_until_another_member_is_due() {
    let mut fleet = fleet(2, 1, Until::All);
    drain(&mut fleet);
    open(&mut fleet, at(0), 0);
    receive(&mut fleet, at(1), 0, STARTING);
    assert_eq!(idle(&mut fleet, at(1)), ["0 emit", "0 disconnect 1", "1 connect 1"]);
    open(&mut fleet, at(1), 1);
    receive(&mut fleet, at(4), 1, RUNNING);
    assert_eq!(idle(&mut fleet, at(4)), ["1 emit"]);
    receive(&mut fleet, at(4), 1, COMPLETE);
    assert_eq!(idle(&mut fleet, at(4)), ["1 emit", "1 disconnect 1", "1 resolve running"]);
    fleet.tick(at(5));
    assert_eq!(drain(&mut fleet), ["0 connect 2"]);
}

#[test]
fn a_stream_that_is_not_at_its_target_yields_before_one_that_is() {
    let mut fleet = Fleet::new(2, Until::All).unwrap();
    for number in 0..3 {
        let policy = Policy::builder("running").complete_grace(30 * SECOND);
        fleet.add(policy.build().unwrap().into(), cvm(number), 1, at(0));
    }
    drain(&mut fleet);
    open(&mut fleet, at(0), 0);
    receive(&mut fleet, at(1), 0, STARTING);
    assert_eq!(idle(&mut fleet, at(1)), ["0 emit", "0 disconnect 1", "2 connect 1"]);
    for (number, said) in [(1, RUNNING), (2, STARTING)] {
        open(&mut fleet, at(1), number);
        receive(&mut fleet, at(1), number, said);
    }
    assert_eq!(idle(&mut fleet, at(1)), ["1 emit", "2 emit"]);
    fleet.tick(at(5));
    assert_eq!(drain(&mut fleet), ["2 disconnect 1", "0 connect 2"]);
}

#[test]
fn a_failure_frees_its_slot_and_does_not_end_other_watches() {
    let mut fleet = fleet(2, 1, Until::All);
    drain(&mut fleet);
    close(&mut fleet, at(0), 0, CloseCause::Refused);
    assert_eq!(drain(&mut fleet), ["0 max_retries_exceeded", "1 connect 1"]);
    assert_eq!(fleet.unfinished(), 1);
}

#[test]
fn a_429_requeues_the_member_without_a_retry_and_reduces_the_slots_meanwhile() {
    let mut fleet = fleet(4, 2, Until::All);
    assert_eq!(drain(&mut fleet), ["0 connect 1", "1 connect 1"]);
    open(&mut fleet, at(0), 0);
    let mut head = ResponseHead::new(429);
    head.header("retry-after", b"60");
    let refused = attempt(&fleet, 1);
    fleet.handle(at(0), member(&fleet, 1), Input::Head { attempt: refused, head, wall: None });
    close(&mut fleet, at(0), 1, CloseCause::Ended);
    // Two members wait, but there is only one slot.
    assert_eq!(drain(&mut fleet), ["1 retry in 60s"]);
    receive(&mut fleet, at(1), 0, STARTING);
    assert_eq!(idle(&mut fleet, at(1)), ["0 emit", "0 disconnect 1", "2 connect 1"]);
    assert_eq!(fleet.open_connections(), 1);
    open(&mut fleet, at(1), 2);
    fleet.tick(at(11));
    assert_eq!(drain(&mut fleet), ["2 disconnect 1", "3 connect 1"]);
    open(&mut fleet, at(11), 3);
    // The refused member waits for its `Retry-After`; then there are two slots again.
    fleet.tick(at(59));
    assert_eq!(drain(&mut fleet), ["3 disconnect 1", "0 connect 2"]);
    // It is refused again at 60, and gets the slot of another member. A second slot is tried after that time slice.
    fleet.tick(at(60));
    assert_eq!((drain(&mut fleet), fleet.open_connections()), (vec![], 1));
    assert_eq!((fleet.next_wake().unwrap().at, fleet.next_wake().unwrap().reason), (at(69), WakeReason::TimeSliceOver));
    open(&mut fleet, at(60), 0);
    receive(&mut fleet, at(60), 0, STARTING);
    assert_eq!(idle(&mut fleet, at(60)), ["0 emit", "0 disconnect 2", "2 connect 2"]);
    open(&mut fleet, at(60), 2);
    receive(&mut fleet, at(60), 2, STARTING);
    assert_eq!(idle(&mut fleet, at(60)), ["2 emit", "2 disconnect 2", "3 connect 2"]);
    open(&mut fleet, at(60), 3);
    receive(&mut fleet, at(60), 3, STARTING);
    assert_eq!(idle(&mut fleet, at(60)), ["3 emit", "3 disconnect 2", "1 connect 2"]);
    open(&mut fleet, at(60), 1);
    fleet.tick(at(70));
    assert_eq!((drain(&mut fleet).len() > 1, fleet.open_connections()), (true, 2));
}

#[test]
fn when_the_server_has_no_slot_at_all_no_member_connects_before_retry_after() {
    let mut fleet = fleet(3, 2, Until::All);
    drain(&mut fleet);
    for number in 0..2 {
        let attempt = attempt(&fleet, number);
        let head = ResponseHead::new(429);
        fleet.handle(at(0), member(&fleet, number), Input::Head { attempt, head, wall: None });
        close(&mut fleet, at(0), number, CloseCause::Ended);
    }
    assert_eq!(drain(&mut fleet), ["0 retry in 1s", "1 retry in 1s"]);
    assert_eq!(fleet.open_connections(), 0);
    fleet.tick(at(1));
    assert_eq!(drain(&mut fleet), ["2 connect 1"]);
    open(&mut fleet, at(1), 2);
    // A second slot is tried after one time slice.
    fleet.tick(at(5));
    assert_eq!(drain(&mut fleet), [""; 0]);
    fleet.tick(at(11));
    assert_eq!(drain(&mut fleet), ["0 connect 2", "2 disconnect 1", "1 connect 2"]);
}

#[test]
fn with_until_any_the_first_at_its_target_ends_the_others() {
    let mut fleet = fleet(3, 2, Until::Any);
    drain(&mut fleet);
    close(&mut fleet, at(0), 0, CloseCause::Refused);
    assert_eq!(drain(&mut fleet), ["0 max_retries_exceeded", "2 connect 1"]);
    open(&mut fleet, at(0), 1);
    receive(&mut fleet, at(0), 1, COMPLETE);
    assert_eq!(
        idle(&mut fleet, at(0)),
        ["1 emit", "1 disconnect 1", "1 resolve running", "2 disconnect 1", "2 aborted"]
    );
    assert_eq!((fleet.unfinished(), fleet.open_connections(), fleet.next_wake()), (0, 0, None));
}

#[test]
fn an_abort_ends_all_members_and_closes_open_connections() {
    let mut fleet = fleet(3, 2, Until::All);
    let _ = fleet.poll_action();
    fleet.abort(at(1));
    let mut reported = drain(&mut fleet);
    reported.sort();
    // The `Connect` of the second connection was not polled yet.
    assert_eq!(reported, ["0 aborted", "0 disconnect 1", "1 aborted", "2 aborted"]);
    assert_eq!(fleet.open_connections(), 0);
}

#[test]
fn a_deadline_ends_members_that_wait_for_a_slot_too() {
    let mut fleet = Fleet::new(1, Until::All).unwrap();
    for number in 0..2 {
        let policy = Policy::builder("running").deadline(9 * SECOND).build().unwrap();
        fleet.add(policy.into(), cvm(number), 1, at(0));
    }
    drain(&mut fleet);
    assert_eq!(fleet.next_wake().unwrap().reason, WakeReason::Deadline);
    fleet.tick(at(9));
    let mut reported = drain(&mut fleet);
    reported.sort();
    assert_eq!(reported, ["0 deadline_exceeded", "0 disconnect 1", "1 deadline_exceeded"]);
}

#[test]
fn after_a_resume_every_stream_is_reopened() {
    let mut fleet = fleet(3, 2, Until::All);
    drain(&mut fleet);
    open(&mut fleet, at(0), 0);
    fleet.resumed(at(3600));
    let reported = drain(&mut fleet);
    let connects = reported.iter().filter(|line| line.contains("connect") && !line.contains("disconnect")).count();
    assert_eq!((connects, fleet.open_connections()), (2, 2), "{reported:?}");
    assert_eq!(fleet.unfinished(), 3, "{reported:?}");
}

#[test]
fn system_sleep_over_capacity_costs_no_member_a_retry() {
    for (sleep, speak) in [(3600, true), (20, false)] {
        let mut fleet = fleet(8, 4, Until::All);
        drain(&mut fleet);
        for number in (0..8).filter(|_| speak) {
            open(&mut fleet, at(0), number);
            receive(&mut fleet, at(0), number, STARTING);
            idle(&mut fleet, at(0));
        }
        fleet.resumed(at(sleep));
        let reported = drain(&mut fleet);
        assert_eq!(reported.iter().filter(|line| line.contains("retry in 0ns")).count(), 4, "{reported:?}");
        assert_eq!((fleet.unfinished(), fleet.open_connections()), (8, 4), "{reported:?}");
    }
}

#[test]
fn only_a_member_that_has_ended_can_be_removed() {
    let mut fleet = fleet(2, 1, Until::All);
    let (first, second) = (member(&fleet, 0), member(&fleet, 1));
    assert!(!fleet.remove(first));
    drain(&mut fleet);
    close(&mut fleet, at(0), 0, CloseCause::Refused);
    assert!(!fleet.remove(first), "its end was not polled yet");
    drain(&mut fleet);
    assert!(fleet.remove(first) && !fleet.remove(first) && !fleet.remove(second));
    assert!(fleet.watch(first).is_none());
    // Later input for it is ignored.
    fleet.handle(at(1), first, Input::Abort);
    assert_eq!(drain(&mut fleet), Vec::<String>::new());
}

#[test]
fn a_paused_member_gets_no_slot_and_asks_again_when_it_is_unpaused() {
    let mut fleet = fleet(3, 1, Until::All);
    assert_eq!(drain(&mut fleet), ["0 connect 1"]);
    // One that waits, and one that has the slot.
    let (connected, waiting) = (member(&fleet, 0), member(&fleet, 1));
    fleet.set_paused(at(0), waiting, true);
    fleet.set_paused(at(0), connected, true);
    open(&mut fleet, at(0), 0);
    receive(&mut fleet, at(1), 0, STARTING);
    assert_eq!(idle(&mut fleet, at(1)), ["0 emit", "0 disconnect 1", "2 connect 1"]);
    // No other member may take the slot, so the stream does not yield, and no timer runs for it.
    open(&mut fleet, at(1), 2);
    receive(&mut fleet, at(1), 2, STARTING);
    fleet.tick(at(20));
    assert_eq!(drain(&mut fleet), ["2 emit"]);
    assert_eq!(fleet.next_wake().unwrap().reason, WakeReason::AttemptTimeout);
    for paused in [connected, waiting] {
        fleet.set_paused(at(20), paused, false);
    }
    assert_eq!(idle(&mut fleet, at(20)), ["2 disconnect 1", "0 connect 2"]);
    close(&mut fleet, at(20), 0, CloseCause::Reset);
    assert_eq!(drain(&mut fleet), ["0 max_retries_exceeded", "1 connect 1"]);
    // Pausing a member that was not waiting changes nothing.
    fleet.set_paused(at(20), waiting, true);
    fleet.set_paused(at(20), waiting, false);
    assert_eq!(drain(&mut fleet), [""; 0]);
}

#[test]
fn a_permit_from_outside_is_ignored() {
    let mut fleet = fleet(2, 1, Until::All);
    drain(&mut fleet);
    fleet.handle(at(0), member(&fleet, 1), Input::Permit);
    assert_eq!((drain(&mut fleet), fleet.open_connections()), (vec![], 1));
}

#[test]
fn a_hundred_cvms_end_within_two_intervals_of_the_time_with_a_slot_each() {
    for seed in 1..=20 {
        let booting = BootingCvms { stream_limit: 4, ..BootingCvms::new(100, seed) };
        let fleet = booting.run(|c| c);
        let ideal = BootingCvms { stream_limit: usize::MAX, ..booting.without_limit() }.run(|c| c);
        assert!(fleet.most_open <= 4 && fleet.refused == 0, "{} open, {} refused", fleet.most_open, fleet.refused);
        assert!(fleet.ends.values().all(|(_, how)| how.as_deref() == Ok("running")));
        let (took, could) = (fleet.finished(), ideal.finished());
        assert!(took <= could + 10 * SECOND, "seed {seed}: {took:?} where {could:?} would do");
        assert!(took <= booting.one_after_another(), "seed {seed}: slower than one by one");
    }
}

#[test]
fn a_hundred_that_boot_at_once_do_not_wait_for_each_others_complete() {
    let booting = BootingCvms {
        stream_limit: 4,
        sends_complete: false,
        running_at: vec![12 * SECOND; 100],
        ..BootingCvms::new(100, 1)
    };
    let ideal = BootingCvms { stream_limit: usize::MAX, ..booting.without_limit() }.run(|c| c).finished();
    let took = booting.run(|c| c).finished();
    assert!(took <= ideal + 10 * SECOND, "{took:?} where {ideal:?} would do");
}

#[test]
fn no_input_behind_a_stale_state_is_dropped() {
    for cvms in [24, 500] {
        for completes in [true, false] {
            let booting = BootingCvms {
                begins_with_stale_state: true,
                sends_complete: completes,
                running_at: vec![Duration::ZERO; cvms],
                ..BootingCvms::new(cvms, 1)
            };
            let outcome = booting.run(|c| c);
            assert!(outcome.ends.values().all(|(_, end)| end.as_deref() == Ok("running")), "{:?}", outcome.ends);
            // Four at a time, each of which ends with its first chunk. Without a `complete` the last ones keep their
            // slots for their grace, since no member waits for them.
            let rounds = u32::try_from(cvms.div_ceil(booting.max_streams)).unwrap();
            let grace = if completes { Duration::ZERO } else { 2 * SECOND };
            assert_eq!(outcome.finished(), rounds * booting.latency + grace, "{cvms} CVMs, completes: {completes}");
        }
    }
}

#[test]
fn a_fleet_without_a_slot_is_refused() {
    let error = Fleet::new(0, Until::All).unwrap_err();
    assert_eq!(error.to_string(), "max streams \"0\" must be at least 1");
}

#[test]
fn no_cvm_is_checked_more_than_once_per_interval_and_none_waits_longer_than_its_share() {
    for (cvms, seed) in [(5, 1), (40, 2), (100, 3)] {
        let booting = BootingCvms::new(cvms, seed);
        let fleet = booting.run(|c| c);
        let rounds = u32::try_from(cvms.div_ceil(4)).unwrap();
        // A check takes the latency, and members that became due earlier come first.
        let longest = 5 * SECOND + (rounds + 1) * booting.latency;
        for (number, looks) in &fleet.checks {
            for pair in looks.windows(2) {
                let between = pair[1].since(pair[0]);
                assert!(between >= 5 * SECOND, "cvm {number} was looked at again after {between:?}");
                let crowded = fleet.ends.values().filter(|(at, _)| *at > pair[1]).count() > 4;
                assert!(!crowded || between <= longest, "cvm {number} waited for {between:?}");
            }
        }
    }
}

#[test]
fn a_fleet_works_with_fewer_slots_at_the_server_than_its_own_limit() {
    let booting = BootingCvms { stream_limit: 2, ..BootingCvms::new(30, 7) };
    let fleet = booting.run(|c| c.max_retries(0));
    assert!(fleet.refused > 0, "the server refused no stream");
    assert!(fleet.ends.values().all(|(_, how)| how.is_ok()), "a refused stream counted as a retry");
    // One more stream is tried now and then, not in each time slice.
    let looks: usize = fleet.checks.values().map(Vec::len).sum();
    assert!(fleet.refused * 5 < looks, "{} of {looks} looks were refused", fleet.refused);
}

#[test]
fn with_fewer_slots_at_the_server_every_member_gets_a_time_slice() {
    // Three CVMs and four slots, of which the server has fewer: no member may keep one for good.
    for limit in [1, 2] {
        let booting = BootingCvms { stream_limit: limit, ..BootingCvms::new(3, 5) };
        let fleet = booting.run(|c| c.deadline(600 * SECOND));
        assert!(fleet.ends.values().all(|(_, how)| how.is_ok()), "limit {limit}: {:?}", fleet.ends);
        let ideal = booting.without_limit();
        let ideal = BootingCvms { stream_limit: usize::MAX, ..ideal }.run(|c| c);
        assert!(fleet.finished() <= ideal.finished() + 30 * SECOND, "limit {limit}: {:?}", fleet.finished());
    }
}

#[test]
fn a_longer_retry_after_is_not_cut_by_the_shorter_one_of_another() {
    let mut fleet = fleet(3, 2, Until::All);
    drain(&mut fleet);
    for (number, seconds) in [(0, &b"60"[..]), (1, b"1")] {
        let mut head = ResponseHead::new(429);
        head.header("retry-after", seconds);
        let attempt = attempt(&fleet, number);
        fleet.handle(at(0), member(&fleet, number), Input::Head { attempt, head, wall: None });
        close(&mut fleet, at(0), number, CloseCause::Ended);
    }
    drain(&mut fleet);
    // For a second there is no slot at all, and for a minute and a time slice there is one.
    fleet.tick(at(1));
    assert_eq!(drain(&mut fleet), ["2 connect 1"]);
    open(&mut fleet, at(1), 2);
    for now in [10, 30, 59, 69] {
        fleet.tick(at(now));
        drain(&mut fleet);
        assert!(fleet.open_connections() <= 1, "at {now}");
    }
    let wake = fleet.next_wake().unwrap();
    assert_eq!((wake.at, wake.reason), (at(70), WakeReason::SlotAgain));
    fleet.tick(at(71));
    assert_eq!(fleet.open_connections(), 2);
}

#[test]
fn a_short_retry_after_is_not_made_long_by_that_of_another() {
    let mut fleet = fleet(20, 4, Until::All);
    drain(&mut fleet);
    let refuse = |fleet: &mut Fleet, now, number, seconds: &[u8]| {
        let mut head = ResponseHead::new(429);
        head.header("retry-after", seconds);
        let attempt = attempt(fleet, number);
        fleet.handle(now, member(fleet, number), Input::Head { attempt, head, wall: None });
        close(fleet, now, number, CloseCause::Ended);
        drain(fleet);
    };
    refuse(&mut fleet, at(0), 3, b"300");
    for number in 0..3 {
        open(&mut fleet, at(1), number);
        receive(&mut fleet, at(1), number, STARTING);
        idle(&mut fleet, at(1));
    }
    // The server has not noticed yet that the other streams were closed.
    for number in 4..7 {
        refuse(&mut fleet, at(1), number, b"1");
    }
    assert_eq!(fleet.open_connections(), 0);
    fleet.tick(at(2));
    assert_eq!(fleet.open_connections(), 1);
    drain(&mut fleet);
    fleet.tick(at(12));
    drain(&mut fleet);
    assert_eq!(fleet.open_connections(), 3);
}

#[test]
fn members_over_capacity_end_by_their_retry_limit_if_the_server_never_answers() {
    let mut fleet = Fleet::new(4, Until::All).unwrap();
    for number in 0..5 {
        let policy = Policy::builder("running").retry_delay(SECOND).max_retries(2);
        fleet.add(policy.build().unwrap().into(), cvm(number), 1, at(0));
    }
    let mut reported = drain(&mut fleet);
    for _ in 0..1000 {
        let Some(wake) = fleet.next_wake() else { break };
        fleet.tick(wake.at);
        reported.extend(drain(&mut fleet));
    }
    let count = |what: &str| reported.iter().filter(|line| line.contains(what)).count();
    assert_eq!((fleet.unfinished(), count("max_retries_exceeded"), count("retry in")), (0, 5, 10), "{reported:?}");
}

#[test]
fn a_refusal_whose_body_stalls_ends_its_watch_at_the_end_of_its_time_slice() {
    let mut fleet = fleet(2, 1, Until::All);
    drain(&mut fleet);
    let refused = attempt(&fleet, 0);
    let input = Input::Head { attempt: refused, head: ResponseHead::new(401), wall: None };
    fleet.handle(at(9), member(&fleet, 0), input);
    fleet.tick(at(10));
    assert_eq!(drain(&mut fleet), ["0 disconnect 1", "0 rejected", "1 connect 1"]);
}

#[test]
fn a_stream_that_yields_after_a_state_resets_the_backoff() {
    let mut fleet = Fleet::new(1, Until::All).unwrap();
    for number in 0..2 {
        let policy = Policy::builder("running").retry_delay(10 * SECOND);
        let policy = policy.backoff(cvm_watch_core::Backoff::up_to(300 * SECOND)).build().unwrap();
        fleet.add(policy.into(), cvm(number), 1, at(0));
    }
    drain(&mut fleet);
    let mut now = 0;
    for _ in 0..6 {
        close(&mut fleet, at(now), 0, CloseCause::Reset);
        let delay = std::iter::from_fn(|| fleet.poll_action()).find_map(|(_, action)| match action {
            Action::Retrying { delay, .. } => Some(delay),
            _ => None,
        });
        assert!(delay.is_some_and(|delay| delay <= 10 * SECOND), "{delay:?} at {now}");
        drain(&mut fleet);
        // A check of the other CVM, one of this, which yields, and one more of the other.
        for (number, later) in [(1, 20), (0, 0), (1, 6)] {
            open(&mut fleet, at(now), number);
            receive(&mut fleet, at(now), number, STARTING);
            now += later;
            fleet.tick(at(now));
            assert!(drain(&mut fleet).contains(&format!("{number} emit")));
        }
    }
}

#[test]
fn a_server_slower_than_a_time_slice_is_read_in_the_end() {
    for first_state in [10, 16, 40] {
        let booting = BootingCvms { first_state: first_state * SECOND, ..BootingCvms::new(5, 3) };
        let fleet = booting.run(|c| c.deadline(3600 * SECOND));
        assert!(fleet.ends.values().all(|(_, how)| how.is_ok()), "{first_state} s: {:?}", fleet.ends);
    }
}

#[test]
fn a_server_that_sends_its_first_state_after_an_interval_gets_the_time() {
    for interval in [5, 10, 15, 30] {
        let booting = BootingCvms { first_state: interval * SECOND, ..BootingCvms::new(12, 3) };
        let fleet = booting.run(|c| c.interval(interval * SECOND).deadline(1800 * SECOND));
        assert!(fleet.ends.values().all(|(_, how)| how.is_ok()), "interval {interval}: {:?}", fleet.ends);
    }
}

#[test]
fn a_fleet_works_with_a_server_that_notices_closed_streams_late() {
    // The server frees a slot three seconds after the client closed it, so it often has none.
    let booting = BootingCvms { stream_limit: 5, close_delay: 3 * SECOND, ..BootingCvms::new(20, 9) };
    let fleet = booting.run(|c| c.max_retries(0).deadline(1800 * SECOND));
    assert!(fleet.ends.values().all(|(_, how)| how.is_ok()), "{:?}", fleet.ends);
    assert!(fleet.refused > 0, "the server refused no stream");
}

#[test]
fn input_for_a_removed_member_causes_no_wake() {
    let mut fleet = fleet(3, 1, Until::All);
    drain(&mut fleet);
    for number in 0..2 {
        open(&mut fleet, at(0), number);
        receive(&mut fleet, at(0), number, STARTING);
        idle(&mut fleet, at(0));
    }
    open(&mut fleet, at(0), 2);
    let (forgotten, late) = (member(&fleet, 2), attempt(&fleet, 2));
    receive(&mut fleet, at(0), 2, COMPLETE);
    idle(&mut fleet, at(0));
    assert!(fleet.remove(forgotten));
    assert_eq!(fleet.next_wake().unwrap().at, at(5));
    assert_eq!(fleet.receive(at(5), forgotten, late, b"late"), 4);
    assert_eq!(drain(&mut fleet), ["0 connect 2"]);
    // A permit from outside causes no wake either.
    open(&mut fleet, at(5), 0);
    receive(&mut fleet, at(5), 0, STARTING);
    assert_eq!(idle(&mut fleet, at(5)), ["0 emit", "0 disconnect 2", "1 connect 2"]);
    open(&mut fleet, at(5), 1);
    receive(&mut fleet, at(5), 1, STARTING);
    idle(&mut fleet, at(5));
    fleet.handle(at(10), member(&fleet, 0), Input::Permit);
    assert_eq!(fleet.next_wake().unwrap().at, at(10));
    assert_eq!(idle(&mut fleet, at(10)), ["1 disconnect 2", "0 connect 3"]);
}

#[test]
fn after_a_resume_members_over_capacity_do_not_wait_for_an_interval() {
    let mut fleet = fleet(5, 4, Until::All);
    drain(&mut fleet);
    for number in 0..4 {
        open(&mut fleet, at(0), number);
        receive(&mut fleet, at(0), number, STARTING);
        idle(&mut fleet, at(0));
    }
    fleet.resumed(at(2));
    drain(&mut fleet);
    assert_eq!(fleet.open_connections(), 4);
}

#[test]
fn after_a_resume_waiting_members_come_before_connected_ones() {
    let mut fleet = fleet(2, 1, Until::All);
    drain(&mut fleet);
    open(&mut fleet, at(0), 0);
    receive(&mut fleet, at(0), 0, STARTING);
    assert_eq!(idle(&mut fleet, at(0)), ["0 emit", "0 disconnect 1", "1 connect 1"]);
    open(&mut fleet, at(0), 1);
    fleet.resumed(at(2));
    assert_eq!(drain(&mut fleet), ["1 disconnect 1", "1 retry in 0ns", "0 connect 2"]);
}

#[test]
fn no_stream_yields_while_a_slot_is_about_to_be_free() {
    let mut fleet = fleet(3, 2, Until::All);
    drain(&mut fleet);
    open(&mut fleet, at(0), 0);
    receive(&mut fleet, at(0), 0, STARTING);
    idle(&mut fleet, at(0));
    for number in [1, 2] {
        drain(&mut fleet);
        open(&mut fleet, at(1), number);
        receive(&mut fleet, at(1), number, STARTING);
    }
    assert_eq!(idle(&mut fleet, at(1)), ["2 emit"]);
    // Its stream ends at the moment at which the first CVM may be checked again.
    receive(&mut fleet, at(5), 2, b"event: timeout\ndata: {}\n\n");
    assert_eq!(idle(&mut fleet, at(5)), ["2 emit", "2 disconnect 1", "2 max_retries_exceeded", "0 connect 2"]);
}

#[test]
fn of_the_members_that_are_due_the_first_to_ask_gets_the_slot() {
    let mut fleet = Fleet::new(1, Until::All).unwrap();
    for (number, delay) in [8, 5, 1].into_iter().enumerate() {
        let policy = Policy::builder("running").retry_delay(delay * SECOND);
        fleet.add(policy.build().unwrap().into(), cvm(number), 1, at(0));
    }
    for (number, now) in [(0, 1), (1, 2), (2, 3)] {
        drain(&mut fleet);
        close(&mut fleet, at(now), number, CloseCause::Reset);
    }
    drain(&mut fleet);
    // At a late tick all of their delays have passed, that of the last member first.
    fleet.tick(at(20));
    assert_eq!(drain(&mut fleet), ["2 connect 2"]);
    close(&mut fleet, at(20), 2, CloseCause::Reset);
    assert_eq!(drain(&mut fleet), ["2 retry in 1s", "1 connect 2"]);
}

#[test]
fn only_a_time_slice_without_a_state_lengthens_the_next_one() {
    let mut fleet = Fleet::new(1, Until::All).unwrap();
    for number in 0..2 {
        let policy = Policy::builder("running").interval(30 * SECOND);
        fleet.add(policy.build().unwrap().into(), cvm(number), 1, at(0));
    }
    drain(&mut fleet);
    open(&mut fleet, at(0), 0);
    receive(&mut fleet, at(0), 0, STARTING);
    assert_eq!(idle(&mut fleet, at(0)), ["0 emit", "0 disconnect 1", "1 connect 1"]);
    open(&mut fleet, at(0), 1);
    // This stream was silent, the other one was not.
    fleet.tick(at(30));
    assert_eq!(drain(&mut fleet), ["1 disconnect 1", "0 connect 2"]);
    open(&mut fleet, at(30), 0);
    fleet.tick(at(39));
    assert_eq!(drain(&mut fleet), [""; 0]);
    fleet.tick(at(40));
    assert_eq!(drain(&mut fleet), ["0 disconnect 2", "1 connect 2"]);
    open(&mut fleet, at(40), 1);
    fleet.tick(at(60));
    assert_eq!(drain(&mut fleet), [""; 0]);
    assert_eq!(fleet.next_wake().unwrap().at, at(75));
}

#[test]
fn removing_a_member_does_not_affect_the_others() {
    let mut fleet = fleet(2, 2, Until::All);
    drain(&mut fleet);
    close(&mut fleet, at(1), 0, CloseCause::Reset);
    assert_eq!(drain(&mut fleet), ["0 max_retries_exceeded"]);
    open(&mut fleet, at(1), 1);
    receive(&mut fleet, at(1), 1, STARTING);
    let first = member(&fleet, 0);
    assert!(fleet.remove(first));
    assert_eq!(drain(&mut fleet), ["1 emit"]);
}

#[test]
fn with_until_any_a_fleet_ends_with_the_first_running_cvm() {
    let booting = BootingCvms { until: Until::Any, ..BootingCvms::new(50, 11) };
    let fleet = booting.run(|c| c);
    let reached: Vec<_> = fleet.ends.values().filter(|(_, how)| how.is_ok()).collect();
    assert_eq!(reached.len(), 1);
    assert!(fleet.ends.values().filter(|(_, how)| how.is_err()).all(|(_, how)| *how == Err(Failure::Aborted)));
    let first = booting.running_at.iter().min().unwrap();
    assert!(fleet.finished() < *first + 10 * SECOND, "{:?} for {first:?}", fleet.finished());
}

#[test]
fn a_watch_reports_a_refused_slot_but_not_a_yielded_one() {
    assert!(RetryCause::Yielded.to_string().contains("another watch"));
    let mut fleet = fleet(2, 1, Until::All);
    drain(&mut fleet);
    open(&mut fleet, at(0), 0);
    receive(&mut fleet, at(0), 0, STARTING);
    assert!(!idle(&mut fleet, at(0)).iter().any(|line| line.contains("retry")));
}

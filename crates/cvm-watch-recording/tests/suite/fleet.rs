//! A fleet, recorded and played.

use std::sync::Arc;
use std::time::Duration;

use cvm_watch_driver::Observed;
use cvm_watch_driver::cvm_watch_core::{
    Action, ApiKey, AttemptId, CloseCause, CvmId, Fleet, Input, MemberId, Policy, ResponseHead, Timestamp, Until,
};
use cvm_watch_recording::Recorder;

use crate::scripted::{Shared, actions, play};

struct Run {
    fleet: Fleet,
    recorder: Recorder<Shared>,
    now: Timestamp,
    /// Attempts that asked for a connection and have none.
    connecting: Vec<(MemberId, AttemptId)>,
}

impl Run {
    fn see(&mut self, observed: Observed<'_>) {
        self.recorder.observe(observed).unwrap();
    }

    fn handle(&mut self, member: Option<MemberId>, input: Input<'_>) {
        self.now = self.now + Duration::from_millis(3);
        let now = self.now;
        self.see(Observed::Handled { now, member, input: &input });
        match (member, input) {
            (Some(member), input) => self.fleet.handle(now, member, input),
            (None, Input::Abort) => self.fleet.abort(now),
            (None, Input::Resumed) => self.fleet.resumed(now),
            (None, _) => self.fleet.tick(now),
        }
        self.drain();
    }

    fn receive(&mut self, member: MemberId, attempt: AttemptId, chunk: &[u8]) {
        let (now, mut from) = (self.now, 0);
        while from < chunk.len() {
            let taken = self.fleet.receive(now, member, attempt, &chunk[from..]);
            self.see(Observed::Received { now, member, attempt, chunk, from, taken });
            from += taken;
            self.drain();
        }
    }

    fn drain(&mut self) {
        loop {
            let action = self.fleet.poll_action();
            self.see(Observed::Polled(action.as_ref().map(|(member, action)| (*member, action))));
            match action {
                Some((member, Action::Connect { attempt, .. })) => self.connecting.push((member, attempt)),
                Some(_) => {}
                None => return,
            }
        }
    }
}

/// Runs a fleet of so many over two streams until nothing is left to do; `body` is what an attempt of a
/// member is sent.
fn record(members: u64, until: Until, body: impl Fn(u64, u64) -> String) -> String {
    let file = Shared::default();
    let mut recorder = Recorder::new(file.clone());
    recorder.observe(Observed::FleetStarted { max_streams: 2, until }).unwrap();
    let (fleet, now) = (Fleet::new(2, until).unwrap(), Timestamp::from_secs(9));
    let mut run = Run { fleet, recorder, now, connecting: Vec::new() };
    let policy = Policy::builder("running").credential(ApiKey::new("phak_1234567").unwrap());
    let policy = Arc::new(policy.deadline(Duration::from_secs(300)).build().unwrap());
    let mut all = Vec::new();
    for number in 0..members {
        let id = CvmId::new(&format!("cvm-{number}")).unwrap();
        let member = run.fleet.add(policy.clone(), id.clone(), number, now);
        run.see(Observed::Started { member, policy: &policy, id: &id, seed: number, now });
        all.push(member);
    }
    run.drain();
    let paused = all[all.len() - 1];
    for is_paused in [true, false] {
        let now = run.now;
        run.see(Observed::Paused { now, member: paused, paused: is_paused });
        run.fleet.set_paused(now, paused, is_paused);
        run.drain();
    }
    loop {
        if let Some((member, attempt)) = run.connecting.pop() {
            let mut head = ResponseHead::new(200);
            head.header("content-type", b"text/event-stream");
            run.handle(Some(member), Input::Head { attempt, head, wall: None });
            run.receive(member, attempt, body(member.number(), attempt.number()).as_bytes());
            run.handle(Some(member), Input::Closed { attempt, cause: CloseCause::Ended });
        } else if let Some(wake) = run.fleet.next_wake() {
            run.now = run.now.max(wake.at);
            run.handle(None, Input::Tick);
        } else {
            break;
        }
        for member in std::mem::take(&mut all) {
            if run.fleet.remove(member) { run.see(Observed::Removed(member)) } else { all.push(member) }
        }
    }
    run.handle(None, Input::Abort);
    drop(run);
    String::from_utf8(file.0.take()).unwrap()
}

fn state(status: &str) -> String {
    format!("event: state\ndata: {{\"status\":\"{status}\"}}\n\n")
}

#[test]
fn a_fleet_is_played_to_the_same_actions_of_each_member() {
    for until in [Until::All, Until::Any] {
        let recording = record(5, until, |member, attempt| {
            let status = if attempt > member { "running" } else { "starting" };
            state("provisioning") + &state(status)
        });
        let (played, how) = play(&recording);
        assert_eq!((how.difference, how.echo, how.unfinished), (None, None, None), "{until:?}\n{recording}");
        assert_eq!(played, actions(&recording));
        let first = recording.lines().next().unwrap();
        let expected = if until == Until::All { r#""until":"all""# } else { r#""until":"any""# };
        assert!(first.contains(r#""fleet":{"max_streams":2,"#) && first.contains(expected), "{first}");
        // Members have the same policy, so it is there once.
        assert_eq!(recording.matches(r#""policy":{"#).count(), 1);
        for member in 0..5 {
            assert!(played.iter().any(|action| action.ends_with(&format!(r#""member":{member}}}"#))), "{member}");
        }
        for kind in ["\"paused\":true", "\"paused\":false", "\"removed\"", "\"resolve\""] {
            assert!(recording.contains(kind), "{kind}");
        }
        assert_eq!(recording.contains("\"tick\""), until == Until::All);
    }
}

#[test]
fn a_changed_member_is_a_difference_and_one_that_never_began_is_refused() {
    let recording = record(2, Until::All, |_, _| state("running"));
    let resolve = recording.lines().find(|line| line.contains("\"resolve\"")).unwrap();
    let other = if resolve.contains("\"member\":0") {
        resolve.replace("r\":0", "r\":1")
    } else {
        resolve.replace("r\":1", "r\":0")
    };
    let difference = play(&recording.replace(resolve, &other)).1.difference.unwrap();
    assert_eq!((difference.then, difference.now), (Some(other), Some(resolve.to_owned())));
    for (from, to, expected) in [
        ("\"member\":1,\"input\":{\"head\"", "\"member\":7,\"input\":{\"head\"", "member 7 has not begun"),
        (
            "\"member\":1,\"undrained\":true,\"input\":{\"watch\"",
            "\"member\":3,\"input\":{\"watch\"",
            "member 3 would be the fleet's member 1",
        ),
    ] {
        assert!(recording.contains(from), "{recording}");
        let changed = recording.replacen(from, to, 1);
        let player = cvm_watch_recording::Player::new(changed.as_bytes()).unwrap();
        let error = player.play(|_| {}).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_secret_repeated_to_one_member_ends_the_comparison_of_all_and_is_in_no_line() {
    let recording = record(3, Until::All, |member, _| match member {
        1 => "data: phak_1234567\n\n".to_owned() + &state("running"),
        _ => state("running"),
    });
    assert!(!recording.contains("phak"), "{recording}");
    let (played, how) = play(&recording);
    assert!(how.echo.is_some() && how.difference.is_none() && !played.is_empty(), "{how:?}");
    // The bytes of the other members are all there.
    assert_eq!(recording.matches("\"omitted\"").count(), 1, "{recording}");
}

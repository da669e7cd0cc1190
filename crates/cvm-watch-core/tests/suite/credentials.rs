//! Credentials that are asked for before each attempt.

use std::fmt::Write;
use std::time::Duration;

use cvm_watch_core::{
    Action, BearerToken, CloseCause, Credential, Fleet, Input, Policy, PolicyBuilder, ResponseHead, Timestamp, Until,
    Watch,
};

fn token(text: &str) -> Credential {
    BearerToken::new(text).unwrap().into()
}

fn policy() -> PolicyBuilder {
    Policy::builder("running").credential_per_attempt(true).retry_delay(Duration::from_secs(3))
}

/// A watch whose test plays the driver and the server.
struct Scene {
    watch: Watch,
    now: Timestamp,
    trace: String,
}

impl Scene {
    fn new(policy: PolicyBuilder) -> Self {
        let now = Timestamp::ZERO;
        let watch = Watch::new(policy.build().unwrap().into(), "my-cvm".parse().unwrap(), 1, now);
        let mut scene = Self { watch, now, trace: String::new() };
        scene.drain();
        scene
    }

    fn attempt(&self) -> cvm_watch_core::AttemptId {
        cvm_watch_core::AttemptId::from_number(self.watch.attempts())
    }

    fn input(&mut self, input: Input<'_>) -> &mut Self {
        self.watch.handle(self.now, input);
        self.drain();
        self
    }

    fn give(&mut self, text: &str) -> &mut Self {
        self.input(Input::Credential { attempt: self.attempt(), credential: token(text) })
    }

    /// The server answers with this status and body, and closes.
    fn answer(&mut self, status: u16, body: &str) -> &mut Self {
        let attempt = self.attempt();
        self.input(Input::Head { attempt, head: ResponseHead::new(status), wall: None });
        let mut rest = body.as_bytes();
        while !rest.is_empty() {
            let taken = self.watch.receive(self.now, attempt, rest);
            rest = &rest[taken..];
            self.drain();
        }
        self.input(Input::Closed { attempt, cause: CloseCause::Ended })
    }

    fn pass(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now + Duration::from_secs(seconds);
        self.input(Input::Tick)
    }

    fn drain(&mut self) {
        while let Some(action) = self.watch.poll_action() {
            let _ = match &action {
                Action::AskCredential { attempt } => writeln!(self.trace, "ask {attempt}"),
                Action::Connect { attempt, request, .. } => {
                    let header = request.headers().iter().find(|header| header.name() == "Authorization");
                    writeln!(self.trace, "connect {attempt} {}", header.map_or("nothing", |header| header.value()))
                }
                Action::Disconnect { attempt } => writeln!(self.trace, "disconnect {attempt}"),
                Action::Retrying { delay, cause, .. } => writeln!(self.trace, "retry in {delay:?}: {cause}"),
                Action::Emit { event, .. } => writeln!(self.trace, "{event:?}"),
                Action::Resolve(state) => writeln!(self.trace, "resolve {}", state.status),
                Action::Fail(failure) => writeln!(self.trace, "fail {failure}"),
                other => writeln!(self.trace, "{other:?}"),
            };
        }
    }
}

/// Contract row 27.
#[test]
fn the_credential_is_asked_for_before_each_attempt() {
    let mut scene = Scene::new(policy());
    scene.give("one").answer(503, "").pass(3).give("two").answer(503, "").pass(3).give("two");
    assert_eq!(
        scene.trace,
        "ask 1\nconnect 1 Bearer one\nretry in 3s: HTTP 503\n\
         ask 2\nconnect 2 Bearer two\nretry in 3s: HTTP 503\n\
         ask 3\nconnect 3 Bearer two\n"
    );
}

/// Contract row 27.
#[test]
fn after_a_401_a_different_credential_gets_one_more_attempt_which_is_no_retry() {
    let mut scene = Scene::new(policy().max_retries(0));
    scene.give("old").answer(401, r#"{"message":"token old-old expired: old"}"#);
    assert_eq!(scene.trace, "ask 1\nconnect 1 Bearer old\nretry in 0ns: HTTP 401: token ***-*** expired: ***\nask 2\n");
    scene.trace.clear();
    scene.give("new").answer(200, "data: {\"status\":\"running\"}\nevent: complete\n\n");
    assert!(scene.trace.ends_with("resolve running\n"), "{}", scene.trace);

    let mut scene = Scene::new(policy().max_retries(0));
    scene.give("old").answer(401, "").give("new").answer(401, r#"{"message":"still no"}"#);
    assert!(scene.trace.ends_with("connect 2 Bearer new\nfail the server rejected the watch: HTTP 401: still no\n"));
}

/// Contract row 27.
#[test]
fn after_a_401_the_same_credential_ends_as_rejected_without_another_request() {
    let mut scene = Scene::new(policy());
    scene.give("same").answer(401, r#"{"message":"who are you"}"#).give("same");
    assert_eq!(
        scene.trace,
        "ask 1\nconnect 1 Bearer same\nretry in 0ns: HTTP 401: who are you\n\
         ask 2\nfail the server rejected the watch: HTTP 401: who are you\n"
    );
}

/// Contract row 27.
#[test]
fn a_stream_in_between_makes_a_later_401_the_first_one_again() {
    let mut scene = Scene::new(policy());
    for (old, new) in [("a", "b"), ("b", "c"), ("c", "d")] {
        scene.give(old).answer(401, "").give(new).answer(200, "").pass(3);
    }
    assert_eq!(scene.trace.matches("HTTP 401").count(), 3, "{}", scene.trace);
    assert!(scene.trace.ends_with("retry in 3s: the stream ended\nask 7\n"), "{}", scene.trace);
}

/// Contract row 27.
#[test]
fn a_401_with_a_credential_of_the_policy_is_final() {
    let mut scene = Scene::new(Policy::builder("running").credential(BearerToken::new("only").unwrap()));
    scene.answer(401, "");
    assert_eq!(scene.trace, "connect 1 Bearer only\nfail the server rejected the watch: HTTP 401\n");
}

/// Contract row 27.
#[test]
fn a_provider_that_fails_is_a_failed_attempt_with_its_own_cause() {
    let mut scene = Scene::new(policy().max_retries(1));
    for _ in 0..2 {
        scene.input(Input::Closed { attempt: scene.attempt(), cause: CloseCause::Credential }).pass(3);
    }
    assert_eq!(
        scene.trace,
        "ask 1\nretry in 3s: no credential could be obtained\n\
         ask 2\nfail gave up after 2 attempts: no credential could be obtained\n"
    );
}

/// Contract row 27.
#[test]
fn the_connect_timeout_covers_the_question_and_a_disconnect_cancels_it() {
    let mut scene = Scene::new(policy().connect_timeout(Duration::from_secs(9)));
    scene.pass(9);
    assert_eq!(scene.trace, "ask 1\ndisconnect 1\nretry in 3s: no response within the connect timeout\n");
    // The answer comes too late.
    scene.trace.clear();
    scene.give("late");
    assert_eq!(scene.trace, "");

    let mut scene = Scene::new(policy().connect_timeout(Duration::from_secs(9)));
    scene.pass(5).give("slow").pass(4);
    assert!(scene.trace.ends_with("disconnect 1\nretry in 3s: no response within the connect timeout\n"));

    let mut scene = Scene::new(policy());
    scene.input(Input::Abort);
    assert_eq!(scene.trace, "ask 1\ndisconnect 1\nfail the watch was aborted\n");
}

#[test]
fn what_makes_no_sense_while_a_credential_is_asked_for_is_ignored() {
    let mut scene = Scene::new(policy());
    let attempt = scene.attempt();
    scene.input(Input::Head { attempt, head: ResponseHead::new(200), wall: None });
    let _ = scene.watch.receive(scene.now, attempt, b"data: x\n\n");
    assert_eq!(scene.trace, "ask 1\n");
    // A credential that was not requested is ignored too.
    scene.give("one").give("two");
    assert_eq!(scene.trace, "ask 1\nconnect 1 Bearer one\n");
}

/// Contract row 24.
#[test]
fn every_credential_that_was_given_is_redacted() {
    let mut scene = Scene::new(policy());
    for given in ["token-one", "token-two", "token-three"] {
        scene.give(given).answer(503, "").pass(3);
    }
    assert_eq!(scene.watch.redactor().redact("token-one token-two token-three"), "*** *** ***");
    scene.trace.clear();
    scene.give("token-four").answer(200, "event: x\ndata: token-one\n\n");
    assert!(scene.trace.contains("***") && !scene.trace.contains("token-one"), "{}", scene.trace);
    assert!(!format!("{:?}", scene.watch).contains("token-"), "{:?}", scene.watch);
}

#[test]
fn the_number_of_credentials_that_are_kept_is_limited() {
    let mut scene = Scene::new(policy());
    for number in 0..300 {
        scene.give(&format!("token-{number:03}")).answer(503, "").pass(3);
    }
    let redactor = scene.watch.redactor();
    assert_eq!(redactor.redact("token-299 token-012"), "*** ***");
    assert_eq!(redactor.redact("token-011"), "token-011");
}

#[test]
fn a_member_of_a_fleet_holds_its_slot_while_it_asks() {
    let mut fleet = Fleet::new(1, Until::All).unwrap();
    let policy = std::sync::Arc::new(policy().build().unwrap());
    let now = Timestamp::ZERO;
    let members = ["a", "b"].map(|id| fleet.add(policy.clone(), id.parse().unwrap(), 1, now));
    let Some((first, Action::AskCredential { .. })) = fleet.poll_action() else { panic!("no question") };
    assert_eq!((first, fleet.poll_action()), (members[0], None));
    // Its time slice begins with the question, and the other one gets the slot when it is over.
    let slice = Timestamp::from_secs(10);
    assert_eq!(fleet.next_wake().map(|wake| wake.at), Some(slice));
    fleet.tick(slice);
    let actions: Vec<_> = std::iter::from_fn(|| fleet.poll_action()).collect();
    assert!(matches!(actions[0], (id, Action::Disconnect { .. }) if id == members[0]), "{actions:?}");
    assert!(actions.iter().any(|(id, action)| *id == members[1] && matches!(action, Action::AskCredential { .. })));
}

#[test]
fn a_credential_of_the_policy_contradicts_one_per_attempt() {
    let both = policy().credential(BearerToken::new("hunter2").unwrap()).build().unwrap_err();
    assert_eq!(both.to_string(), "credential is given, and asked for before each attempt; leave out one of them");
    assert!(policy().header("authorization", "Basic x").build().is_err());
}

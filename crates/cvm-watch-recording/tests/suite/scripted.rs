//! A watch without sockets that is run against scripted answers and recorded.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cvm_watch_driver::Observed;
use cvm_watch_driver::cvm_watch_core::{
    Action, AttemptId, BearerToken, CloseCause, CvmId, Input, MemberId, Policy, ResponseHead, Timestamp, UnixSeconds,
    Watch,
};
use cvm_watch_recording::{Played, Player, Recorder};

/// The member number of a watch that is in no fleet.
const ALONE: MemberId = MemberId::from_number(0);

/// What a server does to one attempt.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    /// The body, in the chunks that it comes in.
    pub(crate) chunks: Vec<Vec<u8>>,
    /// How it ends; `None` if it does not.
    pub(crate) end: Option<CloseCause>,
}

impl Answer {
    pub(crate) fn stream(chunks: &[&str]) -> Self {
        let chunks = chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect();
        Self {
            status: 200,
            headers: vec![("content-type", b"text/event-stream".to_vec())],
            chunks,
            end: Some(CloseCause::Ended),
        }
    }
}

struct Run {
    watch: Watch,
    recorder: Recorder<Shared>,
    now: Timestamp,
    actions: Vec<Action>,
}

impl Run {
    fn see(&mut self, observed: Observed<'_>) {
        self.recorder.observe(observed).unwrap();
    }

    fn handle(&mut self, input: Input<'_>) {
        self.now = self.now + Duration::from_millis(7);
        self.recorder.observe(Observed::Handled { now: self.now, member: Some(ALONE), input: &input }).unwrap();
        self.watch.handle(self.now, input);
        self.drain();
    }

    fn receive(&mut self, attempt: AttemptId, chunk: &[u8]) {
        let mut from = 0;
        while from < chunk.len() {
            self.now = self.now + Duration::from_micros(3);
            let taken = self.watch.receive(self.now, attempt, &chunk[from..]);
            let now = self.now;
            self.see(Observed::Received { now, member: ALONE, attempt, chunk, from, taken });
            from += taken;
            self.drain();
            if self.actions.iter().any(|action| matches!(action, Action::Disconnect { .. })) {
                return;
            }
        }
    }

    fn drain(&mut self) {
        loop {
            let action = self.watch.poll_action();
            self.see(Observed::Polled(action.as_ref().map(|action| (ALONE, action))));
            match action {
                Some(Action::AskCredential { attempt }) => {
                    // A new token for every second attempt.
                    let token = format!("hunter-token-{}", attempt.number().div_ceil(2));
                    let credential = BearerToken::new(token).unwrap().into();
                    let input = Input::Credential { attempt, credential };
                    self.see(Observed::Handled { now: self.now, member: Some(ALONE), input: &input });
                    self.watch.handle(self.now, input);
                }
                Some(action) => self.actions.push(action),
                None => return,
            }
        }
    }
}

/// Runs a watch until it ends or the answers are used up, and returns its recording.
pub(crate) fn record(policy: &Policy, answers: &[Answer]) -> String {
    record_and_look(policy, answers, |_| {})
}

/// The same; `look` sees what is written, after each chunk.
pub(crate) fn record_and_look(policy: &Policy, answers: &[Answer], mut look: impl FnMut(&[u8])) -> String {
    let file = Shared::default();
    let now = Timestamp::from_secs(1_000_000);
    let id = CvmId::new("my-cvm").unwrap();
    let mut recorder = Recorder::new(file.clone());
    recorder.observe(Observed::Started { member: ALONE, policy, id: &id, seed: 7, now }).unwrap();
    let watch = Watch::new(Arc::new(policy.clone()), id, 7, now);
    let mut run = Run { watch, recorder, now, actions: Vec::new() };
    run.drain();
    for answer in answers {
        // Until the next attempt begins.
        let attempt = loop {
            let connect = run.actions.drain(..).find_map(|action| match action {
                Action::Connect { attempt, .. } => Some(attempt),
                _ => None,
            });
            match (connect, run.watch.next_wake()) {
                (Some(attempt), _) => break Some(attempt),
                (None, Some(wake)) => {
                    run.now = run.now.max(wake.at);
                    run.handle(Input::Tick);
                }
                (None, None) => break None,
            }
        };
        let Some(attempt) = attempt else { break };
        let mut head = ResponseHead::new(answer.status);
        for (name, value) in &answer.headers {
            head.header(name, value);
        }
        run.handle(Input::Head { attempt, head, wall: Some(UnixSeconds(1_800_000_000)) });
        for chunk in &answer.chunks {
            run.receive(attempt, chunk);
            look(&file.0.borrow());
        }
        if let Some(cause) = answer.end {
            run.handle(Input::Closed { attempt, cause });
        }
    }
    // Its remaining deadlines.
    for _ in 0..3 {
        if let Some(wake) = run.watch.next_wake() {
            run.now = run.now.max(wake.at);
            run.handle(Input::Tick);
        }
    }
    run.handle(Input::Abort);
    drop(run);
    String::from_utf8(file.0.take()).unwrap()
}

/// Plays a recording, and returns the actions too.
pub(crate) fn play(recording: &str) -> (Vec<String>, Played) {
    let mut actions = Vec::new();
    let player = Player::new(recording.as_bytes()).unwrap();
    let played = player.play(|action| actions.push(action.to_owned())).unwrap();
    (actions, played)
}

/// The lines of a recording that are actions.
pub(crate) fn actions(recording: &str) -> Vec<&str> {
    recording.lines().filter(|line| line.starts_with("{\"action\":")).collect()
}

/// A file that can be read while it is written.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

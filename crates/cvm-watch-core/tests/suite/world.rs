//! A virtual clock and a link without sockets: time jumps to the next thing that happens, and the
//! whole run comes out as text.

use std::fmt::Write;
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

use cvm_watch_core::{
    Action, AttemptId, CloseCause, Event, Input, Policy, PolicyBuilder, ResponseHead, Timestamp, UnixSeconds, Watch,
};
use cvm_watch_sim::{Ending, Move, Script};

/// A watch, what its server does, and when its caller loses interest.
pub(crate) struct World {
    policy: PolicyBuilder,
    script: Script,
    faults: Vec<CloseCause>,
    abort_at: Option<Duration>,
    slow_start: Duration,
}

/// A watch of `my-cvm` for `running` that retries after exactly five seconds, with this server.
pub(crate) fn world(script: impl Into<Script>) -> World {
    let policy = Policy::builder("running").retry_delay(Duration::from_secs(5));
    World { policy, script: script.into(), faults: Vec::new(), abort_at: None, slow_start: Duration::ZERO }
}

impl World {
    pub(crate) fn with(mut self, change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Self {
        self.policy = change(self.policy);
        self
    }

    /// The first attempts do not get as far as a server: their connections end like this.
    pub(crate) fn faults(mut self, faults: &[CloseCause]) -> Self {
        self.faults = faults.to_vec();
        self
    }

    pub(crate) fn abort_at(mut self, millis: u64) -> Self {
        self.abort_at = Some(Duration::from_millis(millis));
        self
    }

    /// The driver does nothing for so long after the head: bytes and time pile up meanwhile.
    pub(crate) fn busy_after_head(mut self, time: Duration) -> Self {
        self.slow_start = time;
        self
    }

    /// Plays it to the end and compares the whole trace, line by line.
    #[track_caller]
    pub(crate) fn check(self, expected: &str) {
        let trace = self.trace();
        let expected: Vec<_> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let found: Vec<_> = trace.lines().collect();
        assert_eq!(found, expected, "\n{trace}");
    }

    /// The last line of the trace: how it ended, and when.
    pub(crate) fn end(self) -> String {
        self.trace().lines().last().unwrap_or_default().to_owned()
    }

    pub(crate) fn trace(self) -> String {
        let policy = Arc::new(self.policy.build().unwrap());
        let mut run = Run {
            watch: Watch::new(policy, "my-cvm".parse().unwrap(), 1, Timestamp::ZERO),
            now: Timestamp::ZERO,
            script: &self.script,
            faults: &self.faults,
            link: None,
            trace: String::new(),
            ended: false,
        };
        run.play(self.abort_at.map(|at| Timestamp::ZERO + at), self.slow_start);
        run.trace
    }
}

struct Run<'a> {
    watch: Watch,
    now: Timestamp,
    script: &'a Script,
    faults: &'a [CloseCause],
    link: Option<Link<'a>>,
    trace: String,
    ended: bool,
}

/// The connection of one attempt.
struct Link<'a> {
    attempt: AttemptId,
    moves: Peekable<Box<dyn Iterator<Item = Move<'a>> + 'a>>,
    fault: Option<CloseCause>,
    /// When the next move is there.
    ready: Timestamp,
    has_head: bool,
}

impl Link<'_> {
    /// When something can be read; `None` while the server is silent for good.
    fn next(&mut self) -> Option<Timestamp> {
        while let Some(Move::Wait(time)) = self.moves.peek() {
            self.ready = self.ready + *time;
            self.moves.next();
        }
        match (self.fault, self.moves.peek()) {
            (None, None | Some(Move::End(Ending::Stall))) => None,
            _ => Some(self.ready),
        }
    }
}

impl<'a> Run<'a> {
    fn play(&mut self, abort_at: Option<Timestamp>, slow_start: Duration) {
        for _ in 0..100_000 {
            self.drain();
            if self.ended {
                return;
            }
            let io = self.link.as_mut().and_then(Link::next);
            let wake = self.watch.next_wake().map(|wake| wake.at);
            // Of several things at one moment: abort, then what is ready, then time.
            let Some(next) = [abort_at, io, wake].into_iter().flatten().min() else {
                return self.say("waits for nothing");
            };
            self.now = self.now.max(next);
            if abort_at.is_some_and(|at| at <= self.now) {
                self.watch.handle(self.now, Input::Abort);
            } else if io.is_some_and(|at| at <= self.now) {
                self.read(slow_start);
            } else {
                self.watch.handle(self.now, Input::Tick);
            }
        }
        panic!("no end in sight:\n{}", self.trace);
    }

    fn drain(&mut self) {
        while let Some(action) = self.watch.poll_action() {
            assert!(!self.ended, "{action:?} came after the end");
            match action {
                Action::Connect { attempt, request, .. } => {
                    assert!(self.link.is_none(), "two live attempts");
                    let timeout = request.path_and_query().rsplit('=').next().unwrap_or_default();
                    let id = request.headers().iter().find(|header| header.name() == "Last-Event-ID");
                    let id = id.map(|header| format!(", Last-Event-ID {:?}", header.value())).unwrap_or_default();
                    self.say(&format!("connect {attempt}, timeout {timeout}{id}"));
                    let number = u32::try_from(attempt.number()).unwrap();
                    let fault = self.faults.get(number as usize - 1).copied();
                    let number = number.saturating_sub(self.faults.len().try_into().unwrap());
                    let moves: Box<dyn Iterator<Item = Move<'a>>> = Box::new(self.script.attempt(number).moves());
                    self.link =
                        Some(Link { attempt, moves: moves.peekable(), fault, ready: self.now, has_head: false });
                }
                Action::Disconnect { attempt } => {
                    assert_eq!(self.link.take().map(|link| link.attempt), Some(attempt), "nothing to disconnect");
                    self.say("disconnect");
                }
                Action::Emit { event, id, .. } => {
                    let id = if id.is_empty() { id } else { format!(" (id {id:?})") };
                    self.say(&format!("{}{id}", shown(&event)));
                }
                Action::SteadyTarget { after, .. } => {
                    self.say(&format!("no other status for {after:?}, the target counts"));
                }
                Action::Retrying { delay, cause, .. } => {
                    assert!(self.link.is_none(), "the lost attempt is still connected");
                    self.say(&format!("retry in {delay:?}: {cause}"));
                }
                Action::Resolve(state) => {
                    let state = serde_json::to_value(&state).unwrap();
                    let state = state.as_object().unwrap();
                    let fields: Vec<_> =
                        state.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?))).collect();
                    self.say(&format!("resolve {}", fields.join(" ")));
                    self.ended = true;
                }
                Action::Fail(failure) => {
                    self.say(&format!("fail {}: {failure}", failure.kind()));
                    self.ended = true;
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// Takes the next move off the link and tells the watch.
    fn read(&mut self, slow_start: Duration) {
        let link = self.link.as_mut().unwrap();
        let attempt = link.attempt;
        let next = if link.fault.is_some() { Move::End(Ending::Close) } else { link.moves.next().unwrap() };
        let cause = link.fault.unwrap_or(match next {
            Move::End(Ending::Truncate) => CloseCause::Truncated,
            Move::End(Ending::Reset) => CloseCause::Reset,
            _ => CloseCause::Ended,
        });
        match next {
            Move::Head(head) => {
                link.has_head = true;
                let mut response = ResponseHead::new(head.status);
                for (name, value) in &head.headers {
                    response.header(name, value);
                }
                let wall = Some(UnixSeconds(1_000_000_000 + self.now.as_nanos() / 1_000_000_000));
                self.watch.handle(self.now, Input::Head { attempt, head: response, wall });
                self.now = self.now + slow_start;
            }
            Move::Body(bytes) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let taken = self.watch.receive(self.now, attempt, rest);
                    rest = &rest[taken..];
                    self.drain();
                    if self.ended {
                        return;
                    }
                }
            }
            _ => {
                self.link = None;
                self.watch.handle(self.now, Input::Closed { attempt, cause });
            }
        }
    }

    fn say(&mut self, what: &str) {
        let millis = self.now.as_nanos() / 1_000_000;
        writeln!(self.trace, "{}.{:03} {what}", millis / 1000, millis % 1000).unwrap();
    }
}

pub(crate) fn shown(event: &Event) -> String {
    match event {
        Event::State(state) => format!("state {}", state.status),
        Event::Complete(complete) => format!("complete {}", complete.status),
        Event::Timeout(_) => "timeout".to_owned(),
        Event::Error(error) => format!("error {}", error.error.as_deref().unwrap_or_default()),
        Event::Other { name, data, .. } => format!("other {name} {data:?}"),
        Event::Malformed { name, reason, .. } => format!("malformed {name:?}: {reason}"),
        other => format!("{other:?}"),
    }
}

//! One watch, whose server follows a script of the simulator. The run comes out as text.

use std::fmt::Write;
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

use cvm_watch_core::{
    Action, AttemptId, CloseCause, Event, Input, Policy, PolicyBuilder, ResponseHead, Timestamp, UnixSeconds, Watch,
};
use cvm_watch_sim::{Ending, Move, Script};

/// A watch, the script of its server, and when the caller aborts it.
pub(crate) struct Scripted {
    policy: PolicyBuilder,
    script: Script,
    faults: Vec<CloseCause>,
    abort_at: Option<Duration>,
    slow_start: Duration,
}

/// A watch of `my-cvm` for `running` that retries after exactly five seconds, against this server.
pub(crate) fn scripted(script: impl Into<Script>) -> Scripted {
    let policy = Policy::builder("running").retry_delay(Duration::from_secs(5));
    Scripted { policy, script: script.into(), faults: Vec::new(), abort_at: None, slow_start: Duration::ZERO }
}

impl Scripted {
    pub(crate) fn with(mut self, change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Self {
        self.policy = change(self.policy);
        self
    }

    /// The first attempts do not reach the server; their connections close for these causes.
    pub(crate) fn faults(mut self, faults: &[CloseCause]) -> Self {
        self.faults = faults.to_vec();
        self
    }

    pub(crate) fn abort_at(mut self, millis: u64) -> Self {
        self.abort_at = Some(Duration::from_millis(millis));
        self
    }

    /// The driver is busy for this long after each head, so that bytes and timers become due meanwhile.
    pub(crate) fn busy_after_head(mut self, time: Duration) -> Self {
        self.slow_start = time;
        self
    }

    /// Runs to the end and compares the whole trace.
    #[track_caller]
    pub(crate) fn check(self, expected: &str) {
        let trace = self.trace();
        let expected: Vec<_> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let found: Vec<_> = trace.lines().collect();
        assert_eq!(found, expected, "\n{trace}");
    }

    /// The last line of the trace: when and how the watch ended.
    pub(crate) fn end(self) -> String {
        self.trace().lines().last().unwrap_or_default().to_owned()
    }

    pub(crate) fn trace(self) -> String {
        let policy = Arc::new(self.policy.build().unwrap());
        let mut run = WatchRun {
            watch: Watch::new(policy, "my-cvm".parse().unwrap(), 1, Timestamp::ZERO),
            now: Timestamp::ZERO,
            script: &self.script,
            faults: &self.faults,
            connection: None,
            abort_at: self.abort_at.map(|at| Timestamp::ZERO + at),
            slow_start: self.slow_start,
            trace: String::new(),
            ended: false,
        };
        if !super::run(&mut run) {
            run.note("waits for nothing");
        }
        run.trace
    }
}

struct WatchRun<'a> {
    watch: Watch,
    now: Timestamp,
    script: &'a Script,
    faults: &'a [CloseCause],
    connection: Option<Connection<'a>>,
    abort_at: Option<Timestamp>,
    slow_start: Duration,
    trace: String,
    ended: bool,
}

/// The connection of one attempt.
struct Connection<'a> {
    attempt: AttemptId,
    moves: Peekable<Box<dyn Iterator<Item = Move<'a>> + 'a>>,
    fault: Option<CloseCause>,
    /// When the next move is due.
    ready: Timestamp,
    has_head: bool,
}

impl Connection<'_> {
    /// When input is ready; `None` if the server sends nothing more.
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

impl super::Run for WatchRun<'_> {
    fn drain(&mut self) -> bool {
        self.execute();
        self.ended
    }

    fn next_input(&mut self) -> Option<Timestamp> {
        let input = self.connection.as_mut().and_then(Connection::next);
        [self.abort_at, input].into_iter().flatten().min()
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.watch.next_wake().map(|wake| wake.at)
    }

    fn input(&mut self, now: Timestamp) {
        // The caller's abort comes before anything else of its moment.
        if self.abort_at.is_some_and(|at| at <= now) {
            self.watch.handle(now, Input::Abort);
        } else {
            self.read();
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.watch.handle(now, Input::Tick);
    }

    fn now(&mut self) -> &mut Timestamp {
        &mut self.now
    }
}

impl<'a> WatchRun<'a> {
    fn execute(&mut self) {
        while let Some(action) = self.watch.poll_action() {
            assert!(!self.ended, "{action:?} came after the end");
            match action {
                Action::Connect { attempt, request, .. } => {
                    assert!(self.connection.is_none(), "two live attempts");
                    let timeout = request.path_and_query().rsplit('=').next().unwrap_or_default();
                    let id = request.headers().iter().find(|header| header.name() == "Last-Event-ID");
                    let id = id.map(|header| format!(", Last-Event-ID {:?}", header.value())).unwrap_or_default();
                    match request.path_and_query().contains('?') {
                        true => self.note(&format!("connect {attempt}, timeout {timeout}{id}")),
                        false => self.note(&format!("poll {attempt}{id}")),
                    }
                    let number = u32::try_from(attempt.number()).unwrap();
                    let fault = self.faults.get(number as usize - 1).copied();
                    let number = number.saturating_sub(self.faults.len().try_into().unwrap());
                    let moves: Box<dyn Iterator<Item = Move<'a>>> = Box::new(self.script.attempt(number).moves());
                    self.connection =
                        Some(Connection { attempt, moves: moves.peekable(), fault, ready: self.now, has_head: false });
                }
                Action::Disconnect { attempt } => {
                    assert_eq!(
                        self.connection.take().map(|connection| connection.attempt),
                        Some(attempt),
                        "nothing to disconnect"
                    );
                    self.note("disconnect");
                }
                Action::Emit { event, id, .. } => {
                    let id = if id.is_empty() { id } else { format!(" (id {id:?})") };
                    self.note(&format!("{}{id}", shown(&event)));
                }
                Action::SwitchedToPolling => self.note("polls from now on"),
                Action::SteadyTarget { after, .. } => {
                    self.note(&format!("no other status for {after:?}, the target counts"));
                }
                Action::Retrying { delay, cause, routine, .. } => {
                    assert!(self.connection.is_none(), "the failed attempt is still connected");
                    let what = if routine { "reconnect" } else { "retry" };
                    self.note(&format!("{what} in {delay:?}: {cause}"));
                }
                Action::Resolve(state) => {
                    let state = serde_json::to_value(&state).unwrap();
                    let state = state.as_object().unwrap();
                    let fields: Vec<_> =
                        state.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?))).collect();
                    self.note(&format!("resolve {}", fields.join(" ")));
                    self.ended = true;
                }
                Action::Fail(failure) => {
                    self.note(&format!("fail {}: {failure}", failure.kind()));
                    self.ended = true;
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// Passes the next move of the server to the watch.
    fn read(&mut self) {
        let connection = self.connection.as_mut().unwrap();
        let attempt = connection.attempt;
        let next = if connection.fault.is_some() { Move::End(Ending::Close) } else { connection.moves.next().unwrap() };
        let cause = connection.fault.unwrap_or(match next {
            Move::End(Ending::Truncate) => CloseCause::Truncated,
            Move::End(Ending::Reset) => CloseCause::Reset,
            _ => CloseCause::Ended,
        });
        match next {
            Move::Head(head) => {
                connection.has_head = true;
                let mut response = ResponseHead::new(head.status);
                for (name, value) in &head.headers {
                    response.header(name, value);
                }
                let wall = Some(UnixSeconds(1_000_000_000 + self.now.as_nanos() / 1_000_000_000));
                self.watch.handle(self.now, Input::Head { attempt, head: response, wall });
                self.now = self.now + self.slow_start;
            }
            Move::Body(bytes) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let taken = self.watch.receive(self.now, attempt, rest);
                    rest = &rest[taken..];
                    self.execute();
                    if self.ended {
                        return;
                    }
                }
            }
            _ => {
                self.connection = None;
                self.watch.handle(self.now, Input::Closed { attempt, cause });
            }
        }
    }

    fn note(&mut self, what: &str) {
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

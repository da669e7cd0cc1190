//! Judges one watch by what went over the wire, and when.
//!
//! The oracle sees both sides of the driver: its input (connections, heads, bytes, close causes, time) and its output
//! (updates, the outcome). It implements the contract independently and shares no code with the core or the driver.

mod delays;
mod ends;
mod limits;
mod stream;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cvm_watch_driver::Update;
use cvm_watch_driver::cvm_watch_core::CloseCause;

use crate::caller::Rules;
use crate::message::Status;
use crate::network::SharedConnection;
use crate::server::{Asked, Class};
use crate::simulation::{Nanos, SECOND, Simulation};

pub(crate) type SharedOracle = Rc<RefCell<Oracle>>;

/// An attempt may outlive the timeout it sent by this much.
const MARGIN: Nanos = 10 * SECOND;
/// How long the body of an error is read.
const ERROR_BODY: Nanos = 2 * SECOND;
/// How many bytes of it are read.
const MAX_ERROR_BODY: usize = 64 << 10;

pub(crate) struct Oracle {
    simulation: Simulation,
    who: String,
    rules: Rules,
    began: Nanos,
    stage: Stage,
    attempt: Option<Attempt>,
    /// The next attempt's connection, until the caller has received that this attempt failed.
    unannounced: Option<Opened>,
    attempts: u64,
    retries: u64,
    /// Failed attempts in a row since a healthy one.
    streak: u32,
    last_state: Option<Status>,
    /// What the stream set last; two values while the last bytes given to the driver may or may not have been read before
    /// a deadline.
    server_retry: Unsure<Option<Nanos>>,
    last_id: Unsure<String>,
    aborted: Option<Nanos>,
    updates_after_abort: u64,
    announced: u64,
    events: u64,
    /// Whether the last poll may have been late for reasons outside the driver.
    excused: bool,
    /// A limit that passed before a late wake-up, and the time of that wake-up.
    catches_up: Cell<Option<(Nanos, Nanos)>>,
    at_this_moment: Moment,
    polls: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Connecting,
    Streaming,
    ReadingError,
    Waiting { due: Nanos },
    Ended,
}

struct Attempt {
    started: Nanos,
    deadline: Nanos,
    connection: SharedConnection,
    open: bool,
    answered: Option<Answered>,
    error_bytes: usize,
    /// How many messages were processed.
    read: usize,
    /// Whether bytes arrived since the watch last waited.
    reading: bool,
    /// The earliest and the latest time at which the last byte was read.
    heard: (Nanos, Nanos),
    at_target_since: Option<Nanos>,
    has_state: bool,
    broke: Option<Option<CloseCause>>,
    concluded: Option<(Nanos, Conclusion)>,
}

/// A connection that was requested.
struct Opened {
    asked: Asked,
    connection: SharedConnection,
    at: Nanos,
    open: bool,
}

/// An event after which the rest of the stream does not matter.
#[derive(Clone, Debug, PartialEq)]
enum Conclusion {
    Completed(String),
    Elsewhere(String),
    Timeout,
}

/// The head that the server sent.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) at: Nanos,
    pub(crate) status: u16,
    pub(crate) class: Class,
    pub(crate) message: Option<String>,
    pub(crate) retry_after: Nanos,
    pub(crate) length: usize,
}

#[derive(Clone, Debug, Default)]
struct Unsure<T> {
    sure: T,
    or: Option<T>,
}

impl<T: PartialEq + Clone> Unsure<T> {
    fn is(&mut self, value: T) {
        *self = Self { sure: value, or: None };
    }

    fn may_be(&self, value: &T) -> bool {
        self.sure == *value || self.or.as_ref() == Some(value)
    }
}

/// What happened at one moment of virtual time.
#[derive(Default)]
struct Moment {
    at: Nanos,
    polls: u64,
    reasons: u64,
}

impl Oracle {
    pub(crate) fn new(simulation: &Simulation, who: String, rules: Rules) -> SharedOracle {
        Rc::new(RefCell::new(Self {
            simulation: simulation.clone(),
            who,
            rules,
            began: 0,
            stage: Stage::New,
            attempt: None,
            unannounced: None,
            attempts: 0,
            retries: 0,
            streak: 0,
            last_state: None,
            server_retry: Unsure::default(),
            last_id: Unsure::default(),
            aborted: None,
            updates_after_abort: 0,
            announced: 0,
            events: 0,
            excused: true,
            catches_up: Cell::new(None),
            at_this_moment: Moment::default(),
            polls: 0,
        }))
    }

    pub(crate) fn polls(&self) -> u64 {
        self.polls
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    // ---- input of the driver ----

    /// The driver requested a connection. It may do so before the caller has received that the previous attempt failed.
    pub(crate) fn opened(&mut self, asked: &Asked, connection: &SharedConnection) {
        self.note(format_args!("asks {asked:?}"));
        self.reason();
        self.must(self.aborted.is_none(), "a connection after an abort");
        self.must(self.attempt.as_ref().is_none_or(|attempt| !attempt.open), "two connections at once");
        self.must(self.unannounced.is_none(), "a connection without a reason");
        let opened = Opened { asked: asked.clone(), connection: Rc::clone(connection), at: self.now(), open: true };
        match self.stage {
            Stage::New | Stage::Waiting { .. } => self.begin(opened),
            Stage::Ended => self.broken("a connection after the end"),
            _ => self.unannounced = Some(opened),
        }
    }

    /// An attempt begins.
    fn begin(&mut self, opened: Opened) {
        let Opened { asked, connection, at, open } = opened;
        if let Stage::Waiting { due } = self.stage {
            self.must(due <= at, "a retry before its delay is over");
        }
        self.must(self.overall_deadline().is_none_or(|deadline| at < deadline), "an attempt after the deadline");
        self.must(self.rules.max_retries.is_none_or(|most| self.attempts <= most), "more attempts than allowed");
        self.must(asked.interval == self.rules.interval, "not the interval that was set");
        self.must(asked.target == self.rules.target, "not the target that was set");
        let left = self.overall_deadline().map_or(Nanos::MAX, |deadline| deadline - at);
        let timeout = self.rules.timeout.min(left.div_ceil(SECOND).max(10).saturating_mul(SECOND));
        self.must(asked.timeout == timeout, "not the timeout of the contract");
        let id = asked.last_event_id.unwrap_or_default();
        self.must(self.last_id.may_be(&id), "not the last event id of the stream");
        self.last_id.is(id);
        self.attempts += 1;
        self.stage = Stage::Connecting;
        self.attempt = Some(Attempt {
            started: at,
            deadline: at + timeout + MARGIN,
            connection,
            open,
            answered: None,
            error_bytes: 0,
            read: 0,
            reading: false,
            heard: (at, at),
            at_target_since: None,
            has_state: false,
            broke: None,
            concluded: None,
        });
    }

    /// The driver was given a head.
    pub(crate) fn answered(&mut self, answered: Answered) {
        self.note(format_args!("gets {} ({:?})", answered.status, answered.class));
        self.reason();
        let now = self.now();
        self.must(self.aborted.is_none(), "input after an abort");
        let streams = answered.class == Class::Stream;
        if self.current().deadline <= now || self.overall_deadline().is_some_and(|deadline| deadline <= now) {
            // Deadlines are judged before input.
            return;
        }
        let attempt = self.attempt();
        attempt.heard = (now, now);
        attempt.answered = Some(Answered { at: now, ..answered });
        self.stage = if streams { Stage::Streaming } else { Stage::ReadingError };
    }

    /// The driver was given bytes of the body.
    pub(crate) fn delivered(&mut self, bytes: &[u8]) {
        self.note(format_args!("gets {} bytes", bytes.len()));
        self.reason();
        let now = self.now();
        self.must(self.aborted.is_none(), "input after an abort");
        let stage = self.stage;
        let attempt = self.attempt();
        match stage {
            Stage::ReadingError => attempt.error_bytes += bytes.len(),
            _ => {
                attempt.reading = true;
                attempt.heard = (now, now);
            }
        }
    }

    /// The driver received that the connection failed, or how its body ended.
    pub(crate) fn broke(&mut self, cause: Option<CloseCause>) {
        self.note(format_args!("is closed: {cause:?}"));
        self.reason();
        self.must(self.aborted.is_none(), "input after an abort");
        self.attempt().broke = Some(cause);
    }

    /// The driver closed a connection.
    pub(crate) fn closed(&mut self, connection: &SharedConnection) {
        self.note(format_args!("closes its connection"));
        if let Some(attempt) = &mut self.attempt
            && Rc::ptr_eq(&attempt.connection, connection)
        {
            attempt.open = false;
        }
        if let Some(opened) = &mut self.unannounced
            && Rc::ptr_eq(&opened.connection, connection)
        {
            opened.open = false;
        }
    }

    // ---- output of the driver, and the caller ----

    pub(crate) fn abort(&mut self) {
        self.note(format_args!("is aborted"));
        if self.stage != Stage::Ended {
            self.aborted.get_or_insert(self.now());
        }
    }

    /// The handle is about to be polled; `late` if the caller was busy.
    pub(crate) fn before_poll(&mut self, late: bool) {
        let now = self.now();
        if self.stage == Stage::New && self.attempts == 0 {
            self.began = now;
        }
        let still = self.excused && self.at_this_moment.at == now;
        self.excused = late || still || self.overslept();
        self.judge_lateness();
        if let Some(attempt) = &mut self.attempt
            && attempt.reading
        {
            attempt.heard.1 = now;
        }
        self.polls += 1;
        if self.at_this_moment.at != now {
            self.at_this_moment = Moment { at: now, ..Moment::default() };
        }
        self.at_this_moment.polls += 1;
        let bound = 8 + 2 * self.at_this_moment.reasons;
        self.must(self.at_this_moment.polls <= bound, "polled repeatedly without a reason");
    }

    /// The handle returned `Pending`; `at_rest` unless it woke its own task.
    pub(crate) fn waits(&mut self, at_rest: bool) {
        if at_rest {
            self.must(self.aborted.is_none(), "an abort was ignored");
            self.must(self.unannounced.is_none(), "a failed attempt was not reported");
            self.settle();
            self.judge_limits();
        }
    }

    pub(crate) fn update(&mut self, update: &Update) {
        self.reason();
        if self.aborted.is_some() && *update != Update::Ended {
            self.updates_after_abort += 1;
        }
        match update {
            Update::Connecting { attempt, .. } => {
                self.note(format_args!("connecting {attempt}"));
                self.announced += 1;
                self.must(
                    attempt.number() == self.attempts && self.announced == self.attempts,
                    "a wrong number of attempt",
                );
            }
            Update::Event { attempt, id, event, .. } => {
                self.note(format_args!("event of {attempt}, id {id:?}: {event:?}"));
                self.must(attempt.number() == self.attempts, "an event of another attempt");
                self.event(id, event);
            }
            Update::Retrying { attempt, delay, cause, routine, .. } => {
                self.note(format_args!("retrying after {attempt} in {delay:?}: {cause}"));
                self.must(attempt.number() == self.attempts, "the failure of another attempt");
                self.lost(u64::try_from(delay.as_nanos()).unwrap(), cause, *routine);
            }
            Update::Ended => self.note(format_args!("ended")),
            _ => self.broken("an unknown update"),
        }
    }

    // ---- helpers ----

    fn now(&self) -> Nanos {
        self.simulation.now()
    }

    /// Counts an event that justifies a poll.
    pub(crate) fn reason(&mut self) {
        let now = self.now();
        if self.at_this_moment.at != now {
            self.at_this_moment = Moment { at: now, ..Moment::default() };
        }
        self.at_this_moment.reasons += 1;
    }

    fn attempt(&mut self) -> &mut Attempt {
        let Some(attempt) = &mut self.attempt else { panic!("{}: input before any attempt", self.who) };
        attempt
    }

    fn current(&self) -> &Attempt {
        let Some(attempt) = &self.attempt else { panic!("{}: the end of an attempt before any attempt", self.who) };
        attempt
    }

    fn is_open(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.open)
            || self.unannounced.as_ref().is_some_and(|opened| opened.open)
    }

    fn overall_deadline(&self) -> Option<Nanos> {
        self.rules.deadline.map(|deadline| self.began + deadline)
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        self.simulation.note(format_args!("{}: {what}", self.who));
    }

    fn must(&self, holds: bool, otherwise: &str) {
        if !holds {
            self.broken(otherwise);
        }
    }

    fn broken(&self, what: &str) {
        panic!("{}: {what}, at {} in {:?}", self.who, crate::simulation::shown(self.now()), self.stage);
    }
}

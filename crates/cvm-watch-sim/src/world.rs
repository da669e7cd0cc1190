//! What the server knows beyond one connection: rules, scripts, the CVMs' age, open streams.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::log::{Log, Request};
use crate::request::{self, Call, detail};
use crate::scenario::scenario_for;
use crate::script::{Attempt, Script};

/// What holds for every request.
pub(crate) struct Rules {
    pub(crate) speed: f64,
    /// 0 for no limit.
    pub(crate) stream_limit: usize,
    pub(crate) key: Option<String>,
}

#[derive(Debug)]
pub(crate) struct World {
    rules: Rules,
    log: Log,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    scripts: HashMap<String, Arc<Script>>,
    cvms: HashMap<String, Cvm>,
    streams: HashMap<String, usize>,
    peak_streams: usize,
}

#[derive(Debug)]
struct Cvm {
    since: Instant,
    attempts: u32,
}

/// What to play for one request; holds the request's place among its key's streams.
#[derive(Debug)]
pub(crate) struct Answer {
    source: Source,
    _place: Option<Place>,
}

#[derive(Debug)]
enum Source {
    Own(Attempt),
    Script { script: Arc<Script>, attempt: u32 },
}

#[derive(Debug)]
struct Place {
    world: Arc<World>,
    key: String,
}

impl World {
    pub(crate) fn new(rules: Rules, log: Log) -> World {
        World { rules, log, state: Mutex::default() }
    }

    pub(crate) const fn speed(&self) -> f64 {
        self.rules.speed
    }

    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn peak_streams(&self) -> usize {
        self.state().peak_streams
    }

    pub(crate) fn set_script(&self, id: &str, script: Script) {
        let mut state = self.state();
        state.scripts.insert(id.to_owned(), Arc::new(script));
        state.cvms.remove(id);
    }

    /// Decides on a request and records it.
    pub(crate) fn answer(self: &Arc<World>, call: Call, connection: u64, now: Instant) -> Answer {
        let (answer, attempt) = match self.decide(&call, now) {
            Ok((answer, attempt)) => (answer, attempt),
            Err(refusal) => (refusal.into(), None),
        };
        let Call { method, uri, headers } = call;
        let id = request::id(&uri);
        self.log.requested(Request { connection, method, uri, headers, id, attempt, at: now });
        answer
    }

    fn decide(self: &Arc<World>, call: &Call, now: Instant) -> Result<(Answer, Option<u32>), Attempt> {
        let mut visit = request::visit(call)?;
        if self.rules.key.is_some() && visit.key != self.rules.key {
            return Err(detail(401, "Invalid or missing API key"));
        }
        let script = self.state().scripts.get(&visit.id).map(Arc::clone);
        let streams = visit.target.is_some();
        let place = if streams { Some(self.take_place(visit.key.as_deref())?) } else { None };
        let is_attempt = streams || script.is_some();
        let (number, age) = self.arrive(&visit.id, is_attempt, now);
        let source = match script {
            Some(script) => Source::Script { script, attempt: number },
            None => {
                visit.attempt = number;
                visit.age = age;
                Source::Own(scenario_for(&visit.id).attempt(&visit))
            }
        };
        Ok((Answer { source, _place: place }, is_attempt.then_some(number)))
    }

    fn take_place(self: &Arc<World>, key: Option<&str>) -> Result<Place, Attempt> {
        let key = key.unwrap_or_default().to_owned();
        let mut state = self.state();
        let open = state.streams.get(&key).copied().unwrap_or_default();
        let limit = self.rules.stream_limit;
        if limit != 0 && open >= limit {
            let message = format!("at most {limit} event streams at a time");
            let body = json!({ "message": message, "code": "too_many_streams" });
            return Err(Attempt::json(429, body).header("retry-after", "1"));
        }
        state.streams.insert(key.clone(), open + 1);
        state.peak_streams = state.peak_streams.max(open + 1);
        drop(state);
        Ok(Place { world: Arc::clone(self), key })
    }

    fn arrive(&self, id: &str, is_attempt: bool, now: Instant) -> (u32, Duration) {
        let mut state = self.state();
        let cvm = state.cvms.entry(id.to_owned()).or_insert(Cvm { since: now, attempts: 0 });
        cvm.attempts = cvm.attempts.saturating_add(u32::from(is_attempt));
        let real = now.saturating_duration_since(cvm.since);
        let age = Duration::try_from_secs_f64(real.as_secs_f64() * self.rules.speed);
        (cvm.attempts, age.unwrap_or(Duration::MAX))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    pub(crate) fn attempt(&self) -> &Attempt {
        match &self.source {
            Source::Own(attempt) => attempt,
            Source::Script { script, attempt } => script.attempt(*attempt),
        }
    }
}

/// Without the key.
impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("speed", &self.speed)
            .field("stream_limit", &self.stream_limit)
            .finish_non_exhaustive()
    }
}

impl From<Attempt> for Answer {
    fn from(attempt: Attempt) -> Answer {
        Answer { source: Source::Own(attempt), _place: None }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.world.state();
        if let Some(open) = state.streams.get_mut(&self.key) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                state.streams.remove(&self.key);
            }
        }
    }
}

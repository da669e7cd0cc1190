//! What the server knows beyond one connection: its options, the scripts, the age of each CVM, the open streams.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::access::Access;
use crate::http::{Refusal, RequestHead};
use crate::log::{Log, RefusedRequest, Request};
use crate::play::Form;
use crate::request;
use crate::scenario::scenario_for;
use crate::script::{Attempt, Script};

/// Receives each refused request.
pub(crate) type OnRequest = Box<dyn Fn(&Request) + Send + Sync>;
pub(crate) type OnRefused = Box<dyn Fn(&RefusedRequest) + Send + Sync>;

/// What holds for every request.
pub(crate) struct Options {
    pub(crate) speed: f64,
    /// 0 for no limit.
    pub(crate) stream_limit: usize,
    pub(crate) access: Access,
    /// Names that are served besides addresses and `localhost`.
    pub(crate) hosts: Vec<String>,
    /// The origin whose pages may read the answers.
    pub(crate) cors: Option<String>,
    pub(crate) on_request: Option<OnRequest>,
    pub(crate) on_refused: Option<OnRefused>,
}

pub(crate) struct Endpoint {
    options: Options,
    log: Log,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scripts: HashMap<String, Arc<Script>>,
    /// For the CVMs without their own script.
    other_script: Option<Arc<Script>>,
    cvms: HashMap<String, Cvm>,
    streams: HashMap<String, usize>,
    peak_streams: usize,
}

struct Cvm {
    since: Instant,
    attempts: u32,
}

/// What to play for one request; holds its slot among the streams of its key.
#[derive(Debug)]
pub(crate) struct Answer {
    source: Source,
    form: Form,
    _slot: Option<Slot>,
}

#[derive(Debug)]
enum Source {
    Own(Attempt),
    Script { script: Arc<Script>, attempt: u32 },
}

struct Slot {
    endpoint: Arc<Endpoint>,
    key: String,
}

/// What was decided for a request.
struct Decision {
    source: Source,
    slot: Option<Slot>,
    /// Which attempt of a script or scenario it is.
    attempt: Option<u32>,
}

impl Endpoint {
    pub(crate) fn new(options: Options, log: Log) -> Endpoint {
        Endpoint { options, log, state: Mutex::default() }
    }

    pub(crate) const fn speed(&self) -> f64 {
        self.options.speed
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

    pub(crate) fn set_other_script(&self, script: Script) {
        let mut state = self.state();
        state.other_script = Some(Arc::new(script));
        let State { scripts, cvms, .. } = &mut *state;
        cvms.retain(|id, _| scripts.contains_key(id));
    }

    /// Makes the next bearer token.
    pub(crate) fn mint_token(&self, now: Instant) -> String {
        self.options.access.mint(now)
    }

    /// Decides on a request and records it.
    pub(crate) fn answer(self: &Arc<Endpoint>, head: RequestHead, connection: u64, now: Instant) -> Answer {
        let form = Form { chunks: !head.is_http10, body: head.method != "HEAD", headers: self.cors_headers() };
        let decision = self.decide(&head, now).unwrap_or_else(|refusal| {
            self.refused(connection, &refusal, now);
            Decision::own(refusal.answer)
        });
        let Decision { source, slot, attempt } = decision;
        let RequestHead { method, target: uri, headers, .. } = head;
        let id = request::id(&uri);
        let request = Request { connection, method, uri, headers, id, attempt, at: now };
        if let Some(on_request) = &self.options.on_request {
            on_request(&request);
        }
        self.log.requested(request);
        Answer { source, form, _slot: slot }
    }

    /// The answer to bytes that are not a request.
    pub(crate) fn refuse(&self, refusal: Refusal, connection: u64, now: Instant) -> Answer {
        self.refused(connection, &refusal, now);
        Answer {
            source: Source::Own(refusal.answer),
            form: Form { headers: self.cors_headers(), ..Form::default() },
            _slot: None,
        }
    }

    /// Records a refusal and reports it.
    pub(crate) fn refused(&self, connection: u64, refusal: &Refusal, now: Instant) {
        let refused = self.log.refused(connection, refusal, now);
        if let Some(on_refused) = &self.options.on_refused {
            on_refused(&refused);
        }
    }

    fn decide(self: &Arc<Endpoint>, head: &RequestHead, now: Instant) -> Result<Decision, Refusal> {
        head.check_body()?;
        head.check_host(&self.options.hosts)?;
        if let Some(preflight) = self.preflight(head) {
            return Ok(Decision::own(preflight));
        }
        if let Some(minted) = self.options.access.mint_answer(head, now) {
            return Ok(Decision::own(minted));
        }
        let mut request = request::state_request(head)?;
        let access = &self.options.access;
        let account = access.check(head, request.key.as_deref(), self.options.speed, now)?;
        let script = self.script(&request.id);
        let streams = request.target.is_some();
        let slot = if streams { Some(self.take_slot(account)?) } else { None };
        let is_attempt = streams || script.is_some();
        let (number, age) = self.arrive(&request.id, is_attempt, now);
        let source = match script {
            Some(script) => Source::Script { script, attempt: number },
            None => {
                request.attempt = number;
                request.age = age;
                Source::Own(scenario_for(&request.id).attempt(&request))
            }
        };
        Ok(Decision { source, slot, attempt: is_attempt.then_some(number) })
    }

    /// The answer to a browser that asks whether a page may send a request.
    fn preflight(&self, head: &RequestHead) -> Option<Attempt> {
        self.options.cors.as_ref()?;
        head.values("access-control-request-method").next().filter(|_| head.method == "OPTIONS")?;
        let asked = head.text("access-control-request-headers").unwrap_or_default();
        let asked: String = asked.chars().filter(|char| (' '..='~').contains(char)).collect();
        let headers = [
            ("access-control-allow-methods", "GET"),
            ("access-control-allow-headers", &asked),
            ("access-control-max-age", "600"),
        ];
        Some(Attempt::new().head(204, &headers).close())
    }

    fn cors_headers(&self) -> Vec<(String, Vec<u8>)> {
        let Some(origin) = &self.options.cors else { return Vec::new() };
        let exposed = "retry-after, x-request-id, cf-ray, location";
        let headers = [
            ("access-control-allow-origin", origin.as_str()),
            ("access-control-expose-headers", exposed),
            ("vary", "origin"),
        ];
        headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec()
    }

    fn script(&self, id: &str) -> Option<Arc<Script>> {
        let state = self.state();
        state.scripts.get(id).or(state.other_script.as_ref()).map(Arc::clone)
    }

    fn take_slot(self: &Arc<Endpoint>, key: String) -> Result<Slot, Refusal> {
        let mut state = self.state();
        let open = state.streams.get(&key).copied().unwrap_or_default();
        let limit = self.options.stream_limit;
        if limit != 0 && open >= limit {
            let reason = format!("at most {limit} event streams at a time");
            let body = json!({ "message": reason, "code": "too_many_streams" });
            return Err(Refusal { status: 429, reason, answer: Attempt::json(429, body).header("retry-after", "1") });
        }
        state.streams.insert(key.clone(), open + 1);
        state.peak_streams = state.peak_streams.max(open + 1);
        drop(state);
        Ok(Slot { endpoint: Arc::clone(self), key })
    }

    fn arrive(&self, id: &str, is_attempt: bool, now: Instant) -> (u32, Duration) {
        let mut state = self.state();
        let cvm = state.cvms.entry(id.to_owned()).or_insert(Cvm { since: now, attempts: 0 });
        cvm.attempts = cvm.attempts.saturating_add(u32::from(is_attempt));
        let real = now.saturating_duration_since(cvm.since);
        let age = Duration::try_from_secs_f64(real.as_secs_f64() * self.options.speed);
        (cvm.attempts, age.unwrap_or(Duration::MAX))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decision {
    fn own(attempt: Attempt) -> Decision {
        Decision { source: Source::Own(attempt), slot: None, attempt: None }
    }
}

impl Answer {
    pub(crate) fn attempt(&self) -> &Attempt {
        match &self.source {
            Source::Own(attempt) => attempt,
            Source::Script { script, attempt } => script.attempt(*attempt),
        }
    }

    pub(crate) const fn form(&self) -> &Form {
        &self.form
    }
}

/// Without what the requests brought, keys among it.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Without the key.
impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

/// Without the key.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("speed", &self.speed)
            .field("stream_limit", &self.stream_limit)
            .field("access", &self.access)
            .field("hosts", &self.hosts)
            .field("cors", &self.cors)
            .finish_non_exhaustive()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.endpoint.state();
        if let Some(open) = state.streams.get_mut(&self.key) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                state.streams.remove(&self.key);
            }
        }
    }
}

//! The endpoint: whom it lets in, and what it answers. It knows the true life of each CVM.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use cvm_watch_driver::{Head, Request};

use crate::fault_schedule::FaultSchedule;
use crate::random::Random;
use crate::server_stream::ServerStream;
use crate::simulation::{MILLI, Nanos, SECOND, Simulation};
use crate::timeline::Timeline;

/// The endpoint's own limit of event streams per key.
const STREAMS_PER_KEY: usize = 5;

pub(crate) struct Server {
    pub(crate) simulation: Simulation,
    pub(crate) faults: FaultSchedule,
    pub(crate) seed: u64,
    timelines: BTreeMap<String, Timeline>,
    /// The connections that stream, by key.
    streams: RefCell<BTreeMap<String, Vec<u64>>>,
    most_streams: Cell<usize>,
    connections: Cell<u64>,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) target: String,
    pub(crate) interval: Nanos,
    pub(crate) timeout: Nanos,
    pub(crate) key: String,
    pub(crate) last_event_id: Option<String>,
}

/// What follows from a head by the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Stream,
    Retried,
    Final,
    /// Final, with any body.
    FinalAtOnce,
}

pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) class: Class,
    /// The message of an error, if its body comes whole.
    pub(crate) message: Option<String>,
    pub(crate) retry_after: Nanos,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    Stream(Box<ServerStream>),
    Error(Vec<u8>, Ending),
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Clean,
    Reset,
    Truncated,
    /// It does not: nothing comes any more.
    Silence,
}

impl Server {
    pub(crate) fn new(
        simulation: Simulation,
        faults: FaultSchedule,
        seed: u64,
        timelines: BTreeMap<String, Timeline>,
    ) -> Rc<Self> {
        Rc::new(Self {
            simulation,
            faults,
            seed,
            timelines,
            streams: RefCell::default(),
            most_streams: Cell::new(0),
            connections: Cell::new(0),
        })
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.set(self.connections.get() + 1);
        self.connections.get()
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.get()
    }

    /// The most streams that one key ever had at once.
    pub(crate) fn most_streams(&self) -> usize {
        self.most_streams.get()
    }

    pub(crate) fn timeline(&self, id: &str) -> &Timeline {
        &self.timelines[id]
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.simulation.now() >= self.faults.healthy_from
    }

    /// A request has arrived.
    pub(crate) fn answer(self: &Rc<Self>, connection: u64, asked: &Asked, random: &mut Random) -> Answer {
        assert!(self.timelines.contains_key(&asked.id), "a request for another CVM: {asked:?}");
        assert!((5 * SECOND..=30 * SECOND).contains(&asked.interval), "out of range: {asked:?}");
        assert!((10 * SECOND..=600 * SECOND).contains(&asked.timeout), "out of range: {asked:?}");
        if !self.is_healthy() {
            if random.chance(self.faults.final_answers) {
                return final_answer(random);
            }
            if random.chance(self.faults.retried_answers) {
                return retried_answer(random);
            }
        }
        let mut streams = self.streams.borrow_mut();
        let streams = streams.entry(asked.key.clone()).or_default();
        if streams.len() >= STREAMS_PER_KEY {
            let message = "too many streams";
            return error(429, Class::Retried, &format!("{{\"detail\":\"{message}\"}}"), message, random);
        }
        streams.push(connection);
        self.most_streams.set(self.most_streams.get().max(streams.len()));
        let content_type = random.pick(&["text/event-stream", "text/event-stream; charset=utf-8", "Text/Event-Stream"]);
        let headers =
            if random.chance(5) { Vec::new() } else { vec![("Content-Type".to_owned(), content_type.into())] };
        Answer {
            head: Head { status: 200, headers },
            class: Class::Stream,
            message: None,
            retry_after: 0,
            content: Content::Stream(Box::new(ServerStream::new(Rc::clone(self), asked.clone(), random))),
        }
    }

    /// A stream is over, or its client is known to be gone.
    pub(crate) fn leave(&self, connection: u64) {
        for streams in self.streams.borrow_mut().values_mut() {
            streams.retain(|stream| *stream != connection);
        }
    }
}

impl Asked {
    pub(crate) fn read(request: &Request) -> Self {
        let target = request.target();
        let (path, query) = target.split_once('?').unwrap();
        let id = path.strip_prefix("/api/v1/cvms/").and_then(|path| path.strip_suffix("/state")).unwrap();
        let field = |name: &str| {
            let fields = query.split('&').filter_map(|field| field.split_once('='));
            fields.clone().find(|(found, _)| *found == name).unwrap().1.to_owned()
        };
        let header = |name: &str| {
            request.headers().iter().find(|header| header.name() == name).map(|header| header.value().to_owned())
        };
        Self {
            id: id.to_owned(),
            target: field("target"),
            interval: field("interval").parse::<u64>().unwrap() * SECOND,
            timeout: field("timeout").parse::<u64>().unwrap() * SECOND,
            key: header("X-API-Key").unwrap(),
            last_event_id: header("Last-Event-ID"),
        }
    }
}

fn retried_answer(random: &mut Random) -> Answer {
    let status = random.pick(&[408, 409, 425, 429, 500, 502, 503, 504, 599]);
    let message = random.pick(&["temporarily unavailable", "upstream is away", "busy"]);
    let body = match random.below(3) {
        0 => format!("<html><title>{message}</title></html>"),
        1 => message.to_owned(),
        _ => format!("{{\"message\":\"{message}\",\"code\":\"busy\"}}"),
    };
    let mut answer = error(status, Class::Retried, &body, message, random);
    if random.chance(30) {
        let seconds = random.pick(&[0, 1, 7, 60, 299, 1000]);
        answer.retry_after = seconds * SECOND;
        answer.head.headers.push(("Retry-After".into(), seconds.to_string().into()));
    }
    answer
}

fn final_answer(random: &mut Random) -> Answer {
    let message = "no such CVM";
    let body = format!("{{\"error_code\":\"ERR-03-001\",\"message\":\"{message}\"}}");
    match random.below(6) {
        0 => {
            let mut answer = error(302, Class::Final, &body, message, random);
            answer.head.headers.push(("Location".into(), "https://elsewhere.example/".into()));
            answer
        }
        1 | 2 => {
            let mut answer = error(200, Class::FinalAtOnce, "<html></html>", message, random);
            answer.head.headers = match random.below(2) {
                0 => vec![("content-type".into(), "text/html".into())],
                _ => vec![
                    ("content-type".into(), "text/event-stream".into()),
                    ("content-encoding".into(), "gzip".into()),
                ],
            };
            answer
        }
        _ => {
            let status = random.pick(&[204, 400, 401, 403, 404, 409, 422, 451]);
            error(status, Class::Final, &body, message, random)
        }
    }
}

fn error(status: u16, class: Class, body: &str, message: &str, random: &mut Random) -> Answer {
    let mut body = body.as_bytes().to_vec();
    let ending = match random.below(8) {
        0 => Ending::Silence,
        1 => Ending::Truncated,
        2 => {
            body.truncate(body.len() / 2);
            Ending::Reset
        }
        3 => {
            body.resize(100 << 10, b' ');
            Ending::Clean
        }
        _ => Ending::Clean,
    };
    Answer {
        head: Head { status, headers: Vec::new() },
        class,
        message: (ending != Ending::Reset && body.len() < 64 << 10).then(|| message.to_owned()),
        retry_after: 0,
        content: Content::Error(body, ending),
    }
}

/// How long a head takes.
pub(crate) fn thinking_time(faults: &FaultSchedule, is_healthy: bool, random: &mut Random) -> Nanos {
    if !is_healthy && random.chance(faults.slow_answer) {
        random.between(SECOND, 70 * SECOND)
    } else {
        random.between(MILLI, 50 * MILLI)
    }
}

//! The simulated transport: connections that fail, stall, break at any byte and deliver chunks of any size. It reports
//! to the oracle what went over the wire.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use cvm_watch_driver::cvm_watch_core::{CloseCause, TlsFault};
use cvm_watch_driver::{Body, Head, Request, Transport, TransportError};

use crate::defects::Defect;
use crate::message::SentMessage;
use crate::oracle::{Answered, SharedOracle};
use crate::random::Random;
use crate::server::{Asked, Content, Ending, Server, thinking_time};
use crate::server_stream::{ServerStream, Then};
use crate::simulation::{MILLI, Nanos, SECOND, Simulation};

/// The network between one client and the server; the client may watch many CVMs.
pub(crate) struct Network {
    server: Rc<Server>,
    oracles: Rc<RefCell<BTreeMap<String, SharedOracle>>>,
    connections: Rc<RefCell<Vec<Weak<RefCell<Connection>>>>>,
    /// Bytes that a defective transport kept from the previous attempt.
    stale: Rc<RefCell<Vec<u8>>>,
}

/// The state of one connection, shared by both ends.
pub(crate) struct Connection {
    number: u64,
    random: Random,
    waker: Option<Waker>,
    answer: Option<Result<(Head, Answered), CloseCause>>,
    ready: VecDeque<u8>,
    /// How the body ended; `Some(None)` is a clean end.
    over: Option<Option<CloseCause>>,
    /// Since when unread input has waited for the client.
    waits: Option<Nanos>,
    client_is_gone: bool,
    /// Nothing is delivered any more.
    dead: bool,
    sent: usize,
    breaks_after: Option<(usize, Ending)>,
    last_arrival: Nanos,
    piece: usize,
    pub(crate) delivered: usize,
    pub(crate) sent_messages: Vec<SentMessage>,
}

pub(crate) type SharedConnection = Rc<RefCell<Connection>>;

impl Connection {
    pub(crate) fn waits(&self) -> Option<Nanos> {
        self.waits
    }

    fn arrive(&mut self, now: Nanos) {
        self.waits.get_or_insert(now);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Network {
    pub(crate) fn new(server: Rc<Server>) -> Self {
        Self { server, oracles: Rc::default(), connections: Rc::default(), stale: Rc::default() }
    }

    /// A handle that sets the oracle of a watch and applies the effects of a system sleep.
    pub(crate) fn handle(&self) -> NetworkHandle {
        NetworkHandle { oracles: Rc::clone(&self.oracles), connections: Rc::clone(&self.connections) }
    }
}

#[derive(Clone)]
pub(crate) struct NetworkHandle {
    oracles: Rc<RefCell<BTreeMap<String, SharedOracle>>>,
    connections: Rc<RefCell<Vec<Weak<RefCell<Connection>>>>>,
}

impl NetworkHandle {
    pub(crate) fn set_oracle(&self, id: &str, oracle: SharedOracle) {
        self.oracles.borrow_mut().insert(id.to_owned(), oracle);
    }

    /// Some connections do not survive a system sleep; neither end is notified.
    pub(crate) fn suspend(&self, random: &mut Random) {
        for connection in self.connections.borrow().iter().filter_map(Weak::upgrade) {
            connection.borrow_mut().dead |= random.chance(50);
        }
    }
}

impl Transport for Network {
    type Body = Reading;
    type Open = Opening;

    fn open(&self, request: Request) -> Opening {
        let mut asked = Asked::read(&request);
        if self.server.simulation.has(Defect::ForgetsTheLastEventId) {
            asked.last_event_id = None;
        }
        let oracle = Rc::clone(&self.oracles.borrow()[&asked.id]);
        let connection = self.connect(&asked, &oracle);
        Opening(Some(Reading {
            end: ClientSide { connection, oracle, server: Rc::clone(&self.server) },
            again: self.server.simulation.has(Defect::RetriesByItself).then(|| (self.copy(), asked)),
            stale: Rc::clone(&self.stale),
            is_first: true,
            is_over: false,
            held_back: None,
        }))
    }
}

impl Network {
    fn copy(&self) -> Self {
        Self {
            server: Rc::clone(&self.server),
            oracles: Rc::clone(&self.oracles),
            connections: Rc::clone(&self.connections),
            stale: Rc::clone(&self.stale),
        }
    }

    fn connect(&self, asked: &Asked, oracle: &SharedOracle) -> SharedConnection {
        let (server, simulation) = (&self.server, &self.server.simulation);
        let number = server.next_connection();
        let mut random = Random::new(server.seed, number + 1000);
        let (faults, is_healthy) = (&server.faults, server.is_healthy());
        let fails = |chance: u64, random: &mut Random| !is_healthy && random.chance(chance);

        let breaks_after = if fails(faults.cuts, &mut random) {
            Some((random.size(0, 3000), random.pick(&[Ending::Reset, Ending::Truncated])))
        } else if fails(faults.silences, &mut random) {
            Some((random.size(0, 3000), Ending::Silence))
        } else {
            None
        };
        let piece = if fails(faults.pieces, &mut random) { random.pick(&[1, 7, 100, 100]) } else { usize::MAX };
        let latency = random.between(MILLI / 2, 40 * MILLI);
        let unconnected = fails(faults.no_connection, &mut random).then(|| {
            let tls = CloseCause::Tls(TlsFault::Other);
            random.pick(&[
                CloseCause::Dns,
                CloseCause::Refused,
                CloseCause::Reset,
                CloseCause::HostUnreachable,
                CloseCause::Proxy,
                tls,
                CloseCause::NotHttp,
                CloseCause::HeadTooLarge,
                CloseCause::Ended,
                CloseCause::Other,
            ])
        });
        let certificate = fails(faults.certificates, &mut random)
            .then(|| CloseCause::Tls(random.pick(&[TlsFault::Certificate, TlsFault::HostName])));
        let unanswered = fails(faults.no_answer, &mut random);
        let connection = Rc::new(RefCell::new(Connection {
            number,
            random,
            waker: None,
            answer: None,
            ready: VecDeque::new(),
            over: None,
            waits: None,
            client_is_gone: false,
            dead: false,
            sent: 0,
            breaks_after,
            last_arrival: simulation.now(),
            piece,
            delivered: 0,
            sent_messages: Vec::new(),
        }));
        self.connections.borrow_mut().retain(|connection| connection.strong_count() > 0);
        self.connections.borrow_mut().push(Rc::downgrade(&connection));
        oracle.borrow_mut().opened(asked, &connection);
        let server_side =
            ServerSide { server: Rc::clone(server), connection: Rc::clone(&connection), asked: asked.clone() };
        match certificate.or(unconnected) {
            Some(cause) => {
                let after = if connection.borrow_mut().random.chance(20) { 20 * SECOND } else { latency };
                simulation.at(simulation.now() + after, move || server_side.fail(cause));
            }
            None if unanswered => {}
            None => simulation.at(simulation.now() + latency, move || server_side.request()),
        }
        connection
    }
}

/// The server's end of a connection.
struct ServerSide {
    server: Rc<Server>,
    connection: SharedConnection,
    asked: Asked,
}

impl ServerSide {
    fn simulation(&self) -> &Simulation {
        &self.server.simulation
    }

    fn fail(self, cause: CloseCause) {
        let now = self.simulation().now();
        let mut connection = self.connection.borrow_mut();
        connection.answer = Some(Err(cause));
        connection.arrive(now);
    }

    fn request(self) {
        let (number, mut random) = {
            let connection = &mut *self.connection.borrow_mut();
            (connection.number, connection.random.clone())
        };
        let answer = self.server.answer(number, &self.asked, &mut random);
        let thinks = thinking_time(&self.server.faults, self.server.is_healthy(), &mut random);
        let latency = random.between(MILLI / 2, 40 * MILLI);
        self.connection.borrow_mut().random = random;
        let known = Answered {
            at: 0,
            status: answer.head.status,
            class: answer.class,
            message: answer.message,
            retry_after: answer.retry_after,
            length: if let Content::Error(body, _) = &answer.content { body.len() } else { 0 },
        };
        let arrives = self.simulation().now() + thinks + latency;
        self.connection.borrow_mut().last_arrival = arrives;
        let (connection, simulation) = (Rc::clone(&self.connection), self.simulation().clone());
        self.simulation().at(arrives, move || {
            let mut connection = connection.borrow_mut();
            if !connection.dead {
                connection.answer = Some(Ok((answer.head, known)));
                connection.arrive(simulation.now());
            }
        });
        let answers_at = self.simulation().now() + thinks;
        let simulation = self.simulation().clone();
        match answer.content {
            Content::Stream(stream) => simulation.at(answers_at, move || self.stream(stream)),
            Content::Error(body, ending) => simulation.at(answers_at, move || {
                // Sending a large body in single bytes takes long and tests nothing new.
                let piece = self.connection.borrow().piece.max(body.len() / 50);
                self.connection.borrow_mut().piece = piece;
                self.send(body, Vec::new());
                self.finish(ending);
            }),
        }
    }

    fn stream(self, mut stream: Box<ServerStream>) {
        if self.connection.borrow().client_is_gone {
            return self.server.leave(self.connection.borrow().number);
        }
        let (bytes, sent_messages, then) = stream.next();
        self.send(bytes, sent_messages);
        match then {
            Then::Again(at) => self.simulation().clone().at(at, move || self.stream(stream)),
            Then::End(ending) => self.finish(ending),
        }
    }

    fn send(&self, bytes: Vec<u8>, sent_messages: Vec<SentMessage>) {
        let connection = &mut *self.connection.borrow_mut();
        connection.sent_messages.extend(sent_messages);
        if bytes.is_empty() {
            return;
        }
        let before = connection.sent;
        connection.sent += bytes.len();
        let arrives = self.arrival(connection);
        let mut bytes = bytes;
        let mut broken = None;
        if let Some((after, ending)) = connection.breaks_after {
            if before > after {
                return;
            }
            if connection.sent > after {
                bytes.truncate(after - before);
                broken = Some(ending);
            }
        }
        let (connection, simulation) = (Rc::clone(&self.connection), self.simulation().clone());
        self.simulation().at(arrives, move || {
            let mut connection = connection.borrow_mut();
            if connection.dead {
                return;
            }
            connection.ready.extend(bytes);
            if !connection.ready.is_empty() {
                connection.arrive(simulation.now());
            }
            if let Some(ending) = broken {
                connection.finish(ending, simulation.now());
            }
        });
    }

    fn finish(self, ending: Ending) {
        let (server, number) = (Rc::clone(&self.server), self.connection.borrow().number);
        if ending == Ending::Silence {
            // The server counts the stream until it notices that the client is gone.
            let forgets = self.simulation().now() + self.asked.timeout;
            return self.simulation().at(forgets, move || server.leave(number));
        }
        server.leave(number);
        let arrives = self.arrival(&mut self.connection.borrow_mut());
        let simulation = self.simulation().clone();
        simulation.clone().at(arrives, move || {
            let mut connection = self.connection.borrow_mut();
            if !connection.dead {
                connection.finish(ending, simulation.now());
            }
        });
    }

    /// When bytes sent now arrive: never before earlier ones.
    fn arrival(&self, connection: &mut Connection) -> Nanos {
        let delayed = !self.server.is_healthy() && connection.random.chance(self.server.faults.delays);
        let latency = if delayed {
            connection.random.between(SECOND, 40 * SECOND)
        } else {
            connection.random.between(MILLI, 40 * MILLI)
        };
        connection.last_arrival = connection.last_arrival.max(self.simulation().now() + latency);
        connection.last_arrival
    }
}

impl Connection {
    fn finish(&mut self, ending: Ending, now: Nanos) {
        if self.over.is_some() {
            return;
        }
        match ending {
            Ending::Silence => {}
            Ending::Clean => self.over = Some(None),
            Ending::Reset => self.over = Some(Some(CloseCause::Reset)),
            Ending::Truncated => self.over = Some(Some(CloseCause::Truncated)),
        }
        self.dead = true;
        if self.over.is_some() {
            self.arrive(now);
        }
    }
}

/// The client's end of a connection; dropping it closes the connection.
struct ClientSide {
    connection: SharedConnection,
    oracle: SharedOracle,
    server: Rc<Server>,
}

impl Drop for ClientSide {
    fn drop(&mut self) {
        let simulation = self.server.simulation.clone();
        let (connection, oracle) = (Rc::clone(&self.connection), Rc::clone(&self.oracle));
        let mut close = Some(move || oracle.borrow_mut().closed(&connection));
        if !simulation.has(Defect::ClosesLate)
            && let Some(close) = close.take()
        {
            close();
        }
        if let Some(close) = close {
            simulation.at(simulation.now() + SECOND, close);
        }
        let mut shared = self.connection.borrow_mut();
        shared.waker = None;
        shared.waits = None;
        let unheard = !self.server.is_healthy() && shared.random.chance(self.server.faults.half_open);
        if !unheard {
            let (connection, server) = (Rc::clone(&self.connection), Rc::clone(&self.server));
            simulation.at(simulation.now() + 20 * MILLI, move || {
                connection.borrow_mut().client_is_gone = true;
                server.leave(connection.borrow().number);
            });
        }
    }
}

/// A connection whose response head has not arrived.
pub(crate) struct Opening(Option<Reading>);

impl Future for Opening {
    type Output = Result<(Head, Reading), TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(reading) = &mut self.0 else { panic!("polled after its end") };
        let simulation = reading.end.server.simulation.clone();
        let mut connection = reading.end.connection.borrow_mut();
        let Some(answer) = connection.answer.take() else {
            connection.waker = (!simulation.has(Defect::ForgetsToWake)).then(|| cx.waker().clone());
            return Poll::Pending;
        };
        connection.waits = (!connection.ready.is_empty() || connection.over.is_some()).then(|| simulation.now());
        drop(connection);
        match answer {
            Ok((mut head, answered)) => {
                reading.end.oracle.borrow_mut().answered(answered);
                if simulation.has(Defect::HidesRedirects) && (300..400).contains(&head.status) {
                    head = Head { status: 200, headers: Vec::new() };
                }
                if simulation.has(Defect::MistakesStatuses) && head.status >= 500 {
                    head.status = 404;
                }
                let Some(reading) = self.0.take() else { panic!("it was checked above") };
                Poll::Ready(Ok((head, reading)))
            }
            Err(cause) => {
                if let Some((network, asked)) = &reading.again {
                    let oracle = Rc::clone(&reading.end.oracle);
                    let connection = network.connect(asked, &oracle);
                    reading.end = ClientSide { connection, oracle, server: Rc::clone(&network.server) };
                    return self.poll(cx);
                }
                reading.end.oracle.borrow_mut().broke(Some(cause));
                Poll::Ready(Err(TransportError::new(cause, "the wire")))
            }
        }
    }
}

/// A body that is being read.
pub(crate) struct Reading {
    end: ClientSide,
    again: Option<(Network, Asked)>,
    stale: Rc<RefCell<Vec<u8>>>,
    is_first: bool,
    is_over: bool,
    held_back: Option<Vec<u8>>,
}

impl Body for Reading {
    type Chunk = Vec<u8>;

    fn poll_chunk(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, TransportError>>> {
        let reading = self.get_mut();
        assert!(!reading.is_over, "the body was polled after its end");
        let simulation = reading.end.server.simulation.clone();
        let mut shared = reading.end.connection.borrow_mut();
        let connection = &mut *shared;
        if connection.ready.is_empty() {
            let over = connection.over.filter(|_| !simulation.has(Defect::HidesEnds));
            let Some(over) = over else {
                connection.waker = (!simulation.has(Defect::ForgetsToWake)).then(|| cx.waker().clone());
                return Poll::Pending;
            };
            connection.waits = None;
            drop(shared);
            reading.is_over = true;
            reading.end.oracle.borrow_mut().broke(over);
            return Poll::Ready(match over {
                Some(cause) if !simulation.has(Defect::EndsBrokenBodiesCleanly) => {
                    Some(Err(TransportError::new(cause, "the wire")))
                }
                _ => None,
            });
        }
        let most = connection.ready.len();
        let size =
            if connection.piece == usize::MAX { most } else { connection.random.size(1, connection.piece).min(most) };
        let chunk: Vec<u8> = connection.ready.drain(..size).collect();
        connection.delivered += chunk.len();
        connection.waits = (!connection.ready.is_empty() || connection.over.is_some()).then(|| simulation.now());
        drop(shared);
        reading.end.oracle.borrow_mut().delivered(&chunk);
        reading.apply_defects(chunk, &simulation, cx)
    }
}

impl Reading {
    fn apply_defects(
        &mut self,
        mut chunk: Vec<u8>,
        simulation: &Simulation,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Vec<u8>, TransportError>>> {
        let one_in_eight = self.end.connection.borrow().delivered.is_multiple_of(8);
        if simulation.has(Defect::LosesChunks) && one_in_eight {
            chunk.clear();
        }
        if simulation.has(Defect::RepeatsChunks) && one_in_eight {
            chunk = chunk.repeat(2);
        }
        if simulation.has(Defect::GarblesBytes) && one_in_eight {
            let middle = chunk.len() / 2;
            chunk[middle] ^= 4;
        }
        if simulation.has(Defect::ReportsTheTargetTooSoon) {
            let text = String::from_utf8_lossy(&chunk).replace("starting\"", "running\"");
            chunk = text.into_bytes();
        }
        if simulation.has(Defect::FeedsStaleBytes) {
            let fresh = chunk.clone();
            if std::mem::take(&mut self.is_first) {
                chunk.splice(0..0, self.stale.take());
            }
            *self.stale.borrow_mut() = fresh;
        }
        if simulation.has(Defect::CollectsChunks) {
            match self.held_back.take() {
                Some(mut held) => {
                    held.extend(chunk);
                    chunk = held;
                }
                None => {
                    self.held_back = Some(chunk);
                    return Pin::new(self).poll_chunk(cx);
                }
            }
        }
        Poll::Ready(Some(Ok(chunk)))
    }
}

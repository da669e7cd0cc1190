//! The transport of a world: connections that fail, stall, break at any byte, and bring bytes in
//! pieces of any size. Here the oracle learns what truly went over the wire.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use cvm_watch_driver::core::{CloseCause, TlsFault};
use cvm_watch_driver::{Body, Head, Request, Transport, TransportError};

use crate::faults::Fault;
use crate::oracle::{Answered, SharedLaw};
use crate::random::Random;
use crate::server::{Asked, Content, Ending, Server, thinking_time};
use crate::speech::Spoken;
use crate::teller::{Teller, Then};
use crate::world::{MILLI, Nanos, SECOND, World};

/// The way of one client to the server; it may watch many CVMs.
pub(crate) struct Network {
    server: Rc<Server>,
    laws: Rc<RefCell<BTreeMap<String, SharedLaw>>>,
    lines: Rc<RefCell<Vec<Weak<RefCell<Line>>>>>,
    /// What a faulty transport remembers of the attempt before.
    stale: Rc<RefCell<Vec<u8>>>,
}

/// One connection, as both ends and the wire between them know it.
pub(crate) struct Line {
    number: u64,
    random: Random,
    waker: Option<Waker>,
    answer: Option<Result<(Head, Answered), CloseCause>>,
    ready: VecDeque<u8>,
    /// How the body ended; `Some(None)` is cleanly.
    over: Option<Option<CloseCause>>,
    /// Since when something has waited for the client to take it.
    waits: Option<Nanos>,
    client_is_gone: bool,
    /// Nothing comes through any more.
    dead: bool,
    sent: usize,
    breaks_after: Option<(usize, Ending)>,
    last_arrival: Nanos,
    piece: usize,
    pub(crate) delivered: usize,
    pub(crate) spoken: Vec<Spoken>,
}

pub(crate) type SharedLine = Rc<RefCell<Line>>;

impl Line {
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
        Self { server, laws: Rc::default(), lines: Rc::default(), stale: Rc::default() }
    }

    /// A handle to tell it who judges the watch of a CVM, and what a nap does.
    pub(crate) fn handle(&self) -> NetworkHandle {
        NetworkHandle { laws: Rc::clone(&self.laws), lines: Rc::clone(&self.lines) }
    }
}

#[derive(Clone)]
pub(crate) struct NetworkHandle {
    laws: Rc<RefCell<BTreeMap<String, SharedLaw>>>,
    lines: Rc<RefCell<Vec<Weak<RefCell<Line>>>>>,
}

impl NetworkHandle {
    pub(crate) fn judged_by(&self, id: &str, law: SharedLaw) {
        self.laws.borrow_mut().insert(id.to_owned(), law);
    }

    /// Some connections do not survive a nap, and nobody is told.
    pub(crate) fn nap(&self, random: &mut Random) {
        for line in self.lines.borrow().iter().filter_map(Weak::upgrade) {
            line.borrow_mut().dead |= random.chance(50);
        }
    }
}

impl Transport for Network {
    type Body = Reading;
    type Open = Opening;

    fn open(&self, request: Request) -> Opening {
        let mut asked = Asked::read(&request);
        if self.server.world.has(Fault::ForgetsTheLastEventId) {
            asked.last_event_id = None;
        }
        let law = Rc::clone(&self.laws.borrow()[&asked.id]);
        let line = self.connect(&asked, &law);
        Opening(Some(Reading {
            end: ClientEnd { line, law, server: Rc::clone(&self.server) },
            again: self.server.world.has(Fault::RetriesByItself).then(|| (self.copy(), asked)),
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
            laws: Rc::clone(&self.laws),
            lines: Rc::clone(&self.lines),
            stale: Rc::clone(&self.stale),
        }
    }

    fn connect(&self, asked: &Asked, law: &SharedLaw) -> SharedLine {
        let (server, world) = (&self.server, &self.server.world);
        let number = server.next_connection();
        let mut random = Random::new(server.seed, number + 1000);
        let (weather, fine) = (&server.weather, server.is_fine());
        let trouble = |chance: u64, random: &mut Random| !fine && random.chance(chance);

        let breaks_after = if trouble(weather.cuts, &mut random) {
            Some((random.size(0, 3000), random.pick(&[Ending::Reset, Ending::Truncated])))
        } else if trouble(weather.silences, &mut random) {
            Some((random.size(0, 3000), Ending::Silence))
        } else {
            None
        };
        let piece = if trouble(weather.pieces, &mut random) { random.pick(&[1, 7, 100, 100]) } else { usize::MAX };
        let way = random.between(MILLI / 2, 40 * MILLI);
        let unconnected = trouble(weather.no_connection, &mut random).then(|| {
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
        let certificate = trouble(weather.certificates, &mut random)
            .then(|| CloseCause::Tls(random.pick(&[TlsFault::Certificate, TlsFault::HostName])));
        let unanswered = trouble(weather.no_answer, &mut random);
        let line = Rc::new(RefCell::new(Line {
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
            last_arrival: world.now(),
            piece,
            delivered: 0,
            spoken: Vec::new(),
        }));
        self.lines.borrow_mut().retain(|line| line.strong_count() > 0);
        self.lines.borrow_mut().push(Rc::downgrade(&line));
        law.borrow_mut().opened(asked, &line);
        let wire = Wire { server: Rc::clone(server), line: Rc::clone(&line), asked: asked.clone() };
        match certificate.or(unconnected) {
            Some(cause) => {
                let after = if line.borrow_mut().random.chance(20) { 20 * SECOND } else { way };
                world.at(world.now() + after, move || wire.fail(cause));
            }
            None if unanswered => {}
            None => world.at(world.now() + way, move || wire.request()),
        }
        line
    }
}

/// The server's end of a line.
struct Wire {
    server: Rc<Server>,
    line: SharedLine,
    asked: Asked,
}

impl Wire {
    fn world(&self) -> &World {
        &self.server.world
    }

    fn fail(self, cause: CloseCause) {
        let now = self.world().now();
        let mut line = self.line.borrow_mut();
        line.answer = Some(Err(cause));
        line.arrive(now);
    }

    fn request(self) {
        let (number, mut random) = {
            let line = &mut *self.line.borrow_mut();
            (line.number, line.random.clone())
        };
        let answer = self.server.answer(number, &self.asked, &mut random);
        let thinks = thinking_time(&self.server.weather, self.server.is_fine(), &mut random);
        let way = random.between(MILLI / 2, 40 * MILLI);
        self.line.borrow_mut().random = random;
        let known = Answered {
            at: 0,
            status: answer.head.status,
            class: answer.class,
            words: answer.words,
            retry_after: answer.retry_after,
            length: if let Content::Error(body, _) = &answer.content { body.len() } else { 0 },
        };
        let arrives = self.world().now() + thinks + way;
        self.line.borrow_mut().last_arrival = arrives;
        let (line, world) = (Rc::clone(&self.line), self.world().clone());
        self.world().at(arrives, move || {
            let mut line = line.borrow_mut();
            if !line.dead {
                line.answer = Some(Ok((answer.head, known)));
                line.arrive(world.now());
            }
        });
        let speaks = self.world().now() + thinks;
        let world = self.world().clone();
        match answer.content {
            Content::Stream(teller) => world.at(speaks, move || self.speak(teller)),
            Content::Error(body, ending) => world.at(speaks, move || {
                // A large body in single bytes shows nothing new, and takes its time.
                let piece = self.line.borrow().piece.max(body.len() / 50);
                self.line.borrow_mut().piece = piece;
                self.send(body, Vec::new());
                self.finish(ending);
            }),
        }
    }

    fn speak(self, mut teller: Box<Teller>) {
        if self.line.borrow().client_is_gone {
            return self.server.leave(self.line.borrow().number);
        }
        let (bytes, spoken, then) = teller.tell();
        self.send(bytes, spoken);
        match then {
            Then::Again(at) => self.world().clone().at(at, move || self.speak(teller)),
            Then::End(ending) => self.finish(ending),
        }
    }

    fn send(&self, bytes: Vec<u8>, spoken: Vec<Spoken>) {
        let line = &mut *self.line.borrow_mut();
        line.spoken.extend(spoken);
        if bytes.is_empty() {
            return;
        }
        let before = line.sent;
        line.sent += bytes.len();
        let arrives = self.arrival(line);
        let mut bytes = bytes;
        let mut broken = None;
        if let Some((after, ending)) = line.breaks_after {
            if before > after {
                return;
            }
            if line.sent > after {
                bytes.truncate(after - before);
                broken = Some(ending);
            }
        }
        let (line, world) = (Rc::clone(&self.line), self.world().clone());
        self.world().at(arrives, move || {
            let mut line = line.borrow_mut();
            if line.dead {
                return;
            }
            line.ready.extend(bytes);
            if !line.ready.is_empty() {
                line.arrive(world.now());
            }
            if let Some(ending) = broken {
                line.finish(ending, world.now());
            }
        });
    }

    fn finish(self, ending: Ending) {
        let (server, number) = (Rc::clone(&self.server), self.line.borrow().number);
        if ending == Ending::Silence {
            // It is the server's for as long as it believes in the client.
            let forgets = self.world().now() + self.asked.timeout;
            return self.world().at(forgets, move || server.leave(number));
        }
        server.leave(number);
        let arrives = self.arrival(&mut self.line.borrow_mut());
        let world = self.world().clone();
        world.clone().at(arrives, move || {
            let mut line = self.line.borrow_mut();
            if !line.dead {
                line.finish(ending, world.now());
            }
        });
    }

    /// Nothing overtakes what was sent before.
    fn arrival(&self, line: &mut Line) -> Nanos {
        let delayed = !self.server.is_fine() && line.random.chance(self.server.weather.delays);
        let way =
            if delayed { line.random.between(SECOND, 40 * SECOND) } else { line.random.between(MILLI, 40 * MILLI) };
        line.last_arrival = line.last_arrival.max(self.world().now() + way);
        line.last_arrival
    }
}

impl Line {
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

/// The client's end of a line; dropped, the connection is closed.
struct ClientEnd {
    line: SharedLine,
    law: SharedLaw,
    server: Rc<Server>,
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        let world = self.server.world.clone();
        let (line, law) = (Rc::clone(&self.line), Rc::clone(&self.law));
        let mut close = Some(move || law.borrow_mut().hung_up(&line));
        if !world.has(Fault::ClosesLate)
            && let Some(close) = close.take()
        {
            close();
        }
        if let Some(close) = close {
            world.at(world.now() + SECOND, close);
        }
        let mut shared = self.line.borrow_mut();
        shared.waker = None;
        shared.waits = None;
        let unheard = !self.server.is_fine() && shared.random.chance(self.server.weather.half_open);
        if !unheard {
            let (line, server) = (Rc::clone(&self.line), Rc::clone(&self.server));
            world.at(world.now() + 20 * MILLI, move || {
                line.borrow_mut().client_is_gone = true;
                server.leave(line.borrow().number);
            });
        }
    }
}

/// A connection whose head has not come.
pub(crate) struct Opening(Option<Reading>);

impl Future for Opening {
    type Output = Result<(Head, Reading), TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(reading) = &mut self.0 else { panic!("an opening was polled after its end") };
        let world = reading.end.server.world.clone();
        let mut line = reading.end.line.borrow_mut();
        let Some(answer) = line.answer.take() else {
            line.waker = (!world.has(Fault::ForgetsToWake)).then(|| cx.waker().clone());
            return Poll::Pending;
        };
        line.waits = (!line.ready.is_empty() || line.over.is_some()).then(|| world.now());
        drop(line);
        match answer {
            Ok((mut head, answered)) => {
                reading.end.law.borrow_mut().answered(answered);
                if world.has(Fault::HidesRedirects) && (300..400).contains(&head.status) {
                    head = Head { status: 200, headers: Vec::new() };
                }
                if world.has(Fault::MistakesStatuses) && head.status >= 500 {
                    head.status = 404;
                }
                let Some(reading) = self.0.take() else { panic!("it was there just now") };
                Poll::Ready(Ok((head, reading)))
            }
            Err(cause) => {
                if let Some((network, asked)) = &reading.again {
                    let law = Rc::clone(&reading.end.law);
                    let line = network.connect(asked, &law);
                    reading.end = ClientEnd { line, law, server: Rc::clone(&network.server) };
                    return self.poll(cx);
                }
                reading.end.law.borrow_mut().broke(Some(cause));
                Poll::Ready(Err(TransportError::new(cause, "the wire")))
            }
        }
    }
}

/// A body that is being read.
pub(crate) struct Reading {
    end: ClientEnd,
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
        assert!(!reading.is_over, "a body was polled after its end");
        let world = reading.end.server.world.clone();
        let mut shared = reading.end.line.borrow_mut();
        let line = &mut *shared;
        if line.ready.is_empty() {
            let over = line.over.filter(|_| !world.has(Fault::HidesEnds));
            let Some(over) = over else {
                line.waker = (!world.has(Fault::ForgetsToWake)).then(|| cx.waker().clone());
                return Poll::Pending;
            };
            line.waits = None;
            drop(shared);
            reading.is_over = true;
            reading.end.law.borrow_mut().broke(over);
            return Poll::Ready(match over {
                Some(cause) if !world.has(Fault::EndsBrokenBodiesCleanly) => {
                    Some(Err(TransportError::new(cause, "the wire")))
                }
                _ => None,
            });
        }
        let most = line.ready.len();
        let size = if line.piece == usize::MAX { most } else { line.random.size(1, line.piece).min(most) };
        let chunk: Vec<u8> = line.ready.drain(..size).collect();
        line.delivered += chunk.len();
        line.waits = (!line.ready.is_empty() || line.over.is_some()).then(|| world.now());
        drop(shared);
        reading.end.law.borrow_mut().delivered(&chunk);
        reading.through_the_faults(chunk, &world, cx)
    }
}

impl Reading {
    fn through_the_faults(
        &mut self,
        mut chunk: Vec<u8>,
        world: &World,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Vec<u8>, TransportError>>> {
        let one_in_eight = self.end.line.borrow().delivered.is_multiple_of(8);
        if world.has(Fault::LosesChunks) && one_in_eight {
            chunk.clear();
        }
        if world.has(Fault::RepeatsChunks) && one_in_eight {
            chunk = chunk.repeat(2);
        }
        if world.has(Fault::GarblesBytes) && one_in_eight {
            let middle = chunk.len() / 2;
            chunk[middle] ^= 4;
        }
        if world.has(Fault::ReportsTheTargetTooSoon) {
            let text = String::from_utf8_lossy(&chunk).replace("starting\"", "running\"");
            chunk = text.into_bytes();
        }
        if world.has(Fault::FeedsStaleBytes) {
            let fresh = chunk.clone();
            if std::mem::take(&mut self.is_first) {
                chunk.splice(0..0, self.stale.take());
            }
            *self.stale.borrow_mut() = fresh;
        }
        if world.has(Fault::CollectsChunks) {
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

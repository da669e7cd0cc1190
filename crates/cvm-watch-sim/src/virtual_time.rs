//! The simulator in virtual time: a [`Client`] over the same scripts and scenarios, without sockets, where an hour of
//! waiting takes no time.
//!
//! For tests of code that takes a client. [`VirtualSim`] is the endpoint and its [`Transport`]; [`VirtualTime`] is the
//! clock, the [`Timer`] and what runs a future. Nothing passes while the code runs; when it waits, the clock jumps to the
//! next moment at which something happens. So each run takes the same course.
//!
//! ```
//! use std::time::Duration;
//!
//! use cvm_watch_driver::cvm_watch_core::Timestamp;
//! use cvm_watch_driver::{Client, Timer, Transport, WatchError};
//! use cvm_watch_sim::virtual_time::VirtualSim;
//! use cvm_watch_sim::{Attempt, Script};
//!
//! // The code to test: any client will do.
//! async fn restarted<T: Transport, C: Timer>(client: &Client<T, C>) -> Result<String, WatchError> {
//!     client.watch("my-cvm", "stopped").deadline(Duration::from_secs(3600)).await?;
//!     Ok(client.watch("my-cvm", "running").await?.status)
//! }
//!
//! let minute = Duration::from_secs(60);
//! let sim = VirtualSim::start();
//! let script = Script::new()
//!     .then(Attempt::stream().state("stopping").wait(4 * minute).reset())
//!     .then(Attempt::stream().state("stopped").complete("stopped"))
//!     .then(Attempt::stream().state("starting").wait(2 * minute).state("running").complete("running"));
//! sim.script("my-cvm", script);
//!
//! let status = sim.time().run(restarted(&sim.client()))?;
//! assert_eq!(status, "running");
//! assert_eq!(sim.log().requests().len(), 3);
//! assert!(sim.time().now() > Timestamp::ZERO + 6 * minute);
//! # Ok::<(), WatchError>(())
//! ```
//!
//! Everything happens on one thread: neither type is `Send`, and a task that waits for another thread, or for the
//! timers of a runtime, is reported as one that waits for nothing.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

use cvm_watch_driver::cvm_watch_core::{CloseCause, Timestamp};
use cvm_watch_driver::{Body, Client, Head, Request, Settings, Timer, Transport, TransportError};

use crate::endpoint::{Answer, Endpoint};
use crate::head::Framing;
use crate::http::RequestHead;
use crate::log::{ConnectionRecorder, End, Log};
use crate::script::{Ending, Move, Playback, Script};
use crate::sim::{Builder, Sim};

/// Where clients send their requests; nothing listens there.
const BASE_URL: &str = "http://127.0.0.1:9/api/v1";

/// A clock that stands still while code runs, and jumps when all of it waits. Clones are handles to the same clock.
///
/// ```
/// use std::time::Duration;
/// use cvm_watch_driver::cvm_watch_core::Timestamp;
/// use cvm_watch_sim::virtual_time::VirtualTime;
///
/// let time = VirtualTime::default();
/// let day = Timestamp::ZERO + Duration::from_secs(24 * 60 * 60);
/// time.run(time.sleep_until(day));
/// assert_eq!(time.now(), day);
/// ```
#[derive(Clone, Default)]
pub struct VirtualTime(Rc<Clock>);

#[derive(Default)]
struct Clock {
    now: Cell<Timestamp>,
    /// Until when it is known what arrived on the connections.
    arrived: Cell<Timestamp>,
    suspended: Cell<Duration>,
    /// What happens when; of two events at one moment the one with the lower number comes first.
    events: RefCell<BTreeMap<(Timestamp, u64), Event>>,
    next_number: Cell<u64>,
    polls: Cell<u64>,
}

enum Event {
    Wake(Waker),
    Call(Box<dyn FnOnce()>),
}

impl VirtualTime {
    /// The time now; it begins at [`Timestamp::ZERO`].
    pub fn now(&self) -> Timestamp {
        self.0.now.get()
    }

    /// A future that is ready from this moment on.
    pub fn sleep_until(&self, at: Timestamp) -> VirtualSleep {
        self.sleep(at, false)
    }

    fn sleep(&self, at: Timestamp, is_io: bool) -> VirtualSleep {
        VirtualSleep { time: self.clone(), key: (at, self.number()), is_io }
    }

    /// Runs a task to its end, jumping over every wait.
    ///
    /// # Panics
    ///
    /// When the task waits and nothing is left that could happen.
    pub fn run<F: IntoFuture>(&self, task: F) -> F::Output {
        let mut task = pin!(task.into_future());
        let woken = Arc::new(Woken::default());
        loop {
            if let Poll::Ready(output) = self.poll_with(task.as_mut(), &woken) {
                return output;
            }
            assert!(self.advance(), "the task waits for nothing, at {}", self.now());
        }
    }

    /// Polls a task until it waits; the clock stands still.
    pub fn poll<F: Future>(&self, task: Pin<&mut F>) -> Poll<F::Output> {
        self.poll_with(task, &Arc::new(Woken::default()))
    }

    fn poll_with<F: Future>(&self, mut task: Pin<&mut F>, woken: &Arc<Woken>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(woken));
        woken.0.store(false, Ordering::Relaxed);
        loop {
            self.0.polls.set(self.polls() + 1);
            if let Poll::Ready(output) = task.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(output);
            }
            if !woken.0.swap(false, Ordering::Relaxed) {
                return Poll::Pending;
            }
        }
    }

    /// Runs several tasks until all have ended or nothing is left that could happen; whether all have ended.
    pub fn run_tasks(&self, tasks: &mut Tasks) -> bool {
        loop {
            tasks.poll_woken();
            if tasks.is_empty() || !self.advance() {
                return tasks.is_empty();
            }
        }
    }

    /// How often a task was polled by [`run`](Self::run) and [`poll`](Self::poll).
    pub fn polls(&self) -> u64 {
        self.0.polls.get()
    }

    /// Jumps to the next moment at which something happens, and lets it happen; `false` if there is none.
    pub fn advance(&self) -> bool {
        let Some(next) = self.next_event() else { return false };
        self.pass(next.since(self.now()));
        true
    }

    /// Lets only the first of the next events happen; `false` if there is none.
    pub fn step(&self) -> bool {
        let Some(((at, _), event)) = self.0.events.borrow_mut().pop_first() else { return false };
        self.0.now.set(self.now().max(at));
        self.0.arrived.set(self.now());
        event.happen();
        true
    }

    /// Drops every event that has not happened. A function given to [`call_at`](Self::call_at) that holds this clock
    /// keeps it alive until then.
    pub fn clear(&self) {
        let events = self.0.events.take();
        drop(events);
    }

    /// When something happens next.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.0.events.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    /// Lets time pass, as when a caller takes long. What is due meanwhile happens at the end of it.
    pub fn pass(&self, time: Duration) {
        self.0.arrived.set(self.now() + time);
        self.stop(time);
    }

    /// Stops the process for a time, as Ctrl-Z and `fg` do. Timers are due when it goes on, and what arrived meanwhile
    /// is found when the task waits the next time.
    pub fn stop(&self, time: Duration) {
        self.0.now.set(self.now() + time);
        while self.next_event().is_some_and(|at| at <= self.now()) {
            let Some((_, event)) = self.0.events.borrow_mut().pop_first() else { return };
            event.happen();
        }
    }

    /// Suspends the machine for a time: it passes, and [`Timer::suspended`] grows by it.
    pub fn suspend(&self, time: Duration) {
        self.0.suspended.set(self.0.suspended.get() + time);
        self.pass(time);
    }

    /// Calls a function at a moment; one that has passed counts as now.
    pub fn call_at(&self, at: Timestamp, call: impl FnOnce() + 'static) {
        let at = at.max(self.now());
        self.0.events.borrow_mut().insert((at, self.number()), Event::Call(Box::new(call)));
    }

    fn number(&self) -> u64 {
        self.0.next_number.replace(self.0.next_number.get() + 1)
    }
}

impl Event {
    fn happen(self) {
        match self {
            Event::Wake(waker) => waker.wake(),
            Event::Call(call) => call(),
        }
    }
}

impl Timer for VirtualTime {
    type Sleep = VirtualSleep;

    fn now(&self) -> Timestamp {
        self.now()
    }

    fn suspended(&self) -> Duration {
        self.0.suspended.get()
    }

    fn sleep_until(&self, at: Timestamp) -> VirtualSleep {
        self.sleep_until(at)
    }
}

impl fmt::Debug for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualTime").field("now", &self.now()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Tasks that run side by side, each polled when it was woken and no more often; dropped, they are gone.
///
/// ```
/// use cvm_watch_sim::virtual_time::{Tasks, VirtualSim};
///
/// let sim = VirtualSim::start();
/// let (pool, driver) = sim.client().pool();
/// let mut tasks = Tasks::default();
/// tasks.spawn(driver);
/// for id in ["my-cvm", "flaky-1"] {
///     let watch = pool.watch(id, "running");
///     tasks.spawn(async move { assert!(watch.await.is_ok()) });
/// }
/// drop(pool);
/// assert!(sim.time().run_tasks(&mut tasks));
/// ```
#[derive(Default)]
pub struct Tasks(Vec<(Task, Arc<Woken>)>);

type Task = Pin<Box<dyn Future<Output = ()>>>;

impl Tasks {
    /// Adds a task.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.0.push((Box::pin(task), Arc::new(Woken(AtomicBool::new(true)))));
    }

    /// Polls until no task is woken; the clock stands still.
    pub fn poll_woken(&mut self) {
        while self.0.iter().any(|(_, woken)| woken.0.load(Ordering::Relaxed)) {
            self.0.retain_mut(|(task, woken)| {
                let waker = Waker::from(Arc::clone(woken));
                let is_woken = woken.0.swap(false, Ordering::Relaxed);
                !is_woken || task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
            });
        }
    }

    /// How many have not ended.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all have ended.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The sleep of a [`VirtualTime`]: ready from its moment on.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct VirtualSleep {
    time: VirtualTime,
    key: (Timestamp, u64),
    /// Whether it waits for what arrives on a connection.
    is_io: bool,
}

impl Future for VirtualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = if self.is_io { self.time.0.arrived.get() } else { self.time.now() };
        if self.key.0 <= now {
            return Poll::Ready(());
        }
        // The end of time is never reached.
        if self.key.0 < Timestamp::MAX {
            self.time.0.events.borrow_mut().insert(self.key, Event::Wake(cx.waker().clone()));
        }
        Poll::Pending
    }
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        self.time.0.events.borrow_mut().remove(&self.key);
    }
}

/// The simulator's endpoint in virtual time, and the transport to it. Clones are handles to the same endpoint.
///
/// It does what a [`Sim`] does, with the same scripts, scenarios, checks and log, except for what takes a socket:
/// [`Attempt::raw`](crate::Attempt::raw) bytes are an answer that is not HTTP, and packets are whole. The times in the
/// log are virtual too.
#[derive(Debug, Clone)]
pub struct VirtualSim {
    time: VirtualTime,
    endpoint: Arc<Endpoint>,
    /// Where the times of the log begin.
    epoch: Instant,
}

impl VirtualSim {
    /// Starts a simulator with default settings and a new clock.
    pub fn start() -> VirtualSim {
        Sim::builder().start_virtual()
    }

    /// As [`Sim::script`].
    pub fn script(&self, id: &str, script: impl Into<Script>) {
        self.endpoint.set_script(id, script.into());
    }

    /// As [`Sim::script_others`].
    pub fn script_others(&self, script: impl Into<Script>) {
        self.endpoint.set_other_script(script.into());
    }

    /// A client of this simulator, without a key.
    ///
    /// For other settings, use [`Client::new`] with the base URL `http://127.0.0.1/api/v1`, a clone of this simulator and
    /// one of its [`time`](Self::time).
    #[expect(clippy::missing_panics_doc, reason = "the settings are constants, and valid")]
    #[expect(clippy::expect_used, reason = "the settings are constants, and valid")]
    pub fn client(&self) -> Client<VirtualSim, VirtualTime> {
        let settings = Settings::builder().base_url(BASE_URL).build().expect("valid settings");
        Client::new(settings, self.clone(), self.time.clone())
    }

    /// The clock, which also runs tasks.
    pub const fn time(&self) -> &VirtualTime {
        &self.time
    }

    /// As [`Sim::mint_token`]; the token expires in virtual time.
    pub fn mint_token(&self) -> String {
        self.endpoint.mint_token(self.instant())
    }

    /// As [`Sim::log`].
    pub fn log(&self) -> &Log {
        self.endpoint.log()
    }

    /// As [`Sim::peak_streams`].
    pub fn peak_streams(&self) -> usize {
        self.endpoint.peak_streams()
    }

    fn instant(&self) -> Instant {
        let since = self.time.now().since(Timestamp::ZERO);
        self.epoch.checked_add(since).unwrap_or(self.epoch)
    }
}

impl Builder {
    /// A simulator in virtual time rather than over sockets; the speed, the address and the certificate mean nothing
    /// there.
    #[cfg_attr(docsrs, doc(cfg(feature = "virtual-time")))]
    pub fn start_virtual(self) -> VirtualSim {
        VirtualSim { time: VirtualTime::default(), endpoint: self.speed(1.0).endpoint(), epoch: Instant::now() }
    }
}

impl Transport for VirtualSim {
    type Body = VirtualBody;
    type Open = VirtualOpen;

    fn open(&self, request: Request) -> VirtualOpen {
        let host = [("host".to_owned(), request.base().authority().as_bytes().to_vec())];
        let headers =
            request.headers().iter().map(|header| (header.name().to_owned(), header.value().as_bytes().to_vec()));
        let head = RequestHead {
            method: "GET".to_owned(),
            target: request.target(),
            is_http10: false,
            headers: host.into_iter().chain(headers).collect(),
        };
        let recorder = self.log().accepted(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), self.instant());
        let answer = self.endpoint.answer(head, recorder.number(), self.instant());
        VirtualOpen(Some(VirtualBody {
            sim: self.clone(),
            opened: self.time.now(),
            playback: Playback::new(answer.attempt().clone()),
            answer: Some(answer),
            recorder,
            sleep: None,
        }))
    }
}

/// A connection of a [`VirtualSim`] whose response head has not arrived.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct VirtualOpen(Option<VirtualBody>);

impl Future for VirtualOpen {
    type Output = Result<(Head, VirtualBody), TransportError>;

    #[expect(clippy::panic, reason = "a future must not be polled after its end")]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut body) = self.0.take() else { panic!("polled after its end") };
        if body.poll_due(cx).is_pending() {
            self.0 = Some(body);
            return Poll::Pending;
        }
        let cause = match body.playback.next_move() {
            Some(Move::Head(head)) => {
                let head = Head { status: head.status, headers: head.headers.clone() };
                return Poll::Ready(Ok((head, body)));
            }
            Some(Move::End(Ending::Reset)) => CloseCause::Reset,
            Some(Move::Body(_) | Move::Raw(_)) => CloseCause::NotHttp,
            _ => CloseCause::Ended,
        };
        Poll::Ready(Err(body.fail(cause)))
    }
}

/// A response body of a [`VirtualSim`]; dropped, its connection is closed.
#[derive(Debug)]
pub struct VirtualBody {
    sim: VirtualSim,
    opened: Timestamp,
    playback: Playback,
    /// Holds the slot among the streams of the key.
    answer: Option<Answer>,
    recorder: ConnectionRecorder,
    sleep: Option<VirtualSleep>,
}

impl VirtualBody {
    /// Ready when the next move is due.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.playback.due() else { return Poll::Pending };
        let at = self.opened + due;
        if at > self.sim.time.0.arrived.get() {
            let sleep = match &mut self.sleep {
                Some(sleep) if sleep.key.0 == at => sleep,
                sleep => sleep.insert(self.sim.time.sleep(at, true)),
            };
            ready!(Pin::new(sleep).poll(cx));
        }
        self.sleep = None;
        Poll::Ready(())
    }

    fn end(&mut self, end: End) {
        // The slot is free before the client can see the end and come back.
        self.answer = None;
        self.recorder.end(end, self.sim.instant());
    }

    fn fail(&mut self, cause: CloseCause) -> TransportError {
        self.end(if cause == CloseCause::Reset { End::Reset } else { End::Closed });
        TransportError::new(cause, "the simulated connection ended")
    }
}

impl Body for VirtualBody {
    type Chunk = Vec<u8>;

    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, TransportError>>> {
        ready!(self.poll_due(cx));
        let has_framing = self.playback.attempt().framing_mode() != Framing::UntilClose;
        let cause = match self.playback.next_move() {
            Some(Move::Body(bytes)) => {
                let bytes = bytes.to_vec();
                self.recorder.sent(bytes.len(), self.sim.instant());
                return Poll::Ready(Some(Ok(bytes)));
            }
            Some(Move::End(Ending::Truncate)) if has_framing => CloseCause::Truncated,
            Some(Move::End(Ending::Reset)) => CloseCause::Reset,
            Some(Move::Raw(_) | Move::Head(_)) => CloseCause::NotHttp,
            _ => {
                self.end(End::Closed);
                return Poll::Ready(None);
            }
        };
        Poll::Ready(Some(Err(self.fail(cause))))
    }
}

impl Drop for VirtualBody {
    fn drop(&mut self) {
        self.end(End::ClientLeft);
    }
}

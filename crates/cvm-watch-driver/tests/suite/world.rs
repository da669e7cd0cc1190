//! A world without sockets: time jumps to the next thing that happens, and a transport built on
//! `Rc` plays the simulator's scripts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use cvm_watch_driver::core::{CloseCause, Timestamp};
use cvm_watch_driver::{Body, Client, Head, Request, Settings, Timer, Transport, TransportError};
use cvm_watch_sim::{Attempt, Ending, Move, Script};

/// The clock and all that waits for it.
#[derive(Clone, Default)]
pub(crate) struct World(Rc<Inner>);

#[derive(Default)]
struct Inner {
    now: Cell<Timestamp>,
    /// Until when the runtime has looked for ready I/O.
    looked: Cell<Timestamp>,
    suspended: Cell<Duration>,
    /// Who wants to be woken when; each sleep by its own number.
    alarms: RefCell<BTreeMap<(Timestamp, u64), Waker>>,
    slept: Cell<u64>,
    /// Every moment that a sleep was asked for, and when.
    sleeps: RefCell<Vec<(Timestamp, Timestamp)>>,
    open: Cell<usize>,
    most_open: Cell<usize>,
    requests: RefCell<Vec<String>>,
    polls: Cell<usize>,
}

impl World {
    pub(crate) fn now(&self) -> Timestamp {
        self.0.now.get()
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.0.open.get()
    }

    /// How many connections were open at once, at the most.
    pub(crate) fn most_open(&self) -> usize {
        self.0.most_open.get()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.0.requests.borrow().clone()
    }

    pub(crate) fn sleeps(&self) -> Vec<(Timestamp, Timestamp)> {
        self.0.sleeps.borrow().clone()
    }

    /// How often the main task was polled.
    pub(crate) fn polls(&self) -> usize {
        self.0.polls.get()
    }

    /// The clock jumps, as after a laptop's nap.
    pub(crate) fn jump(&self, by: Duration) {
        self.0.now.set(self.now() + by);
        self.0.looked.set(self.now());
        self.wake_due();
    }

    /// The process was stopped and continues: timers are due, and the runtime has not looked for ready I/O yet.
    /// It does when the task waits.
    pub(crate) fn stop(&self, time: Duration) {
        self.0.now.set(self.now() + time);
        self.wake_due();
    }

    /// The same on a machine that knows that it slept.
    pub(crate) fn nap(&self, time: Duration) {
        self.jump(time);
        self.0.suspended.set(self.0.suspended.get() + time);
    }

    pub(crate) fn client(&self, script: impl Into<Script>) -> Client<Scripted, VirtualTimer> {
        let script = script.into();
        self.client_of(move |_| script.clone())
    }

    /// A client of a server that plays to each CVM a script of its own.
    pub(crate) fn client_of(&self, script_of: impl Fn(&str) -> Script + 'static) -> Client<Scripted, VirtualTimer> {
        let scripts: RefCell<BTreeMap<String, (Script, u32)>> = RefCell::default();
        self.client_of_each(move |id| {
            let mut scripts = scripts.borrow_mut();
            let (script, count) = scripts.entry(id.to_owned()).or_insert_with(|| (script_of(id), 0));
            *count += 1;
            script.attempt(*count).clone()
        })
    }

    /// A client of a server that decides at each request what it does.
    pub(crate) fn client_of_each(&self, attempt: impl Fn(&str) -> Attempt + 'static) -> Client<Scripted, VirtualTimer> {
        let settings = Settings::builder().base_url("http://127.0.0.1:9/api/v1").build().unwrap();
        let transport = Scripted { world: self.clone(), attempt: Box::new(attempt) };
        Client::new(settings, transport, self.timer())
    }

    /// A transport that makes this of every attempt.
    pub(crate) fn transport(&self, attempt: Attempt) -> Scripted {
        Scripted { world: self.clone(), attempt: Box::new(move |_| attempt.clone()) }
    }

    pub(crate) fn timer(&self) -> VirtualTimer {
        VirtualTimer(self.clone())
    }

    /// Runs to the end, jumping over every pause.
    pub(crate) fn run<F: IntoFuture>(&self, task: F) -> F::Output {
        let mut task = pin!(task.into_future());
        loop {
            if let Poll::Ready(output) = self.poll(task.as_mut()) {
                return output;
            }
            assert!(self.advance(), "the task waits for nothing, at {}", self.now());
        }
    }

    /// Polls until the task waits.
    pub(crate) fn poll<F: Future>(&self, mut task: Pin<&mut F>) -> Poll<F::Output> {
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        loop {
            self.0.polls.set(self.polls() + 1);
            if let Poll::Ready(output) = task.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(output);
            }
            if !flag.0.swap(false, Ordering::Relaxed) {
                return Poll::Pending;
            }
        }
    }

    /// Runs several tasks, each polled only when it is woken, until all have ended, or
    /// nothing is left that could wake one. Returns whether they have ended.
    pub(crate) fn run_tasks(&self, tasks: &mut Tasks) -> bool {
        loop {
            tasks.poll_woken();
            if tasks.tasks.is_empty() {
                return true;
            }
            if !self.advance() {
                return false;
            }
        }
    }

    /// Jumps to the next alarm; false if there is none.
    pub(crate) fn advance(&self) -> bool {
        let Some(next) = self.0.alarms.borrow().keys().next().map(|(at, _)| *at) else { return false };
        self.0.now.set(self.now().max(next));
        self.0.looked.set(self.now());
        self.wake_due();
        true
    }

    /// I/O that is ready at a moment.
    pub(crate) fn sleep_until(&self, at: Timestamp) -> VirtualSleep {
        self.0.slept.set(self.0.slept.get() + 1);
        VirtualSleep { world: self.clone(), at, number: self.0.slept.get(), is_io: true }
    }

    fn wake_due(&self) {
        let mut alarms = self.0.alarms.borrow_mut();
        let later = alarms.split_off(&(self.now() + Duration::from_nanos(1), 0));
        let due = std::mem::replace(&mut *alarms, later);
        drop(alarms);
        due.into_values().for_each(Waker::wake);
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks, each with a waker of its own.
#[derive(Default)]
pub(crate) struct Tasks {
    tasks: Vec<(Task, Arc<Flag>)>,
}

impl Tasks {
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.tasks.push((Box::pin(task), Arc::new(Flag(AtomicBool::new(true)))));
    }

    /// Polls until no task is woken.
    pub(crate) fn poll_woken(&mut self) {
        while self.tasks.iter().any(|(_, flag)| flag.0.load(Ordering::Relaxed)) {
            self.tasks.retain_mut(|(task, flag)| {
                let waker = Waker::from(Arc::clone(flag));
                let is_woken = flag.0.swap(false, Ordering::Relaxed);
                !is_woken || task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
            });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) struct VirtualTimer(World);

impl Timer for VirtualTimer {
    type Sleep = VirtualSleep;

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn suspended(&self) -> Duration {
        self.0.0.suspended.get()
    }

    fn sleep_until(&self, at: Timestamp) -> VirtualSleep {
        self.0.0.sleeps.borrow_mut().push((self.0.now(), at));
        let mut sleep = self.0.sleep_until(at);
        sleep.is_io = false;
        sleep
    }
}

pub(crate) struct VirtualSleep {
    world: World,
    at: Timestamp,
    number: u64,
    is_io: bool,
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        self.world.0.alarms.borrow_mut().remove(&(self.at, self.number));
    }
}

impl Future for VirtualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = if self.is_io { self.world.0.looked.get() } else { self.world.now() };
        if self.at <= now {
            return Poll::Ready(());
        }
        self.world.0.alarms.borrow_mut().insert((self.at, self.number), cx.waker().clone());
        Poll::Pending
    }
}

/// Plays an attempt per request.
pub(crate) struct Scripted {
    world: World,
    attempt: Box<dyn Fn(&str) -> Attempt>,
}

impl Transport for Scripted {
    type Body = Connection;
    type Open = Opening;

    fn open(&self, request: Request) -> Opening {
        let target = request.target();
        let id = target.split('/').nth(4).unwrap_or_default().to_owned();
        // An attempt of a test may live as long as the test program.
        let moves = Box::leak(Box::new((self.attempt)(&id))).moves();
        self.world.0.requests.borrow_mut().push(target);
        self.world.0.open.set(self.world.open() + 1);
        self.world.0.most_open.set(self.world.most_open().max(self.world.open()));
        Opening(Some(Connection { world: self.world.clone(), moves: Box::new(moves), waits: None }))
    }
}

pub(crate) struct Connection {
    world: World,
    moves: Box<dyn Iterator<Item = Move<'static>>>,
    waits: Option<VirtualSleep>,
}

impl Connection {
    /// The next move that is no pause.
    fn poll_move(&mut self, cx: &mut Context<'_>) -> Poll<Move<'static>> {
        loop {
            if let Some(sleep) = &mut self.waits {
                std::task::ready!(Pin::new(sleep).poll(cx));
                self.waits = None;
            }
            match self.moves.next() {
                Some(Move::Wait(time)) => self.waits = Some(self.world.sleep_until(self.world.now() + time)),
                Some(Move::End(Ending::Stall)) | None => {
                    self.waits = Some(self.world.sleep_until(Timestamp::MAX));
                    return Poll::Pending;
                }
                Some(next) => return Poll::Ready(next),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.world.0.open.set(self.world.open() - 1);
    }
}

pub(crate) struct Opening(Option<Connection>);

impl Future for Opening {
    type Output = Result<(Head, Connection), TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(connection) = &mut self.0 else { panic!("polled after its end") };
        let next = std::task::ready!(connection.poll_move(cx));
        Poll::Ready(match (next, self.0.take()) {
            (Move::Head(head), Some(connection)) => {
                Ok((Head { status: head.status, headers: head.headers.clone() }, connection))
            }
            (Move::End(Ending::Reset), _) => Err(TransportError::new(CloseCause::Reset, "the peer is gone")),
            (Move::Raw(_), _) => Err(CloseCause::NotHttp.into()),
            _ => Err(CloseCause::Ended.into()),
        })
    }
}

impl Body for Connection {
    type Chunk = &'static [u8];

    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<&'static [u8], TransportError>>> {
        self.poll_move(cx).map(|next| match next {
            Move::Body(bytes) => Some(Ok(bytes)),
            Move::End(Ending::Truncate) => Some(Err(CloseCause::Truncated.into())),
            Move::End(Ending::Reset) => Some(Err(TransportError::new(CloseCause::Reset, "the peer is gone"))),
            _ => None,
        })
    }
}

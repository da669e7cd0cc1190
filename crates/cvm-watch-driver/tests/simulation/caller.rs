//! The callers: how they set up a watch, how slowly they read its updates, when they abort or drop it, and when their
//! process restarts.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use cvm_watch_driver::cvm_watch_core::Backoff;
use cvm_watch_driver::{Client, Settings, WatchHandle};
use futures_core::Stream;

use crate::defects::Defect;
use crate::network::{Network, NetworkHandle};
use crate::oracle::{Oracle, SharedOracle};
use crate::random::Random;
use crate::server::Server;
use crate::simulation::{HOUR, MILLI, MINUTE, MachineTimer, Nanos, SECOND, Simulation};

/// The parameters of a watch.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) target: String,
    pub(crate) interval: Nanos,
    pub(crate) timeout: Nanos,
    pub(crate) max_retries: Option<u64>,
    pub(crate) retry_delay: Option<Nanos>,
    pub(crate) backoff_cap: Option<Nanos>,
    pub(crate) connect_timeout: Nanos,
    pub(crate) idle_timeout: Option<Nanos>,
    pub(crate) deadline: Option<Nanos>,
    pub(crate) grace: Nanos,
    pub(crate) max_event_bytes: usize,
    /// The callback stops the watch after this many events.
    pub(crate) stops_after: Option<u64>,
}

impl Rules {
    pub(crate) fn new(random: &mut Random, target: &str) -> Self {
        let target = if random.chance(10) { target.to_ascii_uppercase() } else { target.to_owned() };
        let retry_delay =
            random.chance(40).then(|| random.pick(&[0, MILLI, 300 * MILLI, SECOND, 5 * SECOND, 61 * SECOND]));
        let backoff = random.chance(30);
        Self {
            target,
            interval: random.pick(&[5, 5, 10, 30]) * SECOND,
            timeout: random.pick(&[10, 30, 60, 300, 300, 600]) * SECOND,
            max_retries: random.chance(25).then(|| random.pick(&[0, 1, 2, 5, 20])),
            retry_delay,
            backoff_cap: backoff.then(|| random.pick(&[61, 30 + 61, 300]) * SECOND),
            connect_timeout: random.pick(&[SECOND, 10 * SECOND, 30 * SECOND, 30 * SECOND, HOUR]),
            idle_timeout: random.chance(25).then(|| random.pick(&[6, 16, 45, 90]) * SECOND),
            deadline: random.chance(25).then(|| random.between(SECOND, 40 * MINUTE)),
            grace: random.pick(&[0, 2 * SECOND, 2 * SECOND, 2 * SECOND, 20 * SECOND]),
            max_event_bytes: random.pick(&[4 << 20, 4 << 20, 4096]),
            stops_after: random.chance(4).then(|| random.between(1, 30)),
        }
    }

    /// The longest delay before a retry.
    pub(crate) fn longest_delay(&self) -> Nanos {
        [300 * SECOND, self.retry_delay.unwrap_or(0), self.backoff_cap.unwrap_or(0)].into_iter().max().unwrap_or(0)
    }
}

/// What a caller does at a given time, independently of the watch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Abort,
    Drop,
    /// The process ends, and starts again after this pause.
    Restart(Nanos),
}

/// One program with one watch.
pub(crate) struct Caller {
    simulation: Simulation,
    server: Rc<Server>,
    id: String,
    key: String,
    rules: Rules,
    /// The chance in percent that it is slow to read the next update, and for how long at most.
    dawdles: (u64, Nanos),
    acts: Vec<(Nanos, Act)>,
    random: Random,
    runs: u64,
    starts_at: Option<Nanos>,
    run: Option<Run>,
    polls: u64,
    events: u64,
    pub(crate) reached: u64,
}

struct Run {
    watch: WatchHandle<Network, MachineTimer>,
    oracle: SharedOracle,
    network: NetworkHandle,
    abort: Arc<Abort>,
    flag: Arc<Flag>,
    busy_until: Option<Nanos>,
}

impl Caller {
    pub(crate) fn new(server: &Rc<Server>, id: String, key: String, rules: Rules, random: &mut Random) -> Self {
        let healthy_from = server.faults.healthy_from;
        let mut acts = Vec::new();
        if healthy_from > 0 {
            let when = random.between(0, healthy_from);
            match random.below(20) {
                0 | 1 => acts.push((when, Act::Abort)),
                2 => acts.push((when, Act::Drop)),
                3 => acts.push((when, Act::Restart(random.between(0, MINUTE)))),
                _ => {}
            }
        }
        let dawdles = match random.below(5) {
            0 => (random.between(1, 50), random.pick(&[10 * MILLI, SECOND, 40 * SECOND, 3 * MINUTE])),
            _ => (0, 0),
        };
        let starts_at = random.pick(&[0, 0, 0, 7 * SECOND]);
        let caller = Self {
            simulation: server.simulation.clone(),
            server: Rc::clone(server),
            id,
            key,
            rules,
            dawdles,
            acts,
            random: Random::new(random.next(), 2),
            runs: 0,
            starts_at: Some(starts_at),
            run: None,
            polls: 0,
            events: 0,
            reached: 0,
        };
        for (at, _) in &caller.acts {
            caller.simulation.at(*at, || {});
        }
        caller.simulation.at(starts_at, || {});
        caller
    }

    pub(crate) fn is_done(&self) -> bool {
        self.run.is_none() && self.starts_at.is_none()
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) fn polls(&self) -> u64 {
        self.polls
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn suspend(&mut self, random: &mut Random) {
        if let Some(run) = &self.run {
            run.network.suspend(random);
        }
    }

    /// Polls the watch although it was not woken.
    pub(crate) fn nudge(&mut self) {
        if let Some(run) = &self.run {
            run.flag.0.store(true, Ordering::Relaxed);
            run.oracle.borrow_mut().reason();
        }
    }

    /// Does one thing that is due now; returns whether there was one.
    pub(crate) fn step(&mut self) -> bool {
        let now = self.simulation.now();
        if self.acts.first().is_some_and(|(at, _)| *at <= now) {
            let (_, act) = self.acts.remove(0);
            self.act(act);
            return true;
        }
        if self.starts_at.is_some_and(|at| at <= now) {
            self.starts_at = None;
            self.start();
            return true;
        }
        let Some(run) = &mut self.run else { return false };
        let late = match run.busy_until {
            Some(until) if now < until => return false,
            Some(_) => true,
            None => false,
        };
        if !late && !run.flag.0.swap(false, Ordering::Relaxed) {
            return false;
        }
        run.busy_until = None;
        self.poll(late);
        true
    }

    fn poll(&mut self, late: bool) {
        let Some(run) = &mut self.run else { return };
        run.flag.0.store(false, Ordering::Relaxed);
        run.oracle.borrow_mut().before_poll(late);
        let waker = Waker::from(Arc::clone(&run.flag));
        match Pin::new(&mut run.watch).poll_next(&mut Context::from_waker(&waker)) {
            Poll::Pending => run.oracle.borrow_mut().waits(!run.flag.0.load(Ordering::Relaxed)),
            Poll::Ready(Some(update)) => {
                run.flag.0.store(true, Ordering::Relaxed);
                if self.simulation.has(Defect::LosesUpdates) && self.random.chance(6) {
                    return;
                }
                run.oracle.borrow_mut().update(&update);
                let (chance, most) = self.dawdles;
                if !self.server.is_healthy() && self.random.chance(chance) {
                    let until = self.simulation.now() + self.random.between(1, most);
                    run.busy_until = Some(until);
                    self.simulation.at(until, || {});
                }
            }
            Poll::Ready(None) => self.end(),
        }
    }

    fn end(&mut self) {
        let Some(run) = self.run.take() else { return };
        let Poll::Ready(outcome) = pin!(run.watch.into_future()).poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("{}: the updates ended without an outcome", self.id)
        };
        let mut oracle = run.oracle.borrow_mut();
        oracle.ended(&outcome);
        self.polls += oracle.polls();
        self.events += oracle.events();
        self.reached += u64::from(outcome.is_ok());
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Abort => {
                if let Some(run) = &self.run {
                    run.oracle.borrow_mut().abort();
                    run.abort.fire(!self.simulation.has(Defect::LosesAborts));
                }
            }
            Act::Drop => self.drop_watch(),
            Act::Restart(pause) => {
                if self.run.is_some() {
                    self.drop_watch();
                    let at = self.simulation.now() + pause;
                    self.starts_at = Some(at);
                    self.simulation.at(at, || {});
                }
            }
        }
    }

    fn drop_watch(&mut self) {
        let Some(run) = self.run.take() else { return };
        drop(run.watch);
        let mut oracle = run.oracle.borrow_mut();
        oracle.dropped();
        self.polls += oracle.polls();
        self.events += oracle.events();
    }

    fn start(&mut self) {
        self.runs += 1;
        let oracle = Oracle::new(&self.simulation, format!("{}.{}", self.id, self.runs), self.rules.clone());
        let network = Network::new(Rc::clone(&self.server));
        let handle = network.handle();
        handle.set_oracle(&self.id, Rc::clone(&oracle));
        let settings = Settings::builder().base_url("http://127.0.0.1:9/api/v1").api_key(&self.key).build().unwrap();
        let client = Client::new(settings, network, MachineTimer(self.simulation.clone()));
        let abort = Arc::new(Abort::default());
        let watch = self.set_up(&client).abort_on(Signal(Arc::clone(&abort)));
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        self.run = Some(Run { watch, oracle, network: handle, abort, flag, busy_until: None });
    }

    fn set_up(&mut self, client: &Client<Network, MachineTimer>) -> WatchHandle<Network, MachineTimer> {
        let (rules, nanos) = (&self.rules, Duration::from_nanos);
        let mut watch = client
            .watch(&*self.id, &*rules.target)
            .interval(nanos(rules.interval))
            .timeout(nanos(rules.timeout))
            .connect_timeout(nanos(rules.connect_timeout))
            .configure(|config| config.complete_grace(nanos(rules.grace)).max_event_bytes(rules.max_event_bytes))
            .seed(self.random.next());
        if let Some(most) = rules.max_retries {
            watch = watch.max_retries(most);
        }
        if let Some(delay) = rules.retry_delay {
            watch = watch.retry_delay(nanos(delay));
        }
        if let Some(cap) = rules.backoff_cap {
            watch = watch.backoff(Backoff::up_to(nanos(cap)));
        }
        if let Some(idle) = rules.idle_timeout {
            watch = watch.idle_timeout(nanos(idle));
        }
        if let Some(deadline) = rules.deadline {
            watch = watch.deadline(nanos(deadline));
        }
        if let Some(stops_after) = rules.stops_after {
            let mut events = 0;
            watch = watch.on_event(move |_| {
                events += 1;
                if events == stops_after { ControlFlow::Break("seen enough") } else { ControlFlow::Continue(()) }
            });
        }
        watch
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The signal to abort.
#[derive(Default)]
struct Abort {
    given: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Abort {
    fn fire(&self, wakes: bool) {
        self.given.store(true, Ordering::Relaxed);
        if let Some(waker) = self.waker.lock().unwrap().take()
            && wakes
        {
            waker.wake();
        }
    }
}

struct Signal(Arc<Abort>);

impl Future for Signal {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.given.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        *self.0.waker.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    }
}

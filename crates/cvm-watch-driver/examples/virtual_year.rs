//! A year of watching in a few seconds: the real client over a transport and a timer that know no
//! real time, and how much virtual time a second of CPU brings.
//!
//! `cargo run --release -p cvm-watch-driver --example virtual_year [DAYS]`
//!
//! Attempts of 300 seconds that the server ends by its `timeout` event, with one `state` a minute;
//! then, ten times as long, attempts on which nothing comes at all. Without `--release` it runs a
//! month rather than a year.

#![allow(clippy::print_stdout, reason = "that is what the example is for")]
#![allow(clippy::unwrap_used, reason = "an example ends with the first thing that goes wrong")]

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cvm_watch_driver::core::Timestamp;
use cvm_watch_driver::{Body, Client, Head, Request, Settings, Timer, Transport, TransportError};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(300);
const STATE: &[u8] =
    b"event: state\ndata: {\"id\":\"my-cvm\",\"status\":\"starting\",\"boot_progress\":\"booting\"}\n\n";
const TIMED_OUT: &[u8] = b"event: timeout\ndata: {\"error\":\"timeout\",\"target\":\"running\",\"elapsed\":300}\n\n";

fn main() {
    let usual = if cfg!(debug_assertions) { 30 } else { 365 };
    let days = std::env::args().nth(1).map_or(usual, |days| days.parse().unwrap());
    report("one state a minute", true, days * DAY);
    report("silence", false, 10 * days * DAY);
}

fn report(name: &str, talks: bool, span: Duration) {
    let before = cpu_time();
    let clock = Clock::default();
    let requests = watch(&clock, talks, span);
    let cpu = cpu_time() - before;
    let days = |time: Duration| time.as_secs_f64() / DAY.as_secs_f64();
    println!(
        "{name}: {:.0} days, {requests} attempts, {:.2} s of CPU; {:.1} days of virtual time per CPU second",
        days(span),
        cpu.as_secs_f64(),
        days(span) / cpu.as_secs_f64(),
    );
}

/// Watches until the deadline, jumping from wake to wake. Answers how many requests were made.
fn watch(clock: &Clock, talks: bool, span: Duration) -> u64 {
    let settings = Settings::builder().base_url("http://127.0.0.1:9/api/v1").build().unwrap();
    let requests = Rc::new(Cell::new(0));
    let transport = Server { clock: clock.clone(), talks, requests: Rc::clone(&requests) };
    let client = Client::new(settings, transport, clock.clone());
    let mut watch = pin!(client.watch("my-cvm", "running").deadline(span).into_future());
    let mut context = Context::from_waker(Waker::noop());
    while watch.as_mut().poll(&mut context).is_pending() {
        clock.jump();
    }
    assert_eq!(clock.now(), Timestamp::ZERO + span);
    requests.get()
}

/// What the thread has used of the processor.
#[cfg(target_os = "linux")]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// The time that has passed; the closest there is to CPU time here.
#[cfg(not(target_os = "linux"))]
fn cpu_time() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Virtual time, and the next moment that somebody waits for.
#[derive(Clone, Default)]
struct Clock(Rc<(Cell<Timestamp>, Cell<Option<Timestamp>>)>);

impl Clock {
    fn jump(&self) {
        let (now, next) = &*self.0;
        now.set(next.take().unwrap());
    }

    fn wait(&self, until: Timestamp) -> Poll<()> {
        let (now, next) = &*self.0;
        if until <= now.get() {
            return Poll::Ready(());
        }
        next.set(Some(next.get().map_or(until, |next| next.min(until))));
        Poll::Pending
    }
}

impl Timer for Clock {
    type Sleep = Sleep;

    fn now(&self) -> Timestamp {
        self.0.0.get()
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        Sleep(self.clone(), at)
    }
}

struct Sleep(Clock, Timestamp);

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0.wait(self.1)
    }
}

struct Server {
    clock: Clock,
    talks: bool,
    requests: Rc<Cell<u64>>,
}

impl Transport for Server {
    type Body = Stream;
    type Open = std::future::Ready<Result<(Head, Stream), TransportError>>;

    fn open(&self, _: Request) -> Self::Open {
        self.requests.set(self.requests.get() + 1);
        let head = Head { status: 200, headers: vec![("content-type".into(), b"text/event-stream".into())] };
        let began = self.clock.now();
        let next = if self.talks { began } else { Timestamp::MAX };
        std::future::ready(Ok((head, Stream { clock: self.clock.clone(), next, ends: began + TIMEOUT })))
    }
}

/// A state a minute, and the timeout at the end.
struct Stream {
    clock: Clock,
    next: Timestamp,
    ends: Timestamp,
}

impl Body for Stream {
    type Chunk = &'static [u8];

    fn poll_chunk(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<&'static [u8], TransportError>>> {
        let at = self.next;
        std::task::ready!(self.clock.wait(at));
        self.next = at + MINUTE;
        Poll::Ready(Some(Ok(if at < self.ends { STATE } else { TIMED_OUT })))
    }
}

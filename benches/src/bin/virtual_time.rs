//! How much time passes per CPU second when the clock is virtual: the real driver over a transport
//! and a timer that never wait.
//!
//! `cargo run --release --bin virtual_time`

use std::cell::Cell;
use std::future::{IntoFuture, Ready, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cvm_watch_benches::measure::cpu_time;
use cvm_watch_benches::report::{Table, machine, median};
use cvm_watch_driver::core::{Event, Failure, Timestamp};
use cvm_watch_driver::{Body, Client, Head, Request, Settings, Timer, Transport, TransportError, Update, WatchError};

const YEAR: Duration = Duration::from_secs(31_557_600);
const MINUTE: Duration = Duration::from_secs(60);
/// After how long the server ends a stream.
const ATTEMPT: Duration = Duration::from_secs(300);
const REPEATS: usize = 7;
const STATE: &[u8] = b"event: state\ndata: {\"id\":\"9e3779b9a4c1\",\"instance_id\":\"i-9e3779b9\",\"name\":\"compose-web\",\
    \"status\":\"starting\",\"uptime\":\"60s\",\"exited_at\":null,\"boot_progress\":\"booting\",\"boot_error\":null}\n\n";
const TIMEOUT: &[u8] = b"event: timeout\ndata: {\"error\":\"timed out\",\"target\":\"running\",\"elapsed\":300.0}\n\n";

fn main() {
    println!("{}\n\nMedians of {REPEATS}.\n", machine());
    let mut table = Table::new(["", "attempts", "states", "polls", "CPU, ms", "ns per poll", "years per CPU second"]);
    let hour = Duration::from_secs(3600);
    for (name, pause, years) in [
        ("one year of attempts of 300 s, a `state` each minute", MINUTE, 1),
        ("ten years of attempts of 300 s without an event", hour, 10),
    ] {
        let runs: Vec<Lived> = (0..REPEATS).map(|_| live(pause, years)).collect();
        let Lived { attempts, states, polls, .. } = runs[0];
        assert!(runs.iter().all(|run| (run.attempts, run.states, run.polls) == (attempts, states, polls)));
        let cpu = median(runs.iter().map(|run| run.cpu.as_secs_f64()).collect());
        table.row([
            name.to_owned(),
            attempts.to_string(),
            states.to_string(),
            polls.to_string(),
            format!("{:.0}", cpu * 1e3),
            format!("{:.0}", cpu * 1e9 / polls as f64),
            format!("{:.1}", f64::from(years) / cpu),
        ]);
    }
    table.print();
}

struct Lived {
    attempts: u64,
    states: u64,
    polls: u64,
    cpu: Duration,
}

/// One watch until its deadline, and what it saw against what it was sent.
fn live(pause: Duration, years: u32) -> Lived {
    let world = World::default();
    let settings = Settings::builder().base_url("http://127.0.0.1:9/api/v1").build().expect("settings");
    let client = Client::new(settings, Server { world: world.clone(), pause }, world.clone());
    let seen = Rc::new(Cell::new(0));
    let start = cpu_time();
    let mut watching = client.watch("my-cvm", "running").timeout(ATTEMPT).deadline(YEAR * years).seed(7);
    let (mut attempts, mut polls) = (0, 0);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        polls += 1;
        world.0.next.set(None);
        match pin!(watching.next_update()).poll(&mut cx) {
            Poll::Ready(Some(Update::Event { event: Event::State(_), .. })) => seen.set(seen.get() + 1),
            Poll::Ready(Some(Update::Connecting { attempt, .. })) => attempts = attempt.number(),
            Poll::Ready(Some(_)) => {}
            Poll::Ready(None) => break,
            Poll::Pending => world.advance(),
        }
    }
    let Poll::Ready(end) = pin!(watching.into_future()).poll(&mut cx) else { panic!("a watch that ended says how") };
    let cpu = cpu_time() - start;
    let Err(WatchError::Failed { failure, .. }) = end else { panic!("{end:?}") };
    assert!(matches!(*failure, Failure::DeadlineExceeded { .. }), "{failure:?}");
    assert_eq!(world.now(), Timestamp::ZERO + YEAR * years);
    assert_eq!(seen.get(), world.0.sent.get());
    assert!(attempts > 100_000 * u64::from(years), "{attempts} attempts");
    Lived { attempts, states: seen.get(), polls, cpu }
}

/// The clock, and the next moment at which something is due.
#[derive(Clone, Default)]
struct World(Rc<Clock>);

#[derive(Default)]
struct Clock {
    now: Cell<Timestamp>,
    next: Cell<Option<Timestamp>>,
    sent: Cell<u64>,
}

impl World {
    /// Whether a moment has come; if not, the clock will go no further than to it.
    fn is_due(&self, at: Timestamp) -> bool {
        let due = at <= self.0.now.get();
        if !due {
            self.0.next.set(Some(self.0.next.get().map_or(at, |next| next.min(at))));
        }
        due
    }

    fn advance(&self) {
        self.0.now.set(self.0.next.get().expect("a watch that waits for something"));
    }
}

impl Timer for World {
    type Sleep = Sleep;

    fn now(&self) -> Timestamp {
        self.0.now.get()
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        Sleep { world: self.clone(), at }
    }
}

struct Sleep {
    world: World,
    at: Timestamp,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.world.is_due(self.at) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Answers at once; sends a state after each pause, and ends the stream by a `timeout` event.
struct Server {
    world: World,
    pause: Duration,
}

impl Transport for Server {
    type Body = Streaming;
    type Open = Ready<Result<(Head, Streaming), TransportError>>;

    fn open(&self, _: Request) -> Self::Open {
        let headers = vec![("content-type".to_owned(), b"text/event-stream".to_vec())];
        let now = self.world.now();
        let body =
            Streaming { world: self.world.clone(), pause: self.pause, next: now + self.pause, end: now + ATTEMPT };
        ready(Ok((Head { status: 200, headers }, body)))
    }
}

struct Streaming {
    world: World,
    pause: Duration,
    next: Timestamp,
    end: Timestamp,
}

impl Body for Streaming {
    type Chunk = &'static [u8];

    fn poll_chunk(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Self::Chunk, TransportError>>> {
        if self.next < self.end {
            if !self.world.is_due(self.next) {
                return Poll::Pending;
            }
            self.next = self.next + self.pause;
            self.world.0.sent.set(self.world.0.sent.get() + 1);
            return Poll::Ready(Some(Ok(STATE)));
        }
        if !self.world.is_due(self.end) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(TIMEOUT)))
    }
}

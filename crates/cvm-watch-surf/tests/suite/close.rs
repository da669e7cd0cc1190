//! That an abort closes the connection in every phase, and that nothing comes after it.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use async_std::channel;
use async_std::task::spawn_blocking;
use cvm_watch_sim::{Attempt, End, Sim};
use cvm_watch_surf::{Event, Failure, Update, Watching};

use crate::{LONG, client, failure};

fn watch(sim: &Sim, attempt: Attempt) -> Watching {
    sim.script("x", attempt);
    client(sim.base_url()).build().unwrap().watch("x", "running")
}

async fn assert_aborted(watch: Watching, sim: &Sim) {
    assert_eq!(failure(watch.await.unwrap_err()), Failure::Aborted);
    assert_eq!(sim.log().wait_until_closed(1, LONG).unwrap().end.unwrap().0, End::ClientLeft);
    assert_eq!(sim.log().requests().len(), 1);
}

/// The signal is the server's having the request.
#[async_std::test]
async fn an_abort_before_the_head_closes_the_connection() {
    let sim = Sim::start().unwrap();
    let log = sim.log().clone();
    let asked = spawn_blocking(move || log.wait_for_requests(1, LONG));
    assert_aborted(watch(&sim, Attempt::new().stall()).abort_on(asked), &sim).await;
}

#[async_std::test]
async fn an_abort_while_the_stream_is_silent_closes_the_connection() {
    let sim = Sim::start().unwrap();
    let (stop, stopped) = channel::bounded::<()>(1);
    let watch = watch(&sim, Attempt::stream().state("starting").stall())
        .on_event(move |_| stop.try_send(()).unwrap())
        .abort_on(async move { stopped.recv().await });
    assert_aborted(watch, &sim).await;
}

#[async_std::test]
async fn an_abort_is_heard_in_a_flood() {
    let sim = Sim::start().unwrap();
    let (stop, stopped) = channel::bounded::<()>(1);
    let mut events = 0;
    let watch = watch(&sim, Attempt::stream().flood("event: state\ndata: {\"status\":\"starting\"}\n\n", 1 << 40))
        .on_event(move |_| {
            events += 1;
            if events == 100 {
                stop.try_send(()).unwrap();
            }
            assert!(events <= 100, "an event came after the abort");
        })
        .abort_on(async move { stopped.recv().await });
    assert_aborted(watch, &sim).await;
}

#[async_std::test]
async fn an_abort_while_waiting_to_retry_makes_no_further_request() {
    let sim = Sim::start().unwrap();
    sim.script("x", Attempt::new().refuse());
    let (stop, stopped) = channel::bounded::<()>(1);
    let client = client(sim.base_url()).build().unwrap();
    let watch = client.watch("x", "running").retry_delay(Duration::from_secs(3600));
    let mut watch = watch.abort_on(async move { stopped.recv().await });
    while let Some(update) = watch.next_update().await {
        if let Update::Retrying { .. } = update {
            stop.try_send(()).unwrap();
        }
    }
    assert_eq!(failure(watch.await.unwrap_err()), Failure::Aborted);
    assert_eq!(sim.log().connections().len(), 1);
}

#[async_std::test]
async fn an_abort_while_tls_is_being_set_up_closes_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let client = client(base).root_certificates(authority).build().unwrap();
    let (kept, keep) = channel::bounded(1);
    // The signal is the first byte of the handshake, which is never answered.
    let begun = spawn_blocking(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        kept.try_send(stream).unwrap();
    });
    let error = client.watch("x", "running").abort_on(begun).await.unwrap_err();
    assert_eq!(failure(error), Failure::Aborted);
    let mut stream = keep.try_recv().unwrap();
    // To the end, or a reset: a timeout would be neither.
    if let Err(error) = spawn_blocking(move || stream.read_to_end(&mut Vec::new())).await {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[async_std::test]
async fn an_abort_before_the_start_makes_no_request() {
    let sim = Sim::start().unwrap();
    let error = watch(&sim, Attempt::new().stall()).abort_on(async {}).await.unwrap_err();
    assert_eq!(failure(error), Failure::Aborted);
    assert!(sim.log().connections().is_empty());
}

#[async_std::test]
async fn an_event_is_there_while_the_server_still_holds_the_stream() {
    let sim = Sim::start().unwrap();
    let mut watch = watch(&sim, Attempt::stream().state("starting").stall());
    let state = loop {
        if let Some(Update::Event { event: Event::State(state), .. }) = watch.next_update().await {
            break state;
        }
    };
    assert_eq!((state.status.as_str(), sim.log().open_connections()), ("starting", 1));
    drop(watch);
    assert!(sim.log().wait_until_closed(1, LONG).unwrap().left_by_client());
}

#[test]
fn any_executor_will_do_and_a_watch_can_move_between_threads() {
    let sim = Sim::start().unwrap();
    let watch = watch(&sim, Attempt::stream().complete("running"));
    let state = thread::spawn(move || {
        let mut outcome = Box::pin(watch.into_future());
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut cx = Context::from_waker(&waker);
        loop {
            match outcome.as_mut().poll(&mut cx) {
                Poll::Ready(state) => return state,
                Poll::Pending => thread::park(),
            }
        }
    });
    assert!(state.join().unwrap().unwrap().is("running"));
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

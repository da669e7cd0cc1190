//! How soon a connection is gone.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use cvm_watch_hyper::{Client, Failure, Update, Watching};
use cvm_watch_sim::{Attempt, Sim};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const SOON: Duration = Duration::from_secs(2);

/// Contract row 21.
#[tokio::test]
async fn an_abort_closes_the_socket_in_every_phase() {
    for (phase, script) in [
        ("before the head", Attempt::new().stall()),
        ("streaming", Attempt::stream().state("starting").stall()),
        ("in a flood", Attempt::stream().flood("event: state\ndata: {\"status\":\"starting\"}\n\n", 1 << 40)),
        ("reading an error", Attempt::new().head(404, &[]).stall()),
    ] {
        let sim = Sim::start().unwrap();
        sim.script("my-cvm", script);
        let client = Client::builder().base_url(sim.base_url()).build().unwrap();
        let (abort, signal) = tokio::sync::oneshot::channel::<()>();
        let watch = client.watch("my-cvm", "running").abort_on(signal);
        let log = sim.log().clone();
        let asked = tokio::task::spawn_blocking(move || log.wait_for_requests(1, SOON).map(drop));
        let aborting = async {
            asked.await.unwrap().unwrap();
            abort.send(()).unwrap();
        };
        let (outcome, ()) = tokio::join!(async { watch.await }, aborting);
        let start = Instant::now();
        assert_eq!(outcome.unwrap_err().failure(), Some(&Failure::Aborted), "{phase}");
        sim.log().wait_until_idle(SOON).unwrap();
        assert!(start.elapsed() < SOON, "{phase}: the socket stayed open for {:?}", start.elapsed());
        assert_eq!(sim.log().requests().len(), 1, "{phase}");
    }
}

#[tokio::test]
async fn an_abort_while_waiting_to_retry_makes_no_more_requests() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::new().refuse());
    let client = Client::builder().base_url(sim.base_url()).build().unwrap();
    let (abort, signal) = tokio::sync::oneshot::channel::<()>();
    let mut watch = client.watch("my-cvm", "running").retry_delay(Duration::from_secs(3600)).abort_on(signal);
    while let Some(update) = watch.next_update().await {
        if let Update::Retrying { .. } = update {
            break;
        }
    }
    abort.send(()).unwrap();
    assert_eq!(watch.await.unwrap_err().failure(), Some(&Failure::Aborted));
    assert_eq!(sim.log().requests().len(), 1);
}

/// Contract row 5.
#[tokio::test]
async fn the_old_connection_is_closed_before_the_new_one_is_made() {
    let sim = Sim::builder().stream_limit(1).start().unwrap();
    // With room for one stream, a second connection beside the first would be answered by 429.
    sim.script("my-cvm", Attempt::stream().timeout("running", 300.0).stall());
    let client = Client::builder().base_url(sim.base_url()).build().unwrap();
    let watch = client.watch("my-cvm", "running").max_retries(5).retry_delay(Duration::from_millis(100));
    let error = watch.await.unwrap_err();
    assert!(error.to_string().contains("the server's timeout"), "{error}");
    assert_eq!((sim.log().requests().len(), sim.peak_streams()), (6, 1));
}

/// A listener whose queue is full and never emptied: the system drops what more clients send, as a
/// silent firewall would.
struct BlackHole {
    addr: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        // The first that is left waiting shows that the queue is full.
        while let Ok(client) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(addr)).await {
            queued.push(client.unwrap());
            assert!(queued.len() < 64, "the queue never filled");
        }
        Self { addr, _listener: listener, _queued: queued }
    }
}

/// Polls once, as a select beside something else would; it must have to wait.
async fn begin(watch: &mut Watching) {
    let mut next = pin!(watch.next_update());
    poll_fn(|cx| {
        assert!(next.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Contract row 21.
#[tokio::test]
async fn an_abort_while_connecting_or_looking_up_the_name_is_heard_at_once() {
    let hole = BlackHole::new().await;
    let base_of = |host: &str| format!("http://{host}/api/v1");
    for base in [base_of(&hole.addr.to_string()), base_of("cvm-watch-hyper.invalid")] {
        let client = Client::builder().base_url(base).allow_http(true).api_key("phak_1").no_proxy().build().unwrap();
        let (abort, signal) = tokio::sync::oneshot::channel::<()>();
        let mut watch = client.watch("my-cvm", "running").abort_on(signal);
        assert!(matches!(watch.next_update().await, Some(Update::Connecting { .. })));
        begin(&mut watch).await;
        abort.send(()).unwrap();
        // The very next poll has to end it, whatever the system is still busy with.
        let mut outcome = pin!(watch.into_future());
        let outcome = poll_fn(|cx| Poll::Ready(outcome.as_mut().poll(cx))).await;
        let Poll::Ready(Err(error)) = outcome else { panic!("still {outcome:?}") };
        assert_eq!(error.failure(), Some(&Failure::Aborted));
    }
}

/// Contract row 21.
#[tokio::test]
async fn an_abort_before_the_start_makes_no_request() {
    let sim = Sim::start().unwrap();
    let client = Client::builder().base_url(sim.base_url()).build().unwrap();
    let error = client.watch("my-cvm", "running").abort_on(std::future::ready(())).await.unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::Aborted));
    drop(client.watch("my-cvm", "running"));
    assert_eq!((sim.log().connections().len(), sim.log().requests().len()), (0, 0));
}

/// Contract row 21.
#[tokio::test]
async fn dropping_the_future_or_the_handle_closes_the_socket_in_every_phase() {
    for (phase, script) in [
        ("before the head", Attempt::new().stall()),
        ("streaming", Attempt::stream().state("starting").stall()),
        ("in a flood", Attempt::stream().flood("event: state\ndata: {\"status\":\"starting\"}\n\n", 1 << 40)),
        ("in a flood of comments", Attempt::stream().flood(": nothing\n", 1 << 40)),
        ("reading an error", Attempt::new().head(404, &[]).stall()),
    ] {
        for as_future in [true, false] {
            let sim = Sim::start().unwrap();
            sim.script("my-cvm", script.clone());
            let client = Client::builder().base_url(sim.base_url()).build().unwrap();
            let mut watch = client.watch("my-cvm", "running");
            let log = sim.log().clone();
            let asked = tokio::task::spawn_blocking(move || log.wait_for_requests(1, SOON).map(drop));
            if as_future {
                tokio::select! {
                    outcome = async { watch.await } => panic!("{phase}: {outcome:?}"),
                    asked = asked => asked.unwrap().unwrap(),
                }
            } else {
                let updates = async { while watch.next_update().await.is_some() {} };
                tokio::select! {
                    () = updates => panic!("{phase}: it ended"),
                    asked = asked => asked.unwrap().unwrap(),
                }
                drop(watch);
            }
            sim.log().wait_until_idle(SOON).unwrap();
            assert_eq!(sim.log().requests().len(), 1, "{phase}");
        }
    }
}
